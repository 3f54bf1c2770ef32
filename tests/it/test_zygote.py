"""Kernels that are forked from a zygote: which are, what a death of the one or the other does, what is left."""

from __future__ import annotations

import os
import re
import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import psutil
import pytest
from clients import Native, hold
from harness.gateway import Gateway, prefix, until
from specs import PYTHON, write_spec

RESTING = (
    "--pool_python=0",
    "--zygote_preload=",
)  # so that each context is a fork, of a zygote that loads soon
KILLS = 50
CLIENTS = 4
BURST = 40
ZYGOTE = re.compile(r"zygote=(\w+) started spec=\S+ pid=(\d+)")
KERNEL = re.compile(r"kernel=(\w+) started spec=(\S+) launcher=(\w+) pid=(\d+)")
SPEC = prefix() / "share/jupyter/kernels/python3/kernel.json"

pytestmark = pytest.mark.skipif(
    os.environ.get("KBTEST_LAUNCHER") == "local" or '"zygote"' not in SPEC.read_text(),
    reason="no kernel is forked",
)


def loaded(gateway: Gateway) -> int:
    """Pid of a zygote that can fork; 0: there is none."""
    text = gateway.stderr
    for found in ZYGOTE.finditer(text):
        if f"zygote={found[1]} ready" in text and f"zygote={found[1]} ended" not in text:
            return int(found[2])
    return 0


def wait_loaded(gateway: Gateway) -> int:
    """Wait for such a zygote and return its pid."""
    return int(str(until("a zygote that can fork", lambda: loaded(gateway))))


def launchers(gateway: Gateway, spec: str = "python3") -> list[str]:
    """Of the kernels that answered, in order."""
    return [found[3] for found in KERNEL.finditer(gateway.stderr) if found[2] == spec]


def kill(pid: int) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


# ------------------------------------------------------------------ which are forked


def test_contexts_are_forked(gw: Gateway) -> None:
    """The gateway's own children, which /proc shows with their own id, and which outlive their zygote."""
    zygote = wait_loaded(gw)
    with Native(gw) as native:
        context = native.context()
        assert launchers(gw)[-1] == "zygote"
        code = (
            "import os\nkept = 'kept'\nid = os.environ['KERNELBRIDGE_KERNEL_ID']\n"
            "shown = open('/proc/self/environ').read().split('\\0')\n"
            "print(os.getppid(), os.getsid(0) == os.getpid(), f'KERNELBRIDGE_KERNEL_ID={id}' in shown)"
        )
        said = native.run(code, context=context)
        assert said.text() == f"{gw.process.pid} True True\n"
        kill(zygote)
        until("another zygote", lambda: loaded(gw) not in (0, zygote))
        assert native.run("print(kept)", context=context).text() == "kept\n"


def test_what_must_be_spawned_is(gw: Gateway) -> None:
    """Variables that are read at the start have their effect; others do not keep a context from a fork."""
    wait_loaded(gw)
    with Native(gw) as native:
        context = native.context(envs={"PYTHONHASHSEED": "0"})
        assert launchers(gw)[-1] == "local"
        said = native.run("import sys; print(sys.flags.hash_randomization)", context=context)
        assert said.text() == "0\n"
        context = native.context(envs={"PYTHON_VERSION": "3", "MINE": "é\n"})
        assert launchers(gw)[-1] == "zygote"
        assert (
            native.run("import os; print(ascii(os.environ['MINE']))", context=context).text()
            == "'\\xe9\\n'\n"
        )


def test_launcher_local(make_gateway: Callable[..., Gateway]) -> None:
    """No zygote runs, and kernels are programs."""
    gateway = make_gateway("--launcher=local", "--pool_python=0")
    with Native(gateway) as native:
        native.context()
    assert set(launchers(gateway)) == {"local"}
    assert gateway.gauge("zygotes") == 0
    assert not any("zygote" in command for command in gateway.descendants().values())


