"""`codes.run` in Python: streams, handlers, results, errors, interrupts, requests: opensandbox.md (b), (c)."""

from __future__ import annotations

import asyncio
import hashlib
import http.client
import json
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from opensandbox.exceptions import InvalidArgumentException, SandboxApiException, SandboxException
from osb_adapter import Box, Client, Told, hold, results, start, stderr, stdout
from osb_raw import Raw, parse, text

pytest_plugins = ["osb_fixtures"]

Make = Callable[..., Awaitable[Box]]


# --- streams and handlers -------------------------------------------------------------------


async def test_streams_and_count(osb: Box, osb_ctx: Any) -> None:
    first = await osb.run("import sys\nprint('out')\nprint('err', file=sys.stderr)", context=osb_ctx)
    assert (stdout(first), stderr(first), first.error, first.result) == ("out\n", "err\n", None, [])
    assert (first.id, first.execution_count) == (osb_ctx.id, 1)
    assert first.complete is not None
    assert (await osb.run("2", context=osb_ctx)).execution_count == 2


async def test_state_is_kept(osb: Box, osb_ctx: Any) -> None:
    await osb.run("x = 1", context=osb_ctx)
    assert results(await osb.run("x += 1; x", context=osb_ctx)) == ["2"]


async def test_default_context_is_pythons(osb: Box) -> None:
    await osb.run("default_mark = 7")
    named = await osb.run("default_mark", language="python")
    assert results(named) == ["7"]
    assert named.id == (await osb.run("pass")).id
    assert await osb.out("import sys; print(sys.implementation.name)") == "cpython\n"


async def test_clients_share_the_default_context(osb: Box, osb_client: Client) -> None:
    other = await osb_client.connect(osb.id)
    await osb.run("shared_mark = 8")
    try:
        assert results(await other.run("shared_mark")) == ["8"]
    finally:
        await other.close()


async def test_handlers_in_order(osb: Box, osb_ctx: Any) -> None:
    told = Told()
    code = (
        "import sys\nfrom IPython.display import display\nprint('a')\nsys.stdout.flush()\ndisplay(1)\n"
        "print('b', file=sys.stderr, flush=True)\ndisplay(2)\nprint('c')\nraise ValueError('last')"
    )
    execution = await osb.run(code, context=osb_ctx, handlers=told.handlers(osb.client))
    merged = told.merged()
    assert [kind for kind, _ in merged] == ["init", "stdout", "result", "stderr", "result", "stdout", "error"]
    assert [value for kind, value in merged if kind.startswith("std")] == ["a\n", "b\n", "c\n"]
    assert [value.text for kind, value in merged if kind == "result"] == ["1", "2"]
    assert merged[0][1].id == osb_ctx.id
    assert merged[-1][1] == execution.error
    assert execution.complete is None


async def test_handlers_get_what_the_execution_keeps(osb: Box) -> None:
    told = Told()
    execution = await osb.run("print('one')\n'main'", handlers=told.handlers(osb.client))
    assert told.kinds == ["init", "stdout", "result", "execution_complete"]
    assert told.text("stdout") == stdout(execution)
    assert told.events[2][1] == execution.result[0]
    assert told.events[3][1] == execution.complete


async def test_handlers_instead_of_the_execution(osb: Box) -> None:
    told = Told()
    handlers = told.handlers(osb.client, skip_accumulation=True)
    execution = await osb.run("print('said')", handlers=handlers)
    assert (told.text("stdout"), stdout(execution)) == ("said\n", "")


async def test_a_handler_that_raises_loses_nothing(osb: Box) -> None:
    told = Told()
    handlers = told.handlers(osb.client)
    if osb.client.flavour == "sync":

        def fail(message: Any) -> None:
            raise RuntimeError(message.text)

        handlers.on_stdout = fail
    else:

        async def fail_later(message: Any) -> None:
            raise RuntimeError(message.text)

        handlers.on_stdout = fail_later
    execution = await osb.run("for i in range(3): print(i, flush=True)\n'end'", handlers=handlers)
    assert (stdout(execution), results(execution)) == ("0\n1\n2\n", ["'end'"])
    assert told.kinds == ["init", "result", "execution_complete"]


