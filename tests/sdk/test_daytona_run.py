"""run_code: output, callbacks, error objects, and what exec-mode code sees. daytona.md sections 3 and 4."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import daytona
import pytest
from adapter import Box, Heard
from daytona_toolbox_api_client import InterpreterContext

# ------------------------------------------------------------------ output

OUTPUT = {
    "print": ("print('hi')", "hi\n", ""),
    "nothing": ("x = 1", "", ""),
    "comment only": ("# nothing to do", "", ""),
    "blank lines": ("\n\n\n", "", ""),
    "stderr": ("import sys; sys.stderr.write('oops\\n')", "", "oops\n"),
    "both": ("import sys\nprint('o')\nprint('e', file=sys.stderr)", "o\n", "e\n"),
    "last expression is not printed": ("print('a')\n1 + 1", "a\n", ""),
    "string expression is not printed": ("'text'", "", ""),
    "no newline": ("import sys; sys.stdout.write('abc'); None", "abc", ""),
    "print with end and flush": ("print('a', end='', flush=True); print('b', end='')", "ab", ""),
    "empty writes": (
        "import sys; sys.stdout.write(''); sys.stdout.write('x'); sys.stdout.flush(); None",
        "x",
        "",
    ),
    "writelines": ("import sys; sys.stdout.writelines(['a\\n', 'b\\n'])", "a\nb\n", ""),
    "carriage return": ("print('a\\rb\\r\\nc')", "a\rb\r\nc\n", ""),
    "tabs and escapes": ("print('\\t\\x1b[31mred\\x1b[0m\\x07')", "\t\x1b[31mred\x1b[0m\x07\n", ""),
    "unicode": ("print('héllo wörld 日本語 Ω')", "héllo wörld 日本語 Ω\n", ""),
    "emoji": ("print('🦆👩‍👩‍👧')", "🦆👩‍👩‍👧\n", ""),
    "non-characters": ("print('\\ufeff\\ufffe\\u2028\\u0085')", "\ufeff\ufffe\u2028\u0085\n", ""),
    "NUL": ("print('a\\x00b')", "a\x00b\n", ""),
    "lone surrogate": ("print('a\\ud800b')", "a\ufffdb\n", ""),
    "JSON special": (r"""print('"\\ / \' {}')""", "\"\\ / ' {}\n", ""),
    "windows line ends in code": ("a = 1\r\nif a:\r\n    print('crlf')\r\n", "crlf\n", ""),
    "indented as a whole": ("if True:\n  print('in')", "in\n", ""),
    "name": ("print(__name__, '__file__' in globals())", "__main__ False\n", ""),
    "main guard": ("if __name__ == '__main__':\n    print('main')", "main\n", ""),
    "logging": ("import logging; logging.getLogger('kb').warning('careful')", "", "careful\n"),
    "class and function": (
        "class A:\n    def f(self):\n        return 7\n\ndef g():\n    return A().f()\nprint(g())",
        "7\n",
        "",
    ),
    "comprehension sees globals": ("k = 3\nprint([i * k for i in range(3)])", "[0, 3, 6]\n", ""),
    "rich display": (
        "from IPython.display import display, HTML\ndisplay(HTML('<b>x</b>'))\nprint('after')",
        "after\n",
        "",
    ),
    "object with a picture": (
        "class P:\n    def _repr_png_(self):\n        return b'\\x89PNG'\nP()",
        "",
        "",
    ),
}


@pytest.mark.parametrize("name", OUTPUT)
async def test_output(box: Box, name: str) -> None:
    code, stdout, stderr = OUTPUT[name]
    result = await box.run(code)
    assert result.error is None
    assert (result.stdout, result.stderr) == (stdout, stderr)


async def test_result_is_the_sdk_type(box: Box) -> None:
    result = await box.run("print(1)")
    assert isinstance(result, daytona.ExecutionResult)


async def test_warning_goes_to_stderr(box: Box) -> None:
    result = await box.run("import warnings; warnings.warn('brittle')")
    assert result.error is None
    assert "UserWarning: brittle" in result.stderr
    assert result.stdout == ""


async def test_threads_print(box: Box) -> None:
    result = await box.run(
        "import sys, threading\n"
        "ts = [threading.Thread(target=lambda i=i: sys.stdout.write(f'thread {i}\\n')) for i in range(8)]\n"
        "[t.start() for t in ts]\n"
        "[t.join() for t in ts]\n"
        "print('joined')"
    )
    lines = result.stdout.splitlines()
    assert sorted(lines[:-1]) == [f"thread {i}" for i in range(8)]
    assert lines[-1] == "joined"


async def test_child_process_output(box: Box) -> None:
    result = await box.run(
        "import subprocess\nsubprocess.run(['sh', '-c', 'echo from child; echo to stderr >&2'], check=True)\nNone"
    )
    assert result.error is None
    assert result.stdout == "from child\n"
    assert result.stderr == "to stderr\n"


async def test_os_system_and_descriptor_writes(box: Box) -> None:
    result = await box.run(
        "import os\nos.write(1, b'fd one\\n'); os.write(2, b'fd two\\n'); r = os.system('echo shell')"
    )
    assert result.error is None
    assert sorted(result.stdout.splitlines()) == ["fd one", "shell"]
    assert result.stderr == "fd two\n"


async def test_captured_child_output_stays_captured(box: Box) -> None:
    result = await box.run("import subprocess\nprint(subprocess.check_output(['echo', 'kept']))")
    assert result.stdout == "b'kept\\n'\n"


async def test_child_reads_an_empty_stdin(box: Box) -> None:
    result = await box.run("import subprocess\nprint(subprocess.run(['cat'], capture_output=True).stdout)")
    assert result.stdout == "b''\n"


async def test_asyncio_run_in_code(box: Box) -> None:
    """Code that brings its own loop: in a thread, as it must where a loop may already run."""
    result = await box.run(
        "import asyncio, threading\n"
        "async def f():\n    await asyncio.sleep(0)\n    print('in loop')\n"
        "t = threading.Thread(target=lambda: asyncio.run(f())); t.start(); t.join()"
    )
    assert (result.stdout, result.error) == ("in loop\n", None)


# ------------------------------------------------------------------ callbacks


async def test_callbacks_hear_everything_in_order(box: Box) -> None:
    heard = Heard()
    result = await box.run(
        "import sys\nprint('one')\nprint('two', file=sys.stderr)\nprint('three')\n"
        "print('four', file=sys.stderr)\n1/0",
        **heard.callbacks,
    )
    assert [(k, v if k != "error" else v.name) for k, v in heard.merged()] == [
        ("stdout", "one\n"),
        ("stderr", "two\n"),
        ("stdout", "three\n"),
        ("stderr", "four\n"),
        ("error", "ZeroDivisionError"),
    ]
    assert heard.text("stdout") == result.stdout
    assert heard.text("stderr") == result.stderr
    assert heard.events[-1][1] == result.error


async def test_callback_types(box: Box) -> None:
    seen: list[Any] = []
    await box.run("print(1); raise ValueError('v')", on_stdout=seen.append, on_error=seen.append)
    assert {type(value) for value in seen[:-1]} == {daytona.OutputMessage}
    assert type(seen[-1]) is daytona.ExecutionError


async def test_a_printed_line_is_one_message(box: Box) -> None:
    """Handlers print a prefix for each message, as the SDK's examples do: a line is not cut in two.

    print() writes the line's end by itself: a machine that takes the processor away just there may cut one.
    """
    cut = 0
    for number in range(40):
        heard = Heard()
        await box.run(f"print({number})", **heard.callbacks)
        assert "".join(text for _, text in heard.events) == f"{number}\n"
        cut += len(heard.events) > 1
    assert cut < 10


async def test_code_with_a_lone_surrogate(box: Box) -> None:
    """Python sends it as a JSON escape; Daytona's own server reads U+FFFD."""
    result = await box.run("print('a\ud800b')")
    assert (result.stdout, result.error) == ("a\ufffdb\n", None)


