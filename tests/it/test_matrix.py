"""Every state of an execution and its kernel x every failure: exactly one DONE, gauges back to zero.

Driven by events of a scripted kernel only; the table EXPECTED says how each execution ends.
"""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import atrest
import psutil
import pytest
from clients import Native, Said
from fakes import fakes, write_fakes
from harness.gateway import DEADLINE_S, Gateway, until

SETTINGS = ("--interrupt_grace_ms=300", "--stop_grace_ms=300", "--drain_ms=0")
KEPT = ("executions_kept", "events_bytes")  # finished executions are read from the log afterwards


@dataclass
class Scene:
    """A sandbox with one context, whose one execution is in the state that the test is about."""

    gateway: Gateway
    slow: Path  # slow kernels answer when it exists
    code: str  # of executions that have not run yet
    timeout_ms: int
    control: Native
    owner: Native
    context: str = ""
    execution: str = ""
    others: list[str] = field(default_factory=list)
    said: Said = field(default_factory=Said)
    release: Callable[[], object] = lambda: None

    def start(self, code: str, **keys: object) -> None:
        """Queue the execution that the test is about."""
        where = {"context": self.context} if self.context else {"sandbox": "box", **keys}
        answer = self.owner.ask("execute", code=code, timeout_ms=self.timeout_ms, **where)
        assert answer["ok"], answer
        self.execution, self.context = answer["execution"], answer["context"]

    def make_context(self, language: str) -> None:
        self.context = self.control.context(language=language, sandbox="box")

    def state(self) -> str:
        status, answer = self.gateway.json("GET", f"/v1/executions/{self.execution}")
        assert status == 200, answer
        return str(answer["state"])  # type: ignore[index]


# ------------------------------------------------------------------ states


def starting(s: Scene) -> None:
    """QUEUED; the kernel is STARTING."""
    s.start(s.code, language="fake-slow")
    s.release = s.slow.touch
    assert s.state() == "queued"


def queued(s: Scene) -> None:
    """QUEUED behind another execution; the kernel is BUSY."""
    s.make_context("fake")
    first = s.control.start("print on\nhang", context=s.context, on_disconnect="finish")
    s.control.wait_text(first, "on")
    s.others.append(first)
    s.start(s.code)
    s.release = lambda: s.control.ask("interrupt", execution=first)
    assert s.state() == "queued"


def restarting(s: Scene) -> None:
    """QUEUED; the old kernel is STOPPING and ignores that, the new one is STARTING."""
    s.slow.touch()
    s.make_context("fake-deaf-slow")
    s.slow.unlink()
    s.control.post("restart_context", context=s.context)
    s.start(s.code)
    s.release = s.slow.touch
    assert s.state() == "queued"


def frozen(s: Scene) -> None:
    """RUNNING, nothing heard of it; the kernel is BUSY and does not move."""
    s.make_context("fake")
    os.kill(fakes(s.gateway)[-1], signal.SIGSTOP)
    s.start("print on\nhang")
    until("it to run", lambda: s.state() != "queued")


def printing(s: Scene) -> None:
    """RUNNING; the kernel is BUSY."""
    s.make_context("fake")
    s.start("print on\nhang")
    s.owner.wait_text(s.execution, "on", s.said)


def asking(s: Scene) -> None:
    """RUNNING and waiting for input."""
    s.make_context("fake")
    answer = s.owner.ask("execute", code="input ?", context=s.context, stdin=True, timeout_ms=s.timeout_ms)
    s.execution = answer["execution"]
    s.owner.wait_event(s.execution, "input", s.said)


def paused(s: Scene) -> None:
    """RUNNING; its client does not read, so the kernel waits."""
    s.make_context("fake")
    s.start("flood 30000000\nhang")
    until("a full log", lambda: s.gateway.gauge("events_bytes") > 1 << 20)


