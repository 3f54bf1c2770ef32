"""Start the real gateway binary for a test, and prove afterwards that nothing of it is left.

The contract with the binary (design section 2): one line on stdout
`kernelbridge: listening on http://ADDR:PORT/?token=TOKEN` once it serves, GET /ready 200 once the
default Python kernel is warm, GET /metrics in Prometheus text, SIGTERM drains and exits 0.

Kernels that wait in its pool, and the zygote that forks them, are there at rest: `still` counts them.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import threading
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import NamedTuple, TypeVar
from urllib.parse import parse_qs, urlsplit

import psutil

ROOT = Path(__file__).resolve().parents[2]
DEADLINE_S = float(os.environ.get("KBTEST_DEADLINE", "60"))
MARKER = "KBTEST_RUN"
SANITIZER = re.compile(
    r"ERROR: (?:Address|Leak|Thread|Memory)Sanitizer|runtime error:|WARNING: ThreadSanitizer"
)
MOVING = ("kernel_starts_total", "kernel_deaths_total", "pool_kernels", "zygotes")  # while kernels come or go
T = TypeVar("T")
LISTENING = re.compile(r"listening on (https?://\S+)")


def binary() -> Path:
    """The binary under test: $KERNELBRIDGE_BIN, else the dev build, else the release build."""
    if named := os.environ.get("KERNELBRIDGE_BIN"):
        return Path(named).resolve()
    for preset in ("dev", "release"):
        path = ROOT / "build" / preset / "kernelbridge"
        if path.exists():
            return path
    raise FileNotFoundError("no kernelbridge binary: build one, or set KERNELBRIDGE_BIN")


def prefix() -> Path:
    """Where the kernels are installed: $KERNELBRIDGE_PREFIX, else build/prefix."""
    return Path(os.environ.get("KERNELBRIDGE_PREFIX") or ROOT / "build" / "prefix").resolve()


def until(what: str, probe: Callable[[], object], deadline_s: float = DEADLINE_S) -> object:
    """Poll `probe` until it returns something true, and return that; AssertionError at the deadline."""
    end = time.monotonic() + deadline_s
    while True:
        if value := probe():
            return value
        if time.monotonic() > end:
            raise AssertionError(f"not within {deadline_s:.0f} s: {what}")
        time.sleep(0.02)


class Ahead(NamedTuple):
    """What a gateway started without being asked: kernels that wait in its pool, and zygotes."""

    kernels: int
    zygotes: int


class Gateway:
    """One running gateway process with a state directory of its own."""

    def __init__(self, state_dir: Path, *args: str, env: dict[str, str] | None = None) -> None:
        self.state_dir = state_dir
        self.marker = uuid.uuid4().hex
        self.url = ""
        self.token = ""
        self._stdout: list[str] = []
        self._listening = threading.Event()
        self._short: set[Path] = (
            set()
        )  # directories in /tmp that stand for a run directory of too long a name
        state_dir.mkdir(parents=True, exist_ok=True)
        self.stderr_path = state_dir.with_name(state_dir.name + ".stderr")
        self.command = [
            str(binary()),
            "--listen=127.0.0.1:0",
            f"--state_dir={state_dir}",
            f"--prefix={prefix()}",
            *(f"--launcher={name}" for name in [os.environ.get("KBTEST_LAUNCHER")] if name),
            *args,
        ]
        self.environment = self._environment(env or {})
        with open(self.stderr_path, "wb") as stderr:
            self.process = subprocess.Popen(
                self.command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=stderr,
                env=self.environment,
                text=True,
                start_new_session=True,
            )
        self._reader = threading.Thread(target=self._read_stdout, daemon=True)
        self._reader.start()

    def _environment(self, extra: dict[str, str]) -> dict[str, str]:
        """The caller's environment without gateway settings, and a mark that kernels inherit."""
        env = {k: v for k, v in os.environ.items() if not k.startswith("KERNELBRIDGE_")}
        env.setdefault("ASAN_OPTIONS", "detect_leaks=1:abort_on_error=0:exitcode=99")
        env.setdefault("UBSAN_OPTIONS", "print_stacktrace=1:halt_on_error=1:exitcode=99")
        env[MARKER] = self.marker
        return env | extra

    def _read_stdout(self) -> None:
        assert self.process.stdout
        for line in self.process.stdout:
            self._stdout.append(line)
            if found := LISTENING.search(line):
                parts = urlsplit(found[1])
                self.url = f"{parts.scheme}://{parts.netloc}"
                self.token = parse_qs(parts.query).get("token", [""])[0]
                self._listening.set()

    @property
    def stdout(self) -> str:
        return "".join(self._stdout)

    @property
    def stderr(self) -> str:
        return self.stderr_path.read_text(errors="replace")

    @property
    def api_url(self) -> str:
        """What a Daytona program is given as `api_url`."""
        return f"{self.url}/daytona/api"

    def wait_listening(self) -> Gateway:
        until(
            "the listening line, or an exit",
            lambda: self._listening.is_set() or self.process.poll() is not None,
        )
        self._reader.join(0.5 if self.process.poll() is not None else 0)
        if not self._listening.is_set():
            raise AssertionError(
                f"gateway exited with {self.process.poll()} before it served\n"
                f"command: {' '.join(self.command)}\nstderr:\n{self.stderr[-4000:]}"
            )
        return self

    def wait_ready(self) -> Gateway:
        """Wait for GET /ready 200; a gateway that does not get there is killed, and its log quoted."""
        self.wait_listening()
        last: list[object] = []

        def is_ready() -> bool:
            if self.process.poll() is not None:
                raise AssertionError(f"exited with {self.process.returncode}")
            last[:] = self.http("GET", "/ready")
            return last[0] == 200

        try:
            until("GET /ready 200", is_ready)
        except (AssertionError, OSError) as error:
            self.kill()
            raise AssertionError(f"{error}; last answer {last}; stderr:\n{self.stderr[-4000:]}") from None
        return self

    def http(
        self,
        method: str,
        path: str,
        body: object = None,
        headers: dict[str, str] | None = None,
        *,
        auth: bool = True,
    ) -> tuple[int, dict[str, str], bytes]:
        """One request; `body` is bytes or something for JSON. Returns status, headers, body; never raises on status."""
        data = body if isinstance(body, bytes | None) else json.dumps(body).encode()
        request = urllib.request.Request(self.url + path, data=data, method=method)
        if data is not None:
            request.add_header("Content-Type", "application/json")
        if auth:
            request.add_header("Authorization", f"Bearer {self.token}")
        for name, value in (headers or {}).items():
            request.add_header(name, value)
        try:
            with urllib.request.urlopen(request, timeout=DEADLINE_S) as reply:
                return reply.status, dict(reply.headers), reply.read()
        except urllib.error.HTTPError as error:
            return error.code, dict(error.headers), error.read()

    def json(self, method: str, path: str, body: object = None, **kwargs: object) -> tuple[int, object]:
        """`http` with the body of the answer parsed as JSON."""
        status, _, raw = self.http(method, path, body, **kwargs)  # type: ignore[arg-type]
        return status, json.loads(raw) if raw else None

    def metrics(self) -> dict[str, float]:
        """GET /metrics as {'name{label="x"}': value}, and for each name the sum over its labels."""
        status, _, raw = self.http("GET", "/metrics")
        assert status == 200, (status, raw)
        values: dict[str, float] = {}
        for line in raw.decode().splitlines():
            if not line or line.startswith("#"):
                continue
            name, _, number = line.rpartition(" ")
            values[name] = float(number)
            if "{" in name:
                base = name.partition("{")[0]
                values[base] = values.get(base, 0.0) + float(number)
        return values

    def gauge(self, name: str) -> int:
        """One metric by its name without `kernelbridge_`; 0 where it has no value yet."""
        return int(self.metrics().get(f"kernelbridge_{name}", 0))

    def wait_gauge(self, name: str, value: int, deadline_s: float = DEADLINE_S) -> None:
        """Wait until a gauge has that value."""
        seen: list[int] = [0]

        def probe() -> bool:
            seen[0] = self.gauge(name)
            return seen[0] == value

        try:
            until("", probe, deadline_s)
        except AssertionError:
            raise AssertionError(
                f"kernelbridge_{name} is {seen[0]}, not {value}, after {deadline_s:.0f} s"
            ) from None

    @cached_property
    def settings(self) -> dict[str, str]:
        """Its configuration when it started, by name."""
        print_config = [self.command[0], "--print-config", *self.command[1:]]
        text = subprocess.run(print_config, env=self.environment, capture_output=True, text=True, check=True)
        lines = (line.partition(" =") for line in text.stdout.splitlines() if not line.startswith("#"))
        return {name: value.strip() for name, _, value in lines if name}

    def still(self, look: Callable[[], T]) -> tuple[T, Ahead]:
        """`look()` while no kernel came or went, and what is there ahead; it waits for such a moment."""
        found: list[tuple[T, Ahead]] = []

        def probe() -> bool:
            before = self.metrics()
            value = look()
            after = self.metrics()
            moving = [
                name for name in MOVING if before[f"kernelbridge_{name}"] != after[f"kernelbridge_{name}"]
            ]
            if moving or after['kernelbridge_kernels{state="starting"}']:
                return False
            ahead = Ahead(int(after["kernelbridge_pool_kernels"]), int(after["kernelbridge_zygotes"]))
            found[:] = [(value, ahead)]
            return True

        until("no kernel comes or goes", probe)
        return found[0]

    def wait_pool(self) -> None:
        """Wait until the pool is full: at least what its setting says."""
        wanted = int(self.settings["pool_python"])
        until(f"{wanted} kernels in the pool", lambda: self.gauge("pool_kernels") >= wanted)

    def wait_at_rest(self, contexts: int | None = None) -> None:
        """Wait until nothing runs and nothing waits, and `contexts` contexts exist."""
        self.wait_gauge("executions_running", 0)
        self.wait_gauge("executions_queued", 0)
        if contexts is not None:
            self.wait_gauge("contexts", contexts)

    def descendants(self) -> dict[int, str]:
        """Every living process of this gateway, pid -> command line: children, and whoever inherited the mark."""
        found: dict[int, str] = {}
        if self.process.poll() is None:
            for child in psutil.Process(self.process.pid).children(recursive=True):
                found[child.pid] = ""
        for pid in psutil.pids():
            if pid != self.process.pid and self._is_ours(pid):
                found[pid] = ""
        for pid in list(found):
            try:
                process = psutil.Process(pid)
                if process.status() == psutil.STATUS_ZOMBIE and process.ppid() != self.process.pid:
                    del found[pid]
                else:
                    found[pid] = " ".join(process.cmdline())
            except psutil.Error:
                del found[pid]
        return found

    def _is_ours(self, pid: int) -> bool:
        try:
            environ = Path(f"/proc/{pid}/environ").read_bytes()
        except OSError:
            return False
        if f"{MARKER}={self.marker}".encode() in environ:
            return True
        return b"KERNELBRIDGE_KERNEL_ID=" in environ and os.fsencode(self.state_dir) in environ

    def stop(self, sig: int = signal.SIGTERM) -> None:
        """Ask it to end, and assert that it ended well and left nothing: no process, file, or sanitizer report."""
        self.run_files()  # learn where they are
        if self.process.poll() is None:
            self.process.send_signal(sig)
            try:
                self.process.wait(DEADLINE_S)
            except subprocess.TimeoutExpired:
                self.kill()
                raise AssertionError(
                    f"gateway did not end within {DEADLINE_S:.0f} s of signal {sig}"
                ) from None
        code = self.process.returncode
        self._reader.join(5)
        text = self.stderr
        report = SANITIZER.search(text)
        assert not report, f"sanitizer report:\n{text[max(0, report.start() - 200) :][:6000]}"
        assert code == 0, f"exit code {code} after signal {sig}; stderr:\n{text[-4000:]}"
        try:
            until("", lambda: not self.descendants(), 5)
        except AssertionError:
            left = self.descendants()
            self.kill()
            raise AssertionError(f"processes left: {left}") from None
        assert not self.run_files(), f"files left: {self.run_files()}"

    def run_files(self) -> list[str]:
        """Connection files and sockets of this gateway, wherever its run directory leads; locks do not count."""
        run = self.state_dir / "run"
        self._short |= {link.readlink() for link in run.glob("*") if link.is_symlink()}
        files = [p for top in (run, *self._short) for p in top.rglob("*")]
        kept = {str(p) for p in files if not p.is_dir() and p.name != ".lock"}
        if self.process.poll() is not None:  # the short directories go with the process
            kept |= {str(top) for top in self._short if top.exists()}
        return sorted(kept)

    def kill(self) -> None:
        """End it and its processes by force; for a test that already failed."""
        left = self.descendants()
        for pid in (self.process.pid, *left):
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        self.process.wait(5)


@contextmanager
def serving(state_dir: Path) -> Iterator[Gateway]:
    """A gateway that many tests share, token auth on; stopped with every check at the end."""
    running = Gateway(state_dir)
    try:
        running.wait_ready()
    except AssertionError as error:  # each test that shares it repeats it: say it briefly
        raise AssertionError(str(error)[-1500:]) from None
    yield running
    running.stop()