async def test_events_have_a_time(osb: Box) -> None:
    told = Told()
    before = int(time.time() * 1000)
    execution = await osb.run("print('x')\n1", handlers=told.handlers(osb.client))
    after = int(time.time() * 1000)
    stamps = [value.timestamp for kind, value in told.events if kind not in ("stdout", "stderr")]
    stamps += [message.timestamp for message in execution.logs.stdout]
    assert len(stamps) == 4
    assert all(before - 1000 <= stamp <= after + 1000 for stamp in stamps)


async def test_time_of_a_run(osb: Box) -> None:
    execution = await osb.run("import time; time.sleep(0.2)")
    assert execution.complete is not None
    assert 200 <= execution.complete.execution_time_in_millis < 60_000


@pytest.mark.parametrize("stream", ["stdout", "stderr"])
async def test_output_is_prompt(osb: Box, tmp_path: Path, stream: str) -> None:
    """The code goes on only when the handler has seen what it printed."""
    go = tmp_path / "go"
    code = f"import os, sys, time\nprint('held', file=sys.{stream})\n"
    code += f"while not os.path.exists({str(go)!r}): time.sleep(0.01)\nprint('in')"
    told = Told()
    running = asyncio.ensure_future(osb.run(code, handlers=told.handlers(osb.client)))
    await told.wait_text(stream, "held")
    go.touch()
    assert stdout(await running).endswith("in\n")


async def test_results_are_prompt(osb_raw: Raw, tmp_path: Path) -> None:
    go = tmp_path / "go"
    code = f"from IPython.display import display\ndisplay('knock')\n{hold(go)}"
    seen = []
    with osb_raw.stream("POST", "/code", {"code": code}) as answer:
        for line in answer.iter_lines():
            if line:
                seen.append(json.loads(line))
                if seen[-1]["type"] == "result":
                    go.touch()
    assert [event["type"] for event in seen if event["type"] != "ping"][-1] == "execution_complete"


async def test_many_hand_shakes(osb_raw: Raw, tmp_path: Path) -> None:
    """A hundred lines, each printed after the one before has reached the client."""
    code = (
        "import os, time\nfor i in range(100):\n    print(i, flush=True)\n"
        f"    while not os.path.exists(os.path.join({str(tmp_path)!r}, str(i))): time.sleep(0.001)"
    )
    out = ""
    with osb_raw.stream("POST", "/code", {"code": code}) as answer:
        for line in answer.iter_lines():
            event = json.loads(line) if line else {"type": ""}
            if event["type"] == "stdout":
                out += event["text"]
                for number in event["text"].split():
                    (tmp_path / number).touch()
    assert out == "".join(f"{i}\n" for i in range(100))


async def test_carriage_returns_arrive_as_they_are(osb: Box) -> None:
    assert await osb.out("print('10%\\r20%\\r30%', end='')") == "10%\r20%\r30%"


async def test_output_of_child_processes_and_of_fd_1(osb: Box) -> None:
    execution = await osb.run(
        "import os, subprocess\nsubprocess.run(['echo', 'child'])\nos.write(1, b'fd\\n')\n"
        "subprocess.run('echo error >&2', shell=True)"
    )
    assert "child\n" in stdout(execution)
    assert "fd\n" in stdout(execution)
    assert "error\n" in stderr(execution)


# --- results --------------------------------------------------------------------------------

TEXTS = {
    "number": ("6 * 7", "42"),
    "string": ("'abc'", "'abc'"),
    "list": ("[1, 'a']", "[1, 'a']"),
    "emoji": ("'🦆'", "'🦆'"),
    "empty string": ("''", "''"),
    "await": ("import asyncio\nawait asyncio.sleep(0, 'done')", "'done'"),
    "after print": ("print('before')\n7", "7"),
}


@pytest.mark.parametrize("name", TEXTS)
async def test_text(osb: Box, name: str) -> None:
    code, want = TEXTS[name]
    assert results(await osb.run(code)) == [want]