async def test_output_arrives_while_the_code_runs(box: Box, tmp_path: Path) -> None:
    """The code goes on only when the callback has heard its first line."""
    go = tmp_path / "go"
    result = await box.run(
        f"import os, time\nprint('first')\nwhile not os.path.exists({str(go)!r}): time.sleep(0.01)\nprint('second')",
        on_stdout=lambda message: go.touch(),
    )
    assert result.stdout == "first\nsecond\n"


async def test_text_without_newline_arrives_while_the_code_runs(box: Box, tmp_path: Path) -> None:
    go = tmp_path / "go"
    result = await box.run(
        "import os, sys, time\nsys.stdout.write('prompt> ')\n"
        f"while not os.path.exists({str(go)!r}): time.sleep(0.01)",
        on_stdout=lambda message: go.touch(),
    )
    assert result.stdout == "prompt> "


async def test_stderr_arrives_while_the_code_runs(box: Box, tmp_path: Path) -> None:
    go = tmp_path / "go"
    result = await box.run(
        "import os, sys, time\nprint('warn', file=sys.stderr)\n"
        f"while not os.path.exists({str(go)!r}): time.sleep(0.01)",
        on_stderr=lambda message: go.touch(),
    )
    assert result.stderr == "warn\n"


async def test_child_output_arrives_while_the_child_runs(box: Box, tmp_path: Path) -> None:
    go = tmp_path / "go"
    result = await box.run(
        "import subprocess\n"
        f"subprocess.run(['sh', '-c', 'echo ready; while [ ! -e {go} ]; do sleep 0.05; done'])\nNone",
        on_stdout=lambda message: go.touch(),
    )
    assert result.stdout == "ready\n"


