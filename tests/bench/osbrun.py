"""What OpenSandbox's Python SDK takes, for tests/bench/sdkrun.py.

run     codes.run("1") N times in the default sandbox, after five runs to warm up
alone   the same against a server that does nothing but answer: what the SDK itself takes
create  N times a new sandbox: Sandbox.create, CodeInterpreter.create with its health check and without, which is
        what the SDK takes itself, the first run, and kill; and both where the SDK need not read a hundred CAs.
        Variables that name other files of them (SSL_CERT_FILE, SSL_CERT_DIR) are left out: the SDK reads its own
"""

from __future__ import annotations

import json
import os
import signal
import socket
import tempfile
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path

import certifi
from code_interpreter import CodeInterpreterSync
from code_interpreter.sync.adapters.code_adapter import CodesAdapterSync
from opensandbox import SandboxSync
from opensandbox.config.connection_sync import ConnectionConfigSync
from opensandbox.models.sandboxes import SandboxEndpoint
from sdkrun import collected, repeated, summary, timed

EVENTS = (
    {"type": "init", "text": "6f1dfb6e-8b44-4f3a-a6a5-bd0ebd2bd6c7", "timestamp": 1},
    {"type": "execution_count", "execution_count": 1, "timestamp": 1},
    {"type": "result", "results": {"text": "1"}, "timestamp": 1},
    {"type": "execution_complete", "execution_time": 1, "timestamp": 1},
)


def canned() -> tuple[int, int]:
    """A process that answers every request on one connection with EVENTS; its port and id."""
    body = b"".join(json.dumps(event).encode() + b"\n\n" for event in EVENTS)
    head = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nContent-Length: %d\r\n\r\n" % len(body)
    listening = socket.create_server(("127.0.0.1", 0))
    if child := os.fork():
        return listening.getsockname()[1], child
    connection, _ = listening.accept()
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    pending = b""
    while data := connection.recv(65536):
        pending += data
        if pending.endswith(b"}"):  # the end of a request's JSON
            pending = b""
            connection.sendall(head + body)
    os._exit(0)


def alone(n: int) -> dict[str, float]:
    port, child = canned()
    try:
        codes = CodesAdapterSync(SandboxEndpoint(endpoint=f"127.0.0.1:{port}"), ConnectionConfigSync())
        assert codes.run("1").result[0].text == "1"
        return repeated(lambda: codes.run("1"), n)
    finally:
        os.kill(child, signal.SIGKILL)


def one_authority() -> str:
    """A file with the first certificate of the many that the SDK reads for each of its clients, even for plain http."""
    certificate = Path(certifi.where()).read_text().partition("-----END CERTIFICATE-----")
    with tempfile.NamedTemporaryFile("w", suffix=".pem", delete=False) as file:
        file.write("".join(certificate[:2]) + "\n")
    return file.name


def creates(there: Callable[[], ConnectionConfigSync], n: int) -> dict[str, dict[str, float]]:
    """First without kernels, whose ends would take their share of the processors."""
    took: defaultdict[str, list[float]] = defaultdict(list)

    def sandbox() -> SandboxSync:
        return SandboxSync.create("opensandbox/code-interpreter", connection_config=there())

    def interpreter(box: SandboxSync, **options: bool) -> CodeInterpreterSync:
        return CodeInterpreterSync.create(box, **options)

    for _ in range(n):
        box = collected(sandbox, took["Sandbox.create"])
        collected(lambda b=box: interpreter(b), took["CodeInterpreter.create"]).close()
        collected(lambda b=box: interpreter(b, skip_health_check=True), took["- without its check"]).close()
        box.destroy()
    for _ in range(n):
        whole: list[float] = []
        box = collected(sandbox, whole)
        made = timed(lambda b=box: interpreter(b), whole)
        timed(lambda i=made: i.codes.run("1"), whole)
        took["first run"].append(whole[2])
        took["both"].append(sum(whole))
        made.close()
        box.destroy()
    os.environ["SSL_CERT_FILE"] = one_authority()
    for _ in range(n):
        box = collected(sandbox, took["Sandbox.create, 1 CA"])
        collected(lambda b=box: interpreter(b), took["CodeInterpreter, 1 CA"]).close()
        box.destroy()
    os.unlink(os.environ["SSL_CERT_FILE"])
    return {name: summary(times) for name, times in took.items()}


def main(what: str, url: str, token: str, n: int) -> dict[str, dict[str, float]]:
    for name in ("SSL_CERT_FILE", "SSL_CERT_DIR"):
        os.environ.pop(name, None)

    def there() -> ConnectionConfigSync:
        return ConnectionConfigSync(api_key=token, domain=url)

    if what == "create":
        return creates(there, n)
    if what == "alone":
        return {"alone": alone(n)}
    sandbox = SandboxSync.connect("default", connection_config=there())
    codes = CodeInterpreterSync.create(sandbox).codes
    return {"run": repeated(lambda: codes.run("1"), n)}
