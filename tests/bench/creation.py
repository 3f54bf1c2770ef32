"""From asking for a new context to the first output in it: by pool, fork and spawn, plain and with a heavy import."""

from __future__ import annotations

import contextlib
import os
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from barekernel import Bare, FloorKernel, FloorZygote
from protocols import NativeApi, on
from rig import (
    MODES,
    PLAIN,
    PREFIX,
    SCIENCE,
    SDK_PYTHON,
    TOOLS,
    Bench,
    Gateway,
    gateway,
    run_json,
    spread,
)

SDKRUN = Path(__file__).with_name("sdkrun.py")
SDKS = ("daytona", "e2b", "opensandbox")
BURST = 30
CODES = {"plain": PLAIN, "science": SCIENCE}
TURNS = {  # a round's creations: (plain, science)
    "pool": (8, 3),
    "fork": (4, 3),
    "floor fork": (4, 3),
    "spawn": (1, 1),
    "floor spawn": (1, 1),
}


def has_science() -> bool:
    """Whether the Python kernel was installed with numpy, pandas and matplotlib."""
    wanted = "import numpy, pandas, matplotlib"
    return (
        subprocess.run([PREFIX / "venv/bin/python", "-P", "-c", wanted], stderr=subprocess.DEVNULL).returncode
        == 0
    )


def floor_ms(start: Callable[[], Bare], code: str) -> float:
    """The least that a new kernel takes: started and asked by clients that do nothing else."""
    since = time.monotonic()
    kernel = start()
    try:
        kernel.wait_bound()
        return run_json(TOOLS / "floor", kernel.file, "first", code)["first_us"] / 1e3 - since * 1e3
    finally:
        kernel.stop()


def burst(running: Gateway) -> dict[str, float]:
    """BURST contexts asked for at once on one connection, each run in as soon as it is there; ms to each first output."""
    api = NativeApi(running.url, running.token)
    start = time.monotonic()
    asked = {api.ws.post("create_context") for _ in range(BURST)}
    made: dict[int, str] = {}  # by the id of its execute
    first: dict[str, float] = {}  # by execution
    executions: set[str] = set()
    contexts = []
    while len(first) < BURST:
        said = api.ws.next()
        if said.get("ok") is False:
            raise RuntimeError(str(said))
        if said.get("id") in asked:
            contexts.append(said["context"])
            made[api.ws.post("execute", code=PLAIN, context=said["context"])] = said["context"]
        elif said.get("id") in made:
            executions.add(said["execution"])
        elif said.get("event") == "stdout":
            first.setdefault(said["execution"], time.monotonic())
    for context in contexts:
        api.ws.ask("delete_context", context=context)
    api.close()
    return spread((at - start) * 1e3 for at in first.values()) | {
        "all_ms": (max(first.values()) - start) * 1e3
    }


def create(running: Gateway, api: NativeApi, code: str) -> float:
    running.settle()
    return api.create_ms(code)


def by_mode(bench: Bench, gateways: dict[str, Gateway], codes: dict[str, str]) -> dict[str, dict]:
    """{"plain": {mode: spread}, "science": ...}; the modes in alternation, and the floors among them."""
    apis = {mode: NativeApi(one.url, one.token) for mode, one in gateways.items()}
    zygote = FloorZygote(bench.folder)
    ways: dict[str, Callable[[str], float]] = {
        "floor fork": lambda code: floor_ms(zygote.fork, code),
        "floor spawn": lambda code: floor_ms(
            lambda: FloorKernel(Path(tempfile.mkdtemp(dir=bench.folder))), code
        ),
    }
    for mode, running in gateways.items():
        ways[mode] = lambda code, running=running, api=apis[mode]: create(running, api, code)
    took: dict[str, dict[str, list[float]]] = {kind: {mode: [] for mode in TURNS} for kind in codes}
    try:
        for _ in range(bench.pick(12, 3)):
            for mode, turns in TURNS.items():
                for kind, n in zip(CODES, turns, strict=True):
                    for _ in range(n if kind in codes else 0):
                        took[kind][mode].append(ways[mode](codes[kind]))
    finally:
        zygote.stop()
        for api in apis.values():
            api.close()
    return {kind: {mode: spread(times) for mode, times in modes.items()} for kind, modes in took.items()}


def by_dialect(bench: Bench, running: Gateway) -> dict[str, dict]:
    """The same from the pool through the protocols' own requests for a new context, without an SDK."""
    took: dict[str, list[float]] = {name: [] for name in SDKS}
    apis = {name: on(running, name) for name in SDKS}
    for _ in range(bench.pick(10, 4)):
        for name, api in apis.items():
            running.settle()
            took[name].append(api.create_ms(PLAIN))
    for api in apis.values():
        api.close()
    return {name: spread(times) for name, times in took.items()}


def by_sdk(bench: Bench, running: Gateway) -> dict[str, dict[str, dict]]:
    """{sdk: {what: spread}}: what each SDK's calls take, with a sandbox made anew each time."""
    n = bench.pick(45, 5)
    found = {}
    for name in SDKS:
        running.settle()
        found[name] = run_json(SDK_PYTHON, SDKRUN, name, "create", running.url, running.token, n)
    return found


def measure(bench: Bench) -> dict:
    codes = dict(CODES)
    if not has_science():
        bench.note(
            "creation: without numpy, pandas and matplotlib (scripts/install-kernels --with-science python)"
        )
        del codes["science"]
    with contextlib.ExitStack() as stack:
        gateways = {mode: stack.enter_context(gateway(bench, *options)) for mode, options in MODES.items()}
        report: dict = by_mode(bench, gateways, codes)
        report["dialects"] = by_dialect(bench, gateways["pool"])
        if SDK_PYTHON.exists():
            report["sdks"] = by_sdk(bench, gateways["pool"])
        else:
            bench.note("creation: without the SDKs, which are in build/test-venv (scripts/test makes it)")
        report["burst"] = {}
        for mode, running in gateways.items():
            running.settle()
            report["burst"][mode] = burst(running) | {"contexts": BURST, "processors": os.cpu_count()}
    return report
