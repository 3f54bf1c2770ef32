"""Fixtures for tests of the kernel package: real kernels from the prefix, driven by jupyter_client.

They are spawned; with KBTEST_LAUNCHER=zygote (scripts/test --launcher=zygote) forked, where they can be.
"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path
from queue import Empty
from typing import Any

import psutil
import pytest
from harness.gateway import until
from jupyter_client.kernelspec import KernelSpecManager
from jupyter_client.manager import KernelManager

from .zygote import ForkedManager, Zygote

ROOT = Path(__file__).resolve().parents[2]
PREFIX = Path(os.environ.get("KERNELBRIDGE_PREFIX") or ROOT / "build" / "prefix").resolve()
DEADLINE_S = 60
SPEC = PREFIX / "share/jupyter/kernels/python3/kernel.json"
PRELOAD = ("numpy", "pandas", "matplotlib.pyplot")
FORKED = os.environ.get("KBTEST_LAUNCHER") == "zygote"


@dataclass
class Run:
    """What one execution sent: iopub messages in order, and the execute_reply's content."""

    events: list[dict[str, Any]] = field(default_factory=list)
    reply: dict[str, Any] = field(default_factory=dict)

    def of(self, msg_type: str) -> list[dict[str, Any]]:
        return [e for e in self.events if e["msg_type"] == msg_type]

    def text(self, name: str = "stdout") -> str:
        streams = [e["content"] for e in self.of("stream")]
        return "".join(c["text"] for c in streams if c["name"] == name)

    @property
    def merged(self) -> list[tuple[str, str]]:
        """(stream name, text) in order, consecutive pieces of one stream joined."""
        out: list[tuple[str, str]] = []
        for content in (e["content"] for e in self.of("stream")):
            if out and out[-1][0] == content["name"]:
                out[-1] = (content["name"], out[-1][1] + content["text"])
            else:
                out.append((content["name"], content["text"]))
        return out

    @property
    def error(self) -> dict[str, Any]:
        (event,) = self.of("error")
        return event["content"]

    @property
    def plain(self) -> dict[str, str]:
        (event,) = self.of("error")
        return event["metadata"]["kernelbridge"]

    @property
    def result(self) -> str:
        (event,) = self.of("execute_result")
        return event["content"]["data"]["text/plain"]


def spawning_manager(folder: Path, **manager: Any) -> KernelManager:
    specs = KernelSpecManager(kernel_dirs=[str(PREFIX / "share/jupyter/kernels")])
    specs.ensure_native_kernel = False
    return KernelManager(
        kernel_name="python3",
        kernel_spec_manager=specs,
        transport="ipc",
        connection_file=str(folder / "k.json"),
        **manager,
    )


def starts_late(env: dict[str, str]) -> bool:
    """True if a kernel that was started before can still be given these variables."""
    patterns = json.loads(SPEC.read_text())["metadata"]["kernelbridge"]["start_env"]
    return not any(fnmatchcase(name, pattern) for name in env for pattern in patterns)


