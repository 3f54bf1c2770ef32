"""When the first output of a long cell arrives: a `print` in code that goes on."""

from __future__ import annotations

from barekernel import FloorKernel, floor_kernel
from protocols import on
from rig import TOOLS, Bench, gateway, run_json, spread

LONG = "import time\nprint(1)\ntime.sleep(0.4)"  # longer than any server's flush interval
WAYS = ("native", "daytona", "e2b", "opensandbox")


def floor_ms(floor: FloorKernel) -> float:
    said = run_json(TOOLS / "floor", floor.file, "first", LONG)
    return (said["first_us"] - said["asked_us"]) / 1e3


def measure(bench: Bench) -> dict[str, dict]:
    """{way: {"n", "min_ms", "p50_ms", "p99_ms"}}, in alternation"""
    took: dict[str, list[float]] = {way: [] for way in ("floor", *WAYS)}
    with gateway(bench) as running, floor_kernel(bench) as floor:
        clients = {way: on(running, way) for way in WAYS}
        for _ in range(bench.pick(12, 4)):
            took["floor"].append(floor_ms(floor))
            for way, client in clients.items():
                took[way].append(client.first_ms(LONG))
        for client in clients.values():
            client.close()
    return {way: spread(times) for way, times in took.items()}