@pytest.mark.parametrize("code", ["None", "x = 1", "# a comment", "1;"])
async def test_no_result(osb: Box, code: str) -> None:
    execution = await osb.run(code)
    assert (execution.result, execution.error) == ([], None)
    assert execution.complete is not None


async def test_what_is_shown_is_a_result(osb: Box) -> None:
    """display_data and its updates too, each where it was shown."""
    code = (
        "from IPython.display import display\nd = display('first', display_id=True)\nprint('between')\n"
        "d.update('second')\n'main'"
    )
    told = Told()
    execution = await osb.run(code, handlers=told.handlers(osb.client))
    assert results(execution) == ["'first'", "'second'", "'main'"]
    assert [kind for kind, _ in told.merged()][1:5] == ["result", "stdout", "result", "result"]


async def test_all_types_of_a_result(osb_raw: Raw) -> None:
    """text/plain is called text; the others are as they are, objects too."""
    bundle = {
        "text/plain": "t",
        "text/html": "<b>",
        "image/png": "iVBO",
        "application/json": {"a": [1, None]},
    }
    events = osb_raw.code(f"from IPython.display import display\ndisplay({bundle!r}, raw=True)")
    [result] = [event["results"] for event in events if event["type"] == "result"]
    assert result.pop("text") == bundle.pop("text/plain")
    assert result == bundle


async def test_a_figure(osb_raw: Raw) -> None:
    events = osb_raw.code("import matplotlib.pyplot as plt\nplt.plot([1, 2])\nplt.show()")
    [result] = [
        event["results"] for event in events if event["type"] == "result" and "image/png" in event["results"]
    ]
    assert result["image/png"].startswith("iVBORw0KGgo")
    assert result["text"].startswith("<Figure")


async def test_results_have_no_more_than_the_kernels(osb_raw: Raw) -> None:
    """Further forms of values are another dialect's."""
    events = osb_raw.code("[1, {'a': 2}]")
    assert [event["results"] for event in events if event["type"] == "result"] == [{"text": "[1, {'a': 2}]"}]


async def test_a_large_result(osb_raw: Raw) -> None:
    """20 MB in one event, whole."""
    events = osb_raw.code("'é' * 10_000_000")
    [result] = [event["results"]["text"] for event in events if event["type"] == "result"]
    assert result == "'" + "é" * 10_000_000 + "'"
    assert events[-1]["type"] == "execution_complete"


# --- errors ---------------------------------------------------------------------------------


async def test_error(osb: Box) -> None:
    execution = await osb.run("print('before')\n1/0\nprint('never')")
    assert stdout(execution) == "before\n"
    assert execution.error is not None
    assert (execution.error.name, execution.error.value) == ("ZeroDivisionError", "division by zero")
    trace = "\n".join(execution.error.traceback)
    assert "ZeroDivisionError" in trace
    assert "line 2" in trace
    assert execution.complete is None


async def test_error_has_all_frames(osb: Box) -> None:
    execution = await osb.run("def inner():\n    raise KeyError('k')\ndef outer():\n    inner()\nouter()")
    assert execution.error is not None
    assert (execution.error.name, execution.error.value) == ("KeyError", "'k'")
    trace = "\n".join(execution.error.traceback)
    for part in ("inner", "outer", "line 2", "line 5"):
        assert part in trace


async def test_traceback_is_the_kernels(osb_raw: Raw) -> None:
    """A list with terminal colours, as execd passes it on."""
    error = osb_raw.code("1/0")[-1]["error"]
    assert error["ename"] == "ZeroDivisionError"
    assert len(error["traceback"]) > 2
    assert all(isinstance(part, str) for part in error["traceback"])
    assert "\x1b[" in "".join(error["traceback"])


@pytest.mark.parametrize(
    ("code", "name"),
    [
        ("print('never')\nx ===", "SyntaxError"),
        ("def f():\nreturn 1", "IndentationError"),
        ("import no_such_module", "ModuleNotFoundError"),
        ("raise Exception('ünïcode 🦆')", "Exception"),
        ("assert False", "AssertionError"),
    ],
)
async def test_names_of_errors(osb: Box, code: str, name: str) -> None:
    execution = await osb.run(code)
    assert execution.error is not None
    assert (execution.error.name, stdout(execution)) == (name, "")
    if name == "Exception":
        assert execution.error.value == "ünïcode 🦆"


