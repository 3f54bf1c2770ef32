"""Kernels that are reached over TCP: a port of theirs that another program has taken meanwhile."""

from __future__ import annotations

import json
import re
import socket
import subprocess
from pathlib import Path

import pytest
from harness.gateway import prefix

CHANNELS = ("shell", "iopub", "stdin", "control", "hb")
SPECS = {
    path.parent.name: json.loads(path.read_text())
    for path in prefix().glob("share/jupyter/kernels/*/kernel.json")
}
OVER_TCP = sorted(
    name for name, spec in SPECS.items() if spec["metadata"].get("kernelbridge", {}).get("transport") == "tcp"
)


@pytest.mark.parametrize("taken", range(len(CHANNELS)), ids=CHANNELS)
@pytest.mark.parametrize("name", OVER_TCP)
def test_a_port_that_is_taken(tmp_path: Path, name: str, taken: int) -> None:
    """The kernel says so and ends, from which the gateway knows that it is to be started again."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in CHANNELS]
    ports = {f"{channel}_port": s.getsockname()[1] for channel, s in zip(CHANNELS, sockets, strict=True)}
    for s in sockets:
        if s is not sockets[taken]:
            s.close()
    keys = {"transport": "tcp", "ip": "127.0.0.1", "key": "k", "signature_scheme": "hmac-sha256"}
    file = tmp_path / "connection.json"
    file.write_text(json.dumps(keys | ports | {"kernel_name": name}))
    argv = [word.replace("{connection_file}", str(file)) for word in SPECS[name]["argv"]]
    with sockets[taken]:
        ended = subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, timeout=120, check=False)
    assert ended.returncode > 0
    assert re.search(rb"ddress already in use|EADDRINUSE", ended.stdout + ended.stderr)
