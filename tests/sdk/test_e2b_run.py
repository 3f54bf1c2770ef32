"""run_code in Python: streams, callbacks, results, errors, text of every kind: e2b.md sections 3.1 and 4."""

from __future__ import annotations

import asyncio
import datetime
import hashlib
import inspect
import json
from pathlib import Path
from typing import Any

import e2b_code_interpreter as e2b
import pytest
from e2b_adapter import Box, Told, hold, stderr, stdout

pytest_plugins = ["e2b_fixtures"]


# ------------------------------------------------------------------ streams and callbacks


async def test_stdout_stderr_and_count(sbx: Box, fresh: Any) -> None:
    first = await sbx.run("import sys\nprint('out')\nprint('err', file=sys.stderr)", context=fresh)
    assert (stdout(first), stderr(first), first.error, first.results) == ("out\n", "err\n", None, [])
    assert first.execution_count == 1
    assert (await sbx.run("2", context=fresh)).execution_count == 2


async def test_state_is_kept(sbx: Box, fresh: Any) -> None:
    await sbx.run("x = 1", context=fresh)
    assert (await sbx.run("x += 1; x", context=fresh)).text == "2"


async def test_default_context_is_python(sbx: Box) -> None:
    assert await sbx.out("import sys; print(sys.implementation.name)") == "cpython\n"
    await sbx.run("default_mark = 7")
    assert (await sbx.run("default_mark", language="python")).text == "7"


async def test_callbacks_in_order(sbx: Box, fresh: Any) -> None:
    told = Told()
    code = (
        "import sys, time\nfrom IPython.display import display\nprint('a')\nsys.stdout.flush()\ndisplay(1)\n"
        "print('b', file=sys.stderr, flush=True)\ndisplay(2)\nprint('c')\nraise ValueError('last')"
    )
    execution = await sbx.run(code, context=fresh, **told.callbacks)
    merged = [(k, v) for k, v in told.merged()]
    assert [k for k, _ in merged] == ["stdout", "result", "stderr", "result", "stdout", "error"]
    assert [v for k, v in merged if k.startswith("std")] == ["a\n", "b\n", "c\n"]
    assert [v.text for k, v in merged if k == "result"] == ["1", "2"]
    assert [v for k, v in merged if k == "result"] == execution.results
    assert merged[-1][1] == execution.error


async def test_callbacks_get_what_the_execution_keeps(sbx: Box) -> None:
    told = Told()
    execution = await sbx.run("for i in range(5): print(i, flush=True)\n'main'", **told.callbacks)
    assert [v for k, v in told.events if k == "stdout"] == execution.logs.stdout
    assert [v for k, v in told.events if k == "result"] == execution.results


async def test_messages_have_a_timestamp(sbx: Box) -> None:
    messages: list[Any] = []
    before = datetime.datetime.now(datetime.UTC)
    await sbx.run(
        "import sys; print(1); print(2, file=sys.stderr)",
        on_stdout=messages.append,
        on_stderr=messages.append,
    )
    after = datetime.datetime.now(datetime.UTC)
    assert sorted(message.error for message in messages) == [False, True]
    slack = datetime.timedelta(seconds=1)
    for message in messages:
        assert before - slack <= datetime.datetime.fromisoformat(str(message.timestamp)) <= after + slack


@pytest.mark.parametrize("stream", ["stdout", "stderr"])
async def test_output_is_prompt(sbx: Box, tmp_path: Path, stream: str) -> None:
    """The code goes on only when the callback has seen what it printed."""
    go = tmp_path / "go"
    code = f"import os, sys, time\nprint('knock', file=sys.{stream})\n"
    code += f"while not os.path.exists({str(go)!r}): time.sleep(0.01)\nprint('in')"
    execution = await sbx.run(code, **{f"on_{stream}": lambda message: go.touch()})
    assert stdout(execution).endswith("in\n")


async def test_results_are_prompt(sbx: Box, tmp_path: Path) -> None:
    go = tmp_path / "go"
    code = f"from IPython.display import display\ndisplay('knock')\n{hold(go)}"
    execution = await sbx.run(code, on_result=lambda result: go.touch())
    assert [result.text for result in execution.results] == ["knock"]


