#!/usr/bin/env python3
"""What the gateway adds to one execution: one table, measured in one run.

Usage: tests/bench/latency.py [--rounds 10] [--runs 100] [--json FILE]

Rows, each `1` run one after the other on a kernel of the same kind, in alternation, so that a noisy machine
hits all of them alike:
  floor    a bare C client on wire/ (tests/bench/floor.c), straight to a kernel of its own
  warm     the gateway, native dialect, one WebSocket for all runs (tests/bench/wsrun.c, as the next five)
  per run  Daytona dialect, a new WebSocket per run, connect() to close frame
  e2b      E2B dialect, POST /execute on one connection for all runs, to the end of the answer
  e2b new  the same with a new connection per run, from connect()
  osb, osb new  the same two in OpenSandbox's dialect, POST /code
  daytona SDK, e2b SDK, osb SDK   through the Python SDKs (tests/bench/sdkrun.py)
  osb SDK alone   that SDK against a server that only answers: what it takes itself
Reported: the median over rounds of each round's p50, in ms, and the difference to the floor. What it takes to make
sandboxes and contexts is the report's `creation`.

Needs: the release preset built (scripts/run or cmake --preset release), the Python kernel in
$KERNELBRIDGE_PREFIX (default build/prefix), and for the SDKs build/test-venv (scripts/test makes it).
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path

from barekernel import FloorKernel, floor_kernel
from rig import (
    SDK_PYTHON,
    TOOLS,
    Bench,
    Gateway,
    alternate,
    gateway,
    run_json,
    wsrun,
)

SDKRUN = Path(__file__).with_name("sdkrun.py")
WAYS = {
    "warm": "native",
    "per run": "daytona",
    "e2b": "e2b",
    "e2b new": "e2b-fresh",
    "osb": "opensandbox",
    "osb new": "fresh",
}
SDKS = {
    "daytona SDK": ("daytona", "run"),
    "e2b SDK": ("e2b", "run"),
    "osb SDK": ("opensandbox", "run"),
    "osb SDK alone": ("opensandbox", "alone"),
}


def bare(floor: FloorKernel, running: Gateway, rounds: int, runs: int) -> dict[str, dict]:
    """By the clients in C."""
    rows = {"floor": lambda: run_json(TOOLS / "floor", floor.file, runs)}
    for name, way in WAYS.items():
        rows[name] = lambda way=way: wsrun(running, way, runs)
    return alternate(rows, rounds)


def by_sdk(running: Gateway, rounds: int, runs: int) -> dict[str, dict]:
    """By the SDKs; none where they are not installed."""
    rows = {}
    for name, (sdk, what) in SDKS.items():
        client = [SDK_PYTHON, SDKRUN, sdk, what, running.url, running.token, runs]
        rows[name] = lambda client=client, what=what: run_json(*client)[what]
    return alternate(rows, rounds) if SDK_PYTHON.exists() else {}


def measure(bench: Bench, rounds: int = 0, runs: int = 100) -> dict[str, dict]:
    """{row: {"min_ms", "p50_ms", "p99_ms"}}"""
    rounds = rounds or bench.pick(8, 4)
    if not SDK_PYTHON.exists():
        bench.note("latency: without the SDKs, which are in build/test-venv (scripts/test makes it)")
    with gateway(bench) as running, floor_kernel(bench) as floor:
        rows = bare(floor, running, rounds, runs)
        return rows | by_sdk(running, max(1, rounds // 3), max(20, runs // 2))


def show(rows: dict[str, dict]) -> None:
    base = rows["floor"]["p50_ms"]
    print(f"{'run `1`':13} {'min ms':>8} {'p50 ms':>8} {'p99 ms':>8} {'+ floor':>9} {'x floor':>8}")
    for name, row in rows.items():
        print(
            f"{name:13} {row['min_ms']:8.2f} {row['p50_ms']:8.2f} {row['p99_ms']:8.2f} "
            f"{row['p50_ms'] - base:+9.2f} {row['p50_ms'] / base:8.2f}"
        )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--runs", type=int, default=100)
    parser.add_argument("--json", type=Path, help="write the report there as well")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="kb-bench-") as name:
        rows = measure(Bench(Path(name)), args.rounds, args.runs)
    show(rows)
    if args.json:
        args.json.write_text(json.dumps(rows, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
