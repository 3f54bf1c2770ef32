"""Kernels without a gateway: what the gateway is measured against."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import tempfile
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from rig import SPECS, Bench, until

PORTS = ("shell_port", "iopub_port", "stdin_port", "control_port", "hb_port")
PRELOAD = ("numpy", "pandas", "matplotlib.pyplot")  # the default of zygote_preload
ZYGOTE_SOCKET = 3  # kernelmgr/launch_zygote.h


def kernelspec(name: str) -> dict[str, Any]:
    """Of the prefix."""
    return json.loads((SPECS / name / "kernel.json").read_text())


def ours(spec: dict[str, Any]) -> dict[str, Any]:
    """What a kernelspec says to a kernelbridge."""
    return spec.get("metadata", {}).get("kernelbridge", {})


def connection(folder: Path, spec: dict[str, Any]) -> tuple[Path, list[Path]]:
    """A connection file in the folder, and the sockets that a kernel makes of it where they have names."""
    file = folder / "kernel.json"
    named = ours(spec).get("transport") != "tcp"
    key = {"key": uuid.uuid4().hex, "signature_scheme": "hmac-sha256", "kernel_name": ""}
    file.write_text(json.dumps(key | (ipc(folder) if named else loopback())))
    return file, [folder / f"k-{i + 1}" for i in range(len(PORTS))] if named else []


class Bare:
    """A kernel that only its connection file leads to."""

    def __init__(self, file: Path, sockets: list[Path]) -> None:
        self.file, self.sockets = file, sockets

    def wait_bound(self) -> None:
        """Until its sockets are there, where they have names: a client that connects before is told to try later."""
        until("a kernel's sockets", lambda: all(s.exists() for s in self.sockets), every_s=0.001)

    def stop(self) -> None:
        for path in self.sockets:
            path.unlink(missing_ok=True)


class ForkedKernel(Bare):
    """One that a FloorZygote forked."""

    def __init__(self, file: Path, sockets: list[Path], pid: int) -> None:
        super().__init__(file, sockets)
        self.pid = pid

    def stop(self) -> None:
        os.kill(self.pid, signal.SIGKILL)
        super().stop()


class FloorKernel(Bare):
    """A kernel of a kernelspec in the prefix, started without the gateway, in folder."""

    def __init__(self, folder: Path, name: str = "python3") -> None:
        spec = kernelspec(name)
        super().__init__(*connection(folder, spec))
        argv = [a.replace("{connection_file}", str(self.file)) for a in spec["argv"]]
        env = os.environ | spec.get("env", {}) | {"JPY_PARENT_PID": str(os.getpid())}
        self.process = subprocess.Popen(
            argv,
            cwd=folder,
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    def stop(self) -> None:
        self.process.kill()
        self.process.wait()
        super().stop()


def ipc(folder: Path) -> dict[str, object]:
    return {"transport": "ipc", "ip": str(folder / "k")} | {name: i + 1 for i, name in enumerate(PORTS)}


def loopback() -> dict[str, object]:
    """Five ports that nobody has just now."""
    bound = [socket.create_server(("127.0.0.1", 0)) for _ in PORTS]
    ports = {name: s.getsockname()[1] for name, s in zip(PORTS, bound, strict=True)}
    for s in bound:
        s.close()
    return {"transport": "tcp", "ip": "127.0.0.1"} | ports


@contextlib.contextmanager
def floor_kernel(bench: Bench) -> Iterator[FloorKernel]:
    """One that runs, in a folder of its own."""
    kernel = FloorKernel(Path(tempfile.mkdtemp(dir=bench.folder)))
    try:
        kernel.wait_bound()
        yield kernel
    finally:
        kernel.stop()


class FloorZygote:
    """What forks kernels of a kernelspec, asked by a client that does nothing else; kernels are in folder."""

    def __init__(self, folder: Path, name: str = "python3") -> None:
        self.folder = folder
        self.spec = kernelspec(name)
        self.socket, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.count = 0
        argv = [*ours(self.spec)["zygote"], *PRELOAD]
        self.process = subprocess.Popen(
            argv, env=self._env("zygote00"), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            pass_fds=(ZYGOTE_SOCKET,), preexec_fn=lambda: os.dup2(theirs.fileno(), ZYGOTE_SOCKET))  # fmt: skip
        theirs.close()
        assert json.loads(self.socket.recv(4096)) == {"ready": True}

    def _env(self, kernel: str) -> dict[str, str]:
        start = {"JPY_PARENT_PID": "1", "KERNELBRIDGE_KERNEL_ID": kernel}  # 1: nobody's end is its own
        return dict(os.environ) | self.spec.get("env", {}) | start

    def fork(self) -> ForkedKernel:
        self.count += 1
        folder = Path(tempfile.mkdtemp(dir=self.folder))
        kernel = f"{self.count:08d}"
        file, sockets = connection(folder, self.spec)
        request = {
            "n": self.count,
            "connection_file": str(file),
            "kernel_id": kernel,
            "cwd": str(folder),
            "env": self._env(kernel),
        }
        with open(os.devnull, "wb") as out:
            socket.send_fds(self.socket, [json.dumps(request).encode()], [out.fileno()])
        said = json.loads(self.socket.recv(65536))
        if "pid" not in said:
            raise RuntimeError(f"a zygote without a gateway: {said}")
        return ForkedKernel(file, sockets, said["pid"])

    def stop(self) -> None:
        self.socket.close()
        self.process.wait()
