"""Other servers of code execution beside ours: what each does with the same code, by the same client.

Jupyter Kernel Gateway and Jupyter Server are installed from their packages and started here, with a stock ipykernel and
their default settings; any other is given by its URL, with the protocol that it speaks.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

from firstoutput import LONG
from protocols import PROTOCOLS, Jupyter, Protocol, on
from rig import PLAIN, ROOT, Bench, Gateway, Process, children, descendants, gateway, say, spread, until, weight
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
    subprocess.run([PYTHON, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-r",
                    Path(__file__).with_name("requirements.txt")], check=True, stdout=subprocess.DEVNULL)
    stamp.write_text(wanted)


class JupyterServer(Process):
    """A peer on a free port, with folders of its own."""

    COMMANDS = {
        "Jupyter Kernel Gateway": ["-m", "kernel_gateway", "--KernelGatewayApp.port={port}", "--KernelGatewayApp.auth_token=t",
                                   "--KernelGatewayApp.ip=127.0.0.1"],
        "Jupyter Server": ["-m", "jupyter_server", "--ServerApp.port={port}", "--IdentityProvider.token=t", "--no-browser",
                           "--ServerApp.ip=127.0.0.1", "--allow-root", "--ServerApp.root_dir={folder}"],
    }

    def __init__(self, name: str, folder: Path) -> None:
        home = Path(tempfile.mkdtemp(dir=folder))
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        words = [word.format(port=port, folder=home) for word in self.COMMANDS[name]]
        env = {k: v for k, v in os.environ.items() if not k.startswith(("JUPYTER", "KERNELBRIDGE"))}
        env |= {"HOME": str(home), "JUPYTER_RUNTIME_DIR": str(home / "run"), "JUPYTER_CONFIG_DIR": str(home / "etc"),
                "JUPYTER_DATA_DIR": str(home / "share"), "IPYTHONDIR": str(home / "ipython"), "PATH": f"{VENV}/bin:{env['PATH']}"}
        self.process = subprocess.Popen([PYTHON, *words], env=env, cwd=home, stdin=subprocess.DEVNULL,
                                        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
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
            urllib.request.urlopen(urllib.request.Request(
                self.url + "/api/kernelspecs", headers={"Authorization": f"token {self.token}"})).close()
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
    """{"share" of the text that arrived, "ms", "complete", "ended"}; a lost connection ends it, too."""
    got: list[str] = []
    start = time.monotonic()
    ended = True
    try:
        for text in client.outputs(code):
            if stall_s and not got:
                time.sleep(stall_s)
            got.append(text)
    except (Closed, OSError):
        ended = False
    text = "".join(got)
    return {"share": min(1.0, len(text) / len(want)), "ms": (time.monotonic() - start) * 1e3, "complete": text == want,
            "ended": ended}


def numbers(n: int) -> str:
    return "".join(f"{i}\n" for i in range(n))


def memory(server: Process, client: Protocol) -> dict[str, float]:
    """What KERNELS more contexts take, each, as PSS, and what the server itself has resident; in MiB."""
    before = weight(descendants(children(server.pid)))[1]
    contexts = [client.new() for _ in range(KERNELS)]
    for context in contexts:
        client.first_ms(PLAIN, context)
    if isinstance(server, Gateway):
        server.rest()  # its pool is full again
    after = weight(descendants(children(server.pid)))[1]
    for context in contexts:
        client.delete(context)
    return {"each_mib": (after - before) / KERNELS, "server_mib": server.rss_kib() / 1024}


def measure_one(bench: Bench, client: Protocol, server: Process | None) -> dict:
    """{"run", "create", "first_output": spreads, "lines", "flushed", "stalled": arrived(), "memory"}; None where it failed."""
    report: dict[str, dict | None] = {}

    def attempt(name: str, step: Callable[[], dict]) -> None:
        try:
            report[name] = step()
        except (Closed, OSError, RuntimeError, subprocess.CalledProcessError) as error:
            bench.note(f"peers: {client.url}: {name} failed: {error}")
            report[name] = None

    for _ in client.outputs(PLAIN):
        pass
    attempt("run", lambda: client.runs(bench.pick(60, 30)))
    attempt("create", lambda: spread(client.create_ms(PLAIN) for _ in range(bench.pick(8, 4))))
    attempt("first_output", lambda: spread(client.first_ms(LONG) for _ in range(bench.pick(6, 3))))
    if server is not None:
        attempt("memory", lambda: memory(server, client))
    attempt("lines", lambda: arrived(client, f"for i in range({LINES}): print(i)", numbers(LINES)))
    attempt("flushed", lambda: arrived(client, f"for i in range({FLUSHED}): print(i, flush=True)", numbers(FLUSHED)))
    attempt("stalled", lambda: arrived(client, f"for i in range({STALLED}): print(i)", numbers(STALLED), STALL_S))
    return report


@contextlib.contextmanager
def jupyter(bench: Bench, name: str) -> Iterator[JupyterServer]:
    server = JupyterServer(name, bench.folder)
    try:
        yield server
    finally:
        server.stop()


def ours(bench: Bench, running: Gateway, protocol: str) -> dict:
    client = on(running, protocol)
    try:
        return measure_one(bench, client, running)
    finally:
        client.close()


def measure(bench: Bench) -> dict[str, dict]:
    """{server: {"protocol": ..., and what measure_one() says}}"""
    report = {}
    protocols = ["native", *dict.fromkeys(protocol for protocol, _, _ in bench.peers if protocol != "jupyter")]
    for protocol in protocols:
        with gateway(bench) as running:
            report[f"kernelbridge, {protocol}"] = {"protocol": protocol} | ours(bench, running, protocol)
    for name in JupyterServer.COMMANDS:
        with jupyter(bench, name) as server:
            client = Jupyter(server.url, server.token)
            report[name] = {"protocol": "jupyter"} | measure_one(bench, client, server)
            client.close()
    for protocol, url, token in bench.peers:
        client = PROTOCOLS[protocol](url, token)
        report[f"{protocol} at {url}"] = {"protocol": protocol} | measure_one(bench, client, None)
        client.close()
    return report
