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
    """n contexts that have run the code, in MiB: the PSS of their kernels and of what forks them, as each one's share; what
    one more takes, between n/2 and n; and from both, how many fit into a GiB.

    The default kernel and those that wait in the pool are not counted: they are there whether or not there are contexts.
    """
    with gateway(bench, *options) as running:
        client = NativeApi(running.url, running.token)
        at_rest, own = weight(running.kernels())[1], running.rss_kib()
        theirs: list[int] = []
        sums = {}
        for _ in range(n):
            theirs.append(
                int(
                    "".join(
                        client.outputs(f"{code}\nimport os\nprint('pid', os.getpid())", client.new())
                    ).split()[-1]
                )
            )
            if len(theirs) in (n // 2, n):
                running.settle()
                sums[len(theirs)] = weight([*theirs, *loader(running.kernels() - set(theirs))])[1]
        more = (sums[n] - sums[n // 2]) / (n - n // 2)
        return {
            "n": n,
            "pss_mib": sums[n] / n,
            "one_more_mib": more,
            "contexts_per_gib": n + (1024 - sums[n]) / more,
            "at_rest_mib": at_rest,
            "gateway_kib_each": (running.rss_kib() - own) / n,
        }


def measure(bench: Bench) -> dict[str, dict[str, dict]]:
    """{"plain": {mode: ...}, "science": ...}"""
    numbers = {"pool": bench.pick(40, 12), "fork": bench.pick(40, 20), "spawn": bench.pick(12, 4)}
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
