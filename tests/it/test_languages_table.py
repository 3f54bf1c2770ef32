"""The code that configs/languages.json puts around a run, in the kernels themselves: what a run gets,
and that nothing of it is left. The substitution is done here as gateway/language.c does it."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from harness.gateway import prefix
from rawkernel import INSTALLED, RawKernel
from specs import write_spec

ROOT = Path(__file__).resolve().parents[2]
TABLE = json.loads((ROOT / "configs" / "languages.json").read_text())
PYTHON = str(prefix() / "venv" / "bin" / "python")

NASTY = {
    "KB_PLAIN": "plain",
    "KB_QUOTES": 'it\'s "quoted" `x` $HOME $(id) ${x} \\n \\ %s {name} {value} {each} !! !x #',
    "KB_LINES": "one\ntwo\r\n\ttabbed\n",
    "KB_CONTROL": "\x01\x1b[0m\x7f\u00a0",
    "KB_UNICODE": "\U0001f600 \u00e4\u20ac",
    "KB_EMPTY": "",
    "KB_SPACE": "  two  ",
}

# A child process that prints, as JSON on one line, its directory and the variables it is asked for.
CHILD = "import json,os,sys; print(json.dumps([os.getcwd(), {n: os.environ.get(n) for n in sys.argv[1:]}]))"


def child_python(names: list[str]) -> str:
    command = ["python3", "-c", CHILD, *names]
    return f"print(__import__('subprocess').run({command!r}, capture_output=True, text=True).stdout, end='')"


def child_bash(names: list[str]) -> str:
    return shlex.join(["python3", "-c", CHILD, *names])


def child_deno(names: list[str]) -> str:
    args = json.dumps(["-c", CHILD, *names])
    run = f"(await import('node:child_process')).execFileSync('python3', {args})"
    return f"console.log({run}.toString().trim());"


BASH_SECOND = ' | python3 -c "import json; print(json.dumps(json.loads(input())[1]))"'
DENO_ENV = "console.log(JSON.stringify(Object.fromEntries(%s.map(n => [n, process.env[n] ?? null]))));"
DENO_NAMES = "console.log(JSON.stringify(Reflect.ownKeys(globalThis).map(String)%s));"


@dataclass
class Language:
    """How a test asks one language; each code prints one line of JSON."""

    row: str
    kernel: str  # name of a kernelspec
    stock: list[str] | None  # its argv, where it is not the installed one
    child: Callable[[list[str]], str]  # [directory, {name: value or null}] as a child process sees them
    own: Callable[[list[str]], str]  # {name: value or null} as the language sees them
    names: str  # every name that user code could meet while a run has its own variables
    put: Callable[[str, str], str]  # set a variable
    drop: Callable[[str], str]  # remove it
    go: Callable[[str], str]  # change directory


LANGUAGES = {
    "python": Language(
        "python",
        "stock-python",
        [PYTHON, "-m", "ipykernel_launcher", "-f", "{connection_file}"],
        child_python,
        lambda names: f"import json, os; print(json.dumps({{n: os.environ.get(n) for n in {names!r}}}))",
        "import json; print(json.dumps(sorted(globals())))",
        lambda name, value: f"import os; os.environ[{name!r}] = {value!r}",
        lambda name: f"import os; os.environ.pop({name!r}, None)",
        lambda path: f"import os; os.chdir({path!r})",
    ),
    "bash": Language(
        "bash",
        "stock-bash",
        [PYTHON, "-m", "bash_kernel", "-f", "{connection_file}"],
        child_bash,
        lambda names: child_bash(names) + BASH_SECOND,
        "{ compgen -v; compgen -A function; alias; } | grep -vE '^(_|BASH_.*|PIPESTATUS|FUNCNAME)$'"
        ' | python3 -c "import json, sys; print(json.dumps(sorted(sys.stdin.read().split())))"',
        lambda name, value: f"export {name}={quoted(TABLE['bash'], value)}",
        lambda name: f"unset {name}",
        lambda path: f"cd {shlex.quote(path)}",
    ),
} | {
    name: Language(
        name,
        name,
        None,
        child_deno,
        lambda names: DENO_ENV % json.dumps(names),
        DENO_NAMES % ".filter(n => n !== 'Symbol(kernelbridge)')",
        lambda name, value: f"process.env[{json.dumps(name)}] = {json.dumps(value)}; undefined",
        lambda name: f"delete process.env[{json.dumps(name)}]; undefined",
        lambda path: f"process.chdir({json.dumps(path)})",
    )
    for name in ("javascript", "typescript")
}


class Session:
    """A kernel, and runs with their own variables and directory in it."""

    def __init__(self, folder: Path, language: Language) -> None:
        self.language = language
        self.row: dict[str, Any] = TABLE[language.row]
        specs = INSTALLED
        if language.stock:
            specs = folder / "specs"
            write_spec(specs, language.kernel, language.stock)
        self.kernel = RawKernel(folder, language.kernel, specs)
        self.cwd = str(self.kernel.cwd)

    def ask(self, code: str) -> Any:
        """Return what `code` prints, a line of JSON."""
        out = self.kernel.run(code, ends="\n")
        assert out.reply["status"] == "ok", out
        return json.loads(out.stdout)

    def around(self, env: dict[str, str], cwd: str | None, then: Callable[[], Any]) -> Any:
        """Enter, call `then`, leave. Nothing may be shown by entering and leaving, nor fail."""
        for side in ("enter", "leave"):
            out = self.hidden(side, env, cwd)
            assert out.reply["status"] == "ok", out
            assert (out.stdout, out.stderr, out.shown, out.errors) == ("", "", [], [])
            if side == "enter":
                result = then()
        return result

    def hidden(self, side: str, env: dict[str, str], cwd: str | None):
        return self.kernel.run(filled(self.row, side, env, cwd, self.cwd), silent=True)

    def seen_by_child(self, names: Any) -> tuple[str, dict[str, str | None]]:
        cwd, env = self.ask(self.language.child(list(names)))
        return cwd, env

    def seen(self, names: Any) -> dict[str, str | None]:
        return self.ask(self.language.own(list(names)))


def quoted(row: dict[str, Any], text: str) -> str:
    if row.get("quote", "json") == "json":
        return json.dumps(text, ensure_ascii=False)
    return "$'" + "".join(chr(b) if 32 <= b < 127 and b not in b"'\\" else f"\\{b:03o}" for b in text.encode()) + "'"


def lines(row: dict[str, Any], key: str) -> str:
    value = row.get(key, "")
    return value if isinstance(value, str) else "\n".join(value)


def filled(row: dict[str, Any], side: str, env: dict[str, str], cwd: str | None, home: str) -> str:
    """Return the code of one side, "enter" or "leave"."""

    def fill(code: str, **words: str) -> str:
        return re.sub(r"\{(\w+)\}", lambda hole: words.get(hole[1], hole[0]), code)

    def literals(code: str, **words: str) -> str:
        return fill(code, **{hole: quoted(row, word) for hole, word in words.items()})

    each = "".join(literals(lines(row, f"{side}_each"), name=n, value=v) for n, v in env.items())
    path = cwd if side == "enter" else home
    cd = "" if cwd is None else literals(lines(row, f"{side}_cd"), path=path)
    return fill(lines(row, side), each=each, cd=cd)


SEPARATORS = {"KB_SEPARATORS": "a\u2028b\u2029c\u0085d"}  # end a line for some, but not in a shell


@pytest.fixture(scope="module", params=LANGUAGES)
def session(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Session]:
    one = Session(tmp_path_factory.mktemp("k"), LANGUAGES[request.param])
    yield one
    one.kernel.close()


def test_values_are_exact_and_nothing_is_left(session: Session) -> None:
    before = session.seen(NASTY)
    seen = session.around(NASTY, None, lambda: (session.seen(NASTY), session.seen_by_child(NASTY)))
    assert seen == (NASTY, (session.cwd, NASTY))
    assert session.seen(NASTY) == before == dict.fromkeys(NASTY)
    assert session.seen_by_child(NASTY) == (session.cwd, before)


def test_line_separators(session: Session) -> None:
    assert session.around(SEPARATORS, None, lambda: session.seen_by_child(SEPARATORS)[1]) == SEPARATORS


def test_100_kilobytes(session: Session) -> None:
    big = {"KB_BIG": "0123456789" * 10_000}
    assert session.around(big, None, lambda: session.seen_by_child(big)) == (session.cwd, big)
    assert session.seen(big) == {"KB_BIG": None}


def test_what_was_there_comes_back(session: Session) -> None:
    language, run = session.language, session.kernel.run
    run(language.put("KB_OLD", "o'l\td\\"))
    run(language.put("KB_EMPTIED", ""))
    own = {"KB_OLD": "new", "KB_EMPTIED": "full", "KB_NEW": "1"}

    def then() -> dict[str, str | None]:
        seen = session.seen(own)
        run(language.put("KB_NEW", "2"))
        run(language.put("KB_EMPTIED", "3"))
        run(language.drop("KB_OLD"))
        run(language.put("KB_KEPT", "4"))
        return seen

    assert session.around(own, None, then) == own
    left = {"KB_OLD": "o'l\td\\", "KB_EMPTIED": "", "KB_NEW": None, "KB_KEPT": "4"}
    assert session.seen(left) == left
    assert session.seen_by_child(left)[1] == left


def test_directory(session: Session, tmp_path: Path) -> None:
    odd = tmp_path / 'it\'s "odd"\n$HOME `x` \\n \U0001f600 {path}'
    odd.mkdir()

    def then() -> tuple[str, dict[str, str | None]]:
        seen = session.seen_by_child(["KB_ONE"])
        session.kernel.run(session.language.go("/"))
        return seen

    assert session.around({"KB_ONE": "1"}, str(odd), then) == (str(odd), {"KB_ONE": "1"})
    assert session.around({}, "/", lambda: session.seen_by_child([])) == ("/", {})
    assert session.seen_by_child(["KB_ONE"]) == (session.cwd, {"KB_ONE": None})


def test_a_directory_that_is_not_there_changes_nothing(session: Session) -> None:
    env = {"KB_ONE": "1"}
    refused = session.hidden("enter", env, "/nonexistent")
    assert refused.reply["status"] == "error"
    assert session.seen_by_child(env) == (session.cwd, {"KB_ONE": None})
    assert session.hidden("leave", env, "/nonexistent").reply["status"] == "ok"
    assert session.seen_by_child(env) == (session.cwd, {"KB_ONE": None})


def test_no_name_shows(session: Session, tmp_path: Path) -> None:
    names = session.language.names
    session.ask(names)  # the first question may import something
    before = session.ask(names)
    during = session.around({"KB_ONE": "1"}, str(tmp_path), lambda: session.ask(names))
    added = {"KB_ONE"} if session.language.row == "bash" else set()
    if session.language.row == "bash" and "OLDPWD" not in before:
        added.add("OLDPWD")
    assert set(during) - set(before) == added
    assert session.ask(names) == before


def test_bash_variables_of_every_kind_come_back(tmp_path: Path) -> None:
    session = Session(tmp_path, LANGUAGES["bash"])
    run = session.kernel.run
    try:
        run("plain='p p'; declare -a list=(1 'two 2'); declare -A map=([a]=1); declare -i number=5")
        run("export -n PAGER")
        show = "declare -p plain list map number PAGER OLDPWD"
        run("cd /; cd - >/dev/null")
        before = run(show).stdout
        own = dict.fromkeys(("plain", "list", "map", "number", "PAGER"), "x y")
        seen = session.around(own, "/tmp", lambda: session.seen_by_child(own))
        assert seen == ("/tmp", own)
        assert run(show).stdout == before
        assert "declare -a list" in before and "declare -- plain" in before
    finally:
        session.kernel.close()