def test_zygotes_that_do_not_load(make_gateway: Callable[..., Gateway], tmp_path: Path) -> None:
    """Kernels are spawned, and the log says why; a later try is made."""
    ours = {"waits": True, "zygote": ["/bin/sh", "-c", "echo cannot load >&2; exit 3"]}
    write_spec(tmp_path, "odd", [*PYTHON, "-f", "{connection_file}"], metadata={"kernelbridge": ours})
    gateway = make_gateway("--pool_python=0", env={"JUPYTER_PATH": str(tmp_path)})
    with Native(gateway) as native:
        contexts = [native.context(language="odd") for _ in range(3)]
        for context in contexts:
            assert native.run("print(6 * 7)", context=context).text() == "42\n"
    assert launchers(gateway, "odd") == ["local"] * 3
    assert "ended: exit code 3: cannot load" in gateway.stderr


# ------------------------------------------------------------------ many at once


def test_burst(gw: Gateway) -> None:
    """All are forked, none fails, whoever comes; a connection each."""
    wait_loaded(gw)
    before = len(launchers(gw))

    def create(_: int) -> str:
        with Native(gw) as native:
            return native.run("print('here')", context=native.context()).text()

    with ThreadPoolExecutor(BURST) as threads:
        assert list(threads.map(create, range(BURST))) == ["here\n"] * BURST
    assert launchers(gw)[before:] == ["zygote"] * BURST


# ------------------------------------------------------------------ deaths


class Load:
    """Clients that make contexts, run code in them, and delete them, until they are told to stop."""

    def __init__(self, gateway: Gateway) -> None:
        self.gateway = gateway
        self.stopped = threading.Event()
        self.runs = 0
        self.refused: list[dict[str, Any]] = []  # answers of create_context
        self.lost: list[dict[str, Any]] = []  # last events of runs that did not end well

    def client(self) -> None:
        with Native(self.gateway) as native:
            while not self.stopped.is_set():
                self.round(native)

    def round(self, native: Native) -> None:
        made = native.ask("create_context")
        if not made["ok"]:
            self.refused.append(made)
            return
        context = made["context"]
        said = native.run("print('here')", context=context)
        if said.how == "ok":
            assert said.text() == "here\n"
            self.runs += 1
        else:
            self.lost.append(said.events[-1])
        assert native.ask("delete_context", context=context)["ok"]


@contextmanager
def load(gateway: Gateway) -> Iterator[Load]:
    """Such clients at work; what went wrong in one of them is raised at the end."""
    work = Load(gateway)
    with ThreadPoolExecutor(CLIENTS) as threads:
        clients = [threads.submit(work.client) for _ in range(CLIENTS)]
        try:
            yield work
        finally:
            work.stopped.set()
        for client in clients:
            client.result()


def test_zygote_is_killed_under_load(gw: Gateway) -> None:
    """No client notices: each context comes, each run ends well."""
    with load(gw) as work:
        for _ in range(KILLS):
            kill(wait_loaded(gw))
            before = launchers(gw).count("zygote")
            until("a fork", lambda: launchers(gw).count("zygote") > before)  # noqa: B023
    assert not work.refused and not work.lost, (work.refused, work.lost)
    assert work.runs >= KILLS


def test_zygote_is_killed_while_it_loads(gw: Gateway) -> None:
    """The contexts that wait for it are spawned, or wait for the next."""
    with load(gw) as work:
        for _ in range(3):  # each makes the next try later
            kill(wait_loaded(gw))
            begun = len(ZYGOTE.findall(gw.stderr))
            until("a zygote that loads", lambda: len(ZYGOTE.findall(gw.stderr)) > begun or loaded(gw))  # noqa: B023
            kill(int(ZYGOTE.findall(gw.stderr)[-1][1]))
        wait_loaded(gw)
    assert not work.refused and not work.lost, (work.refused, work.lost)


