"""Processor time that the gateway takes for one execution, by way and by thread."""

from __future__ import annotations

from rig import Bench, gateway, wsrun

WAYS = {
    "native": "native",
    "daytona": "daytona",
    "e2b": "e2b",
    "opensandbox": "opensandbox",
    "opensandbox, new": "fresh",
}


def measure(bench: Bench) -> dict[str, dict[str, float]]:
    """{way: {"runs", "main_ms", "zmq_ms", "other_ms", "all_ms"}}, per execution"""
    report = {}
    ways = list(WAYS) if not bench.quick else ["native", "daytona"]
    with gateway(bench) as running:
        for way in ways:
            runs = 2500 if way == "native" and not bench.quick else bench.pick(1000, 500)
            before = running.threads_ms()
            wsrun(running, WAYS[way], runs)
            after = running.threads_ms()
            each = {
                f"{name}_ms": (after[name] - before[name]) / (runs + 10) for name in after
            }  # wsrun warms up with ten
            report[way] = {"runs": runs} | each | {"all_ms": sum(each.values())}
    return report