def stopping(s: Scene) -> None:
    """STOPPING: interrupted, which the kernel ignores."""
    s.make_context("fake")
    s.start("print on\ndeaf")
    s.owner.wait_text(s.execution, "on", s.said)
    assert s.control.ask("interrupt", execution=s.execution)["ok"]
    assert s.state() == "stopping" or s.timeout_ms


def done(s: Scene) -> None:
    """DONE and kept; the kernel is READY."""
    s.make_context("fake")
    s.start("print on")
    s.owner.rest_of(s.execution, s.said)
    assert s.state() == "done"


# ------------------------------------------------------------------ failures


def client_gone(s: Scene) -> None:
    s.owner.reset()


def kernel_dead(s: Scene) -> None:
    pid = fakes(s.gateway)[-1]
    os.kill(pid, signal.SIGKILL)
    until("it to be noticed", lambda: not psutil.pid_exists(pid))


def timeout(s: Scene) -> None:
    s.release()  # it counts from the start of the run


def interrupt(s: Scene) -> None:
    assert s.control.ask("interrupt", execution=s.execution, kill_after_ms=300)["ok"]


def delete_context(s: Scene) -> None:
    assert s.control.ask("delete_context", context=s.context)["ok"]


def delete_sandbox(s: Scene) -> None:
    assert s.control.ask("delete_sandbox", sandbox="box")["ok"]


def sigterm(s: Scene) -> None:
    s.gateway.process.send_signal(signal.SIGTERM)


STATES = [starting, queued, restarting, frozen, printing, asking, paused, stopping, done]
FAILURES = [client_gone, kernel_dead, timeout, interrupt, delete_context, delete_sandbox, sigterm]
RUNS = ("interrupted", "kernel_died", "timeout", "interrupted", "aborted", "aborted", "aborted")
EXPECTED = {
    #           client_gone    kernel_dead    timeout    interrupt      context    sandbox    SIGTERM
    starting: ("aborted", "kernel_died", "timeout", "aborted", "aborted", "aborted", "aborted"),
    queued: ("aborted", "ok", "timeout", "aborted", "aborted", "aborted", "aborted"),
    restarting: ("aborted", "kernel_died", "timeout", "aborted", "aborted", "aborted", "aborted"),
    frozen: RUNS,
    printing: RUNS,
    asking: RUNS,
    paused: RUNS,
    stopping: ("interrupted", "interrupted", "timeout", "interrupted", "aborted", "aborted", "aborted"),
    done: ("ok",) * len(FAILURES),
}

# ------------------------------------------------------------------ the test


@pytest.fixture(scope="module")
def slow(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("slow") / "go"


@pytest.fixture(scope="module")
def specs(tmp_path_factory: pytest.TempPathFactory, slow: Path) -> dict[str, str]:
    path = tmp_path_factory.mktemp("jp")
    write_fakes(path, slow)
    return {"JUPYTER_PATH": str(path)}


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory, specs: dict[str, str]) -> Iterator[Gateway]:
    running = Gateway(tmp_path_factory.mktemp("matrix") / "state", *SETTINGS, env=specs).wait_ready()
    yield running
    running.stop()


def finished(gateway: Gateway) -> int:
    """Executions that have ended, ever."""
    return int(gateway.metrics()["kernelbridge_executions_total"])


def logged(gateway: Gateway, execution: str) -> list[dict[str, object]]:
    """What the gateway has kept of it."""
    status, _, raw = gateway.http("GET", f"/v1/executions/{execution}/events")
    assert status == 200, raw
    return [json.loads(line) for line in raw.splitlines()]


def set_up(
    gateway: Gateway, state: Callable[[Scene], None], failure: Callable[[Scene], None], slow: Path
) -> Scene:
    slow.unlink(missing_ok=True)
    assert gateway.http("POST", "/v1/native/sandboxes", {"name": "box"})[0] == 201
    scene = Scene(
        gateway=gateway,
        slow=slow,
        code="hang" if failure is timeout else "print on",
        timeout_ms=300 if failure is timeout and state is not done else 0,
        control=Native(gateway),
        owner=Native(gateway, receive_buffer=4096),
    )
    state(scene)
    return scene