async def test_error_and_state(osb: Box, osb_ctx: Any) -> None:
    await osb.run("x = 5\n1/0", context=osb_ctx)
    after = await osb.run("x", context=osb_ctx)
    assert (results(after), after.error) == (["5"], None)


@pytest.mark.parametrize("code", ["input('name? ')", "import getpass; getpass.getpass()"])
async def test_stdin_is_refused(osb: Box, code: str) -> None:
    execution = await osb.run(code)
    assert execution.error is not None
    assert execution.error.name == "StdinNotImplementedError"
    assert results(await osb.run("1 + 1")) == ["2"]


@pytest.mark.parametrize("code", ["exit()", "import sys; sys.exit(3)", "raise SystemExit"])
async def test_exit(osb: Box, osb_ctx: Any, code: str) -> None:
    execution = await osb.run(f"x = 7\nprint('before')\n{code}", context=osb_ctx)
    assert stdout(execution) == "before\n"
    assert execution.error is None or execution.error.name == "SystemExit"
    if "sys" in code:
        assert execution.error is not None
        assert execution.error.value == "3"
        assert results(await osb.run("x", context=osb_ctx)) == ["7"]
    assert results(await osb.run("1 + 1", context=osb_ctx)) == ["2"]


# --- text of every kind ---------------------------------------------------------------------

STRINGS = {
    "bmp": "äöü ß € 日本語",
    "emoji": "🦆👩‍👩‍👧‍👦🇩🇪",
    "line separators": "a\u2028b\u2029c\u0085d\x0be\x0cf\x1cg\x1dh\x1ei",
    "controls": "".join(map(chr, range(1, 32))) + "\x7f\x80\x9f",
    "nul": "a\x00b",
    "quotes": "\"'\\`$",
    "bom": "\ufeffx\ufffe\uffff",
    "like an event": '{"type":"execution_complete"}\n\ndata: {}\n\n: x\n\n',
    "escape codes": "\x1b[31mred\x1b[0m",
}


@pytest.mark.parametrize("name", STRINGS)
async def test_any_text_printed(osb: Box, name: str) -> None:
    want = STRINGS[name]
    told = Told()
    execution = await osb.run(f"print({want!r})", handlers=told.handlers(osb.client))
    assert execution.error is None
    assert stdout(execution) == told.text("stdout") == want + "\n"


@pytest.mark.parametrize("name", STRINGS)
async def test_any_text_as_code_result_and_error(osb: Box, name: str) -> None:
    """The text travels raw in the code, and back in a result and an error."""
    want = STRINGS[name].replace("\x00", "").replace("\\", "").replace('"', "")
    want = "".join(c for c in want if c not in "\x0c\r\n")
    execution = await osb.run(
        f'from IPython.display import display\ndisplay({{"text/plain": """{want}"""}}, raw=True)\n'
        f'raise Exception("""{want}""")'
    )
    assert execution.error is not None, execution
    assert execution.error.value == want
    assert results(execution) == [want]


async def test_nul_in_code_and_error(osb_raw: Raw) -> None:
    events = osb_raw.code("raise Exception('a\\0b')")
    assert events[-1]["error"]["evalue"] == "a\x00b"
    assert osb_raw.code("print('a\x00b')")[-1]["type"] in ("error", "execution_complete")


async def test_lone_surrogates_do_not_break_the_stream(osb: Box) -> None:
    execution = await osb.run("print('a\\ud800b')\nprint('after')")
    assert stdout(execution).startswith("a")
    assert "b\nafter\n" in stdout(execution) or execution.error is not None
    assert results(await osb.run("1 + 1")) == ["2"]


async def test_invalid_utf8_from_a_child(osb: Box) -> None:
    assert "after\n" in await osb.out("import os; os.write(1, b'a\\xff\\xfeb\\n'); print('after')")


