"""What a context takes in memory: by pool, fork and spawn, plain and with numpy, pandas and pyplot imported."""

from __future__ import annotations

from pathlib import Path

from contexts import RESERVE_MIB
from creation import CODES, has_science
from protocols import NativeApi
from rig import MODES, Bench, available_mib, gateway, weight


def started(pid: int) -> int:
    """When, in clock ticks since the machine's start."""
    return int(Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[19])


def loader(pids: set[int]) -> list[int]:
    """The process that the others are forked from, if there is one: of those that are called so, the first."""
    named = [pid for pid in pids if b"zygote" in Path(f"/proc/{pid}/cmdline").read_bytes()]
    return sorted(named, key=started)[:1]


def weigh(bench: Bench, options: tuple[str, ...], code: str, n: int) -> dict[str, float]:
    """n contexts that have run the code: a context's share, in MiB, of the PSS of their kernels and of what forks them.

    The default kernel and those that wait in the pool are not counted: they are there whether or not there are contexts.
    """
    with gateway(bench, *options) as running:
        client = NativeApi(running.url, running.token)
        at_rest, own = weight(running.kernels())[1], running.rss_kib()
        theirs = set()
        for _ in range(n):
            theirs.add(int("".join(client.outputs(f"{code}\nimport os\nprint('pid', os.getpid())", client.new())).split()[-1]))
        running.rest()
        pss = weight([*theirs, *loader(running.kernels() - theirs)])[1]
        return {"n": n, "pss_mib": pss / n, "contexts_per_gib": 1024 * n / pss, "at_rest_mib": at_rest,
                "gateway_kib_each": (running.rss_kib() - own) / n}


def measure(bench: Bench) -> dict[str, dict[str, dict]]:
    """{"plain": {mode: ...}, "science": ...}"""
    numbers = {"pool": bench.pick(40, 20), "fork": bench.pick(40, 20), "spawn": bench.pick(12, 6)}
    report: dict = {}
    for kind, code in CODES.items():
        if kind == "science" and not has_science():
            bench.note("memory: without numpy, pandas and matplotlib")
            continue
        report[kind] = {}
        for mode, options in MODES.items():
            if numbers[mode] * 100 > available_mib() - RESERVE_MIB:
                bench.note(f"memory: {kind} by {mode} left out, the machine has too little free")
                continue
            report[kind][mode] = weigh(bench, options, code, numbers[mode])
    return report
