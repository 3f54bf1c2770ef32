"""The languages as tests see them: for each, code for the same small deeds, and what its kernel does differently.

A snippet is one or more statements; `Language.code` makes a cell of them. Placeholders <text>, <path>,
<name>, <number> are filled with a literal of the language. A snippet that is "" does not exist in the language;
the field beside it, or the comment in the row, says why.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable
from dataclasses import dataclass, replace


def quoted(text: str) -> str:
    """A literal in double quotes, which all but a shell take."""
    return json.dumps(text, ensure_ascii=False)


@dataclass(frozen=True)
class Error:
    """An error as the ERROR event tells it; `value`, `trace` and `stderr` are regular expressions to find."""

    code: str
    name: str
    value: str = ""
    trace: str = ""
    stderr: str = ""


@dataclass(frozen=True)
class Exit:
    """What exit code 3 of the language does: its error (name, value), and whether state and kernel stay."""

    code: str
    error: tuple[str, str] | None
    keeps: bool = True
    dies: bool = False


@dataclass(frozen=True)
class Language:
    """One row. What is not said by a field's name is in the comment behind it."""

    name: str
    say: str  # print <text> and a newline
    touch: str  # make the file <path>
    wait: str  # until the file <path> is there
    keep: str  # state := <number>
    kept: str  # print the state
    loop: str  # for ever
    sleep: str  # for ever
    lines: str  # print the numbers below <number>, each on its line
    long_line: str  # print 1,000,000 x
    getenv: str  # print `[value]` of variable <name>, or `unset`
    child: str  # print what /bin/sh says to <text>
    pwd: str  # print `[the directory]`
    setenv: str  # change variable <name> to `changed`
    error: Error
    syntax: Error
    third_line: Error  # in line 3
    value: tuple[str, str, str]  # an expression, the event that shows it, its text/plain or the error's value
    exit: Exit
    stdin: str  # print `<`, a line that is read after the prompt `? `, and `>`
    without_stdin: tuple[str | None, str | None]  # an error's name, or what is printed
    rich: tuple[str, str, str] | None  # code that shows something, the event, its MIME type
    interrupted: str | None  # name of the error of an interrupt; None: DONE alone tells
    names: str  # print the names that the user's code sees, one a line
    prompts: bool = True  # with stdin: true the client is asked
    sleep_stops: bool = True  # an interrupt ends a sleep; False: the kernel has to be killed
    nul: str | None = None  # print `a`, NUL, `b`; None: as any other text; "": impossible
    unprintable: str = ""  # characters that do not come out as they went in
    run_cwd: bool = True  # a directory for one run; False: only for a context
    declares: bool = False  # state is a declaration, which such a cell keeps to itself
    quick_runs: int = 20
    literal: Callable[[str], str] = quoted
    cell: Callable[[str], str] = lambda body: body

    def fill(self, snippet: str, **values: object) -> str:
        """The snippet with its placeholders filled; numbers as they are, the rest as literals."""
        for name, value in values.items():
            literal = str(value) if isinstance(value, int) else self.literal(str(value))
            snippet = snippet.replace(f"<{name}>", literal)
        return snippet

    def code(self, *statements: str) -> str:
        """A cell of these statements."""
        return self.cell("\n".join(statements))

    def print(self, text: str) -> str:
        return self.code(self.fill(self.say, text=text))

    def set_state(self, number: int) -> str:
        code = self.fill(self.keep, number=number)
        return code if self.declares else self.code(code)

    def see(self, *names: str) -> str:
        """A cell that prints each variable's value, as `getenv` does."""
        return self.code(*(self.fill(self.getenv, name=name) for name in names))


PYTHON = Language(
    name="python",
    say="print(<text>)",
    touch="open(<path>, 'w').close()",
    wait="import os, time\nwhile not os.path.exists(<path>): time.sleep(0.01)",
    keep="kept = <number>",
    kept="print(kept)",
    loop="while True: pass",
    sleep="import time\ntime.sleep(1000)",
    lines="for i in range(<number>): print(i)",
    long_line="print('x' * 1_000_000)",
    getenv="import os\nprint('[' + os.environ[<name>] + ']' if <name> in os.environ else 'unset')",
    child="import subprocess\nprint(subprocess.run(['/bin/sh', '-c', <text>], capture_output=True, text=True).stdout)",
    pwd="import os\nprint('[' + os.getcwd() + ']')",
    setenv="import os\nos.environ[<name>] = 'changed'",
    error=Error("raise ValueError('boom')", "ValueError", "boom", "boom"),
    syntax=Error("x = (", "SyntaxError", "never closed"),
    third_line=Error("x = 1\ny = 2\nraise ValueError(x)", "ValueError", "1", "line 3"),
    value=("6 * 7", "result", "42"),
    exit=Exit("import sys\nsys.exit(3)", ("SystemExit", "3")),
    stdin="print('<' + input('? ') + '>')",
    without_stdin=("StdinNotImplementedError", None),
    rich=("from IPython.display import HTML\ndisplay(HTML('<b>1</b>'))", "display", "text/html"),
    interrupted="KeyboardInterrupt",
    names="print('\\n'.join(globals()))",
)