async def test_two_megabytes_of_code(osb: Box, osb_ctx: Any) -> None:
    long = "".join(chr(97 + i % 26) for i in range(1_000_000)) + "🦆" * 250_000
    await osb.run(f"long = '{long}'", context=osb_ctx)
    out = await osb.out(
        "import hashlib; print(len(long), hashlib.sha256(long.encode()).hexdigest())", context=osb_ctx
    )
    assert out == f"1250000 {hashlib.sha256(long.encode()).hexdigest()}\n"


# --- interrupts -----------------------------------------------------------------------------

FOREVER = "import time\nprint('held')\nwhile True: time.sleep(0.01)"


async def test_interrupt(osb: Box, osb_ctx: Any) -> None:
    await osb.run("x = 3", context=osb_ctx)
    running, told = await start(osb, FOREVER, context=osb_ctx)
    await osb.codes("interrupt", told.events[0][1].id)  # as the init event called it
    execution = await running
    assert execution.error is not None
    assert execution.error.name == "KeyboardInterrupt"
    assert (stdout(execution), execution.complete) == ("held\n", None)
    assert results(await osb.run("x", context=osb_ctx)) == ["3"]


async def test_interrupt_of_a_default_context(osb: Box) -> None:
    """By the id that an earlier execution had."""
    known = (await osb.run("pass")).id
    running, _ = await start(osb, FOREVER)
    await osb.codes("interrupt", known)
    execution = await running
    assert execution.error is not None
    assert execution.error.name == "KeyboardInterrupt"


async def test_interrupt_that_the_code_handles(osb: Box, osb_ctx: Any) -> None:
    code = "try:\n    exec(FOREVER)\nexcept KeyboardInterrupt:\n    print('caught')"
    running, _ = await start(osb, f"FOREVER = {FOREVER!r}\n{code}", context=osb_ctx)
    await osb.codes("interrupt", osb_ctx.id)
    execution = await running
    assert stdout(execution) == "held\ncaught\n"
    assert execution.error is not None
    assert execution.error.name == "KeyboardInterrupt"


async def test_interrupt_when_nothing_runs(osb: Box, osb_ctx: Any) -> None:
    await osb.run("x = 4", context=osb_ctx)
    await osb.codes("interrupt", osb_ctx.id)
    assert results(await osb.run("x", context=osb_ctx)) == ["4"]


async def test_interrupt_is_for_the_one_that_runs(osb: Box, osb_ctx: Any) -> None:
    running, _ = await start(osb, FOREVER, context=osb_ctx)
    told = Told()
    queued = asyncio.ensure_future(osb.run("'ran'", context=osb_ctx, handlers=told.handlers(osb.client)))
    while "init" not in told.kinds:  # it has been taken; the test's deadline bounds it
        told.changed.clear()
        await told.changed.wait()
    await osb.codes("interrupt", osb_ctx.id)
    assert (await running).error is not None
    assert results(await queued) == ["'ran'"]


async def test_interrupt_of_an_unknown_id(osb: Box) -> None:
    with pytest.raises(SandboxApiException) as caught:
        await osb.codes("interrupt", "nobody")
    assert caught.value.status_code == 500
    assert caught.value.error.code == "RUNTIME_ERROR"
    assert "no such session" in str(caught.value)


async def test_interrupt_without_an_id(osb_raw: Raw) -> None:
    answer = osb_raw.ask("DELETE", "/code")
    assert (answer.status_code, answer.json()["code"]) == (400, "MISSING_QUERY")


# --- several at once ------------------------------------------------------------------------


async def test_a_busy_context_queues(osb: Box, osb_ctx: Any, tmp_path: Path) -> None:
    go = tmp_path / "go"
    first, _ = await start(osb, "order = []\n" + hold(go), context=osb_ctx)
    rest = []
    for i in range(3):
        told = Told()
        rest.append(
            asyncio.ensure_future(
                osb.run(f"order.append({i})\norder", context=osb_ctx, handlers=told.handlers(osb.client))
            )
        )
        while "init" not in told.kinds:
            told.changed.clear()
            await told.changed.wait()
    assert not any(task.done() for task in rest)
    go.touch()
    assert (await first).error is None
    assert [results(execution) for execution in await asyncio.gather(*rest)] == [
        ["[0]"],
        ["[0, 1]"],
        ["[0, 1, 2]"],
    ]


