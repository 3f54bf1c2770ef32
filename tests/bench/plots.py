"""The plots of docs/benchmarks.md: plots.py REPORT.json FOLDER, by a Python that has matplotlib.

One SVG for each of document.PLOTS whose subject was measured; prints their names.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("svg")
import matplotlib.pyplot as plt

OURS, FLOOR, PEER = "#2b6cb0", "#a0aec0", "#dd6b20"
Bars = list[tuple[str, float, str]]

plt.rcParams |= {
    "svg.fonttype": "none",
    "svg.hashsalt": "kernelbridge",
    "font.family": "sans-serif",
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
}


def from_peers(report: dict[str, Any], *path: str) -> Bars:
    bars = []
    for name, row in report.get("peers", {}).items():
        value: Any = row
        for key in path:
            value = value and value.get(key)
        if value and not name.startswith("kernelbridge"):
            bars.append((name, value, PEER))
    return bars


def bars(rows: Bars, label: str, path: Path) -> None:
    """Horizontal ones on a logarithmic scale, each with its number."""
    fig, ax = plt.subplots(figsize=(7, 0.45 + 0.27 * len(rows)))
    names, values, colours = zip(*reversed(rows), strict=True)
    drawn = ax.barh(names, values, color=colours, height=0.7)
    ax.bar_label(drawn, [f"{v:.3g}" if v < 1000 else f"{v:,.0f}" for v in values], padding=3)
    ax.set_xscale("log")
    ax.set_xlim(min(values) / 2, max(values) * 2)
    ax.set_xlabel(label)
    ax.minorticks_off()
    save(fig, path)


def save(fig: Any, path: Path) -> None:
    fig.savefig(path, bbox_inches="tight", metadata={"Date": None, "Creator": None})
    plt.close(fig)
    lines = path.read_text().splitlines()  # no white space at their ends
    path.write_text("\n".join(line.rstrip() for line in lines) + "\n")


def creation(report: dict[str, Any], path: Path) -> None:
    rows: Bars = []
    for kind, modes in (
        ("plain", report["creation"].get("plain", {})),
        ("science", report["creation"].get("science", {})),
    ):
        rows += [
            (f"{mode}, {kind}", row["p50_ms"], FLOOR if mode.startswith("floor") else OURS)
            for mode, row in modes.items()
        ]
    rows += [
        (f"{name} SDK, sandbox and run", calls["both"]["p50_ms"], OURS)
        for name, calls in report["creation"].get("sdks", {}).items()
    ]
    bars(rows + from_peers(report, "create", "p50_ms"), "ms, logarithmic", path)


def latency(report: dict[str, Any], path: Path) -> None:
    rows: Bars = [
        (name, row["p50_ms"], FLOOR if name == "floor" else OURS) for name, row in report["latency"].items()
    ]
    bars(rows + from_peers(report, "run", "p50_ms"), "ms, logarithmic", path)


def memory(report: dict[str, Any], path: Path) -> None:
    rows: Bars = [
        (f"{mode}, {kind}", row["pss_mib"], OURS)
        for kind, modes in report["memory"].items()
        for mode, row in modes.items()
    ]
    bars(rows + from_peers(report, "memory", "each_mib"), "MiB, logarithmic", path)


def contexts(report: dict[str, Any], path: Path) -> None:
    levels = report["contexts"]["levels"]
    xs = [int(n) for n in levels]
    fig, sides = plt.subplots(1, 3, figsize=(8, 2.2), layout="constrained")
    for ax, key, title in zip(
        sides,
        ("runs_per_s", "cpu_ms", "gateway_mib"),
        ("runs per second", "gateway CPU, ms per run", "gateway memory, MiB"),
        strict=True,
    ):
        ax.plot(xs, [row[key] for row in levels.values()], "o-", color=OURS)
        ax.set_xscale("log")
        ax.set_xticks(xs, [str(x) for x in xs])
        ax.minorticks_off()
        ax.set_ylim(bottom=0)
        ax.set_title(title, fontsize=9)
        ax.set_xlabel("contexts")
    save(fig, path)


def soak(report: dict[str, Any], path: Path) -> None:
    samples = report["soak"]["samples"]
    minutes = [one["s"] / 60 for one in samples]
    fig, sides = plt.subplots(1, 2, figsize=(8, 2.2), layout="constrained")
    for ax, key, title in zip(sides, ("rss_mib", "fds"), ("resident, MiB", "descriptors"), strict=True):
        ax.plot(minutes, [one[key] for one in samples], color=OURS, linewidth=1)
        ax.set_ylim(bottom=0)
        ax.set_title(title, fontsize=9)
        ax.set_xlabel("minutes")
    save(fig, path)


DRAW = {"creation": creation, "latency": latency, "memory": memory, "contexts": contexts, "soak": soak}


def main(file: Path, folder: Path) -> None:
    subjects = json.loads(file.read_text())["subjects"]
    folder.mkdir(parents=True, exist_ok=True)
    for name, draw in DRAW.items():
        if subjects.get(name):
            draw(subjects, folder / f"{name}.svg")
            print(name)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
