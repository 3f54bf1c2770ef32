"""Other servers of code execution beside ours: what each does with the same code, by the same client.

Jupyter Kernel Gateway and Jupyter Server are installed from their packages and started here, with a stock ipykernel and
their default settings; any other is given by its URL, with the protocol that it speaks.
"""

from __future__ import annotations

import contextlib
import http.client
import os
import shutil
import socket
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import ClassVar

from firstoutput import LONG
from protocols import PROTOCOLS, Jupyter, Protocol, on
from rig import (
    PLAIN,
    ROOT,
    Bench,
    Process,
    children,
    descendants,
    gateway,
    say,
    spread,
    until,
    weight,
)
from wsock import Closed

VENV = ROOT / "build" / "bench-venv"
PYTHON = VENV / "bin/python"
LINES = 1_000_000
FLUSHED = 20_000
STALLED = 200_000
STALL_S = 3.0
KERNELS = 5  # for the memory of one


def install() -> None:
    """The virtual environment of the peers and the plots, once for each requirements.txt."""
    wanted = Path(__file__).with_name("requirements.txt").read_text()
    stamp = VENV / ".requirements"
    if stamp.exists() and stamp.read_text() == wanted:
        return
    say("installing the peers and matplotlib into build/bench-venv")
    shutil.rmtree(VENV, ignore_errors=True)
    subprocess.run(["/usr/bin/python3", "-m", "venv", VENV], check=True)
    subprocess.run(
        [
            PYTHON,
            "-m",
            "pip",
            "install",
            "--quiet",
            "--disable-pip-version-check",
            "-r",
            Path(__file__).with_name("requirements.txt"),
        ],
        check=True,
        stdout=subprocess.DEVNULL,
    )
    stamp.write_text(wanted)


class JupyterServer(Process):
    """A peer on a free port, with folders of its own."""

    COMMANDS: ClassVar = {
        "Jupyter Kernel Gateway": [
            "-m",
            "kernel_gateway",
            "--KernelGatewayApp.port={port}",
            "--KernelGatewayApp.auth_token=t",
            "--KernelGatewayApp.ip=127.0.0.1",
        ],
        "Jupyter Server": [
            "-m",
            "jupyter_server",
            "--ServerApp.port={port}",
            "--IdentityProvider.token=t",
            "--no-browser",
            "--ServerApp.ip=127.0.0.1",
            "--allow-root",
            "--ServerApp.root_dir={folder}",
        ],
    }

    def __init__(self, name: str, folder: Path) -> None:
        home = Path(tempfile.mkdtemp(dir=folder))
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        words = [word.format(port=port, folder=home) for word in self.COMMANDS[name]]
        env = {k: v for k, v in os.environ.items() if not k.startswith(("JUPYTER", "KERNELBRIDGE"))}
        env |= {
            "HOME": str(home),
            "JUPYTER_RUNTIME_DIR": str(home / "run"),
            "JUPYTER_CONFIG_DIR": str(home / "etc"),
            "JUPYTER_DATA_DIR": str(home / "share"),
            "IPYTHONDIR": str(home / "ipython"),
            "PATH": f"{VENV}/bin:{env['PATH']}",
        }
        self.process = subprocess.Popen(
            [PYTHON, *words],
            env=env,
            cwd=home,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        super().__init__(self.process.pid)
        self.url, self.token = f"http://127.0.0.1:{port}", "t"
        try:
            until(f"{name} that answers", self._is_up, 60, every_s=0.1)
        except RuntimeError:
            self.stop()
            raise

    def _is_up(self) -> bool:
        if self.process.poll() is not None:
            raise RuntimeError(f"it ended with {self.process.returncode}")
        try:
            urllib.request.urlopen(
                urllib.request.Request(
                    self.url + "/api/kernelspecs", headers={"Authorization": f"token {self.token}"}
                )
            ).close()
        except (urllib.error.URLError, ConnectionError):
            return False
        return True

    def stop(self) -> None:
        left = descendants(children(self.pid))
        self.process.terminate()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        for pid in left:  # kernels that outlived it
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, 9)


