"""What a gateway holds when nothing happens, and the proof that it came back to that.

The kernels of its pool are part of that, as many as it has learnt to keep ready; what one of them holds is
known, so that what is left of it afterwards would show.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from clients import wait_run
from harness.gateway import Gateway, until

ZERO = (
    "executions_queued",
    "executions_running",
    "executions_kept",
    "events_bytes",
    "websockets",
    'kernels{state="starting"}',
    'kernels{state="busy"}',
    'kernels{state="stopping"}',
)
CHANNELS = 4  # of one kernel, at most: some are opened when they are used
FILES = 6  # of one kernel: its connection file, and its sockets
QUIET = "--keep_executions=0"  # so that finished executions are no growth


def clear(gateway: Gateway) -> None:
    """Delete every context and sandbox but the default ones, and have the default kernel warm."""
    _, listed = gateway.json("GET", "/v1/native/sandboxes")
    for sandbox in listed["sandboxes"]:  # type: ignore[index]
        if sandbox["sandbox"] != "default":
            gateway.http("DELETE", f"/v1/native/sandboxes/{sandbox['sandbox']}")
    _, listed = gateway.json("GET", "/v1/contexts")
    for context in listed["contexts"]:  # type: ignore[index]
        if not (context["default"] and context["language"] == "python"):
            gateway.http("DELETE", f"/v1/contexts/{context['context']}")
    wait_run(gateway, "pass")


def descriptors(pid: int) -> tuple[int, int]:
    """How many it has: all but Unix sockets and eventfds, and Unix sockets.

    A channel to a kernel is one of each, and some of the four of a kernel are opened when they are used.
    """
    unix = {line.split()[6] for line in Path("/proc/net/unix").read_text().splitlines()[1:]}
    others = channels = 0
    for link in Path(f"/proc/{pid}/fd").iterdir():
        try:
            target = os.readlink(link)
        except FileNotFoundError:
            continue
        is_channel = target.startswith("socket:[") and target[8:-1] in unix
        channels += is_channel
        others += not is_channel and target != "anon_inode:[eventfd]"
    return others, channels


def holds(gateway: Gateway) -> dict[str, Any]:
    """Its gauges, descriptors, processes and files, without those of a full pool; one connection is the caller's."""

    def look() -> dict[str, Any]:
        metrics = gateway.metrics()
        seen: dict[str, Any] = {name: int(metrics[f"kernelbridge_{name}"]) for name in ZERO}
        for name in ("connections", "contexts", "sandboxes", "zygotes", 'kernels{state="ready"}'):
            seen[name] = int(metrics[f"kernelbridge_{name}"])
        seen["descriptors"], channels = descriptors(gateway.process.pid)
        most = CHANNELS * metrics["kernelbridge_kernels"] + seen["zygotes"]
        seen["channels"] = "4 or less" if channels <= most else channels
        seen["processes"] = len(gateway.descendants())
        seen["files"] = len(gateway.run_files())
        return seen

    seen, ahead = gateway.still(look)
    wanted = int(gateway.settings["pool_python"])
    seen["pool"] = "full" if ahead.kernels >= wanted else ahead.kernels
    seen['kernels{state="ready"}'] -= ahead.kernels
    seen["descriptors"] -= ahead.kernels  # the end of a pipe each
    seen["processes"] -= ahead.kernels + ahead.zygotes
    seen["files"] -= FILES * ahead.kernels
    return seen


def baseline(gateway: Gateway, ignore: tuple[str, ...] = ()) -> dict[str, Any]:
    """What it holds at rest, without the names in `ignore`."""
    clear(gateway)
    gateway.http("GET", "/sandboxes/default/proxy/44772/files/info?path=.")  # its home is open from now on
    expected = dict.fromkeys(ZERO, 0) | {"connections": 1, "contexts": 1, "sandboxes": 1}
    expected |= {'kernels{state="ready"}': 1, "processes": 1, "pool": "full"}
    expected = {name: value for name, value in expected.items() if name not in ignore}
    until("a gateway at rest", lambda: expected.items() <= holds(gateway).items())
    return {name: value for name, value in holds(gateway).items() if name not in ignore}


def check(gateway: Gateway, before: dict[str, Any], ignore: tuple[str, ...] = ()) -> None:
    """Wait until it holds what it held; AssertionError with the difference when it does not come."""
    clear(gateway)
    now: dict[str, Any] = {}

    def same() -> bool:
        now.clear()
        now.update((name, value) for name, value in holds(gateway).items() if name not in ignore)
        return now == before

    try:
        until("", same, 30)
    except AssertionError:
        grown = {k: (v, now.get(k)) for k, v in before.items() if now.get(k) != v}
        raise AssertionError(f"(before, now) 30 s later: {grown}; {gateway.descendants()}") from None
