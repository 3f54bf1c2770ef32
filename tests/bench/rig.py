"""What the benchmarks measure, and with what: gateways, kernels without one, processes' time and memory."""

from __future__ import annotations

import contextlib
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

ROOT = Path(__file__).resolve().parents[2]
BUILD = Path(os.environ.get("KERNELBRIDGE_BUILD", ROOT / "build" / "release"))
PREFIX = Path(os.environ.get("KERNELBRIDGE_PREFIX", ROOT / "build" / "prefix"))
SPECS = PREFIX / "share/jupyter/kernels"
TOOLS = BUILD / "tests/bench"
SDK_PYTHON = ROOT / "build" / "test-venv" / "bin" / "python"
DEADLINE_S = 120

PLAIN = "print(1)"
SCIENCE = "import numpy, pandas, matplotlib.pyplot\nprint(1)"


@dataclass
class Bench:
    """One run of benchmarks: how much time it may take, where it works, what it must tell."""

    folder: Path
    quick: bool = False
    minutes: float = 2  # of soak
    peers: list[tuple[str, str, str]] = field(default_factory=list)  # protocol, URL, token
    notes: list[str] = field(default_factory=list)

    def pick(self, full: int, quick: int) -> int:
        return quick if self.quick else full

    def note(self, text: str) -> None:
        """What a reader of the report must know: something was left out, or is not as it should be."""
        self.notes.append(text)
        say(text)


def say(text: str) -> None:
    """To whoever waits for the command."""
    print(f"-- {text}", file=sys.stderr, flush=True)


def many_descriptors() -> None:
    """As many open files as the machine allows, for this process and those that it starts."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def until(
    what: str, probe: Callable[[], object], deadline_s: float = DEADLINE_S, every_s: float = 0.005
) -> None:
    """Poll until the probe is true; RuntimeError at the deadline."""
    end = time.monotonic() + deadline_s
    while not probe():
        if time.monotonic() > end:
            raise RuntimeError(f"not within {deadline_s:.0f} s: {what}")
        time.sleep(every_s)


# -- numbers ----------------------------------------------------------------------------------


def spread(times: Iterable[float]) -> dict[str, float]:
    """{"n", "min_ms", "p50_ms", "p99_ms"} of times in ms."""
    took = sorted(times)
    n = len(took)
    return {
        "n": n,
        "min_ms": took[0],
        "p50_ms": statistics.median(took),
        "p99_ms": took[min(n - 1, n * 99 // 100)],
    }


def middle(ones: list[dict[str, Any]]) -> dict[str, float]:
    """The median over rounds of each number."""
    keys = [
        key
        for key, value in ones[0].items()
        if isinstance(value, (int, float)) and not isinstance(value, bool)
    ]
    return {key: statistics.median(one[key] for one in ones) for key in keys}


def alternate(rows: dict[str, Callable[[], dict[str, Any]]], rounds: int) -> dict[str, dict[str, float]]:
    """The median over rounds of each row; all have their turn in each round, so that a noisy machine hits all alike."""
    seen: dict[str, list[dict[str, Any]]] = {name: [] for name in rows}
    for _ in range(rounds):
        for name, measure in rows.items():
            seen[name].append(measure())
    return {name: middle(ones) for name, ones in seen.items()}


def run_json(*argv: object) -> dict[str, Any]:
    """The JSON object that a program prints; it must exit with 0."""
    done = subprocess.run([str(a) for a in argv], stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(done.stdout)


# -- processes --------------------------------------------------------------------------------


def children(pid: int) -> set[int]:
    """Of the process, by any of its threads."""
    found = set()
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            found |= {int(child) for child in task.read_text().split()}
    return found


def descendants(pids: set[int]) -> set[int]:
    """The processes and all that come from them."""
    found = set(pids)
    for pid in pids:
        found |= descendants(children(pid))
    return found


def weight(pids: Iterable[int]) -> tuple[float, float]:
    """RSS and PSS of the processes together, in MiB (smaps_rollup of proc(5))."""
    rss = pss = 0
    for pid in pids:
        try:
            lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
        except (FileNotFoundError, ProcessLookupError):
            continue
        sizes = {line.split(":")[0]: int(line.split()[1]) for line in lines[1:] if line.endswith("kB")}
        rss, pss = rss + sizes["Rss"], pss + sizes["Pss"]
    return rss / 1024, pss / 1024


def available_mib() -> float:
    """Memory that new processes can have (MemAvailable of proc(5)), in MiB."""
    lines = Path("/proc/meminfo").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("MemAvailable")) / 1024


class Process:
    """A process by its id, of this user."""

    def __init__(self, pid: int) -> None:
        self.pid = pid

    def rss_kib(self) -> int:
        """Resident set (VmRSS of proc(5)), in KiB."""
        return self._status("VmRSS")

    def peak_kib(self) -> int:
        """The most that it had resident (VmHWM of proc(5)) since forget_peak(), in KiB."""
        return self._status("VmHWM")

    def forget_peak(self) -> None:
        Path(f"/proc/{self.pid}/clear_refs").write_text("5")

    def _status(self, key: str) -> int:
        status = Path(f"/proc/{self.pid}/status").read_text()
        return next(int(line.split()[1]) for line in status.splitlines() if line.startswith(key))

    def fds(self) -> int:
        return len(os.listdir(f"/proc/{self.pid}/fd"))

    def cpu_ms(self) -> float:
        """Processor time of all threads so far, in ms (clock_getcpuclockid(3))."""
        return time.clock_gettime_ns(~self.pid << 3 | 2) / 1e6

    def threads_ms(self) -> dict[str, float]:
        """Processor time so far in ms (schedstat of proc(5)): main thread, ZMQ's I/O thread, all others."""
        took = {"main": 0.0, "zmq": 0.0, "other": 0.0}
        for task in Path(f"/proc/{self.pid}/task").iterdir():
            tid, name = int(task.name), (task / "comm").read_text().strip()
            kind = "main" if tid == self.pid else "zmq" if name.startswith("ZMQbg/IO") else "other"
            took[kind] += int((task / "schedstat").read_text().split()[0]) / 1e6
        return took


