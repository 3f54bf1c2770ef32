"""Commands beside kernels: who waits for them, and that nothing of them outlives the gateway."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psutil
from harness.gateway import DEADLINE_S, Gateway, until

COMMAND = "/sandboxes/default/proxy/44772/command"
SERVERS = "nohup sleep 1000 >/dev/null 2>&1 & (setsid sh -c 'sleep 1000; true' &)"


def command(gateway: Gateway, text: str, **keys: object) -> list[dict[str, Any]]:
    """Run `text` to its end, or start it with background=True; the events of the answer."""
    status, _, body = gateway.http("POST", COMMAND, {"command": text, **keys})
    assert status == 200, (status, body)
    return [json.loads(line) for line in body.decode().splitlines() if line]


def texts(events: list[dict[str, Any]]) -> list[str]:
    """What it printed to stdout, line by line."""
    return [event["text"] for event in events if event["type"] == "stdout"]


def logs(gateway: Gateway) -> list[Path]:
    """Of commands in the default sandbox, as they are on the disk."""
    return list((gateway.state_dir / "sandboxes" / "default" / "commands").rglob("*.log"))


def test_a_stop_waits_for_commands_in_the_foreground(
    make_gateway: Callable[..., Gateway], tmp_path: Path
) -> None:
    """And for no other; `make_gateway` then finds no process and no file."""
    gateway = make_gateway()
    go, on = tmp_path / "go", tmp_path / "on"
    command(gateway, SERVERS)
    command(gateway, "sleep 1000", background=True)
    with ThreadPoolExecutor() as pool:
        said = pool.submit(
            command, gateway, f"touch {on}; while [ ! -e {go} ]; do sleep 0.05; done; echo finished"
        )
        until("the command", on.exists)
        assert gateway.gauge("commands_running") == 2
        gateway.process.send_signal(signal.SIGTERM)
        until("draining", lambda: "draining: 1 executions" in gateway.stderr)
        go.touch()
        events = said.result(DEADLINE_S)
    assert texts(events) == ["finished"]
    assert events[-1]["type"] == "execution_complete"
    assert gateway.process.wait(DEADLINE_S) == 0


def test_a_stop_that_does_not_wait(make_gateway: Callable[..., Gateway], tmp_path: Path) -> None:
    """The command is killed with all that it started, and its client is told why."""
    gateway = make_gateway("--drain_ms=100")
    on = tmp_path / "on"
    with ThreadPoolExecutor() as pool:
        said = pool.submit(command, gateway, f"{SERVERS}; touch {on}; trap '' TERM INT; sleep 1000")
        until("the command", on.exists)
        gateway.process.send_signal(signal.SIGTERM)
        events = said.result(DEADLINE_S)
    assert events[-1]["type"] == "error"
    assert events[-1]["error"]["traceback"] == ["the gateway is stopping"]
    assert gateway.process.wait(DEADLINE_S) == 0


def test_a_killed_gateway(start_gateway: Callable[..., Gateway], tmp_path: Path) -> None:
    """The next start ends the commands that it left, and what these had started."""
    first = start_gateway().wait_ready()
    on = tmp_path / "on"
    command(first, SERVERS)
    command(first, f"touch {on}; sleep 1000", background=True)
    until("the command", on.exists)
    first.process.kill()
    first.process.wait()
    left = [pid for pid, line in first.descendants().items() if "sleep" in line]
    assert len(left) >= 3
    second = start_gateway(state_dir=first.state_dir).wait_ready()
    until("nothing of the dead gateway", lambda: not any(map(psutil.pid_exists, left)))
    assert texts(command(second, "echo fine")) == ["fine"]
    until("no log of it", lambda: not logs(first))
    second.stop()


def test_two_gateways_have_their_own_logs(start_gateway: Callable[..., Gateway]) -> None:
    """On one state_dir they share the default sandbox's folder; what one has logged goes with it alone."""
    one = start_gateway().wait_ready()
    two = start_gateway(state_dir=one.state_dir).wait_ready()
    run = command(one, "echo of one", background=True)[0]["text"]
    until("its log", lambda: one.http("GET", f"{COMMAND}/{run}/logs")[2] == b"of one\n")
    command(two, "echo of two", background=True)
    until("both", lambda: len(logs(one)) == 2)
    assert one.http("GET", f"{COMMAND}/{run}/logs")[2] == b"of one\n"
    two.stop()
    until("that of one", lambda: len(logs(one)) == 1)
    assert one.http("GET", f"{COMMAND}/{run}/logs")[2] == b"of one\n"
    one.stop()
    until("none", lambda: not logs(one))