async def test_many_hand_shakes(sbx: Box, tmp_path: Path) -> None:
    """A hundred lines, each printed after the one before has reached the callback."""
    code = (
        "import os, time\nfor i in range(100):\n    print(i, flush=True)\n"
        f"    while not os.path.exists(os.path.join({str(tmp_path)!r}, str(i))): time.sleep(0.001)"
    )
    execution = await sbx.run(code, on_stdout=lambda m: [(tmp_path / n).touch() for n in m.line.split()])
    assert stdout(execution) == "".join(f"{i}\n" for i in range(100))


async def test_coroutine_callbacks(sbx: Box) -> None:
    """The asynchronous SDK awaits callbacks that are coroutines."""
    if sbx.client.flavour == "sync":
        return await test_callbacks_get_what_the_execution_keeps(sbx)
    heard: list[str] = []

    async def hear(message: Any) -> None:
        await asyncio.sleep(0)
        heard.append(message.line)

    assert inspect.iscoroutinefunction(hear)
    await sbx.run("print('one')\nprint('two')", on_stdout=hear)
    assert "".join(heard) == "one\ntwo\n"


async def test_a_slow_callback_loses_nothing(sbx: Box) -> None:
    """The callback falls behind; the run's output waits for it and is complete."""
    heard: list[str] = []

    def slow(message: Any) -> None:
        sum(range(200_000))
        heard.append(message.line)

    execution = await sbx.run("for i in range(300): print(i, flush=True)", on_stdout=slow)
    assert "".join(heard) == stdout(execution) == "".join(f"{i}\n" for i in range(300))


async def test_carriage_returns_arrive_as_they_are(sbx: Box) -> None:
    assert await sbx.out("print('10%\\r20%\\r30%', end='')") == "10%\r20%\r30%"


# ------------------------------------------------------------------ the main result


TEXTS = {
    "number": ("6 * 7", "42"),
    "string": ("'abc'", "abc"),
    "double quotes": ('"it\'s"', "it's"),
    "escapes stay": (r"'a\nb'", r"a\nb"),
    "empty string": ("''", ""),
    "list": ("[1, 'a']", "[1, 'a']"),
    "emoji": ("'🦆'", "🦆"),
    "bytes": ("b'x'", "b'x'"),
    "one quote only": ("type('Q', (), {'__repr__': lambda s: \"'x\"})()", "'x"),
    "await": ("import asyncio\nawait asyncio.sleep(0, 'done')", "done"),
}


@pytest.mark.parametrize("name", TEXTS)
async def test_text(sbx: Box, name: str) -> None:
    code, text = TEXTS[name]
    execution = await sbx.run(code)
    assert execution.text == text
    assert [result.is_main_result for result in execution.results] == [True]


@pytest.mark.parametrize("code", ["None", "x = 1", "", "   \n", "# a comment", "1;"])
async def test_no_result(sbx: Box, code: str) -> None:
    execution = await sbx.run(code)
    assert (execution.text, execution.results, execution.error) == (None, [], None)


async def test_blank_code_counts_nothing(sbx: Box, fresh: Any) -> None:
    counts = [(await sbx.run(code, context=fresh)).execution_count for code in ("1", "", "2", "   ", "3")]
    assert (counts[0], counts[2], counts[4]) == (1, 2, 3)
    assert all(count is not None for count in counts)


async def test_main_result_beside_others(sbx: Box) -> None:
    execution = await sbx.run(
        "from IPython.display import display\ndisplay('first')\ndisplay('second')\n'main'"
    )
    assert [(r.text, r.is_main_result) for r in execution.results] == [
        ("first", False),
        ("second", False),
        ("main", True),
    ]
    assert execution.text == "main"


async def test_result_after_print(sbx: Box) -> None:
    told = Told()
    await sbx.run("print('before')\n'value'", **told.callbacks)
    assert [k for k, _ in told.merged()] == ["stdout", "result"]


async def test_to_json(sbx: Box) -> None:
    execution = await sbx.run("print('out')\n1/0")
    data = json.loads(execution.to_json())
    assert json.loads(data["logs"]) == {"stdout": execution.logs.stdout, "stderr": []}
    assert json.loads(data["error"])["name"] == "ZeroDivisionError"


# ------------------------------------------------------------------ errors