async def test_callback_that_raises_leaves_the_context_usable(box: Box) -> None:
    def refuse(message: daytona.OutputMessage) -> None:
        raise RuntimeError("callback failed")

    with pytest.raises(daytona.DaytonaError, match="callback failed"):
        await box.run("print('x')", on_stdout=refuse)
    assert (await box.run("print('fine')")).stdout == "fine\n"


# ------------------------------------------------------------------ errors

ERRORS = {
    "ValueError": ("raise ValueError('bad')", "ValueError", "bad"),
    "ZeroDivisionError": ("1/0", "ZeroDivisionError", "division by zero"),
    "NameError": ("no_such_name", "NameError", "name 'no_such_name' is not defined"),
    "KeyError shows its repr": ("{}['k']", "KeyError", "'k'"),
    "no message": ("raise RuntimeError", "RuntimeError", ""),
    "unicode message": ("raise ValueError('日本 🦆')", "ValueError", "日本 🦆"),
    "several lines": ("raise ValueError('a\\nb')", "ValueError", "a\nb"),
    "NUL in the message": ("raise ValueError('a\\x00b')", "ValueError", "a\x00b"),
    "surrogate in the message": ("raise ValueError('\\ud800')", "ValueError", "\ufffd"),
    "own class": ("class Broken(Exception): pass\nraise Broken('x')", "Broken", "x"),
    "import": ("import no_such_module", "ModuleNotFoundError", "No module named 'no_such_module'"),
    "assert": ("assert 1 == 2, 'sums'", "AssertionError", "sums"),
    "os error": ("open('/no/such')", "FileNotFoundError", "[Errno 2] No such file or directory: '/no/such'"),
    "KeyboardInterrupt of its own": ("raise KeyboardInterrupt", "KeyboardInterrupt", ""),
    "BaseException": ("raise BaseException('base')", "BaseException", "base"),
    "generator": ("raise StopIteration(3)", "StopIteration", "3"),
    "input": ("input('name? ')", "EOFError", None),
}


