"""One suite for every language: the same deeds through the native API, each with the kernel's own outcome.

What a kernel does differently is in the table of languages.py, with the reason; docs/languages.md tells it
to users. Variables and directories are test_language_env.py's.
"""

from __future__ import annotations

import base64
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from clients import Said
from harness.gateway import Gateway, until
from languages import ALL, BASH, Error
from tongue import Seat, Tongue, check_error, error_name, kernels, seated, talking

TEXT = "Zoë ☃ 😀 👩‍👩‍👧 你好 e\u0301 \u202eabc 'q' \"d\" $HOME `x` \\n %s {x}"

RESTING = ("--pool_python=0",)  # kernels are told apart by when they came


@pytest.fixture(scope="module", params=ALL, ids=lambda lang: lang.name)
def seat(request: pytest.FixtureRequest, resting: tuple[Gateway, dict[str, int]]) -> Iterator[Seat]:
    with seated(resting, request.param) as seat:
        yield seat


@pytest.fixture
def it(seat: Seat) -> Iterator[Tongue]:
    with talking(seat) as tongue:
        yield tongue


# -- what a run says -------------------------------------------------------------------------


def test_output_comes_while_the_code_runs(it: Tongue, tmp_path: Path) -> None:
    go = tmp_path / "go"
    execution, said = it.begun(it.lang.fill(it.lang.wait, path=go))
    go.touch()
    assert it.ws.rest_of(execution, said).how == "ok"
    assert said.text() == "on\n" and said.text("stderr") == ""


def test_state_and_counts(it: Tongue) -> None:
    counts = []
    for number in (41, 42):
        said = it.run(it.lang.set_state(number))
        assert [e["event"] for e in said.events] == ["accepted", "started", "done"]
        counts.append(said.one("started")["count"])
        said = it.run(it.lang.code(it.lang.kept))
        assert (said.how, said.text()) == ("ok", f"{number}\n")
        counts.append(said.one("done")["count"])
    assert counts == list(range(counts[0], counts[0] + 4))


def test_value(it: Tongue) -> None:
    code, kind, text = it.lang.value
    said = it.run(code)
    assert said.how == ("error" if kind == "error" else "ok")
    event = said.one(kind)
    assert text == event["bundle"]["text/plain"] if "bundle" in event else text in event["value"]


def test_rich(it: Tongue) -> None:
    if it.lang.rich is None:
        assert it.lang is BASH  # its kernel has no way to show anything but text
        return
    code, kind, mime = it.lang.rich
    event = next(e for e in it.run(code).events if e["event"] == kind)
    value = event["bundle"][mime]
    assert (
        base64.b64decode(value).startswith(b"\x89PNG\r\n")
        if mime == "image/png"
        else "<b" in value or "<h" in value
    )


def test_text(it: Tongue) -> None:
    said = it.run(it.lang.print(TEXT))
    assert (said.how, said.text()) == ("ok", TEXT + "\n")


def test_nul(it: Tongue) -> None:
    code = it.lang.nul
    said = it.run(it.lang.print("a\0b") if not code else it.lang.code(code))
    if code == "":
        assert (said.how, said.text()) == ("error", "") and "nul" in said.one("error")["value"]
    else:
        assert (said.how, said.text()) == ("ok", "a\0b\n")


def test_many_lines(it: Tongue) -> None:
    said = it.run(it.lang.code(it.lang.fill(it.lang.lines, number=100_000)))
    assert said.how == "ok"
    assert said.text() == "".join(f"{i}\n" for i in range(100_000))


def test_a_long_line(it: Tongue) -> None:
    said = it.run(it.lang.code(it.lang.long_line))
    assert said.how == "ok" and said.text() == "x" * 1_000_000 + "\n"


def test_output_is_its_runs_own(it: Tongue) -> None:
    """What a kernel publishes after its idle is still the run's, never the next one's."""
    burst = it.lang.fill(it.lang.lines, number=3000)
    assert it.run(it.lang.code(burst)).text() == "".join(f"{i}\n" for i in range(3000))
    for i in range(it.lang.quick_runs):
        said = it.run(it.lang.print(str(i)))
        assert (said.how, said.text()) == ("ok", f"{i}\n")


# -- errors ----------------------------------------------------------------------------------


@pytest.mark.parametrize("which", ["error", "syntax", "third_line"])
def test_error(it: Tongue, which: str) -> None:
    error: Error = getattr(it.lang, which)
    check_error(it.run(it.lang.code(error.code)), error)
    assert it.run(it.lang.print("after")).text() == "after\n"


def test_a_waiting_run_runs_after_an_error(it: Tongue) -> None:
    failing = it.start(it.lang.code(it.lang.error.code))
    waiting = it.start(it.lang.print("ran"))
    assert it.ws.rest_of(failing).how == "error"
    said = it.ws.rest_of(waiting)
    assert (said.how, said.text()) == ("ok", "ran\n")


# -- stopping --------------------------------------------------------------------------------


def test_interrupt_of_a_loop(it: Tongue) -> None:
    it.run(it.lang.set_state(5))
    execution, said = it.begun(it.lang.loop)
    assert it.ws.ask("interrupt", execution=execution)["ok"]
    assert it.ws.rest_of(execution, said).how == "interrupted"
    assert error_name(said) == it.lang.interrupted
    assert it.state() == "5\n"