BASH = Language(
    name="bash",
    literal=shlex.quote,
    say="printf '%s\\n' <text>",
    touch="touch <path>",
    wait="while [ ! -e <path> ]; do sleep 0.01; done",
    keep="kept=<number>",
    kept="echo $kept",
    loop="while :; do :; done",
    sleep="sleep 1000",
    lines="for ((i = 0; i < <number>; i++)); do echo $i; done",
    long_line="printf 'x%.0s' {1..1000000}; echo",
    getenv="if [ -v <name> ]; then declare -n it=<name>; printf '[%s]\\n' \"$it\"; unset -n it; else echo unset; fi",
    child="/bin/sh -c <text>",
    pwd="printf '[%s]\\n' \"$PWD\"",
    setenv="export <name>=changed",
    error=Error("echo boom >&2; (exit 7)", "", "^7$"),  # its words went to stderr
    syntax=Error("if", "", "^2$"),
    third_line=Error("x=1\ny=2\nif fi", "", "^2$", stderr="line 3: "),
    value=("6 * 7", "error", "127"),  # it is a command, and there is none of that name
    exit=Exit("exit 3", ("", "3"), keeps=False),  # a new bash in the same kernel
    stdin="read -p '? ' x; echo \"<$x>\"",
    without_stdin=(None, "<>\n"),
    prompts=False,  # read meets the end of input, whatever the client wants
    rich=None,
    interrupted="",
    names="compgen -v",
    nul="printf 'a\\0b\\n'",
)

JAVASCRIPT = Language(
    name="javascript",
    say="console.log(<text>)",
    touch="Deno.writeTextFileSync(<path>, '')",
    wait="for (;;) try { Deno.statSync(<path>); break } catch { }",
    keep="var kept = <number>",
    kept="console.log(kept)",
    loop="for (;;) { }",
    # It says so when it sleeps: before that, the interrupt would be one of running code.
    sleep="setTimeout(() => console.log('asleep'))\nawait new Promise(done => setTimeout(done, 1e9))",
    lines="for (let i = 0; i < <number>; i++) console.log(i)",
    long_line="console.log('x'.repeat(1_000_000))",
    getenv="console.log(<name> in process.env ? '[' + process.env[<name>] + ']' : 'unset')",
    child=(
        "console.log(new TextDecoder().decode("
        "new Deno.Command('/bin/sh', {args: ['-c', <text>]}).outputSync().stdout))"
    ),
    pwd="console.log('[' + Deno.cwd() + ']')",
    setenv="process.env[<name>] = 'changed'; undefined",
    error=Error("throw new TypeError('boom')", "TypeError", "^boom$", "boom"),
    syntax=Error("let let =", "Error", "Execution failed"),  # what was wrong, Deno does not say
    third_line=Error("var x = 1\nvar y = 2\nthrow new TypeError(x)", "TypeError", "1", ":3:7"),
    value=("6 * 7", "result", "42"),
    exit=Exit("Deno.exit(3)", ("SystemExit", "3"), keeps=False, dies=True),
    stdin="console.log('<' + prompt('? ') + '>')",
    without_stdin=(None, "<null>\n"),
    rich=("Deno.jupyter.html`<b>1</b>`", "result", "text/html"),
    interrupted="Error",
    sleep_stops=False,
    names="console.log(Object.getOwnPropertyNames(globalThis).join('\\n'))",
    quick_runs=300,
)

TYPESCRIPT = replace(
    JAVASCRIPT,
    name="typescript",
    say="console.log(<text> as string)",
    keep="var kept: number = <number>",
    value=("const six: number = 6; six * 7", "result", "42"),
)

R = Language(
    name="r",
    # R refuses text that changes its direction where it is not written as an escape.
    literal=lambda text: quoted(text).replace("\u202e", "\\u202e"),
    say="cat(<text>, '\\n', sep = '')",
    touch="invisible(file.create(<path>))",
    wait="while (!file.exists(<path>)) Sys.sleep(0.01)",
    keep="kept <- <number>",
    kept="cat(kept, '\\n', sep = '')",
    loop="while (TRUE) { }",
    sleep="Sys.sleep(1000)",
    lines="for (i in seq_len(<number>) - 1L) cat(i, '\\n', sep = '')",
    long_line="cat(strrep('x', 1e6), '\\n', sep = '')",
    getenv="cat(if (is.na(Sys.getenv(<name>, NA))) 'unset' else paste0('[', Sys.getenv(<name>), ']'), '\\n', sep = '')",
    child="cat(system2('/bin/sh', c('-c', shQuote(<text>)), stdout = TRUE), sep = '\\n')",
    pwd="cat('[', getwd(), ']\\n', sep = '')",
    setenv="do.call(Sys.setenv, setNames(list('changed'), <name>)) -> done; rm(done)",
    error=Error("stop('boom')", "ERROR", "boom", "boom"),
    syntax=Error("x <- (", "ERROR", "unexpected end of input"),
    third_line=Error("x <- 1\ny <- 2\nz <- )", "ERROR", "<text>:3:6"),
    value=("6 * 7", "display", "[1] 42"),  # IRkernel never sends a result
    exit=Exit("quit(status = 3)", None),  # IRkernel makes it nothing
    stdin="x <- readline('? ')\ncat('<', x, '>\\n', sep = '')",
    without_stdin=(None, "? \n<>\n"),
    rich=("plot(1:3)", "display", "image/png"),
    interrupted=None,  # the reply says abort, and nothing else
    names="cat(ls(all.names = TRUE), sep = '\\n')",
    nul="",
    unprintable="\x7f",  # cat() leaves it out
)