@pytest.mark.parametrize("name", ERRORS)
async def test_error(box: Box, name: str) -> None:
    code, ename, value = ERRORS[name]
    heard = Heard()
    result = await box.run("still = 'here'\n" + code, **heard.callbacks)
    assert result.error is not None
    assert result.error.name == ename
    if value is not None:
        assert result.error.value == value
    assert [v for k, v in heard.events if k == "error"] == [result.error]
    assert result.stderr == ""
    lines = result.error.traceback.splitlines()
    assert lines[0] == "Traceback (most recent call last):"
    assert "\x1b" not in result.error.traceback
    last = f"{ename}: {value}" if value else ename
    assert last.split("\n")[0].replace("\x00", "") in result.error.traceback.replace("\x00", "")
    assert (await box.run("print(still)")).stdout == "here\n"


async def test_output_before_the_error_is_kept(box: Box) -> None:
    result = await box.run("print('before')\nraise ValueError('x')\nprint('never')")
    assert result.stdout == "before\n"
    assert result.error is not None


async def test_traceback_form(box: Box) -> None:
    """First line, a frame with its line number and source line, last line; nothing of the machinery."""
    result = await box.run("def f(n):\n    return 1 // n\n\nf(0)")
    assert result.error is not None
    text = result.error.traceback
    assert text.startswith("Traceback (most recent call last):\n")
    assert text.endswith("ZeroDivisionError: integer division or modulo by zero\n") or text.endswith(
        "ZeroDivisionError: integer division or modulo by zero"
    )
    frames = [line for line in text.splitlines() if line.startswith("  File ")]
    assert len(frames) == 2, text
    assert "line 4" in frames[0]
    assert "line 2" in frames[1]
    assert "    f(0)" in text.splitlines()
    assert "    return 1 // n" in text.splitlines()
    for machinery in ("ipykernel", "IPython", "kernelbridge", "site-packages", "\x1b"):
        assert machinery not in text


async def test_traceback_through_a_library(box: Box) -> None:
    result = await box.run("import json\njson.loads('{')")
    assert result.error is not None
    assert result.error.name == "JSONDecodeError"
    assert "json/decoder.py" in result.error.traceback
    assert result.error.traceback.rstrip().splitlines()[-1].startswith("json.decoder.JSONDecodeError: ")


async def test_traceback_with_cause(box: Box) -> None:
    result = await box.run(
        "try:\n    {}['missing']\nexcept KeyError as e:\n    raise ValueError('wrapped') from e"
    )
    assert result.error is not None
    assert (result.error.name, result.error.value) == ("ValueError", "wrapped")
    text = result.error.traceback
    assert text.startswith("Traceback (most recent call last):\n")
    assert "KeyError: 'missing'" in text
    assert "The above exception was the direct cause of the following exception:" in text
    assert text.rstrip().endswith("ValueError: wrapped")


async def test_traceback_with_context(box: Box) -> None:
    result = await box.run("try:\n    1/0\nexcept ZeroDivisionError:\n    undefined_thing")
    assert result.error is not None
    assert result.error.name == "NameError"
    assert "ZeroDivisionError: division by zero" in result.error.traceback
    assert "During handling of the above exception, another exception occurred:" in result.error.traceback


async def test_deep_recursion(box: Box) -> None:
    result = await box.run("def down():\n    down()\ndown()")
    assert result.error is not None
    assert result.error.name == "RecursionError"
    assert (await box.run("print('fine')")).stdout == "fine\n"


async def test_str_that_raises(box: Box) -> None:
    result = await box.run(
        "class Evil(Exception):\n    def __str__(self):\n        raise TypeError('no')\nraise Evil()"
    )
    assert result.error is not None
    assert result.error.name == "Evil"