async def test_contexts_run_in_parallel(osb: Box, osb_ctx: Any, tmp_path: Path) -> None:
    """Each goes on when the other has begun."""
    one, two = tmp_path / "one", tmp_path / "two"
    other = await osb.create_context()
    both = await asyncio.gather(
        osb.run(f"open({str(one)!r}, 'w').close()\n" + hold(two), context=osb_ctx),
        osb.run(f"open({str(two)!r}, 'w').close()\n" + hold(one), context=other),
    )
    assert [execution.error for execution in both] == [None, None]
    await osb.codes("delete_context", other.id)


async def test_twenty_contexts_of_one_client(osb: Box, osb_ctx: Any) -> None:
    """Runs of two contexts, crosswise: nobody gets another's."""
    await asyncio.gather(osb.run("me = 'a'", context=osb_ctx), osb.run("me = 'b'"))
    both = await asyncio.gather(*(osb.run("me", context=osb_ctx if i % 2 else None) for i in range(20)))
    assert [results(execution) for execution in both] == [["'a'"] if i % 2 else ["'b'"] for i in range(20)]


# --- requests -------------------------------------------------------------------------------


async def test_unknown_language(osb: Box) -> None:
    with pytest.raises(SandboxApiException, match="error running codes unknown language: cobol") as caught:
        await osb.run("1", language="cobol")
    assert caught.value.status_code == 500


async def test_unknown_context(osb: Box) -> None:
    gone = osb.client.context(id="nobody", language="python")
    with pytest.raises(SandboxApiException, match="error running codes context not found") as caught:
        await osb.run("1", context=gone)
    assert caught.value.status_code == 500


async def test_context_of_another_language(osb: Box, osb_ctx: Any) -> None:
    wrong = osb.client.context(id=osb_ctx.id, language="java")
    with pytest.raises(SandboxApiException, match="runs python, not java") as caught:
        await osb.run("1", context=wrong)
    assert caught.value.status_code == 400
    alias = osb.client.context(id=osb_ctx.id, language="ipython")
    assert results(await osb.run("1", context=alias)) == ["1"]


@pytest.mark.parametrize("code", ["", "  \n"])
async def test_blank_code_is_refused_by_the_sdk(osb: Box, code: str) -> None:
    with pytest.raises(InvalidArgumentException):
        await osb.run(code)


async def test_two_languages_are_refused_by_the_sdk(osb: Box, osb_ctx: Any) -> None:
    with pytest.raises((InvalidArgumentException, SandboxException), match="must match"):
        await osb.run("1", context=osb_ctx, language="java")


@pytest.mark.parametrize(
    "context", [None, {}, {"language": ""}, {"language": None, "id": None}, {"id": ""}, "absent"]
)
async def test_python_where_no_language_is_given(osb_raw: Raw, context: Any) -> None:
    body = {"code": "import sys; print(sys.implementation.name)"}
    events = osb_raw.events("/code", body if context == "absent" else body | {"context": context})
    assert text(events, "stdout") == "cpython\n"


async def test_language_of_the_context_where_none_is_given(osb_raw: Raw) -> None:
    made = osb_raw.ask("POST", "/code/context", {"language": "bash"}).json()
    events = osb_raw.events("/code", {"code": "echo $BASH_VERSION", "context": {"id": made["id"]}})
    assert text(events, "stdout")[0].isdigit()
    assert osb_raw.ask("DELETE", f"/code/contexts/{made['id']}").status_code == 200


BAD = [b"", b"{", b"[]", b"null", b"{} x", b"\xff", {}, {"code": ""}, {"code": None}, {"code": 1}]
BAD += [
    {"code": "1", "context": []},
    {"code": "1", "context": {"id": 1}},
    {"code": "1", "context": {"language": {}}},
]


@pytest.mark.parametrize("body", BAD, ids=repr)
async def test_bodies_that_are_refused(osb_raw: Raw, body: Any) -> None:
    answer = osb_raw.ask("POST", "/code", body)
    assert answer.status_code == 400
    assert set(answer.json()) == {"code", "message"}
    assert answer.json()["code"] == "INVALID_REQUEST_BODY"


