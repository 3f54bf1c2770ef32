"""Variables and directories of a run, a context and a sandbox, in every language: exact, and gone afterwards."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from clients import Native, Said
from harness.gateway import Gateway
from languages import ALL, GO, JAVA
from tongue import Seat, Tongue, check_error, seated, talking

VALUES = {
    "KB_QUOTES": 'it\'s "quoted" and `ticked`',
    "KB_LINES": "\none\r\ntwo\n\n",
    "KB_DOLLAR": "$HOME ${KB_OLD} $(id) %d {name} {value} {each} {cd}",
    "KB_BACKSLASH": "\\ \\\\ \\n \\u0041 \\",
    "KB_BLANKS": " \t a \t ",
    "KB_TEXT": "Zoë 😀 👩‍👩‍👧 你好 e\u0301 \u202e",
    "KB_CONTROL": "\x01\x1b[31m\x7f",
    "KB_EMPTY": "",
    "KB_OLD": "another",
}
STRANGE = 'it\'s "a" $HOME `x`\n\\n é 😀 {path}'

RESTING = ("--pool_python=0",)  # kernels are told apart by when they came


@pytest.fixture(scope="module", params=ALL, ids=lambda lang: lang.name)
def seat(
    request: pytest.FixtureRequest,
    resting: tuple[Gateway, dict[str, int]],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Seat]:
    """A context with variables, in a sandbox with variables, in a directory with a strange name."""
    home = tmp_path_factory.mktemp(request.param.name) / STRANGE
    home.mkdir()
    box = {"KB_BOX": "of the sandbox", "KB_BOTH": "of the sandbox", "KB_OLD": VALUES["KB_QUOTES"]}
    with Native(resting[0]) as ws:
        assert ws.ask("create_sandbox", name="box", envs=box)["ok"]
    own = {"KB_BOTH": VALUES["KB_DOLLAR"]}
    with seated(resting, request.param, sandbox="box", cwd=str(home), envs=own) as seat:
        yield seat


@pytest.fixture
def it(seat: Seat) -> Iterator[Tongue]:
    with talking(seat) as tongue:
        yield tongue


@pytest.fixture
def there(tmp_path: Path) -> str:
    path = tmp_path / STRANGE
    path.mkdir()
    return str(path)


def where(it: Tongue) -> str:
    """The directory that code finds itself in."""
    said = it.run(it.lang.code(it.lang.pwd))
    assert said.text().startswith("[") and said.text().endswith("]\n"), said.events
    return said.text()[1:-2]


def shown(values: dict[str, str]) -> str:
    return "".join(f"[{value}]\n" for value in values.values())


def only_output(said: Said) -> bool:
    """No sign of what was done around the code."""
    kinds = [event["event"] for event in said.events if event["event"] != "stdout"]
    return kinds == ["accepted", "started", "done"]


def test_of_a_context_and_its_sandbox(it: Tongue) -> None:
    said = it.run(it.lang.see("KB_BOX", "KB_BOTH", "KB_OLD"))
    assert said.text() == f"[of the sandbox]\n[{VALUES['KB_DOLLAR']}]\n[{VALUES['KB_QUOTES']}]\n"
    assert where(it).endswith("/" + STRANGE)


def test_home_is_the_sandboxes(it: Tongue, resting: tuple[Gateway, dict[str, int]]) -> None:
    (home,) = it.run(it.lang.see("HOME")).text().splitlines()
    assert re.fullmatch(rf"\[{re.escape(str(resting[0].state_dir))}/sandboxes/[^/]+/home\]", home), home


def test_of_one_run(it: Tongue) -> None:
    """Exact to the last byte; what was set before comes back, what was not set is not set again."""
    values = {k: "".join(c for c in v if c not in it.lang.unprintable) for k, v in VALUES.items()}
    first = it.run(it.lang.see("KB_OLD"))
    said = it.run(it.lang.see(*values), envs=values)
    assert (said.how, said.text()) == ("ok", shown(values))
    assert only_output(said)
    after = it.run(it.lang.see(*values))
    assert after.text() == "unset\n" * (len(values) - 1) + first.text()
    counts = [s.one("started")["count"] for s in (first, said, after)]
    assert counts == list(range(counts[0], counts[0] + 3))


def test_in_a_child(it: Tongue) -> None:
    show = it.lang.code(it.lang.fill(it.lang.child, text='printf "[%s][%s]" "$KB_BOX" "$KB_NEW"'))
    said = it.run(show, envs={"KB_NEW": "a b"})
    assert said.text().strip() == "[of the sandbox][a b]"
    assert it.run(show).text().strip() == "[of the sandbox][]"


@pytest.mark.parametrize("end", ["error", "syntax", "interrupt", "timeout", "setenv"])
def test_taken_back_however_a_run_ends(it: Tongue, end: str, there: str) -> None:
    lang = it.lang
    keys = {"envs": {"KB_OLD": "x", "KB_NEW": "y"}} | ({"cwd": there} if lang.run_cwd else {})
    before = where(it)
    if end == "interrupt":
        execution, said = it.begun(lang.loop, **keys)
        assert it.ws.ask("interrupt", execution=execution)["ok"]
        assert it.ws.rest_of(execution, said).how == "interrupted"
    elif end == "timeout":
        assert it.run(lang.code(lang.loop), timeout_ms=300, **keys).how == "timeout"
    elif end == "setenv":
        if lang is JAVA:
            return  # a program of Java cannot change its variables
        code = lang.code(*(lang.fill(lang.setenv, name=name) for name in ("KB_OLD", "KB_NEW")))
        assert it.run(code, **keys).how == "ok"
    else:
        check_error(it.run(lang.code(getattr(lang, end).code), **keys), getattr(lang, end))
    said = it.run(lang.see("KB_OLD", "KB_NEW"))
    assert said.text() == f"[{VALUES['KB_QUOTES']}]\nunset\n"
    assert where(it) == before


def test_lines_are_true(it: Tongue) -> None:
    error = it.lang.third_line
    check_error(it.run(it.lang.code(error.code), envs={"KB_NEW": "1\n2\n3"}), error)


def test_no_name_is_left_or_seen(it: Tongue) -> None:
    if not it.lang.names:
        assert it.lang in (JAVA, GO)  # nothing lists what is declared; nothing is
        return

    def names(**keys: Any) -> set[str]:
        listed = it.run(it.lang.code(it.lang.names), **keys).text().split()
        return {name for name in listed if not name.startswith("_i")}  # IPython's inputs

    before = names()
    assert names(envs={"KB_NEW": "1"}) - before <= {"KB_NEW"}
    assert names() == before


def test_directory_of_one_run(it: Tongue, there: str) -> None:
    before = where(it)
    said = it.run(it.lang.code(it.lang.pwd), cwd=there)
    if it.lang.run_cwd:
        assert (said.how, said.text()) == ("ok", f"[{there}]\n") and only_output(said)
        said = it.run(it.lang.code(it.lang.fill(it.lang.child, text="pwd -P")), cwd=there)
        assert said.text().strip("\n") == there
    else:
        assert said.how == "error" and "make a context with that cwd" in said.one("error")["value"]
        assert "cannot change its directory" in said.one("error")["value"]
    assert where(it) == before


def test_directory_that_is_not_there(it: Tongue, tmp_path: Path) -> None:
    for op, keys in (
        ("execute", {"code": "", "context": it.seat.context}),
        ("create_context", {"language": it.lang.name}),
    ):
        answer = it.ws.ask(op, cwd=str(tmp_path / "none"), **keys)
        assert not answer["ok"] and answer["error"]["code"] == "invalid"
        assert str(tmp_path / "none") in answer["error"]["message"]


def test_a_fresh_kernel_has_them_too(it: Tongue) -> None:
    before = where(it)
    assert it.ws.ask("restart_context", context=it.seat.context)["ok"]
    assert it.run(it.lang.see("KB_BOX", "KB_BOTH")).text() == f"[of the sandbox]\n[{VALUES['KB_DOLLAR']}]\n"
    assert where(it) == before