# -- a gateway --------------------------------------------------------------------------------

MODES = {  # how a new context gets its kernel
    "pool": (),
    "fork": ("--pool_python=0",),
    "spawn": ("--pool_python=0", "--launcher=local"),
}


def moving(kernels: dict[str, int]) -> bool:
    return any(n for state, n in kernels.items() if "starting" in state or "stopping" in state)


def ready(kernels: dict[str, int]) -> int:
    return sum(n for state, n in kernels.items() if "ready" in state)


class Gateway(Process):
    """The release binary on a free port, with a state directory of its own; its default kernel is ready."""

    def __init__(self, folder: Path, *options: str) -> None:
        state = tempfile.mkdtemp(prefix="state-", dir=folder)
        env = {k: v for k, v in os.environ.items() if not k.startswith("KERNELBRIDGE_")}
        self.process = subprocess.Popen(
            [
                BUILD / "kernelbridge",
                "--listen=127.0.0.1:0",
                f"--state_dir={state}",
                f"--prefix={PREFIX}",
                "--log_level=error",
                *options,
            ],
            stdout=subprocess.PIPE,
            text=True,
            env=env,
        )
        super().__init__(self.process.pid)
        assert self.process.stdout
        url = self.process.stdout.readline().split("listening on ")[1].strip()
        parts = urlsplit(url)
        self.url, self.port = f"http://{parts.netloc}", parts.port
        self.token = parse_qs(parts.query)["token"][0]
        until("a gateway that is ready", self._is_ready, every_s=0.05)
        self._at_rest = ready(self._kernels())

    def _is_ready(self) -> bool:  # the default kernel starts on its own
        try:
            urllib.request.urlopen(self.url + "/ready").close()
        except urllib.error.HTTPError:
            return False
        return True

    def call(self, method: str, path: str, body: dict | None = None) -> dict:
        """What the native API answers; urllib.error.HTTPError where it refuses."""
        request = urllib.request.Request(
            self.url + path,
            None if body is None else json.dumps(body).encode(),
            {"Authorization": f"Bearer {self.token}"},
            method=method,
        )
        with urllib.request.urlopen(request) as answer:
            return json.loads(answer.read() or b"{}")

    def post(self, path: str, body: dict) -> dict:
        return self.call("POST", path, body)

    def _kernels(self) -> dict[str, int]:
        """How many kernels are in each state, those of the pool too."""
        with urllib.request.urlopen(
            urllib.request.Request(self.url + "/metrics", headers={"Authorization": f"Bearer {self.token}"})
        ) as answer:
            lines = answer.read().decode().splitlines()
        return {
            line.split()[0]: int(line.split()[1])
            for line in lines
            if line.startswith("kernelbridge_kernels{")
        }

    def rest(self, still_s: float = 1.5) -> None:
        """Wait until no kernel has come or gone for so long, and remember how many are ready: see settle()."""
        since, seen = time.monotonic(), self._kernels()
        while time.monotonic() - since < still_s:
            time.sleep(0.05)
            now = self._kernels()
            if now != seen or moving(now):
                since, seen = time.monotonic(), now
        self._at_rest = ready(seen)

    def settle(self, deadline_s: float = 20) -> None:
        """Wait until no kernel is on its way or ending, and there are as many as at rest at least: the pool is full."""

        def settled() -> bool:
            now = self._kernels()
            return not moving(now) and ready(now) >= self._at_rest

        with contextlib.suppress(RuntimeError):
            until("", settled, deadline_s, every_s=0.01)

    def kernels(self) -> set[int]:
        """Its processes: kernels, and what loads them."""
        return descendants({self.pid}) - {self.pid}

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait()


@contextlib.contextmanager
def gateway(bench: Bench, *options: str) -> Iterator[Gateway]:
    """One at rest."""
    running = Gateway(bench.folder, *options)
    try:
        running.rest()
        yield running
    finally:
        running.stop()


def wsrun(place: Gateway | tuple[str, str], way: str, n: int) -> dict[str, float]:
    """{"n", "min_ms", "p50_ms", "p99_ms"} of n runs by tests/bench/wsrun; place: a gateway, or a server's URL and token."""
    to = (str(place.port), place.token) if isinstance(place, Gateway) else place
    return run_json(TOOLS / "wsrun", way, *to, n)
