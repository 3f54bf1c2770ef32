"""A kernel that dies, code that ends oddly, interrupts and input: the context lives on, each run ends once."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest
from clients import Native, Said, daytona, hold, wait_run
from harness.gateway import Gateway, until

PID = "import os; print(os.getpid())"

# ------------------------------------------------------------------ the kernel dies

CRASHES = {
    "os._exit": ("import os; os._exit(3)", "exit code 3"),
    "os._exit 0": ("import os; os._exit(0)", "exit code 0"),
    "SIGSEGV": ("import ctypes; ctypes.string_at(0)", "signal 11"),
    "SIGKILL": ("import os; os.kill(os.getpid(), 9)", "signal 9"),
    "SIGABRT": ("import os; os.abort()", "signal 6"),
    "SIGKILL to its group": ("import os; os.killpg(0, 9)", "signal 9"),
}


@pytest.mark.parametrize("name", CRASHES)
def test_code_that_kills_its_kernel(gw: Gateway, name: str) -> None:
    crash, why = CRASHES[name]
    with Native(gw) as native:
        context = native.context()
        said = native.run(f"kept = 1\nprint('before')\n{crash}", context=context)
        assert said.how == "kernel_died"
        assert said.text() == "before\n" or "SIG" in name  # nothing can be sent after a kill
        assert said.one("error")["name"] == "KernelDied"
        assert why in said.one("error")["value"] and why in said.one("done")["why"]
        assert native.run("print('kept' in globals())", context=context).text() == "False\n"
        frames, close, reason = daytona(gw, {"code": f"print('before')\n{crash}", "contextId": context})
        assert [f["text"] for f in frames] == ["before\n"] or "SIG" in name
        assert (close, why in reason) == (1011, True), reason
        assert native.run("print(1)", context=context).text() == "1\n"


def test_kernel_killed_while_idle(gw: Gateway) -> None:
    with Native(gw) as native:
        context = native.context()
        pid = int(native.run(PID, context=context).text())
        os.kill(pid, signal.SIGKILL)
        until("no kernel", lambda: gw.json("GET", f"/v1/contexts/{context}")[1]["state"] == "none")  # type: ignore[index]
        said = native.run(PID, context=context)
        assert (said.how, int(said.text()) != pid, said.one("started")["count"]) == ("ok", True, 1)


@pytest.mark.parametrize("crash", ["from within", "from without"])
def test_kernel_dies_while_five_runs_wait(gw: Gateway, crash: str, tmp_path: Path) -> None:
    """The first one is told; the five run in order on one fresh kernel."""
    go = tmp_path / "go"
    with Native(gw) as native:
        context = native.context()
        pid = int(native.run(PID, context=context).text())
        first = native.start(hold(go) + "os._exit(1)", context=context)
        said = native.wait_text(first, "held")
        waiting = [
            native.start(f"x = globals().get('x', 0) + 1; print(x, {i})", context=context) for i in range(5)
        ]
        assert gw.gauge("executions_queued") == 5
        if crash == "from within":
            go.touch()
        else:
            os.kill(pid, signal.SIGKILL)
        assert native.rest_of(first, said).how == "kernel_died"
        after = [native.rest_of(execution) for execution in waiting]
        assert [s.how for s in after] == ["ok"] * 5
        assert [s.text() for s in after] == [f"{i + 1} {i}\n" for i in range(5)]
        assert [s.one("started")["count"] for s in after] == [1, 2, 3, 4, 5]


def test_kernel_that_dies_again_and_again(gw: Gateway) -> None:
    """Four deaths queued at once: each its own, the last run works."""
    with Native(gw) as native:
        context = native.context()
        runs = [native.start(f"import os; os._exit({i})", context=context) for i in range(4)]
        last = native.start("print('alive')", context=context)
        for i, execution in enumerate(runs):
            assert f"exit code {i}" in native.rest_of(execution).one("done")["why"]
        assert native.rest_of(last).text() == "alive\n"


def test_kernel_stopped_by_the_system(gw: Gateway) -> None:
    """SIGSTOP freezes it: the timeout kills it, and the next run has a fresh one."""
    with Native(gw) as native:
        context = native.context()
        pid = int(native.run(PID, context=context).text())
        execution = native.start(
            "print('on'); import time\nwhile True: time.sleep(0.01)", context=context, timeout_ms=1500
        )
        said = native.wait_text(execution, "on")
        os.kill(pid, signal.SIGSTOP)
        assert native.rest_of(execution, said).how == "timeout"
        assert native.run("print(1)", context=context).text() == "1\n"
        assert not psutil.pid_exists(pid)


# ------------------------------------------------------------------ ways to end


@pytest.mark.parametrize("code", ["import sys; sys.exit(2)", "exit()", "raise SystemExit('bye')", "quit()"])
def test_exit_ends_the_run_only(gw: Gateway, code: str) -> None:
    """Daytona's clients see a clean end, native ones the exception; the state is kept."""
    with Native(gw) as native:
        context = native.context()
        native.run("kept = 1", context=context)
        pid = native.run(PID, context=context).text()
        said = native.run(code, context=context)
        assert said.how in ("ok", "error")
        frames, close, reason = daytona(gw, {"code": f"print('x')\n{code}", "contextId": context})
        assert [f["type"] for f in frames] == ["stdout", "control"]
        assert (frames[-1]["text"], close, reason) == ("completed", 1000, "")
        assert native.run(f"print(kept); {PID}", context=context).text() == f"1\n{pid}"


