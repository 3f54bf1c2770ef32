#!/usr/bin/env python3
"""What a lot of output costs through the gateway, against a raw client: one table, measured in one run.

Usage: tests/bench/volume.py [--rounds 7] [--only CASE,...] [--ways WAY,...] [--json FILE]

The same code runs in kernels of the same kind, the ways in alternation, so that a noisy machine hits all of them alike:
  zmq      the floor: the frames of a kernel of its own, neither authenticated nor parsed
  wire     the same kernel, by wire/: what a raw client that authenticates and parses them needs
  native   the gateway's WebSocket      e2b          POST /execute
  daytona  a WebSocket per run          opensandbox  POST /code
Each is tests/bench/bulk, a client in C on blocking sockets, and checks that all of the output came, in order: the
number of messages where the code says it, and every byte.
Cases: result (20 MB as text/plain), image (20 MB of base64 as image/png), displays (8,000 in a burst), lines (1e6 printed),
flushed (20,000 prints, each flushed), write (100 MB at once). Daytona's frames end at 1 MiB, so result and image are not
among its cases.
Reported: the median and the minimum over rounds in ms, and the ratios of each way's minimum to the floor's and of its
median to the raw client's (wire, where that is measured).

Needs: the release preset built (scripts/run or cmake --preset release; or $KERNELBRIDGE_BUILD), and the Python kernel
in $KERNELBRIDGE_PREFIX (default build/prefix). Exit status 1 where output was not all there.

tests/bench/report takes lines, flushed, displays and write from here, and measures besides what a client costs that
stops reading for three seconds, and one write of 100 MB: the most that the gateway has resident, beyond what it had.
"""

from __future__ import annotations

import argparse
import base64
import json
import statistics
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

from barekernel import FloorKernel, floor_kernel
from rig import PLAIN, TOOLS, Bench, Gateway, gateway, run_json

WAYS = ("zmq", "wire", "native", "e2b", "daytona", "opensandbox")
STALL_MS = 3000
FORGET = "get_ipython().displayhook.flush()\n"  # the results of the rounds before
BLOCK = bytes(range(256)) * 3  # its base64 needs no padding


@dataclass
class Case:
    """Code, and what must come of it: the strings at `key` of all messages put together, escaped as in JSON.

    `messages` is how many there must be, 0 where that is for the kernel to decide. `ways` may have (key, want) of
    their own, or None where the case is not theirs.
    """

    code: str
    key: str
    want: str
    messages: int = 0
    ways: dict[str, tuple[str, str] | None] = field(default_factory=dict)


def cases() -> dict[str, Case]:
    text = "x" * 20_000_000
    count = 20_000_000 * 3 // 4 // len(BLOCK)
    image = base64.b64encode(BLOCK).decode() * count
    numbers = "".join(map(str, range(8000)))
    show = "from IPython.display import display\n"
    return {
        "result": Case(
            FORGET + '"x" * 20_000_000',
            "text/plain",
            f"'{text}'",
            1,
            {"e2b": ("text", text), "daytona": None, "opensandbox": None},
        ),
        "image": Case(
            f"{show}import base64\n"
            f"display({{'image/png': base64.b64encode(bytes(range(256)) * {3 * count}).decode()}}, raw=True)",
            "image/png",
            image,
            1,
            {"e2b": ("png", image), "daytona": None, "opensandbox": None},
        ),
        "displays": Case(
            f"{show}for i in range(8000): display(i)",
            "text/plain",
            numbers,
            8000,
            {"e2b": ("text", numbers), "daytona": None, "opensandbox": ("text", numbers)},
        ),
        "lines": Case(
            "for i in range(1_000_000): print(i)", "text", "".join(f"{i}\\n" for i in range(1_000_000))
        ),
        "flushed": Case(
            "for i in range(20_000): print(i, flush=True)", "text", "".join(f"{i}\\n" for i in range(20_000))
        ),
        "write": Case("print('x' * 99_999_999)", "text", "x" * 99_999_999 + "\\n"),
    }


class Place:
    """Where the code runs: a gateway, a kernel without one, or both."""

    def __init__(self, folder: Path, through: Gateway | None, floor: FloorKernel | None) -> None:
        self.folder, self.through, self.floor = folder, through, floor

    def measure(self, case: Case, way: str, stall_ms: int = 0) -> dict | None:
        """What tests/bench/bulk prints, or None where the case is not for this way."""
        how = case.ways.get(way, (case.key, case.want))
        if how is None:
            return None
        code, want = self.folder / "code", self.folder / "want"
        code.write_text(case.code)
        want.write_text(how[1])
        if way in ("zmq", "wire"):
            assert self.floor
            to = [self.floor.file]
        else:
            assert self.through
            to = [self.through.port, self.through.token]
        stall = ["--stall", stall_ms] if stall_ms else []
        one = run_json(TOOLS / "bulk", *stall, way, *to, code, how[0], want)
        one["complete"] = one["complete"] and case.messages in (0, one["messages"])
        return one