async def test_error(sbx: Box) -> None:
    execution = await sbx.run("print('before')\n1/0\nprint('never')")
    assert stdout(execution) == "before\n"
    assert execution.error is not None
    assert (execution.error.name, execution.error.value) == ("ZeroDivisionError", "division by zero")
    assert "ZeroDivisionError" in execution.error.traceback
    assert "line 2" in execution.error.traceback
    assert "1/0" in execution.error.traceback
    assert "\x1b" not in execution.error.traceback


async def test_error_has_all_frames(sbx: Box) -> None:
    execution = await sbx.run("def inner():\n    raise KeyError('k')\ndef outer():\n    inner()\nouter()")
    assert execution.error is not None
    assert (execution.error.name, execution.error.value) == ("KeyError", "'k'")
    for part in ("inner", "outer", "line 2", "line 5"):
        assert part in execution.error.traceback


async def test_on_error(sbx: Box) -> None:
    errors: list[e2b.ExecutionError] = []
    execution = await sbx.run("raise RuntimeError('ünïcode 🦆')", on_error=errors.append)
    assert errors == [execution.error]
    assert errors[0].value == "ünïcode 🦆"


async def test_syntax_error(sbx: Box) -> None:
    execution = await sbx.run("print('never')\nx ===")
    assert execution.error is not None
    assert execution.error.name == "SyntaxError"
    assert "invalid syntax" in execution.error.value
    assert "x ===" in execution.error.traceback
    assert stdout(execution) == ""


async def test_indentation_error(sbx: Box) -> None:
    execution = await sbx.run("def f():\nreturn 1")
    assert execution.error is not None
    assert execution.error.name == "IndentationError"


async def test_error_and_state(sbx: Box, fresh: Any) -> None:
    await sbx.run("x = 5\n1/0", context=fresh)
    after = await sbx.run("x", context=fresh)
    assert (after.text, after.error) == ("5", None)


async def test_errors_of_one_context_do_not_show_in_another(sbx: Box, fresh: Any) -> None:
    failed = await sbx.run("raise OSError('mine')", context=fresh)
    assert failed.error is not None
    assert (await sbx.run("1")).error is None


async def test_queued_runs_after_an_error_run(sbx: Box, fresh: Any, tmp_path: Path) -> None:
    go = tmp_path / "go"
    first = asyncio.ensure_future(sbx.run(hold(go) + "1/0", context=fresh))
    rest = [asyncio.ensure_future(sbx.run(f"print({i})", context=fresh)) for i in range(3)]
    go.touch()
    assert (await first).error.name == "ZeroDivisionError"
    assert sorted(stdout(execution) for execution in await asyncio.gather(*rest)) == ["0\n", "1\n", "2\n"]


async def test_error_in_a_display_of_the_result(sbx: Box) -> None:
    """A repr that fails is not a result; the error or its traceback says so."""
    execution = await sbx.run("class Bad:\n    def __repr__(self): raise ValueError('no repr')\nBad()")
    told = stderr(execution) + (execution.error.traceback if execution.error else "")
    assert "no repr" in told
    assert execution.results == []


@pytest.mark.parametrize("code", ["input('name? ')", "import getpass; getpass.getpass()"])
async def test_stdin_is_refused(sbx: Box, code: str) -> None:
    execution = await sbx.run(code)
    assert execution.error is not None
    assert execution.error.name == "StdinNotImplementedError"
    assert "does not support input requests" in execution.error.value
    assert (await sbx.run("1 + 1")).text == "2"


async def test_stdin_of_a_child_is_at_its_end(sbx: Box) -> None:
    assert (
        await sbx.out("import subprocess; print(repr(subprocess.run(['cat'], capture_output=True).stdout))")
        == "b''\n"
    )


# ------------------------------------------------------------------ text of every kind

STRINGS = {
    "bmp": "äöü ß € 日本語",
    "emoji": "🦆👩‍👩‍👧‍👦🇩🇪",
    "line separators": "a\u2028b\u2029c\u0085d\x0be\x0cf\x1cg\x1dh\x1ei",
    "controls": "".join(map(chr, range(1, 32))) + "\x7f\x80\x9f",
    "nul": "a\x00b",
    "quotes": "\"'\\`$",
    "bom": "\ufeffx\ufffe\uffff",
    "json-like": '{"type":"end_of_execution"}\\n',
    "escape codes": "\x1b[31mred\x1b[0m",
}


