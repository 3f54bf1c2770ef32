"""The gateway's part in kernelmgr/launch_zygote.h, for tests: start a zygote, have kernels forked."""

from __future__ import annotations

import array
import ctypes
import json
import os
import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import IO, Any

from harness.gateway import until
from jupyter_client.blocking.client import BlockingKernelClient
from jupyter_client.connect import write_connection_file

ID = "KERNELBRIDGE_KERNEL_ID"
_PR_SET_CHILD_SUBREAPER = 36


@contextmanager
def subreaper() -> Iterator[None]:
    """Let what ended processes leave behind become children of this one."""
    prctl = ctypes.CDLL(None).prctl
    prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    try:
        yield
    finally:
        prctl(_PR_SET_CHILD_SUBREAPER, 0, 0, 0, 0)


class Zygote:
    """A zygote made from the kernelspec `spec`. What it prints goes to the file `stderr`."""

    def __init__(
        self, spec: dict[str, Any], *words: str, stderr: IO[bytes], env: dict[str, str] | None = None
    ) -> None:
        self.socket, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.socket.settimeout(60)
        argv = spec["metadata"]["kernelbridge"]["zygote"]
        script = f'exec 3<&{theirs.fileno()}-; exec "$@"'
        self.process = subprocess.Popen(
            ["bash", "-c", script, "zygote", *argv, *words],
            env={**os.environ, ID: "zygote00", **(env or {})},
            pass_fds=[theirs.fileno()],
            stdin=subprocess.DEVNULL,
            stdout=stderr,
            stderr=stderr,
            start_new_session=True,
        )
        theirs.close()
        self.pid = self.process.pid
        self.n = 0
        self.forked: set[int] = set()  # requests that a kernel answered
        assert self.read() == {"ready": True}

    def read(self) -> dict[str, Any]:
        """Return the next packet; an error after a kernel's own answer says nothing."""
        while True:
            packet = json.loads(self.socket.recv(1 << 16))
            if "pid" in packet:
                self.forked.add(packet["n"])
            elif packet.get("n") in self.forked:
                continue
            return packet

    def send(self, packet: bytes, fds: list[int]) -> None:
        rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))] if fds else []
        self.socket.sendmsg([packet], rights)

    def ask(self, fds: list[int] | None = None, **fields: Any) -> dict[str, Any]:
        """Send a request with these fields changed, return the answer."""
        self.n += 1
        request = {"n": self.n, "connection_file": "/none", "kernel_id": "kernel01", "cwd": "/", "env": {}}
        with open(os.devnull, "wb") as null, subreaper():
            self.send(json.dumps(request | fields).encode(), [null.fileno()] if fds is None else fds)
            answer = self.read()
        assert answer.pop("n") == fields.get("n", self.n)
        return answer

    def fork(self, connection_file: str, cwd: str, env: dict[str, str], out: IO[bytes]) -> int:
        """Return the pid of a kernel, a child of this process."""
        kernel_id = f"k{self.n:07}"
        whole = {**env, "JPY_PARENT_PID": str(os.getpid())}
        answer = self.ask(
            [out.fileno()], connection_file=connection_file, kernel_id=kernel_id, cwd=cwd, env=whole
        )
        assert "pid" in answer, answer
        return answer["pid"]

    def close(self) -> None:
        """End it by closing its socket; it ends well."""
        self.socket.close()
        assert self.process.wait(30) == 0


class ForkedManager:
    """Of jupyter_client's KernelManager what these tests use, for a kernel from a zygote."""

    def __init__(self, zygote: Zygote, connection_file: str) -> None:
        self.zygote = zygote
        self.file = connection_file
        self.status: int | None = None  # as of waitpid(2), once it was waited for

    def start_kernel(self, *, cwd: str, env: dict[str, str], stdout: IO[bytes], **_: Any) -> None:
        write_connection_file(
            self.file, transport="ipc", ip=self.file.removesuffix(".json") + "-ipc", key=b"a key",
            shell_port=1, iopub_port=2, stdin_port=3, hb_port=5, control_port=4,
        )  # fmt: skip
        self.pid = self.zygote.fork(self.file, cwd, env, stdout)
        self.provisioner = SimpleNamespace(pid=self.pid)

    def client(self) -> BlockingKernelClient:
        client = BlockingKernelClient(connection_file=self.file)
        client.load_connection_file()
        return client

    def interrupt_kernel(self) -> None:
        os.killpg(self.pid, signal.SIGINT)

    def wait(self) -> int:
        """Wait for the kernel's end; returns its status as of waitpid(2)."""
        if self.status is None:
            until("the kernel ends", lambda: os.waitid(os.P_PID, self.pid, _ENDED) is not None)
            self.status = os.waitpid(self.pid, 0)[1]
        return self.status

    def shutdown_kernel(self, now: bool) -> None:
        if self.status is None:
            os.killpg(self.pid, signal.SIGKILL)
            self.wait()


_ENDED = os.WEXITED | os.WNOWAIT | os.WNOHANG