def compare(place: Place, wanted: dict[str, Case], ways: list[str], rounds: int, warm_up: int = 1) -> dict:
    seen: dict[str, dict[str, list[dict]]] = {name: {} for name in wanted}
    for n in range(warm_up + rounds):
        for name, case in wanted.items():
            for way in ways:
                one = place.measure(case, way)
                if one is not None and n >= warm_up:
                    seen[name].setdefault(way, []).append(one)
    return {
        name: {way: summary(ones, of.get("zmq"), of.get("wire")) for way, ones in of.items()}
        for name, of in seen.items()
    }


def summary(ones: list[dict], floor: list[dict] | None, raw: list[dict] | None) -> dict:
    least = min(one["ms"] for one in ones)
    middle = statistics.median(one["ms"] for one in ones)
    return {
        "min_ms": least,
        "p50_ms": middle,
        "x_floor": least / min(one["ms"] for one in floor) if floor else None,
        "p50_x_raw": middle / statistics.median(one["ms"] for one in raw) if raw else None,
        "messages": ones[-1]["messages"],
        "arrived": min(one["total"] / one["want"] for one in ones),
        "largest": max(one["largest"] for one in ones),
        "complete": all(one["complete"] for one in ones),
    }


def growth(bench: Bench, case: Case, way: str, stall_ms: int) -> dict:
    """As measure, with a gateway of its own, and the most that this one had resident beyond what it had before, in MiB."""
    with gateway(bench) as through:
        place = Place(bench.folder, through, None)
        place.measure(Case(PLAIN, case.key, "1\\n"), way)
        through.forget_peak()
        before = through.rss_kib()
        one = place.measure(case, way, stall_ms)
        assert one is not None
        return one | {
            "growth_mib": (through.peak_kib() - before) / 1024,
            "arrived": one["total"] / one["want"],
        }


def measure(bench: Bench) -> dict:
    """{"cases": {case: {way: ...}}, "stalled": {way: ...}, "write": {way: ...}}, see compare() and growth()."""
    every = cases()
    ways = ["wire", "native"] if bench.quick else ["wire", "native", "e2b", "daytona"]
    rounds = {
        "lines": bench.pick(7, 2),
        "flushed": bench.pick(5, 2),
        "displays": bench.pick(5, 1),
        "write": bench.pick(7, 2),
    }
    with gateway(bench) as through, floor_kernel(bench) as floor:
        place = Place(bench.folder, through, floor)
        compare(place, {"displays": every["displays"]}, ways, 0)
        report: dict = {"cases": {}}
        for name, n in rounds.items():
            report["cases"] |= compare(place, {name: every[name]}, ways, n, warm_up=0)
    report["stalled"] = {way: growth(bench, every["lines"], way, STALL_MS) for way in ways[1:]}
    report["stall_ms"] = STALL_MS
    report["write"] = {way: growth(bench, every["write"], way, 0) for way in ways[1:]}
    return report


def show(report: dict) -> None:
    print(
        f"{'case':10} {'way':8} {'min ms':>9} {'p50 ms':>9} {'x floor':>8} {'p50 x raw':>9} {'messages':>9}  all there"
    )
    for name, ways in report["cases"].items():
        for way, row in ways.items():
            print(
                f"{name:10} {way:8} {row['min_ms']:9.1f} {row['p50_ms']:9.1f} {row['x_floor'] or float('nan'):8.2f} "
                f"{row['p50_x_raw'] or float('nan'):9.2f} {row['messages']:9}  {'yes' if row['complete'] else 'NO'}"
            )
    print(
        f"gateway memory: {report['peak_kib'] / 1024:.0f} MiB at the peak, {report['rss_kib'] / 1024:.0f} MiB at the end"
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--only", help="cases, separated by commas")
    parser.add_argument("--ways", default=",".join(WAYS), help="beside the floor, separated by commas")
    parser.add_argument("--json", type=Path, help="write the report there as well")
    args = parser.parse_args()
    wanted = {name: case for name, case in cases().items() if not args.only or name in args.only.split(",")}
    ways = ["zmq", *(way for way in WAYS[1:] if way in args.ways.split(","))]
    with tempfile.TemporaryDirectory(prefix="kb-bench-") as name:
        bench = Bench(Path(name))
        with gateway(bench) as through, floor_kernel(bench) as floor:
            report: dict = {"cases": compare(Place(bench.folder, through, floor), wanted, ways, args.rounds)}
            report |= {"peak_kib": through.peak_kib(), "rss_kib": through.rss_kib()}
    show(report)
    if args.json:
        args.json.write_text(json.dumps(report, indent=1) + "\n")
    return 0 if all(row["complete"] for ways in report["cases"].values() for row in ways.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