@pytest.mark.parametrize("name", STRINGS)
async def test_any_text_printed(sbx: Box, name: str) -> None:
    text = STRINGS[name]
    told = Told()
    execution = await sbx.run(f"print({text!r})", **told.callbacks)
    assert execution.error is None
    assert stdout(execution) == told.text("stdout") == text + "\n"


@pytest.mark.parametrize("name", STRINGS)
async def test_any_text_as_code_and_result(sbx: Box, name: str) -> None:
    """The text travels raw in the code, and back in a result and an error."""
    text = STRINGS[name].replace("\x00", "").replace("\\", "").replace('"', "")
    text = "".join(c for c in text if c not in "\x0c\r\n")
    execution = await sbx.run(
        f'from IPython.display import display\ndisplay({{"text/plain": """{text}""", "x/y": """{text}"""}}, raw=True)\n'
        f'raise Exception("""{text}""")'
    )
    assert execution.error is not None, execution
    assert execution.error.value == text
    [result] = execution.results
    assert result.text == (text[1:-1] if len(text) > 1 and text[0] == text[-1] and text[0] in "'\"" else text)
    assert result.extra == {"x/y": text}


async def test_lone_surrogates_do_not_break_the_stream(sbx: Box) -> None:
    execution = await sbx.run("print('a\\ud800b')\nprint('after')")
    assert stdout(execution).startswith("a")
    assert "b\nafter\n" in stdout(execution) or execution.error is not None
    assert (await sbx.run("1 + 1")).text == "2"


async def test_invalid_utf8_from_a_child(sbx: Box) -> None:
    out = await sbx.out("import os; os.write(1, b'a\\xff\\xfeb\\n'); print('after')")
    assert "after\n" in out


async def test_output_of_child_processes_and_of_fd_1(sbx: Box) -> None:
    code = (
        "import os, subprocess\nsubprocess.run(['echo', 'child'])\nos.write(1, b'fd\\n')\n"
        "subprocess.run('echo error >&2', shell=True)"
    )
    execution = await sbx.run(code)
    assert "child\n" in stdout(execution)
    assert "fd\n" in stdout(execution)
    assert "error\n" in stderr(execution)


async def test_magics_and_shell(sbx: Box) -> None:
    assert (await sbx.out("!echo shell")).replace("\r", "") == "shell\n"
    assert await sbx.out("%%bash\necho cell") == "cell\n"


async def test_indented_code(sbx: Box) -> None:
    """A cell that is indented as a whole runs, with variables too."""
    assert await sbx.out("    import os\n    print(os.environ['KBT'])", envs={"KBT": "v"}) == "v\n"


async def test_two_megabytes_of_code(sbx: Box) -> None:
    text = "".join(chr(97 + i % 26) for i in range(1_000_000)) + "🦆" * 250_000
    await sbx.run(f"text = '{text}'")
    out = await sbx.out(
        "import hashlib; print(len(text), hashlib.sha256(text.encode()).hexdigest()); del text"
    )
    assert out == f"1250000 {hashlib.sha256(text.encode()).hexdigest()}\n"


async def test_language_and_context_together_are_refused(sbx: Box, fresh: Any) -> None:
    with pytest.raises(e2b.InvalidArgumentException, match="not both"):
        await sbx.run("1", context=fresh, language="python")


@pytest.mark.parametrize("name", ["python", "Python", " PYTHON ", ""])
async def test_names_of_python(sbx: Box, name: str) -> None:
    await sbx.run("mark_of_default = 3")
    assert (await sbx.run("mark_of_default", language=name)).text == "3"


@pytest.mark.parametrize("name", ["cobol", "no such language", "../../etc/passwd", "a" * 300, "ü", "%41"])
async def test_unknown_language(sbx: Box, name: str) -> None:
    with pytest.raises(e2b.SandboxException, match="Failed to create context") as caught:
        await sbx.run("print(1)", language=name)
    assert str(caught.value).startswith(("400 ", "500 "))
    with pytest.raises(e2b.SandboxException, match="Failed to create context"):
        await sbx.create_context(language=name)
    assert (await sbx.run("1 + 1")).text == "2"
