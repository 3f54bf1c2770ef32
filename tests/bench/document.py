"""docs/benchmarks.md from the JSON of a report: pure, so that it can be made again from a stored one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from targets import outcomes

Subject = dict[str, Any]
Table = list[str]

PLOTS = {  # file: its caption; tests/bench/plots.py draws them
    "creation": "From asking for a new context to its first output, p50, in ms",
    "latency": "One run of `1`, p50, in ms",
    "memory": "Memory of one context, PSS, in MiB",
    "contexts": "Many contexts, each with a run in flight",
    "soak": "The gateway's resident set and descriptors under load",
}


def table(head: list[str], rows: list[list[str]]) -> Table:
    """Of Markdown; the first column is text, the others are numbers."""
    return [
        f"| {' | '.join(head)} |",
        "|---" + "|--:" * (len(head) - 1) + "|",
        *(f"| {' | '.join(row)} |" for row in rows),
        "",
    ]


def ms(value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:.2f}" if value < 10 else f"{value:.1f}" if value < 100 else f"{value:,.0f}"


def spread(row: dict[str, float] | None) -> list[str]:
    keys = ("p50_ms", "p99_ms", "min_ms")
    return [ms(row[key]) if row else "-" for key in keys]


def yes(value: bool) -> str:
    return "yes" if value else "**no**"


def latency(s: Subject) -> Table:
    base = s["floor"]["p50_ms"]
    rows = [
        [name, *spread(row), f"{row['p50_ms'] - base:+.2f}", f"{row['p50_ms'] / base:.2f}"]
        for name, row in s.items()
    ]
    return [
        "`1`, one after the other. *floor*: a bare ZeroMQ client in C on a kernel of its own; *warm*: the native WebSocket, kept;",
        "*per run*: Daytona's protocol, a new WebSocket per run, until its close; *e2b*, *osb*: their POST, connection kept, or",
        "*new* for each; *SDK*: through the Python SDKs; *alone*: that SDK against a server that only answers.",
        "",
        *table(["", "p50 ms", "p99 ms", "min ms", "over the floor", "x floor"], rows),
    ]


def creation(s: Subject) -> Table:
    lines = [
        "Native API; *pool*: the default configuration; *fork*: `pool_python = 0`; *spawn*: `launcher = local` too; *floor*: a kernel",
        "forked or spawned and asked by a bare client, whose own start counts. *science*: the first cell imports numpy, pandas",
        "and matplotlib.pyplot.",
        "",
    ]
    rows = [
        [f"{kind}, {mode}", str(row["n"]), *spread(row)]
        for kind in ("plain", "science")
        for mode, row in s.get(kind, {}).items()
    ]
    lines += table(["to first output", "n", "p50 ms", "p99 ms", "min ms"], rows)
    lines += [
        "By the protocols' requests for a new context, and by the SDKs' calls with a new sandbox each time, from the pool:",
        "",
    ]
    rows = [[f"{name}, protocol", str(row["n"]), *spread(row)] for name, row in s["dialects"].items()]
    rows += [
        [f"{name} SDK, {what}", str(row["n"]), *spread(row)]
        for name, calls in s.get("sdks", {}).items()
        for what, row in calls.items()
    ]
    lines += table(["", "n", "p50 ms", "p99 ms", "min ms"], rows)
    n = next(iter(s["burst"].values()))["contexts"]
    lines += [f"A burst of {n} contexts at once, ms from its start to each one's first output:", ""]
    return lines + table(
        ["", "first", "median", "all"],
        [[mode, ms(row["min_ms"]), ms(row["p50_ms"]), ms(row["all_ms"])] for mode, row in s["burst"].items()],
    )


def first(s: Subject) -> Table:
    return [
        "`print(1)`, then 0.4 s of sleep: from the request to the output.",
        "",
        *table(["", "p50 ms", "p99 ms", "min ms"], [[way, *spread(row)] for way, row in s.items()]),
    ]


def flood(s: Subject) -> Table:
    lines = [
        "*wire*: the raw client, which authenticates and parses, on a kernel of its own. Each client checks every byte.",
        "",
    ]
    rows = [
        [
            f"{case}, {way}",
            ms(row["p50_ms"]),
            ms(row["min_ms"]),
            f"{row['p50_x_raw']:.3f}" if row["p50_x_raw"] else "-",
            f"{row['messages']:,}",
            yes(row["complete"]),
        ]
        for case, ways in s["cases"].items()
        for way, row in ways.items()
    ]
    lines += table(["", "p50 ms", "min ms", "x raw", "messages", "all there"], rows)
    lines += [
        f"With a reader that stops for {s['stall_ms'] / 1000:g} s after the first output (1e6 lines), and 100 MB in one write:",
        "",
    ]
    rows = [
        [
            f"{what}, {way}",
            ms(row["ms"]),
            yes(row["complete"]),
            f"{row['largest'] / (1 << 20):.3f}",
            f"{row['growth_mib']:.1f}",
        ]
        for what in ("stalled", "write")
        for way, row in s[what].items()
    ]
    return lines + table(["", "ms", "all there", "largest frame MiB", "gateway's growth MiB"], rows)


def contexts(s: Subject) -> Table:
    rows = [
        [
            n,
            f"{row['runs_per_s']:.0f}",
            f"{s['floor'][n]['runs_per_s']:.0f}" if n in s["floor"] else "-",
            ms(row["p50_ms"]),
            ms(row["p99_ms"]),
            f"{row['cpu_ms']:.3f}",
            f"{row['gateway_mib']:.1f}",
            f"{row['pss_each_mib']:.1f}",
        ]
        for n, row in s["levels"].items()
    ]
    return [
        "A run of `1` in flight in each of n contexts, native API. *floor*: as many kernels, each with a bare client.",
        "",
        *table(
            [
                "contexts",
                "runs/s",
                "floor runs/s",
                "p50 ms",
                "p99 ms",
                "gateway CPU ms/run",
                "gateway MiB",
                "PSS MiB each",
            ],
            rows,
        ),
    ]


def memory(s: Subject) -> Table:
    rows = [
        [
            f"{kind}, {mode}",
            str(row["n"]),
            f"{row['pss_mib']:.1f}",
            f"{row['one_more_mib']:.1f}",
            f"{row['contexts_per_gib']:.0f}",
            f"{row['gateway_kib_each']:.0f}",
            f"{row['at_rest_mib']:.0f}",
        ]
        for kind, modes in s.items()
        for mode, row in modes.items()
    ]
    return [
        "PSS in MiB of n kernels, each after its first run, and of what forks them: each context's share; what one more takes",
        "(between n/2 and n); from both, how many fit into a GiB. *at rest*: all kernels' before the first context.",
        "",
        *table(["", "n", "a share", "one more", "contexts per GiB", "gateway KiB each", "at rest"], rows),
    ]


def idle(s: Subject) -> Table:
    return [
        f"{s['n']:,} WebSockets on which nothing happens: {s['kib_each']:.1f} KiB each, {s['cpu_ms_per_s']:.2f} ms of processor"
        f" time per second together; a run of `1` beside them takes {ms(s['beside_p50_ms'])} ms (p50), alone "
        f"{ms(s['alone_p50_ms'])} ms.",
        "",
    ]


def cost(s: Subject) -> Table:
    keys = ("all_ms", "main_ms", "zmq_ms", "other_ms")
    rows = [[way, f"{row['runs']:.0f}", *(f"{row[key]:.3f}" for key in keys)] for way, row in s.items()]
    return [
        "Processor time of the gateway per run of `1`, in ms.",
        "",
        *table(["", "runs", "all", "main thread", "ZMQ's thread", "others"], rows),
    ]


def grown(of: list[float]) -> str:
    return f"{of[0]:+.1f} ± {of[1]:.1f}"


def soak(s: Subject) -> Table:
    a, b = s["samples"][0], s["samples"][-1]
    load = s["load"]
    return [
        f"{s['minutes']:g} minutes: {load['runs']:,} runs, {load['contexts']:,} contexts of the native API, {load['left']:,} clients "
        f"that left in the middle of a run, beside clients of the three SDKs. Verdict: **{'flat' if s['flat'] else 'not flat'}** "
        f"(over the samples after a quarter of the time, at a like number of kernels: {grown(s['fds_growth'])} descriptors, "
        f"{grown(s['rss_growth_mib'])} MiB).",
        "",
        *table(
            ["", "before, at rest", "first sample", "last sample", "after, at rest"],
            [
                [name, *(f"{one[key]:.{digits}f}" for one in (s["before"], a, b, s["after"]))]
                for name, key, digits in (
                    ("descriptors", "fds", 0),
                    ("resident MiB", "rss_mib", 1),
                    ("processes below it", "kernels", 0),
                )
            ],
        ),
    ]


def share(row: dict[str, Any] | None) -> str:
    if not row:
        return "-"
    text = (
        "all" if row["complete"] else f"**{100 * row['share']:.1f} %**" if row["share"] < 1 else "**altered**"
    )
    return f"{text}, {row['ms'] / 1000:.1f} s{'' if row['ended'] else ', no end'}"


def peers(s: Subject) -> Table:
    def p50(row: dict | None) -> str:
        return ms(row["p50_ms"]) if row else "-"

    rows = []
    for name, row in s.items():
        weighed = row.get("memory")
        rows.append(
            [
                name,
                p50(row.get("run")),
                p50(row.get("create")),
                p50(row.get("first_output")),
                share(row.get("lines")),
                share(row.get("flushed")),
                share(row.get("stalled")),
                f"{weighed['each_mib']:.0f}" if weighed else "-",
                f"{weighed['server_mib']:.0f}" if weighed else "-",
            ]
        )
    return [
        "The same code by the same clients, default settings, one server after the other. What arrived of 1e6 printed lines, of",
        "20,000 flushed prints, and of 200,000 lines to a reader that stops for 3 s; memory is PSS of one kernel after its first",
        "run, and the server's own resident set, in MiB. New contexts are asked for one right after the other, so faster than our",
        "pool refills (*A new context* has them with pauses). *no end*: the connection dropped, or the end of the run never came.",
        "",
        *table(
            [
                "",
                "run `1`, p50 ms",
                "new context to first output, p50 ms",
                "first output in a long cell, p50 ms",
                "1e6 lines",
                "20,000 flushed",
                "stalled reader",
                "a kernel",
                "server",
            ],
            rows,
        ),
    ]


SECTIONS: dict[str, tuple[str, Callable[[Subject], Table]]] = {
    "latency": ("One run", latency),
    "creation": ("A new context", creation),
    "first": ("First output", first),
    "flood": ("A lot of output", flood),
    "contexts": ("Many contexts", contexts),
    "memory": ("Memory of a context", memory),
    "idle": ("Idle connections", idle),
    "cost": ("What the gateway computes", cost),
    "soak": ("Going on", soak),
    "peers": ("Beside other servers", peers),
}
PLOT_OF = {
    "creation": "creation",
    "latency": "latency",
    "memory": "memory",
    "contexts": "contexts",
    "soak": "soak",
}


def about(report: dict[str, Any]) -> list[str]:
    """Machine, versions and date."""
    a = report["about"]

    def versions(of: dict[str, str]) -> str:
        return ", ".join(f"{name} {version}" for name, version in of.items())

    lines = [
        f"- {a['machine']}; load before it began {a['load']:.2f}",
        f"- {a['gateway']} ({a['commit']}), {a['python']}; {versions(a['kernel'])}",
    ]
    lines += [f"- SDKs: {versions(a['sdks'])}"] if a["sdks"] else []
    lines += [f"- peers: {versions(a['peers'])}"] if a["peers"] else []
    took = sum(one["seconds"] for one in report["measured"].values())
    lines.append(
        f"- {a['date']}; {took / 60:.0f} minutes{' (--quick: fewer rounds)' if report['quick'] else ''}"
    )
    later = [
        f"{name} {one['date']} ({one['commit']})"
        for name, one in report["measured"].items()
        if (one["date"], one["commit"]) != (a["date"], a["commit"])
    ]
    lines += [f"- measured separately: {', '.join(later)}"] if later else []
    lines += [f"- {note}" for note in report["notes"]]
    return [*lines, ""]


def document(report: dict[str, Any], profile: str, numbers: str, drawn: set[str]) -> str:
    """The page. profile: hand-written text on where time goes; numbers: the JSON as the page's link names it, whose folder
    has the plots; drawn: those that are there."""
    folder = numbers[: numbers.rfind("/") + 1]
    subjects = report["subjects"]
    rows = [[o.target.what, o.target.wanted(), o.measured(), o.verdict()] for o in outcomes(subjects)]
    lines = [
        "# Benchmarks",
        "",
        "Made by `tests/bench/report`; not written by hand.",
        "",
        *about(report),
        "## Targets",
        "",
        "The floor is measured in the same run. p50 and p99 are over all that was measured.",
        "",
        *table(["", "target", "measured", ""], rows),
        profile.strip(),
        "",
    ]
    for name, (title, section) in SECTIONS.items():
        if not subjects.get(name):
            continue
        lines += [f"## {title}", "", *section(subjects[name])]
        plot = PLOT_OF.get(name)
        if plot in drawn:
            lines += [f"![{PLOTS[plot]}]({folder}{plot}.svg)", ""]
    lines += [
        *REPEAT,
        f"Numbers are in [{numbers.rpartition('/')[2]}]({numbers}). Absolute times move with the machine: compare "
        "within one run.",
    ]
    return "\n".join(lines) + "\n"


REPEAT = [
    "## How to repeat it",
    "",
    "On a machine that does nothing else, after `scripts/test` has set up builds, kernels and SDKs once:",
    "",
    "```sh",
    "KERNELBRIDGE_PREFIX=$PWD/build/prefix scripts/install-kernels --with-science python",
    "tests/bench/report                              # all of it: this page and its plots",
    "tests/bench/report --only soak --minutes 60 --add docs/benchmarks/report.json",
    "tests/bench/report --quick --only latency cost  # some of it, into build/bench",
    "tests/bench/report --peer daytona=http://127.0.0.1:2280 --peer e2b=http://127.0.0.1:49999 \\",
    "    --peer opensandbox=http://127.0.0.1:44772,TOKEN --only peers",
    "```",
    "",
]