STUCK = """
import signal, os
from kernelbridge_kernel import zygote
mother, wait = os.getpid(), os.waitpid
def stop(*args):
    if os.getpid() == mother:
        os.kill(mother, signal.SIGSTOP)
    return wait(*args)
os.waitpid = stop
zygote.main()
"""


def test_zygote_is_killed_before_it_looks_at_its_kernel(
    make_gateway: Callable[..., Gateway], tmp_path: Path
) -> None:
    """A kernel that serves already keeps serving: it does not need its zygote's word."""
    ours = {"waits": True, "zygote": [PYTHON[0], "-P", "-c", STUCK]}
    write_spec(tmp_path, "odd", [*PYTHON, "-f", "{connection_file}"], metadata={"kernelbridge": ours})
    gateway = make_gateway("--pool_python=0", env={"JUPYTER_PATH": str(tmp_path)})
    with Native(gateway) as native:
        native.context(language="odd")  # spawned while the zygote loads
        zygote = until(
            "a zygote", lambda: re.search(r"zygote=(\w+) started spec=odd pid=(\d+)", gateway.stderr)
        )
        until("it is ready", lambda: f"zygote={zygote[1]} ready" in gateway.stderr)
        context = native.context(language="odd")
        go = tmp_path / "go"
        execution = native.start(f"print('begun')\n{hold(go)}\nprint('done')", context=context)
        said = native.wait_text(execution, "begun\n")
        kill(int(zygote[2]))
        until("its end", lambda: f"zygote={zygote[1]} ended" in gateway.stderr)
        go.touch()
        said = native.rest_of(execution, said)
        assert (said.how, said.text()) == ("ok", "begun\nheld\ndone\n")
        assert native.run("print('again')", context=context).text() == "again\n"
    assert launchers(gateway, "odd") == ["local", "zygote"]


def starting(gateway: Gateway, known: set[int]) -> list[int]:
    """Children that are no zygote and not known yet."""
    log = gateway.stderr
    mothers = {int(found[2]) for found in ZYGOTE.finditer(log)}
    children = {child.pid for child in psutil.Process(gateway.process.pid).children()}
    return sorted(children - mothers - known - {int(found[4]) for found in KERNEL.finditer(log)})


def test_kernels_are_killed_while_they_start(gw: Gateway) -> None:
    """Whoever waited for one hears of it, and nobody else."""
    wait_loaded(gw)
    known: set[int] = {child.pid for child in psutil.Process(gw.process.pid).children()}
    with load(gw) as work:
        while len(known) < KILLS:
            for pid in starting(gw, known):
                known.add(pid)
                kill(pid)
        killed = work.runs
        until("a run", lambda: work.runs > killed)
    for answer in work.refused:
        assert re.search(r"signal 9|the process is gone", str(answer)), answer
    for event in work.lost:
        assert event["how"] == "kernel_died", event


# ------------------------------------------------------------------ the end of the gateway


@pytest.mark.parametrize("sig", [signal.SIGTERM, signal.SIGINT])
def test_gateway_stops_in_a_burst(make_gateway: Callable[..., Gateway], sig: signal.Signals) -> None:
    """Nothing is left: no kernel that starts, no zygote, and none that loads."""
    for loads in (False, True):
        gateway = make_gateway("--drain_ms=0")
        if not loads:
            wait_loaded(gateway)
        native = Native(gateway)
        for _ in range(20):
            native.post("create_context")
        native.ask("list_contexts")
        gateway.stop(sig)
        native.socket.close()


def test_gateway_is_killed_in_a_burst(start_gateway: Callable[..., Gateway]) -> None:
    """What it leaves ends by itself."""
    gateway = start_gateway().wait_ready()
    wait_loaded(gateway)
    native = Native(gateway)
    for _ in range(20):
        native.post("create_context")
    native.ask("list_contexts")
    gateway.process.kill()
    gateway.process.wait()
    until("no process of it", lambda: not gateway.descendants())
    native.socket.close()