JAVA = Language(
    name="java",
    # One statement: JJava runs a cell's statements one by one, and hears no interrupt between two.
    cell=lambda body: "{\n" + body + "\n}",
    declares=True,
    say="System.out.println(<text>);",
    touch="new java.io.File(<path>).createNewFile();",
    wait="while (!new java.io.File(<path>).exists()) Thread.sleep(10);",
    keep="int kept = <number>;",
    kept="System.out.println(kept);",
    loop="while (true) { }",
    sleep="Thread.sleep(1_000_000);",
    lines="for (int i = 0; i < <number>; i++) System.out.println(i);",
    long_line='System.out.println("x".repeat(1_000_000));',
    getenv='System.out.println(System.getenv(<name>) == null ? "unset" : "[" + System.getenv(<name>) + "]");',
    child=(
        'System.out.println(new String(new ProcessBuilder("/bin/sh", "-c", <text>).start()'
        ".getInputStream().readAllBytes()));"
    ),
    pwd='System.out.println("[" + new java.io.File("").getAbsolutePath() + "]");',
    setenv="",  # a program of Java cannot
    error=Error(
        'throw new IllegalStateException("boom");', "RuntimeException", "IllegalStateException, boom", "boom"
    ),
    syntax=Error("int int = 3;", "CompilationException", "REJECTED", "expected"),
    # Lines are those of the snippet: of one statement or declaration of the cell.
    third_line=Error(
        'int x = 1;\nthrow new IllegalStateException("boom");', "RuntimeException", "boom", r"\(#\d+:3\)"
    ),
    value=("6 * 7", "result", "42"),
    exit=Exit("System.exit(3);", ("SystemExit", "3"), keeps=False, dies=True),
    stdin=(
        'System.out.print("? ");\n'
        'System.out.println("<" + new java.util.Scanner(System.in).nextLine() + ">");'
    ),
    without_stdin=("RuntimeException", None),
    rich=('display("<b>1</b>", "text/html");', "display", "text/html"),
    interrupted="EvaluationInterruptedException",
    run_cwd=False,  # a JVM cannot change its directory
    names="",
)

GO = Language(
    name="go",
    cell=lambda body: "%%\n" + body,
    say="fmt.Println(<text>)",
    touch="os.WriteFile(<path>, nil, 0o600)",
    wait="for { if _, err := os.Stat(<path>); err == nil { break }; time.Sleep(10 * time.Millisecond) }",
    keep="var kept = <number>",
    kept="fmt.Println(kept)",
    loop="for { }",
    sleep="time.Sleep(1000 * time.Second)",
    lines="for i := 0; i < <number>; i++ { fmt.Println(i) }",
    long_line='fmt.Println(strings.Repeat("x", 1_000_000))',
    getenv=(
        'if v, ok := os.LookupEnv(<name>); ok { fmt.Println("[" + v + "]") } else { fmt.Println("unset") }'
    ),
    child='{ out, _ := exec.Command("/bin/sh", "-c", <text>).Output(); fmt.Println(string(out)) }',
    pwd='{ dir, _ := os.Getwd(); fmt.Println("[" + dir + "]") }',
    setenv='os.Setenv(<name>, "changed")',
    error=Error('panic("boom")', "ExitError", "exit status 2", stderr="panic: boom"),
    syntax=Error("if {", "ERROR", "main.go"),
    third_line=Error(
        "x := 1\nx++\ny := 2", "ERROR", "declared and not used: y", "Line 4"
    ),  # %% is a line too
    value=("%%\n6 * 7", "error", "is not used"),  # a cell has no value
    exit=Exit("os.Exit(3)", ("ExitError", "exit status 3")),  # each cell is a process of its own
    stdin='var s string\nfmt.Scanln(&s)\nfmt.Println("<" + s + ">")',
    without_stdin=(None, "<>\n"),
    prompts=False,
    rich=("%ls", "display", "text/html"),
    interrupted="Interrupted",
    names="",
    declares=True,
    quick_runs=8,  # each one is compiled
)

ALL = (PYTHON, BASH, JAVASCRIPT, TYPESCRIPT, R, JAVA, GO)