def test_keyboard_interrupt_raised_by_the_code(gw: Gateway) -> None:
    """It is an exception like another: no timeout, no interruption."""
    with Native(gw) as native:
        said = native.run("raise KeyboardInterrupt('mine')")
        assert (said.how, said.one("error")["name"]) == ("error", "KeyboardInterrupt")
    frames, close, _ = daytona(gw, {"code": "raise KeyboardInterrupt('mine')"})
    assert [(f["type"], f["name"], f["value"]) for f in frames] == [
        ("error", "KeyboardInterrupt", "mine"),
        ("control", "", ""),
    ]
    assert close == 1000


SWALLOWS = {
    "every KeyboardInterrupt": (
        "import time\nprint('held')\nwhile True:\n    try:\n        while True: time.sleep(0.01)\n"
        "    except BaseException: pass"
    ),
    "the signal": "import signal, time\nsignal.signal(signal.SIGINT, signal.SIG_IGN)\nprint('held')\ntime.sleep(1000)",
    "it in C": "print('held')\nsum(iter(int, 1))",
}


@pytest.mark.parametrize("name", SWALLOWS)
def test_code_that_outlives_its_timeout(gw: Gateway, name: str) -> None:
    """Killed after interrupt_grace_ms: DONE(timeout), queued runs go on with a fresh kernel."""
    with Native(gw) as native:
        context = native.context()
        execution = native.start(SWALLOWS[name], context=context, timeout_ms=500)
        queued = native.start("print('next')", context=context)
        said = native.rest_of(execution)
        assert (said.how, said.text()) == ("timeout", "held\n")
        assert "killed" in said.one("done")["why"]
        assert native.rest_of(queued).text() == "next\n"
        _, close, reason = daytona(gw, {"code": SWALLOWS[name], "contextId": context, "timeout": 1})
        assert (close, reason) == (4008, "execution timed out")
        assert native.run("print('works')", context=context).text() == "works\n"


def test_interrupt_that_is_swallowed_is_no_kill_without_being_asked(gw: Gateway) -> None:
    code = (
        "import signal, time\nsignal.signal(signal.SIGINT, lambda *_: print('swallowed'))\n"
        "print('held')\nwhile True: time.sleep(0.01)"
    )
    with Native(gw) as native:
        context = native.context()
        execution = native.start(code, context=context)
        said = native.wait_text(execution, "held")
        assert native.ask("interrupt", execution=execution)["ok"]
        native.wait_text(execution, "swallowed", said)
        assert native.ask("interrupt", execution=execution, kill_after_ms=100)["ok"]
        said = native.rest_of(execution, said)
        assert (said.how, said.text().count("held")) == ("interrupted", 1)
        assert "killed" in said.one("done")["why"]


# ------------------------------------------------------------------ interrupts that race

RACED = "import time\nwhile True: time.sleep(0.005)"


def test_interrupt_at_once(gw: Gateway) -> None:
    """Sent right behind the code, and right at STARTED: never lost, never a kill, the state is kept."""
    with Native(gw) as native:
        context = native.context()
        pid = native.run(PID, context=context).text()
        for i in range(40):
            execution = native.start(RACED, context=context)
            said = Said()
            if i % 2:
                native.wait_event(execution, "started", said)
            assert native.ask("interrupt", execution=execution)["ok"]
            assert native.rest_of(execution, said).how in (
                ("interrupted",) if i % 2 else ("interrupted", "aborted")
            )
        assert native.run(PID, context=context).text() == pid


def test_interrupt_that_comes_late_hits_nothing(gw: Gateway) -> None:
    """Fired while short runs follow each other: only the one that was meant may end so."""
    with Native(gw) as native:
        context = native.context()
        for i in range(40):
            execution = native.start("x = 1", context=context)
            follower = native.start(f"print({i})", context=context)
            native.post("interrupt", execution=execution)
            assert native.rest_of(execution).how in ("ok", "interrupted", "aborted")
            said = native.rest_of(follower)
            assert (said.how, said.text()) == ("ok", f"{i}\n")