def arrived(client: Protocol, code: str, want: str, stall_s: float = 0) -> dict:
    """{"share" of the text that arrived, "ms" to its last or to the end, "complete", "ended": as the protocol says}"""
    got: list[str] = []
    start = last = time.monotonic()
    ended = True
    try:
        for text in client.outputs(code):
            if stall_s and not got:
                time.sleep(stall_s)
            got.append(text)
            last = time.monotonic()
        last = time.monotonic()
    except (Closed, OSError):
        ended = False
    text = "".join(got)
    return {
        "share": min(1.0, len(text) / len(want)),
        "ms": (last - start) * 1e3,
        "complete": text == want,
        "ended": ended,
    }


def numbers(n: int) -> str:
    return "".join(f"{i}\n" for i in range(n))


def memory(server: Process, client: Protocol) -> dict[str, float]:
    """The PSS of KERNELS contexts' kernels, each, after a first run, and what the server itself has resident; in MiB."""
    contexts = [client.new() for _ in range(KERNELS)]
    pids = [int("".join(client.outputs("import os\nprint(os.getpid())", context))) for context in contexts]
    found = {"each_mib": weight(pids)[1] / KERNELS, "server_mib": server.rss_kib() / 1024}
    for context in contexts:
        client.delete(context)
    return found


def measure_one(bench: Bench, connect: Callable[[], Protocol], server: Process | None) -> dict:
    """{"run", "create", "first_output": spreads, "lines", "flushed", "stalled": arrived(), "memory"}; None where it failed.

    Each with a client of its own: one that lost the end of a run is of no use any more.
    """
    report: dict[str, dict | None] = {}

    def attempt(name: str, step: Callable[[Protocol], dict]) -> None:
        report[name] = None
        client = None
        try:
            client = connect()
            for _ in client.outputs(PLAIN):
                pass
            report[name] = step(client)
        except (
            Closed,
            OSError,
            RuntimeError,
            http.client.HTTPException,
            subprocess.CalledProcessError,
        ) as error:
            bench.note(f"peers: {name} failed: {error}")
        if client is not None:
            with contextlib.suppress(Closed, OSError, RuntimeError, http.client.HTTPException):
                client.close()

    def flood(name: str, code: str, n: int, stall_s: float = 0) -> None:
        attempt(name, lambda client: arrived(client, f"for i in range({n}): {code}", numbers(n), stall_s))

    attempt("run", lambda client: client.runs(bench.pick(60, 20)))
    attempt("create", lambda client: spread(client.create_ms(PLAIN) for _ in range(bench.pick(8, 3))))
    attempt("first_output", lambda client: spread(client.first_ms(LONG) for _ in range(bench.pick(6, 2))))
    if server is not None:
        attempt("memory", lambda client: memory(server, client))
    flood("lines", "print(i)", LINES)
    if not bench.quick:
        flood("flushed", "print(i, flush=True)", FLUSHED)
        flood("stalled", "print(i)", STALLED, STALL_S)
    return report


@contextlib.contextmanager
def jupyter(bench: Bench, name: str) -> Iterator[JupyterServer]:
    server = JupyterServer(name, bench.folder)
    try:
        yield server
    finally:
        server.stop()


def measure(bench: Bench) -> dict[str, dict]:
    """{server: {"protocol": ..., and what measure_one() says}}"""
    report: dict[str, dict] = {}

    def add(name: str, protocol: str, connect: Callable[[], Protocol], server: Process | None) -> None:
        report[name] = {"protocol": protocol} | measure_one(bench, connect, server)

    given = [protocol for protocol, _, _ in bench.peers if protocol != "jupyter"]
    for protocol in dict.fromkeys(["native", *given]):
        with gateway(bench) as running:
            add(f"kernelbridge, {protocol}", protocol, partial(on, running, protocol), running)
    for name in list(JupyterServer.COMMANDS)[: bench.pick(2, 1)]:
        with jupyter(bench, name) as server:
            add(name, "jupyter", partial(Jupyter, server.url, server.token), server)
    for protocol, url, token in bench.peers:
        add(f"{protocol} at {url}", protocol, partial(PROTOCOLS[protocol], url, token), None)
    return report