async def test_whitespace_and_unknown_fields_are_fine(osb_raw: Raw) -> None:
    events = osb_raw.events("/code", {"code": "  \n", "context": {"language": "python", "x": 1}, "y": 2})
    assert [event["type"] for event in events if event["type"] != "execution_count"] == [
        "init",
        "execution_complete",
    ]


async def test_an_unknown_rule_for_leaving_is_refused(osb_raw: Raw) -> None:
    answer = osb_raw.ask("POST", "/code", {"code": "1"}, {"X-Kernelbridge-Disconnect": "explode"})
    assert answer.status_code == 400
    assert "explode" in answer.json()["message"]


# --- the stream itself ----------------------------------------------------------------------


async def test_order_of_events(osb_raw: Raw) -> None:
    answer = osb_raw.ask("POST", "/code", {"code": "print('x')\n1"})
    kinds = [event["type"] for event in parse(answer.content)]
    assert kinds == ["init", "ping", "execution_count", "stdout", "result", "execution_complete"]
    assert answer.headers["content-type"] == "text/event-stream"
    assert answer.headers["cache-control"] == "no-cache"
    assert answer.headers["x-accel-buffering"] == "no"


@pytest.mark.parametrize("code", ["1/0", "x ===", "import sys; sys.exit(1)"])
async def test_one_event_ends_a_run(osb_raw: Raw, code: str) -> None:
    kinds = [event["type"] for event in osb_raw.code(code)]
    assert kinds.count("init") == 1
    assert [kind for kind in kinds if kind in ("error", "execution_complete")] == [kinds[-1]] == ["error"]


async def test_pings_while_nothing_is_said(osb_raw: Raw, tmp_path: Path) -> None:
    go = tmp_path / "go"
    pings, last = 0, ""
    with osb_raw.stream("POST", "/code", {"code": hold(go)}) as answer:
        for line in answer.iter_lines():
            pings += '"type":"ping"' in line
            if pings == 3:
                go.touch()
            last = line or last
    assert pings >= 3
    assert json.loads(last)["type"] == "execution_complete"


async def test_the_connection_is_kept(osb_raw: Raw) -> None:
    """Three answers on one connection: a run, a failed run, another request."""
    url = urlsplit(osb_raw.url)
    connection = http.client.HTTPConnection(url.hostname or "", url.port, timeout=60)
    headers = osb_raw.headers | {"Content-Type": "application/json"}
    sockets = set()
    for code in ("1", "1/0", "2"):
        connection.request("POST", url.path + "/code", json.dumps({"code": code}), headers)
        answer = connection.getresponse()
        list(parse(answer.read()))
        assert connection.sock is not None  # http.client closes it where the server will
        sockets.add(connection.sock.getsockname())
    connection.request("GET", url.path + "/ping", headers=headers)
    assert connection.getresponse().status == 200
    assert len(sockets) == 1
    connection.close()


async def test_the_answer_begins_before_the_kernel_does(osb_raw: Raw, tmp_path: Path) -> None:
    """init comes at once, although the context is busy."""
    go = tmp_path / "go"
    with osb_raw.stream("POST", "/code", {"code": hold(go)}) as first:
        lines = first.iter_lines()
        while "held" not in next(lines):
            pass
        with Raw.stream(osb_raw, "POST", "/code", {"code": "'second'"}) as second:
            rest = second.iter_lines()
            assert json.loads(next(rest))["type"] == "init"
            go.touch()
            kinds = [json.loads(line)["type"] for line in rest if line]
        assert kinds[-2:] == ["result", "execution_complete"]


async def test_a_token_of_another_sandbox(osb_raw: Raw, make_osb: Make) -> None:
    other = await make_osb()
    wrong = f"{osb_raw.gateway.url}/sandboxes/{other.id}/proxy/44772/code"
    answer = osb_raw.http.post(wrong, json={"code": "1"}, headers=osb_raw.headers)
    assert answer.status_code in (401, 403)
    answer = osb_raw.http.post(wrong, json={"code": "1"})
    assert answer.status_code == 401
