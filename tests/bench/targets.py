"""The targets, and what was measured for each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

Subjects = dict[str, Any]


@dataclass
class Target:
    """`measured` finds the number in the report's subjects; KeyError, TypeError or IndexError where it was not measured."""

    what: str
    limit: float
    unit: str
    measured: Callable[[Subjects], float]
    at_least: bool = False
    show: str = "{:.2f}"

    def wanted(self) -> str:
        return f"{'≥' if self.at_least else '≤'} {self.limit:g}{unit(self.unit)}"


@dataclass
class Outcome:
    target: Target
    value: float | None

    @property
    def met(self) -> bool | None:
        if self.value is None:
            return None
        return self.value >= self.target.limit if self.target.at_least else self.value <= self.target.limit

    def measured(self) -> str:
        return (
            "not measured"
            if self.value is None
            else self.target.show.format(self.value) + unit(self.target.unit)
        )

    def verdict(self) -> str:
        """Whether it is met, and by how much of what is wanted."""
        if self.value is None:
            return "-"
        limit = self.target.limit
        off = abs(self.value - limit)
        amount = f"{100 * off / limit:.0f} %" if limit else f"{off:g}{unit(self.target.unit)}"
        side = "above" if self.value > limit else "below"
        return f"{'met' if self.met else '**not met**'}{f', {amount} {side}' if off else ''}"


def unit(word: str) -> str:
    return f" {word}" if word else ""


def over_floor(row: str) -> Callable[[Subjects], float]:
    return lambda s: s["latency"][row]["p50_ms"] - s["latency"]["floor"]["p50_ms"]


def lost(rows: dict[str, dict]) -> float:
    """How many of the ways lost output."""
    return sum(not row["complete"] for way, row in rows.items() if way not in ("zmq", "wire"))


def worst(rows: dict[str, dict], key: str) -> float:
    return max(row[key] for row in rows.values())


TARGETS = (
    Target("run `1`, warm connection, p50 over the floor", 0.15, "ms", over_floor("warm")),
    Target("run `1` with a new WebSocket per run, p50 over the floor", 0.4, "ms", over_floor("per run")),
    Target(
        "new Python context from the pool to first output, p50",
        10,
        "ms",
        lambda s: s["creation"]["plain"]["pool"]["p50_ms"],
    ),
    Target("the same, p99", 25, "ms", lambda s: s["creation"]["plain"]["pool"]["p99_ms"]),
    Target("the same, pool empty, p50", 65, "ms", lambda s: s["creation"]["plain"]["fork"]["p50_ms"]),
    Target(
        "with numpy, pandas and pyplot imported by the first cell, pool empty, p50",
        75,
        "ms",
        lambda s: s["creation"]["science"]["fork"]["p50_ms"],
    ),
    Target("first output of `print` in a long cell, p50", 20, "ms", lambda s: s["first"]["native"]["p50_ms"]),
    Target(
        "1e6 lines, times the raw client's time",
        1.05,
        "",
        lambda s: s["flood"]["cases"]["lines"]["native"]["p50_x_raw"],
    ),
    Target(
        "1e6 lines: ways that lost output", 0, "", lambda s: lost(s["flood"]["cases"]["lines"]), show="{:.0f}"
    ),
    Target(
        "20,000 flushed prints: ways that lost output",
        0,
        "",
        lambda s: lost(s["flood"]["cases"]["flushed"]),
        show="{:.0f}",
    ),
    Target(
        "1e6 lines to a reader that stalls: ways that lost output",
        0,
        "",
        lambda s: lost(s["flood"]["stalled"]),
        show="{:.0f}",
    ),
    Target(
        "1e6 lines to a reader that stalls: the gateway's growth, at most",
        32,
        "MiB",
        lambda s: worst(s["flood"]["stalled"], "growth_mib"),
        show="{:.1f}",
    ),
    Target(
        "100 MB in one write: ways that lost output",
        0,
        "",
        lambda s: lost(s["flood"]["write"]),
        show="{:.0f}",
    ),
    Target(
        "100 MB in one write: largest frame",
        1,
        "MiB",
        lambda s: worst(s["flood"]["write"], "largest") / (1 << 20),
        show="{:.3f}",
    ),
    Target(
        "100 MB in one write: the gateway's growth, at most",
        256,
        "MiB",
        lambda s: worst(s["flood"]["write"], "growth_mib"),
        show="{:.0f}",
    ),
    Target(
        "plain contexts per GiB",
        55,
        "",
        lambda s: s["memory"]["plain"]["fork"]["contexts_per_gib"],
        True,
        "{:.0f}",
    ),
    Target(
        "contexts with numpy, pandas and pyplot per GiB",
        38,
        "",
        lambda s: s["memory"]["science"]["fork"]["contexts_per_gib"],
        True,
        "{:.0f}",
    ),
    Target(
        "gateway memory with 500 contexts",
        100,
        "MiB",
        lambda s: s["contexts"]["levels"]["500"]["gateway_mib"],
        show="{:.0f}",
    ),
    Target("gateway CPU per execution", 0.15, "ms", lambda s: s["cost"]["native"]["all_ms"], show="{:.3f}"),
    Target(
        "the same with 500 contexts",
        0.15,
        "ms",
        lambda s: s["contexts"]["levels"]["500"]["cpu_ms"],
        show="{:.3f}",
    ),
    Target(
        "SDK set-up (OpenSandbox CodeInterpreter.create), p50",
        30,
        "ms",
        lambda s: s["creation"]["sdks"]["opensandbox"]["CodeInterpreter.create"]["p50_ms"],
        show="{:.1f}",
    ),
)


def outcomes(subjects: Subjects) -> list[Outcome]:
    """Of each target, in order."""
    found = []
    for target in TARGETS:
        try:
            value: float | None = target.measured(subjects)
        except (KeyError, TypeError, IndexError, ValueError):
            value = None
        found.append(Outcome(target, value))
    return found