@pytest.mark.parametrize("failure", [f for f in FAILURES if f is not sigterm], ids=lambda f: f.__name__)
@pytest.mark.parametrize("state", STATES, ids=lambda s: s.__name__)
def test_matrix(
    shared: Gateway, state: Callable[[Scene], None], failure: Callable[[Scene], None], slow: Path
) -> None:
    before = atrest.baseline(shared, ignore=KEPT)
    total = finished(shared)
    s = set_up(shared, state, failure, slow)
    with s.control, s.owner:
        act(s, state, failure)
    atrest.check(shared, before, ignore=KEPT)
    ends = 1 + len(s.others) + (failure not in (delete_context, delete_sandbox))
    assert finished(shared) - total == ends + 1  # the check runs one itself


def act(s: Scene, state: Callable[[Scene], None], failure: Callable[[Scene], None]) -> None:
    """Let it fail, hear how it ends, from the client and from the log, and use the context again."""
    failure(s)
    if failure is not client_gone:
        s.owner.rest_of(s.execution, s.said)
        assert s.said.how == EXPECTED[state][FAILURES.index(failure)], s.said.events[-2:]
    until("DONE", lambda: s.state() == "done")
    log = logged(s.gateway, s.execution)
    assert [e["event"] for e in log].count("done") == 1
    assert log[-1]["event"] == "done" and log[-1]["how"] == EXPECTED[state][FAILURES.index(failure)], log[-2:]
    if failure in (delete_context, delete_sandbox):
        return
    s.release()
    s.slow.touch()
    for other in s.others:
        s.control.rest_of(other)
    assert s.control.run("print again", context=s.context).text() == "again\n"


@pytest.mark.parametrize("state", STATES, ids=lambda s: s.__name__)
def test_matrix_sigterm(
    start_gateway: Callable[..., Gateway], state: Callable[[Scene], None], slow: Path, specs: dict[str, str]
) -> None:
    """The client hears the end and a close frame; the gateway ends with nothing left."""
    gateway = start_gateway(*SETTINGS, env=specs).wait_ready()
    s = set_up(gateway, state, sigterm, slow)
    s.control.socket.close()
    sigterm(s)
    if state is not done:
        s.owner.rest_of(s.execution, s.said)
    assert s.said.how == EXPECTED[state][FAILURES.index(sigterm)]
    assert s.owner.closing() == (1001, "the gateway stops")
    assert gateway.process.wait(DEADLINE_S) == 0
    gateway.stop()


def test_interrupt_of_a_context_that_starts(shared: Gateway, slow: Path) -> None:
    """By the context's id too, what waits for its kernel does not run."""
    slow.unlink(missing_ok=True)
    with Native(shared) as native:
        execution = native.start("print on", language="fake-slow")
        context = shared.json("GET", f"/v1/executions/{execution}")[1]["context"]
        assert native.ask("interrupt", context=context)["execution"] == execution
        said = native.rest_of(execution)
        assert (said.how, said.text()) == ("aborted", "")
        slow.touch()
        assert native.run("print next", context=context).text() == "next\n"
        assert native.ask("delete_context", context=context)["ok"]


def test_a_context_goes_with_the_client_that_waits_for_it(shared: Gateway, slow: Path) -> None:
    """Nobody was told its id, and no list has it."""
    slow.unlink(missing_ok=True)
    before = shared.gauge("contexts")
    with Native(shared) as native:
        native.post("create_context", language="fake-slow")
        shared.wait_gauge("contexts", before + 1)
        listed = native.ask("list_contexts")["contexts"]
        assert not [c for c in listed if c["language"] == "fake-slow" and not c["default"]]
    shared.wait_gauge("contexts", before)
