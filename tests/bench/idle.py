"""A thousand WebSockets on which nothing happens: memory, processor time, and a busy client beside them."""

from __future__ import annotations

import time

from rig import Bench, gateway, wsrun
from wsock import Native

CONNECTIONS = 1000


def measure(bench: Bench) -> dict[str, float]:
    """{"n", "kib_each", "cpu_ms_per_s", "alone_p50_ms", "beside_p50_ms"}"""
    runs, seconds = bench.pick(400, 150), bench.pick(6, 3)
    with gateway(bench) as running:
        alone = wsrun(running, "native", runs)
        before = running.rss_kib()
        clients = [Native(running.url, running.token) for _ in range(CONNECTIONS)]
        clients[-1].ask("ping")
        each = (running.rss_kib() - before) / CONNECTIONS
        cpu = running.cpu_ms()
        time.sleep(seconds)
        cpu = (running.cpu_ms() - cpu) / seconds
        beside = wsrun(running, "native", runs)
        for client in clients:
            client.close()
    return {
        "n": CONNECTIONS,
        "kib_each": each,
        "cpu_ms_per_s": cpu,
        "alone_p50_ms": alone["p50_ms"],
        "beside_p50_ms": beside["p50_ms"],
    }