SYNTAX = {
    "missing parenthesis": ("print('a'", "SyntaxError"),
    "bad statement": ("x ==== 1", "SyntaxError"),
    "bad indentation": ("def f():\nreturn 1", "IndentationError"),
    "unclosed string": ("x = 'abc", "SyntaxError"),
    "in a later line": ("print('never')\nfor", "SyntaxError"),
}


@pytest.mark.parametrize("name", SYNTAX)
async def test_syntax_error(box: Box, name: str) -> None:
    """Nothing runs, the error names its class, and the traceback ends with it."""
    code, ename = SYNTAX[name]
    result = await box.run(code)
    assert result.error is not None
    assert result.error.name == ename
    assert "line " in result.error.value
    assert result.error.traceback.rstrip().splitlines()[-1].startswith(f"{ename}: ")
    assert "\x1b" not in result.error.traceback
    assert (result.stdout, result.stderr) == ("", "")


# ------------------------------------------------------------------ leaving

EXITS = (
    "sys.exit()",
    "sys.exit(0)",
    "sys.exit(3)",
    "sys.exit('bye')",
    "raise SystemExit",
    "exit()",
    "quit(1)",
)


@pytest.mark.parametrize("code", EXITS)
async def test_exit_is_clean_and_keeps_the_state(ctx: Any, box: Box, code: str) -> None:
    result = await box.run(f"import sys\nkept = 5\nprint('before')\n{code}\nprint('never')", context=ctx)
    assert result.error is None
    assert (result.stdout, result.stderr) == ("before\n", "")
    assert (await box.run("print(kept)", context=ctx)).stdout == "5\n"


async def test_input_delivers_no_hang(box: Box) -> None:
    result = await box.run(
        "try:\n    input('? ')\nexcept EOFError:\n    print('no input here')\n"
        "import sys\nprint(repr(sys.stdin.read()) if sys.stdin else 'no stdin')"
    )
    assert result.error is None
    assert "no input here" in result.stdout


# ------------------------------------------------------------------ requests


async def test_empty_code_is_refused(box: Box) -> None:
    with pytest.raises(daytona.DaytonaConnectionError) as caught:
        await box.run("")
    assert str(caught.value) == "Failed to run code: code is required (close code 1008)"


async def test_unknown_context_is_refused(box: Box) -> None:
    stranger = InterpreterContext(
        id="nowhere", cwd="/", created_at="2026-01-01T00:00:00Z", active=True, language="python"
    )
    with pytest.raises(daytona.DaytonaConnectionError) as caught:
        await box.run("print(1)", context=stranger)
    assert str(caught.value) == "Failed to run code: context not found: nowhere (close code 1008)"


async def test_default_by_its_name(box: Box) -> None:
    """contextId "default" is the shared context."""
    await box.run("shared_value = 'same'")
    default = InterpreterContext(
        id="default", cwd="/", created_at="2026-01-01T00:00:00Z", active=True, language="python"
    )
    assert (await box.run("print(shared_value)", context=default)).stdout == "same\n"


async def test_state_is_kept(box: Box) -> None:
    await box.run("import math\ndef area(r):\n    return math.pi * r * r\ncount = 1")
    await box.run("count += 1")
    assert (await box.run("print(round(area(count), 3))")).stdout == "12.566\n"


async def test_many_runs_one_after_the_other(box: Box) -> None:
    await box.run("total = 0")
    for number in range(30):
        result = await box.run(f"total += {number}\nprint({number})")
        assert result.stdout == f"{number}\n"
    assert (await box.run("print(total)")).stdout == "435\n"


async def test_run_after_a_failed_run(box: Box) -> None:
    """Right after an error the next run is not aborted, even where it was sent at once."""
    outcomes = await asyncio.gather(
        *(box.run("raise ValueError('x')" if i % 2 else "print('ok')") for i in range(8))
    )
    assert sorted(o.stdout for o in outcomes) == [""] * 4 + ["ok\n"] * 4
    assert sum(o.error is not None for o in outcomes) == 4
