"""Java, Go and R: variables and a directory for one run, in the kernels as install-kernels makes them
(they take both from the request's metadata) and in stock ones (configs/languages.json); and what our
versions of these kernels do that the stock ones do not."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from harness.gateway import prefix
from rawkernel import Outcome, RawKernel
from specs import write_spec
from test_languages_table import NASTY, TABLE, filled

SPECS = prefix() / "share" / "jupyter" / "kernels"

# A child process that prints, as JSON on one line, its directory and the variables it is asked for.
CHILD = "import json,os,sys; print(json.dumps([os.getcwd(), {n: os.environ.get(n) for n in sys.argv[1:]}]))"

GO = """import ("fmt"; "os"; "os/exec"; "encoding/json"; "time")
func main() { %s }"""
GO_OWN = """own := map[string]*string{}
for _, name := range []string{NAMES} { if v, ok := os.LookupEnv(name); ok { own[name] = &v } else { own[name] = nil } }
b, _ := json.Marshal(own)
fmt.Println(string(b))"""
JAVA_OWN = """{ var own = new StringBuilder("{");
for (String name : new String[] {%s}) { String v = System.getenv(name);
  own.append(own.length() > 1 ? "," : "").append('"').append(name).append("\\":");
  if (v == null) own.append("null"); else { own.append('"'); for (char c : v.toCharArray())
    own.append(String.format("\\\\u%%04x", (int) c)); own.append('"'); } }
System.out.println(own.append("}")); }"""


def text(value: str) -> str:
    return json.dumps(value, ensure_ascii=False)


def texts(values: Any) -> str:
    return ", ".join(text(v) for v in values)


@dataclass
class Language:
    """How a test asks one language; `own` and `child` print one line of JSON."""

    stock: Callable[[], list[str]]  # a stock kernel's argv
    own: Callable[[list[str]], str]  # {name: value or null} as the language sees them
    child: Callable[[list[str]], str]  # [directory, {name: value or null}] as a child process sees them
    put: Callable[[str, str], str]  # set a variable, so that later runs see it
    say: Callable[[str], str]  # print a text


def spec_argv(name: str) -> list[str]:
    return json.loads((SPECS / name / "kernel.json").read_text())["argv"]


def stock_java() -> list[str]:
    argv = spec_argv("java")
    jar = str(prefix() / "java" / "jjava.jar")
    return [*argv[: argv.index("-cp")], "-cp", jar, "org.dflib.jjava.distro.JJava", argv[-1]]


def stock_r() -> list[str]:
    argv = spec_argv("r")
    ours = next(i for i, word in enumerate(argv) if word.startswith("--file="))
    return [*argv[:ours], "-e", "IRkernel::main()", *argv[ours + 1 :]]


def go_child(names: list[str]) -> str:
    run = f'out, err := exec.Command("python3", {texts(["-c", CHILD, *names])}).Output()'
    return GO % f"{run}; if err != nil {{ panic(err) }}; fmt.Print(string(out))"


LANGUAGES = {
    "r": Language(
        stock_r,
        lambda names: (
            "cat(jsonlite::toJSON(as.list(Sys.getenv(c(%s), NA, names = TRUE)), auto_unbox = TRUE,"
            ' na = "null"), "\\n", sep = "")' % texts(names)
        ),
        lambda names: (
            f'cat(system2("python3", shQuote(c({texts(["-c", CHILD, *names])})), stdout = TRUE), "\\n")'
        ),
        lambda name, value: f"Sys.setenv({name} = {text(value)}); invisible()",
        lambda what: f"cat({text(what)})",
    ),
    "java": Language(
        stock_java,
        lambda names: JAVA_OWN % texts(names),
        lambda names: (
            "System.out.print(new String(new ProcessBuilder(%s).start().getInputStream().readAllBytes()));"
            % texts(["python3", "-c", CHILD, *names])
        ),
        lambda name, value: f"System.setProperty({text(name)}, {text(value)});",
        lambda what: f"System.out.print({text(what)});",
    ),
    "go": Language(
        lambda: spec_argv("go"),
        lambda names: GO % GO_OWN.replace("NAMES", texts(names)),
        go_child,
        lambda name, value: f"%env {name} {text(value)}",
        lambda what: GO % f"fmt.Print({text(what)})",
    ),
}


class Session:
    def __init__(self, folder: Path, name: str, stock: bool) -> None:
        self.name, self.stock, self.language = name, stock, LANGUAGES[name]
        where = SPECS.parent
        if stock:
            where = folder / "specs"
            spec = json.loads((SPECS / name / "kernel.json").read_text())
            more = {"metadata": {"kernelbridge": {"transport": "tcp"}}} if name == "java" else {}
            write_spec(where, name, self.language.stock(), env=spec.get("env", {}), **more)
        self.kernel = RawKernel(folder, name, where)
        self.cwd = str(self.kernel.cwd)

    def run(self, code: str, env: dict[str, str] | None = None, cwd: str | None = None) -> Outcome:
        """Run code with variables and a directory of its own, as the gateway has this kernel do it."""
        if not self.stock:
            meta = {k: v for k, v in (("env", env), ("cwd", cwd)) if v is not None}
            return self.kernel.run(code, meta=meta or None, store_history=True)
        if env is None and cwd is None:
            return self.kernel.run(code, store_history=True)
        enter = self.hidden("enter", env or {}, cwd)
        if enter.reply["status"] == "ok":
            out = self.kernel.run(code, store_history=True)
        leave = self.hidden("leave", env or {}, cwd)
        assert leave.reply["status"] == "ok", leave
        return out if enter.reply["status"] == "ok" else enter

    def hidden(self, side: str, env: dict[str, str], cwd: str | None) -> Outcome:
        code = filled(TABLE[self.name], side, env, cwd, self.cwd)
        return self.kernel.run(code, silent=True)

    def ask(self, code: str, *around: Any) -> Any:
        out = self.run(code, *around)
        assert out.reply["status"] == "ok", out
        return json.loads(out.stdout)

    def own(self, names: Any, *around: Any) -> dict[str, str | None]:
        return self.ask(self.language.own(list(names)), *around)

    def child(self, names: Any, *around: Any) -> list[Any]:
        return self.ask(self.language.child(list(names)), *around)


KINDS = [(name, stock) for name in LANGUAGES for stock in (False, True)]


@pytest.fixture(scope="module", params=KINDS, ids=lambda k: f"{'stock-' if k[1] else ''}{k[0]}")
def session(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Session]:
    one = Session(tmp_path_factory.mktemp("k"), *request.param)
    yield one
    one.kernel.close()


@pytest.fixture(scope="module")
def kernels(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], Session]]:
    """Our own kernel of a language, started once."""
    made: dict[str, Session] = {}

    def get(name: str) -> Session:
        if name not in made:
            made[name] = Session(tmp_path_factory.mktemp("k"), name, False)
        return made[name]

    yield get
    for one in made.values():
        one.kernel.close()


# -- for one run ------------------------------------------------------------------------------


def test_values_are_exact_and_nothing_is_left(session: Session) -> None:
    none = dict.fromkeys(NASTY)
    assert session.own(NASTY, NASTY) == NASTY
    child_sees = none if session.name == "java" and session.stock else NASTY  # a JVM's children need more
    assert session.child(NASTY, NASTY) == [session.cwd, child_sees]
    assert session.own(NASTY) == none
    assert session.child(NASTY) == [session.cwd, none]


def test_100_kilobytes(session: Session) -> None:
    if session.name == "java" and session.stock:
        pytest.skip("a literal of Java holds 65535 bytes")
    big = {"KB_BIG": "0123456789" * 10_000}
    assert session.own(big, big) == big
    assert session.own(big) == {"KB_BIG": None}


def test_what_was_there_comes_back(session: Session) -> None:
    language = session.language
    if session.name == "java":
        session.run(language.put("KB_OLD", "o'l\td\\"))
        seen = 'System.out.println("[" + System.getProperty("KB_OLD") + System.getProperty("KB_NEW") + "]");'
        again = language.put("KB_OLD", "x") + language.put("KB_NEW", "x")
        assert session.run(seen + again, {"KB_OLD": "new", "KB_NEW": "1"}).stdout == "[new1]\n"
        assert session.run(seen).stdout == "[o'l\td\\null]\n"
        return
    session.run(language.put("KB_OLD", "o'l\td\\"))
    session.run(language.put("KB_EMPTIED", ""))
    own = {"KB_OLD": "new", "KB_EMPTIED": "full", "KB_NEW": "1"}
    change = "\n".join(language.put(name, "2") for name in ("KB_OLD", "KB_EMPTIED", "KB_NEW", "KB_KEPT"))
    assert session.run(change, own).reply["status"] == "ok"
    left = {"KB_OLD": "o'l\td\\", "KB_EMPTIED": "", "KB_NEW": None, "KB_KEPT": "2"}
    if session.stock and session.name == "go":
        left |= {"KB_OLD": "2", "KB_EMPTIED": "2", "KB_NEW": "2"}  # nothing sets what %env changes back
    assert session.own(left) == left
    assert session.child(left) == [session.cwd, left]


def test_directory(session: Session, tmp_path: Path) -> None:
    odd = tmp_path / 'it\'s "odd"\n$HOME `x` \\n \U0001f600 {path}'
    odd.mkdir()
    if session.name == "java":
        if not session.stock:
            refused = session.run("1", None, str(odd))
            assert refused.reply["ename"] == "NotSupported" and len(refused.errors) == 1
        assert "enter_cd" not in TABLE["java"]
        return
    assert session.child(["KB_ONE"], {"KB_ONE": "1"}, str(odd)) == [str(odd), {"KB_ONE": "1"}]
    assert session.child(["KB_ONE"]) == [session.cwd, {"KB_ONE": None}]


def test_what_cannot_be_set_changes_nothing(session: Session) -> None:
    env, cwd = {"KB_ONE": "1"}, "/nonexistent"
    if session.name == "java":
        if session.stock:
            return
        env, cwd = {"KB_ONE": "1", "KB=": "1"}, None
    out = session.run(session.language.say("ran"), env, cwd)
    assert out.reply["status"] == "error" and "ran" not in out.stdout
    assert out.reply["evalue"] or out.stderr
    assert session.own(["KB_ONE"]) == {"KB_ONE": None}
    assert session.child([])[0] == session.cwd


def test_lines_and_count_are_the_users(session: Session) -> None:
    """The gateway corrects the counts of stock kernels; ours need no hidden request at all."""
    if session.stock:
        pytest.skip("gateway/exec_around.c")
    first = session.run(session.language.say("1")).reply["execution_count"]
    out = session.run(session.language.say("1"), {"KB_ONE": "1"})
    assert out.reply["execution_count"] == first + 1
    inputs = [content for kind, content in out.others if kind == "execute_input"]
    assert [i["code"] for i in inputs] == [session.language.say("1")]


# -- what our versions add --------------------------------------------------------------------


@pytest.mark.parametrize("name", LANGUAGES)
def test_long_output_is_complete(kernels: Callable[[str], Session], name: str) -> None:
    code = {
        "r": 'for (i in 0:19999) cat("l\u00edn\u20aca", i, "\\n", sep = "")',
        "java": 'for (int i = 0; i < 20000; i++) System.out.println("l\u00edn\u20aca" + i);',
        "go": GO % 'for i := 0; i < 20000; i++ { fmt.Printf("l\u00edn\u20aca%d\\n", i) }',
    }[name]
    assert kernels(name).run(code).stdout == "".join(f"l\u00edn\u20aca{i}\n" for i in range(20000))


@pytest.mark.parametrize("name", LANGUAGES)
def test_output_comes_while_a_loop_runs(kernels: Callable[[str], Session], name: str) -> None:
    """The second line waits for the first to be seen: the test would hang, were it held back."""
    session = kernels(name)
    flag = session.cwd + "/seen"
    code = {
        "r": 'for (i in 1:2) { cat("line\\n"); while (!file.exists("%s")) { Sys.sleep(0.02); cat("") } }',
        "java": 'for (int i = 0; i < 2; i++) { System.out.println("line"); while'
        ' (!java.nio.file.Files.exists(java.nio.file.Path.of("%s"))) Thread.sleep(20); }',
        "go": GO
        % 'for i := 0; i < 2; i++ { fmt.Println("line"); for { if _, e := os.Stat("%s"); e == nil { break };'
        " time.Sleep(20*time.Millisecond) } }",
    }[name]
    out = session.kernel.finish(session.kernel.send(code % flag), on_text=lambda seen: Path(flag).touch())
    assert out.stdout == "line\nline\n"


@pytest.mark.parametrize("name", LANGUAGES)
def test_an_interrupted_loop_prints_no_more(kernels: Callable[[str], Session], name: str) -> None:
    session = kernels(name)
    code = {
        "r": 'repeat cat("tick\\n")',
        "java": 'while (true) System.out.println("tick");',
        "go": GO % 'for { fmt.Println("tick") }',
    }[name]
    for _turn in range(5):
        out = session.kernel.interrupted(code)
        assert out.reply["status"] in ("error", "abort")
        assert session.run(session.language.say("next")).stdout == "next"


@pytest.mark.parametrize("name", ["r", "go"])
def test_an_interrupt_between_cells_is_nothing(kernels: Callable[[str], Session], name: str) -> None:
    """Of those that get a signal; a message to Java may arrive after the next request."""
    session = kernels(name)
    for _turn in range(5):
        session.kernel.manager.interrupt_kernel()
        assert session.run(session.language.say("next")).stdout == "next"


def test_java_interrupt_between_statements(kernels: Callable[[str], Session]) -> None:
    """Nothing of the cell runs while its second statement is compiled."""
    java = kernels("java")
    for turn in range(10):
        out = java.kernel.interrupted(f'System.out.println("{turn}");\nint turn = {turn};\nwhile (true) {{}}')
        assert (out.stdout, out.reply["status"]) == (f"{turn}\n", "error")
    assert java.run(java.language.say("next")).stdout == "next"


@pytest.mark.parametrize("name", LANGUAGES)
def test_reading_meets_the_end(kernels: Callable[[str], Session], name: str) -> None:
    code = {
        "r": 'x <- readline("? "); cat("[", x, "]", sep = "")',
        "java": 'System.out.print("[" + System.in.read() + "]");',
        "go": GO % 'n, err := os.Stdin.Read(make([]byte, 1)); fmt.Print("[", n, err, "]")',
    }[name]
    assert kernels(name).run(code).stdout.endswith({"r": "[]", "java": "[-1]", "go": "[0 EOF]"}[name])


def test_go_program_that_fails_is_an_error(kernels: Callable[[str], Session]) -> None:
    go = kernels("go")
    out = go.run(GO % 'panic("boom")')
    assert (out.reply["ename"], out.reply["evalue"]) == ("ExitError", "exit status 2")
    assert "panic: boom" in out.stderr and len(out.errors) == 1
    assert go.run(GO % "os.Exit(3)").reply["evalue"] == "exit status 3"
    assert go.run("!exit 3").reply["status"] == "ok"  # of a shell's command only stderr tells


def test_go_magics_keep_characters(kernels: Callable[[str], Session]) -> None:
    go = kernels("go")
    go.run('%env KB_MAGIC "\u00e9\U0001f600"')
    assert go.own(["KB_MAGIC"]) == {"KB_MAGIC": "\u00e9\U0001f600"}