def test_interrupt_of_a_context_that_does_nothing(gw: Gateway) -> None:
    with Native(gw) as native:
        context = native.context()
        answer = native.ask("interrupt", context=context)
        assert (answer["ok"], answer["execution"]) == (True, None)
        assert native.run("print(1)", context=context).text() == "1\n"


@pytest.mark.parametrize("ms", [1, 5, 20, 50])
def test_timeout_that_races_the_end(gw: Gateway, ms: int) -> None:
    """Runs about as long as their timeout: each ends as ok or timeout, and no interrupt hits the next one."""
    with Native(gw) as native:
        context = native.context()
        for i in range(15):
            said = native.run(f"import time; time.sleep({ms / 1000})", context=context, timeout_ms=ms)
            assert said.how in ("ok", "timeout")
            assert native.run(f"print({i})", context=context).text() == f"{i}\n"


# ------------------------------------------------------------------ input


def test_input_is_asked_for_and_answered(gw: Gateway) -> None:
    with Native(gw) as native:
        execution = native.start("a = input('first? '); b = input('second? '); print(a + b)", stdin=True)
        said = Said()
        for value in ("one \0\u20ac", "two"):
            native.wait_event(execution, "input", said)
            said.events[-1]["event"] = "asked"
            assert native.ask("input", execution=execution, value=value)["ok"]
        assert native.rest_of(execution, said).text() == "one \0\u20actwo\n"
        assert [e["prompt"] for e in said.events if e["event"] == "asked"] == ["first? ", "second? "]
        assert not native.ask("input", execution=execution, value="late")["ok"]


def test_input_that_ends(gw: Gateway) -> None:
    with Native(gw) as native:
        execution = native.start("import getpass; getpass.getpass('secret? ')", stdin=True)
        said = Said()
        native.wait_event(execution, "input", said)
        assert said.events[-1]["password"] is True
        assert native.ask("input", execution=execution, eof=True)["ok"]
        assert native.rest_of(execution, said).one("error")["name"] == "EOFError"


def test_input_where_nobody_answers(gw: Gateway) -> None:
    """It raises at once: in Daytona's dialect as at the end of a file, as there."""
    answer = wait_run(gw, "input('prompt')")
    assert (answer["how"], answer["error"]["name"]) == ("error", "StdinNotImplementedError")
    frames, close, _ = daytona(gw, {"code": "input('prompt')"})
    assert [f["name"] for f in frames if f["type"] == "error"] == ["EOFError"]
    assert close == 1000


@pytest.mark.parametrize("end", ["interrupt", "kill", "client", "delete", "timeout"])
def test_end_while_input_is_awaited(gw: Gateway, end: str) -> None:
    with Native(gw) as native:
        context = native.context()
        pid = int(native.run(PID, context=context).text())
        asker = Native(gw)
        limit = {"timeout_ms": 1000} if end == "timeout" else {}
        execution = asker.start("input()", context=context, stdin=True, **limit)
        said = Said()
        asker.wait_event(execution, "input", said)
        if end == "interrupt":
            assert native.ask("interrupt", execution=execution)["ok"]
        elif end == "kill":
            os.kill(pid, signal.SIGKILL)
        elif end == "delete":
            assert native.ask("delete_context", context=context)["ok"]
        if end == "client":
            asker.reset()
        else:
            how = {
                "interrupt": "interrupted",
                "kill": "kernel_died",
                "delete": "aborted",
                "timeout": "timeout",
            }
            assert asker.rest_of(execution, said).how == how[end]
            asker.socket.close()
        if end != "delete":
            assert native.run("print(1)", context=context).text() == "1\n"


# ------------------------------------------------------------------ a kernel that cannot start again


def test_kernelspec_that_is_gone_when_the_kernel_dies(
    make_gateway: Callable[..., Gateway], tmp_path: Path
) -> None:
    """The context says so to each run, and works again when the spec is back."""
    from specs import PYTHON, write_spec

    spec = write_spec(tmp_path / "jp", "flaky", [*PYTHON, "-f", "{connection_file}"])
    gateway = make_gateway(env={"JUPYTER_PATH": str(tmp_path / "jp")})
    with Native(gateway) as native:
        context = native.context(language="flaky")
        spec.rename(spec.with_suffix(".away"))
        assert native.run("import os; os._exit(1)", context=context).how == "kernel_died"
        said = native.run("print(1)", context=context)
        assert (said.how, "flaky" in said.one("done")["why"]) == ("kernel_died", True)
        spec.with_suffix(".away").rename(spec)
        assert native.run("print(1)", context=context).text() == "1\n"
    gateway.wait_at_rest(2)