class Kernel:
    """One kernel process and its only client. It is forked where there is a zygote that can do it."""

    def __init__(
        self,
        folder: Path,
        env: dict[str, str] | None = None,
        options: list[str] | None = None,
        zygote: Zygote | None = None,
        **manager: Any,
    ) -> None:
        self.home = folder / "home"
        self.cwd = folder / "cwd"
        for path in (self.home, self.cwd):
            path.mkdir(exist_ok=True)
        if zygote is not None and not options and not manager and starts_late(env or {}):
            self.manager: Any = ForkedManager(zygote, str(folder / "k.json"))
        else:
            self.manager = spawning_manager(folder, **manager)
        full = {**os.environ, "HOME": str(self.home), **(env or {})}
        for name in ("MPLBACKEND", "IPYTHONDIR", "PYTHONPATH"):
            if name not in (env or {}):
                full.pop(name, None)
        self.log = (folder / "log").open("w+b")
        self.manager.start_kernel(
            cwd=str(self.cwd),
            env=full,
            stdout=self.log,
            stderr=self.log,
            stdin=subprocess.DEVNULL,
            independent=False,
            extra_arguments=options,
        )
        self.client = self.manager.client()
        self.client.start_channels()
        self.client.wait_for_ready(timeout=DEADLINE_S)
        self.process = psutil.Process(self.manager.provisioner.pid)

    def send(self, code: str, *, meta: dict[str, Any] | None = None, **content: Any) -> str:
        """Send an execute_request and return its id; `content` overrides fields of the request."""
        fields = {
            "code": code,
            "silent": False,
            "store_history": True,
            "user_expressions": {},
            "allow_stdin": False,
            "stop_on_error": True,
            **content,
        }
        session = self.client.session
        msg = session.msg("execute_request", fields, metadata=meta)
        self.client.shell_channel.send(msg)
        return msg["header"]["msg_id"]

    def event(self, msg_id: str) -> dict[str, Any]:
        """Return the next iopub message of that request."""
        while True:
            msg = self.client.get_iopub_msg(timeout=DEADLINE_S)
            if msg["parent_header"].get("msg_id") == msg_id:
                return msg

    def until_text(self, msg_id: str, text: str) -> None:
        """Read until the stream messages so far contain `text`; the cell may go on."""
        seen = ""
        while text not in seen:
            msg = self.event(msg_id)
            if msg["msg_type"] == "stream":
                seen += msg["content"]["text"]
            assert not is_idle(msg), f"the cell ended after {seen!r}"

    def finish(self, msg_id: str) -> Run:
        """Read until the request's idle and reply."""
        run = Run()
        while not run.events or not is_idle(run.events[-1]):
            run.events.append(self.event(msg_id))
        while True:
            reply = self.client.get_shell_msg(timeout=DEADLINE_S)
            if reply["parent_header"].get("msg_id") == msg_id:
                run.reply = reply["content"]
                return run

    def run(self, code: str, **kwargs: Any) -> Run:
        return self.finish(self.send(code, **kwargs))

    def replied(self) -> bool:
        """True when some reply waits on the shell channel (it is consumed)."""
        try:
            self.client.get_shell_msg(timeout=0)
        except Empty:
            return False
        return True

    def interrupt(self) -> None:
        self.manager.interrupt_kernel()

    def rss(self) -> int:
        return self.process.memory_info().rss

    def wait_dead(self) -> None:
        until("the kernel ends", lambda: not self.alive())

    def alive(self) -> bool:
        return self.process.is_running() and self.process.status() != psutil.STATUS_ZOMBIE

    def stderr(self) -> str:
        """What the process wrote to its own stdout and stderr."""
        self.log.seek(0)
        return self.log.read().decode()

    def close(self) -> None:
        self.client.stop_channels()
        self.manager.shutdown_kernel(now=True)
        self.log.close()


def is_idle(msg: dict[str, Any]) -> bool:
    return msg["msg_type"] == "status" and msg["content"]["execution_state"] == "idle"


@pytest.fixture(scope="session")
def zygote(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Zygote]:
    """A zygote with PRELOAD, where that is installed. It prints nothing."""
    path = tmp_path_factory.mktemp("z") / "stderr"
    with path.open("wb") as stderr:
        one = Zygote(json.loads(SPEC.read_text()), *PRELOAD, stderr=stderr)
    yield one
    one.close()
    assert path.read_text() == ""


@pytest.fixture(scope="session")
def launcher(request: pytest.FixtureRequest) -> Zygote | None:
    """What forks the kernels of the tests; None: they are spawned."""
    return request.getfixturevalue("zygote") if FORKED else None


@pytest.fixture(scope="session")
def shared(tmp_path_factory: pytest.TempPathFactory, launcher: Zygote | None) -> Iterator[Kernel]:
    kernel = Kernel(tmp_path_factory.mktemp("k"), zygote=launcher)
    yield kernel
    kernel.close()


@pytest.fixture
def kernel(shared: Kernel) -> Iterator[Kernel]:
    """A kernel that tests share: it must be idle and alive after each of them."""
    yield shared
    assert shared.run("6 * 7").result == "42"


@pytest.fixture
def make_kernel(tmp_path: Path, launcher: Zygote | None) -> Iterator[Callable[..., Kernel]]:
    """Factory of kernels for one test."""
    made: list[Kernel] = []

    def make(**kwargs: Any) -> Kernel:
        folder = tmp_path / f"k{len(made)}"
        folder.mkdir(exist_ok=True)
        made.append(Kernel(folder, **{"zygote": launcher, **kwargs}))
        return made[-1]

    yield make
    for one in made:
        one.close()


@pytest.fixture
def gate(tmp_path: Path) -> Iterator[Gate]:
    """A FIFO on which a cell can wait for the test: run `gate.wait` in it, then call open()."""
    one = Gate(tmp_path / "gate")
    yield one
    one.close()


class Gate:
    def __init__(self, path: Path) -> None:
        os.mkfifo(path)
        self.fd = os.open(path, os.O_RDWR)
        self.wait = f"open({str(path)!r}, 'rb', 0).read(1)"

    def open(self) -> None:
        os.write(self.fd, b"x")

    def close(self) -> None:
        os.close(self.fd)
