"""What the machine has and uses, through OpenSandbox's SDKs and raw: opensandbox.md (a), execd's API."""

from __future__ import annotations

import json
import os
import time
from typing import Any

import psutil
from harness.gateway import Gateway
from osb_adapter import Box
from osb_raw import Raw

pytest_plugins = ["osb_fixtures"]

FIELDS = {"cpu_count", "cpu_used_pct", "mem_total_mib", "mem_used_mib", "timestamp"}
MIB = 1 << 20


def check(metrics: dict[str, Any]) -> None:
    """Figures that this machine can have."""
    assert set(metrics) == FIELDS
    assert 0 < metrics["cpu_count"] <= (os.cpu_count() or 1)
    assert 0 <= metrics["cpu_used_pct"] <= 100
    assert 0 < metrics["mem_used_mib"] < metrics["mem_total_mib"] <= psutil.virtual_memory().total / MIB + 1
    assert abs(metrics["timestamp"] / 1000 - time.time()) < 60


async def test_metrics(osb: Box) -> None:
    metrics = await osb.method("get_metrics")
    check(
        {
            "cpu_count": metrics.cpu_count,
            "cpu_used_pct": metrics.cpu_used_percentage,
            "mem_total_mib": metrics.memory_total_in_mib,
            "mem_used_mib": metrics.memory_used_in_mib,
            "timestamp": metrics.timestamp,
        }
    )


def test_many_in_a_row(osb_raw: Raw) -> None:
    for _ in range(20):
        answer = osb_raw.ask("GET", "/metrics")
        assert answer.status_code == 200
        check(answer.json())


def test_busy_processors_are_seen(osb_raw: Raw) -> None:
    """The share since the last look: between the two, one processor works for two seconds or more."""
    osb_raw.ask("GET", "/metrics")
    osb_raw.code("import time\nt = time.process_time()\nwhile time.process_time() < t + 2: pass")
    assert osb_raw.ask("GET", "/metrics").json()["cpu_used_pct"] > 10 / (os.cpu_count() or 1)


def test_watch(osb_raw: Raw) -> None:
    with osb_raw.stream("GET", "/metrics/watch") as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        body = ""
        for chunk in answer.iter_text():
            body += chunk
            if body.count("\n\n") == 3:
                break
    looks = [json.loads(frame) for frame in body.split("\n\n")[:-1]]
    for metrics in looks:
        check(metrics)
    times = [metrics["timestamp"] for metrics in looks]
    assert times == sorted(times)
    assert len(set(times)) == 3


def test_watch_ends_with_the_sandbox(osb_gateway: Gateway) -> None:
    with Raw(osb_gateway) as raw, raw.stream("GET", "/metrics/watch") as answer:
        chunks = answer.iter_text()
        body = next(chunks)
        raw.life.kill(raw.id)
        body += "".join(chunks)  # up to its end; one that is cut off raises
    assert body.endswith("}\n\n")


def test_unknown_sandbox(osb_raw: Raw) -> None:
    for path in ("/metrics", "/metrics/watch"):
        url = osb_raw.url.replace(osb_raw.id, "00000000-0000-4000-8000-000000000000") + path
        answer = osb_raw.http.get(url, headers={"OPEN-SANDBOX-API-KEY": osb_raw.gateway.token})
        assert answer.status_code == 404
        assert answer.json()["code"] == "SANDBOX_NOT_FOUND"
        assert osb_raw.http.get(url, headers=osb_raw.headers).status_code == 401