def test_interrupt_of_a_sleep(it: Tongue) -> None:
    """Where the kernel does not hear of it, the one that interrupts may have it killed."""
    it.run(it.lang.set_state(6))
    execution, said = it.begun(it.lang.sleep)
    if not it.lang.sleep_stops:
        it.ws.wait_text(execution, "asleep\n", said)
    keys = {} if it.lang.sleep_stops else {"kill_after_ms": 100}
    assert it.ws.ask("interrupt", execution=execution, **keys)["ok"]
    assert it.ws.rest_of(execution, said).how == "interrupted"
    assert ("killed" in said.one("done").get("why", "")) != it.lang.sleep_stops
    assert it.state() == ("6\n" if it.lang.sleep_stops else "")


def test_timeout(it: Tongue) -> None:
    it.run(it.lang.set_state(7))
    said = it.run(it.lang.code(it.lang.loop), timeout_ms=300)
    assert said.how == "timeout" and (error_name(said) is None) == (it.lang.interrupted is None)
    assert it.state() == "7\n"


def test_restart(it: Tongue) -> None:
    """The state goes, the directory and the id stay; the first output of the new kernel arrives."""
    it.run(it.lang.set_state(8))
    where = it.run(it.lang.code(it.lang.pwd)).text()
    it.ws.post("restart_context", context=it.seat.context)
    said = it.run(it.lang.code(it.lang.pwd))
    assert (said.how, said.text(), said.one("started")["count"]) == ("ok", where, 1)
    assert it.state().strip() == ""


def test_kernel_killed_while_it_runs(it: Tongue) -> None:
    it.run(it.lang.set_state(9))
    killed = it.seat.kernel()
    execution, said = it.begun(it.lang.loop)
    os.kill(killed, 9)
    assert it.ws.rest_of(execution, said).how == "kernel_died"
    assert said.one("error")["name"] == "KernelDied" and "signal 9" in said.one("error")["value"]
    said = it.run(it.lang.print("fresh"))
    assert (said.how, said.text(), said.one("started")["count"]) == ("ok", "fresh\n", 1)
    assert it.state().strip() == "" and it.seat.kernel() != killed


def test_exit(it: Tongue) -> None:
    leave = it.lang.exit
    it.run(it.lang.set_state(10))
    before = it.seat.kernel()
    said = it.run(it.lang.code(leave.code))
    assert said.how == ("ok" if leave.error is None else "error")
    if leave.error:
        assert (said.one("error")["name"], said.one("error")["value"]) == leave.error
    assert ("its state is lost" in said.one("done").get("why", "")) == leave.dies
    assert it.state().strip() == ("10" if leave.keeps else "")
    assert (it.seat.kernel() != before) == leave.dies


# -- input -----------------------------------------------------------------------------------


def test_input_is_answered(it: Tongue) -> None:
    execution = it.start(it.lang.code(it.lang.stdin), stdin=True)
    said = Said()
    if it.lang.prompts:
        it.ws.wait_event(execution, "input", said)
        assert it.ws.ask("input", execution=execution, value="Zoë ☃ 'x'")["ok"]
    assert it.ws.rest_of(execution, said).how == "ok"
    asked = "".join(e["prompt"] for e in said.events if e["event"] == "input")
    line = "Zoë ☃ 'x'" if it.lang.prompts else ""
    assert said.text().endswith(f"<{line}>\n")
    assert "? " in asked + said.text() or not it.lang.prompts


def test_input_is_refused(it: Tongue) -> None:
    """Nobody answers: an error or the end of the input, as the language has it, and at once."""
    name, text = it.lang.without_stdin
    said = it.run(it.lang.code(it.lang.stdin))
    assert said.how == ("ok" if name is None else "error") and error_name(said) == name
    assert text is None or said.text() == text


only_bash = pytest.mark.parametrize("seat", [BASH], ids=["bash"], indirect=True)


@only_bash
@pytest.mark.parametrize("code", ["echo 'unclosed", 'echo "$(', "if true; then"])
def test_bash_that_is_not_finished(it: Tongue, code: str) -> None:
    """Nothing waits for the rest of it."""
    it.run(it.lang.set_state(11))
    said = it.run(code, timeout_ms=20_000)
    assert (said.how, said.one("error")["value"]) == ("error", "2")
    assert it.state() == "11\n"


@only_bash
def test_bash_that_reads_what_nobody_writes(it: Tongue, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    it.run(it.lang.set_state(12))
    said = it.run(f"read line <>{tmp_path / 'pipe'}", timeout_ms=300)
    assert said.how == "timeout" and "why" not in said.one("done")
    assert it.state() == "12\n"


# -- contexts --------------------------------------------------------------------------------


def test_contexts_run_at_the_same_time(it: Tongue, tmp_path: Path) -> None:
    """Each waits for what the other does: neither could end if one ran after the other."""
    lang, second = it.lang, it.ws.context(language=it.lang.name)
    files = [tmp_path / "a", tmp_path / "b"]

    def meet(mine: Path, theirs: Path) -> str:
        return lang.code(
            lang.fill(lang.touch, path=mine),
            lang.fill(lang.wait, path=theirs),
            lang.fill(lang.say, text="met"),
        )

    runs = [it.start(meet(*files)), it.ws.start(meet(*files[::-1]), context=second)]
    for execution in runs:
        said = it.ws.rest_of(execution)
        assert (said.how, said.text()) == ("ok", "met\n")
    assert it.ws.ask("delete_context", context=second)["ok"]
    until("the second kernel's end", lambda: len(kernels(it.seat.gateway)) == len(it.seat.alone) + 1)
