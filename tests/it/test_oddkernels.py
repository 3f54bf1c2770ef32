"""Kernels that do not keep to the protocol: the run ends once, says what it can, and the next one works."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import atrest
import pytest
from clients import Native, Said
from fakes import fakes, write_fakes
from harness.gateway import Gateway, until

SETTINGS = ("--start_timeout_ms=1500", "--stop_grace_ms=300", "--interrupt_grace_ms=300", atrest.QUIET)


@pytest.fixture(scope="module")
def odd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    path = tmp_path_factory.mktemp("jp")
    write_fakes(path, path / "never")
    env = {"JUPYTER_PATH": str(path)}
    running = Gateway(tmp_path_factory.mktemp("odd") / "state", *SETTINGS, env=env).wait_ready()
    yield running
    running.stop()


@pytest.fixture
def gateway(odd: Gateway) -> Iterator[Gateway]:
    """At rest before and after."""
    before = atrest.baseline(odd)
    yield odd
    atrest.check(odd, before)


def run(gateway: Gateway, code: str, language: str = "fake") -> Said:
    """Run it in a fresh context, and then another one, which must work."""
    with Native(gateway) as native:
        context = native.context(language=language)
        said = native.run(code, context=context)
        after = native.run("print next", context=context)
        assert (after.how, after.text()) == ("ok", "next\n")
        return said


def counted(gateway: Gateway, name: str) -> Callable[[], int]:
    """How much that counter has grown since."""
    before = gateway.gauge(name)
    return lambda: gateway.gauge(name) - before


@pytest.mark.parametrize("bad", ["badsig", "noparent"])
def test_output_that_belongs_to_no_run(gateway: Gateway, bad: str) -> None:
    counter = "messages_dropped_total" if bad == "badsig" else "late_output_total"
    grown = counted(gateway, counter)
    said = run(gateway, f"print before\n{bad}\nprint after")
    assert (said.how, said.text()) == ("ok", "before\nafter\n")
    until(counter, lambda: grown() == 1)


def test_output_after_idle(gateway: Gateway) -> None:
    """It is still its run's while the reply is on its way, and counted as late else; never another's."""
    grown = counted(gateway, "late_output_total")
    said = run(gateway, "late x\nprint before")
    assert said.how == "ok" and said.text() in ("before\n", "before\nx\n")
    until("all of it", lambda: grown() + said.text().count("x") == 1)


def test_output_that_comes_twice(gateway: Gateway) -> None:
    """A publisher may send one message to two subscribers of a process: no replay, and no harm."""
    said = run(gateway, "dupsig\nprint after")
    assert said.how == "ok" and said.text() == "dupsig\ndupsig\nafter\n"


def test_output_that_is_not_utf8(gateway: Gateway) -> None:
    said = run(gateway, "badutf8\nprint after")
    assert (said.how, said.text().rstrip("\n").split("\n")[-1]) == ("ok", "after")
    assert "bad\ufffdutf8" in said.text()


@pytest.mark.parametrize("order", ["reply-first", "idle-first"])
def test_ends_in_any_order(gateway: Gateway, order: str) -> None:
    said = run(gateway, f"{order}\nprint one\ndisplay 2\nprint two")
    assert (said.how, said.text(), said.one("done")["count"]) == ("ok", "one\ntwo\n", 1)
    assert [e["display_id"] for e in said.events if e["event"] == "display"] == ["1", "2"]


@pytest.mark.parametrize("order", ["reply-first", "idle-first", "noreply"])
def test_errors_in_any_order(gateway: Gateway, order: str) -> None:
    said = run(gateway, f"{order}\nprint one\nerror Sad very")
    assert said.text() == "one\n"
    assert [(e["name"], e["value"]) for e in said.events if e["event"] == "error"][0] == ("Sad", "very")
    assert said.how == ("kernel_died" if order == "noreply" else "error")


def test_no_idle(gateway: Gateway) -> None:
    """A later message proves that the kernel dropped it, and so perhaps output: the end says that."""
    said = run(gateway, "noidle\nprint one")
    assert (said.how, said.text()) == ("overrun", "one\n")
    assert "dropped" in said.one("done")["why"]


def test_no_reply(gateway: Gateway) -> None:
    said = run(gateway, "noreply\nprint one")
    assert (said.how, said.text()) == ("kernel_died", "one\n")
    assert "no reply" in said.one("done")["why"]


def test_aborted(gateway: Gateway) -> None:
    said = run(gateway, "aborted\nprint never")
    assert (said.how, said.text()) == ("aborted", "")


def test_traceback_that_is_a_string(gateway: Gateway) -> None:
    said = run(gateway, "traceback-string\nerror Sad very")
    traceback = said.one("error")["traceback"]
    assert said.how == "error" and "\n".join(traceback).endswith("Sad: very")


def test_old_publishers(gateway: Gateway) -> None:
    """No welcome message: proven live all the same, nothing of the first run is lost."""
    said = run(gateway, "print one\ndisplay 3\nresult two", "fake-oldpub")
    assert [e["event"] for e in said.events[1:-1]] == ["started", "stdout", *["display"] * 3, "result"]


def test_rich_events(gateway: Gateway) -> None:
    said = run(gateway, "display 1\nupdate 1 new\nclear\nresult six\nstderr oops")
    assert said.one("update")["bundle"] == {"text/plain": "new"}
    assert said.one("clear")["wait"] is True
    assert said.one("result")["bundle"] == {"text/plain": "six"}
    assert said.text("stderr") == "oops\n"


@pytest.mark.parametrize("language", ["fake", "fake-message"])
def test_interrupt_modes(gateway: Gateway, language: str) -> None:
    with Native(gateway) as native:
        context = native.context(language=language)
        execution = native.start("print on\nhang", context=context)
        said = native.wait_text(execution, "on")
        assert native.ask("interrupt", execution=execution)["ok"]
        said = native.rest_of(execution, said)
        assert (said.how, said.one("error")["name"]) == ("interrupted", "KeyboardInterrupt")
        assert native.run("print next", context=context).text() == "next\n"


@pytest.mark.parametrize("language", ["fake-silent", "fake-mute", "fake-exit", "fake-slow"])
def test_kernels_that_never_become_ready(gateway: Gateway, language: str) -> None:
    why = "exit code 5" if language == "fake-exit" else "did not answer within 1.5 s"
    with Native(gateway) as native:
        answer = native.ask("create_context", language=language)
        assert not answer["ok"] and why in answer["error"]["message"], answer
        said = native.run("print 1", language=language)
        assert said.how == "kernel_died" and why in said.one("done")["why"]
    assert fakes(gateway) == []


@pytest.mark.parametrize("language", ["fake-ignore", "fake-deaf"])
@pytest.mark.parametrize("busy", ["", "print on\nhang", "print on\ndeaf"])
def test_kernels_that_do_not_want_to_go(gateway: Gateway, language: str, busy: str) -> None:
    with Native(gateway) as native:
        context = native.context(language=language)
        execution = native.start(busy, context=context) if busy else ""
        said = native.wait_text(execution, "on") if busy else Said()
        assert native.ask("delete_context", context=context)["ok"]
        assert not busy or native.rest_of(execution, said).how == "aborted"
        until("its end", lambda: not fakes(gateway))


@pytest.mark.parametrize("how", ["exit 3", "die 11", "die 9"])
def test_all_that_was_sent_before_death_arrives(gateway: Gateway, how: str) -> None:
    """Less than the receive mark: libzmq drops what is still in the socket when a sender goes beyond it."""
    said = run(gateway, f"flood 600000\nprint last\n{how}")
    assert said.how == "kernel_died"
    assert len(said.text()) == 600_005 and said.text().endswith("last\n")


def test_environment_reaches_the_kernel(gateway: Gateway) -> None:
    with Native(gateway) as native:
        context = native.context(language="fake")
        assert (
            native.run("env A", context=context, envs={"A": 'it\'s "x"\n\u20ac'}).text()
            == 'it\'s "x"\n\u20ac\n'
        )


def test_a_hundred_kernels_at_once(make_gateway: Callable[..., Gateway], tmp_path: Path) -> None:
    """All of them start together, run together, and go together."""
    write_fakes(tmp_path / "jp", tmp_path / "never")
    inside = tmp_path / "inside"
    inside.mkdir()
    gateway = make_gateway(env={"JUPYTER_PATH": str(tmp_path / "jp")})
    with Native(gateway) as native:
        ids = [native.post("create_context", language="fake") for _ in range(100)]
        answers = {}
        while len(answers) < len(ids):
            message = native.message()
            answers[message["id"]] = message
        contexts = [answers[i]["context"] for i in ids]
        runs = []
        for i, context in enumerate(contexts):
            runs.append(native.start(f"touch {inside}/{i}\nwait {inside}/go\nprint {i}", context=context))
        until("all of them to run", lambda: len(list(inside.iterdir())) == 100)
        (inside / "go").touch()
        for i, execution in enumerate(runs):
            assert native.rest_of(execution).text() == f"{i}\n"
        for context in contexts:
            assert native.ask("delete_context", context=context)["ok"]
        until("no fake", lambda: not fakes(gateway))
    gateway.wait_at_rest(1)
