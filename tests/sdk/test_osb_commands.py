"""Commands through OpenSandbox's SDKs: foreground, background, their output, status, logs, ends.

Facts: opensandbox.md (b), the SDKs' adapters/command_adapter.py, execd's API.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import psutil
import pytest
from harness.gateway import until
from opensandbox.exceptions import SandboxApiException, SandboxException
from opensandbox.models.execd import Execution, RunCommandOpts
from osb_adapter import Box, Told
from osb_raw import Raw, parse

pytest_plugins = ["osb_fixtures"]

Make = Callable[..., Awaitable[Box]]


def run(box: Box, command: str | list[str], handlers: Any = None, **opts: Any) -> Awaitable[Execution]:
    """`commands.run` with the options of RunCommandOpts."""
    return box.commands("run", command, opts=RunCommandOpts(**opts), handlers=handlers)


async def out(box: Box, command: str | list[str], **opts: Any) -> list[str]:
    """The lines that a command prints; it must succeed."""
    execution = await run(box, command, **opts)
    assert execution.error is None, (execution.error, execution.logs.stderr)
    assert execution.exit_code == 0
    return lines(execution)


def lines(execution: Execution) -> list[str]:
    return [message.text for message in execution.logs.stdout]


def errors(execution: Execution) -> list[str]:
    return [message.text for message in execution.logs.stderr]


async def start(box: Box, command: str, **opts: Any) -> tuple[asyncio.Task[Execution], Told]:
    """Start a command and wait until it has printed `held`."""
    told = Told()
    task = asyncio.ensure_future(run(box, command, told.handlers(box.client), **opts))
    await told.wait_text("stdout", "held")
    return task, told


async def status(box: Box, command_id: str) -> Any:
    return await box.commands("get_command_status", command_id)


async def ended(box: Box, command_id: str) -> Any:
    """The status of a background command that has ended; the test's deadline bounds the wait."""
    while (told := await status(box, command_id)).running:
        await asyncio.sleep(0.02)
    return told


async def logs(box: Box, command_id: str, cursor: int | None = None) -> Any:
    return await box.commands("get_background_command_logs", command_id, cursor=cursor)


def is_gone(pid: str) -> bool:
    """No process has that pid, or its parent has not looked at it yet."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except (FileNotFoundError, ProcessLookupError):
        return True


# --- foreground ---------------------------------------------------------------------------------


async def test_the_health_check_of_the_interpreter(make_osb: Make) -> None:
    """The strict one, as `CodeInterpreter.create` makes it by default."""
    sbx = await make_osb(interpret=False)
    interpreter = await sbx.client.call(sbx.client.interpreter.create, sbx.sandbox)
    execution = await sbx.client.call(interpreter.codes.run, "1 + 1")
    assert [result.text for result in execution.result] == ["2"]


async def test_lines_and_streams(osb: Box) -> None:
    told = Told()
    execution = await run(osb, "echo one; echo two >&2; echo; printf three", told.handlers(osb.client))
    assert lines(execution) == ["one", "\n", "three"]
    assert errors(execution) == ["two"]
    assert execution.exit_code == 0
    assert execution.complete is not None
    assert execution.error is None
    assert len(execution.id or "") == 32
    assert told.kinds[0] == "init"
    assert told.kinds[-1] == "execution_complete"
    assert told.kinds.count("stdout") == 3


async def test_it_is_bash(osb: Box) -> None:
    assert await out(osb, 'a=(x y); echo "${a[1]}" "$((1 << 4))"') == ["y 16"]


@pytest.mark.parametrize(("command", "code"), [("false", 1), ("exit 7", 7), ("nosuchcommand", 127)])
async def test_a_status_is_an_error(osb: Box, command: str, code: int) -> None:
    execution = await run(osb, f"echo out; {command}")
    assert lines(execution) == ["out"]
    assert execution.error is not None
    assert (execution.error.name, execution.error.value) == ("CommandExecError", str(code))
    assert execution.error.traceback == [f"exit status {code}"]
    assert execution.exit_code == code
    assert execution.complete is None


async def test_a_signal_is_an_error(osb: Box) -> None:
    execution = await run(osb, "kill -TERM $$")
    assert execution.exit_code == 128 + 15
    assert execution.error is not None
    assert "signal 15" in execution.error.traceback[0]


async def test_stdin_is_empty(osb: Box) -> None:
    assert await out(osb, "cat; echo end") == ["end"]


async def test_argv(osb: Box) -> None:
    words = ["a b", "", "*", "$HOME", "'", "\n", "é"]
    assert await out(osb, ["printf", "[%s]", *words]) == ["[a b][][*][$HOME]['][", "][é]"]


async def test_argv_of_no_program(osb: Box) -> None:
    execution = await run(osb, ["/nonexistent/program"])
    assert execution.error is not None
    assert execution.error.name == "CommandExecError"
    assert execution.exit_code not in (0, None)
    assert "/nonexistent/program" in execution.error.traceback[0]


async def test_cwd(make_osb: Make) -> None:
    sbx = await make_osb(interpret=False, env={"DIR": "made"})
    home = await sbx.home()
    assert await out(sbx, "pwd; mkdir -p made/x") == [home]
    for given, where in (
        ("~", home),
        ("~/made", f"{home}/made"),
        ("made", f"{home}/made"),
        (f"{home}/made", f"{home}/made"),
        ("$DIR/x", f"{home}/made/x"),
        ("${DIR}", f"{home}/made"),
        ("/tmp", "/tmp"),
    ):
        assert await out(sbx, "pwd", working_directory=given) == [where]
    assert await out(sbx, "pwd", working_directory="$OWN", envs={"OWN": "made/x"}) == [f"{home}/made/x"]


async def test_a_cwd_that_is_none(osb: Box) -> None:
    for given in ("/nonexistent", "/etc/passwd", "$NO_SUCH_VARIABLE"):
        with pytest.raises(SandboxApiException) as caught:
            await run(osb, "pwd", working_directory=given)
        assert caught.value.status_code == 400
        assert caught.value.error.code == "INVALID_REQUEST_BODY"
        assert given.strip("$") in str(caught.value)


async def test_environment(make_osb: Make) -> None:
    sbx = await make_osb(interpret=False, env={"A": "sandbox", "B": "sandbox"})
    assert await out(sbx, "echo $A $B; echo ~", envs={"B": "own  'two'"}) == [
        "sandbox own 'two'",
        await sbx.home(),
    ]
    assert await out(sbx, "echo $B") == ["sandbox"]
    assert (await out(sbx, "echo $JUPYTER_PORT"))[0].isdigit()


@pytest.mark.parametrize("value", ["plain", '$HOME "x" \\', 'it\'s "x" \\ `y`', "", "two\nlines\ttab", "é=1"])
async def test_set_env(make_osb: Make, value: str) -> None:
    sbx = await make_osb(interpret=False)
    await sbx.commands("set_env", "KEPT", "before")
    await sbx.commands("set_env", "KEPT", value)
    assert await out(sbx, "printf '[%s]' \"$KEPT\"") == f"[{value}]".split("\n")
    assert await out(sbx, 'echo "$KEPT"', envs={"KEPT": "own"}) == ["own"]


async def test_timeout(osb: Box) -> None:
    execution = await run(osb, "echo begun; sleep 600 & wait", timeout=timedelta(milliseconds=300))
    assert lines(execution) == ["begun"]
    assert execution.error is not None
    assert execution.exit_code == 137
    assert "timed out" in execution.error.traceback[0]
    assert execution.complete is None


async def test_interrupt(osb: Box) -> None:
    task, told = await start(osb, "echo held; sleep 600; echo never")
    init = dict(told.events)["init"]
    await osb.commands("interrupt", init.id)
    execution = await task
    assert lines(execution) == ["held"]
    assert execution.exit_code == 128 + 2
    await osb.commands("interrupt", init.id)  # it is over: fine


async def test_an_interrupt_may_be_handled(osb: Box) -> None:
    task, told = await start(osb, "trap 'echo caught; kill $!; exit 5' INT; echo held; sleep 600 & wait")
    await osb.commands("interrupt", dict(told.events)["init"].id)
    execution = await task
    assert lines(execution) == ["held", "caught"]
    assert execution.exit_code == 5


async def test_commands_side_by_side(osb: Box, tmp_path: Path) -> None:
    names = [str(n) for n in range(8)]

    def meeting(mine: str) -> str:
        """Goes on when all of them have begun."""
        return (
            f"touch {tmp_path}/{mine}; until [ $(ls {tmp_path} | wc -l) -ge {len(names)} ]; do sleep 0.02; done; "
            f"echo {mine}"
        )

    told = await asyncio.gather(*(out(osb, meeting(name)) for name in names))
    assert told == [[name] for name in names]


async def test_a_background_child_survives(make_osb: Make) -> None:
    """A server that a command started in the background lives as long as the sandbox."""
    sbx = await make_osb(interpret=False)
    [pid] = await out(sbx, "nohup sleep 600 >/dev/null 2>&1 & echo $!")
    assert await out(sbx, f"kill -0 {pid} && echo alive") == ["alive"]
    await sbx.method("kill")
    until("the server to end", lambda: is_gone(pid))


async def test_a_child_that_keeps_the_output_open(osb: Box) -> None:
    """The command ends when it ends, not when its last child does."""
    [pid] = await out(osb, "sleep 600 & echo $!")
    assert not is_gone(pid)
    await out(osb, f"kill {pid}")


# --- output -------------------------------------------------------------------------------------


async def test_twenty_megabytes(osb: Box) -> None:
    """Every line, in order."""
    execution = await run(osb, f"seq -f '%.0f-{'x' * 200}' 1 100000")
    assert sum(map(len, lines(execution))) > 20_000_000
    wrong = [(n, text) for n, text in enumerate(lines(execution), 1) if text != f"{n}-{'x' * 200}"]
    assert not wrong[:3]
    assert len(lines(execution)) == 100000


async def test_twenty_thousand_flushed_lines(osb: Box) -> None:
    code = "import sys\nfor n in range(20000):\n    print(n, flush=True)\n    print(n, file=sys.stderr, flush=True)"
    execution = await run(osb, ["python3", "-c", code])
    wanted = [str(n) for n in range(20000)]
    assert lines(execution) == wanted
    assert errors(execution) == wanted


@pytest.mark.parametrize(
    ("printed", "wanted"),
    [
        (r"a\u2028b\u2029c\u0085d\n", ["a\u2028b\u2029c\u0085d"]),
        (r"10%%\r20%%\r\ndone", ["10%", "20%", "done"]),
        (r"\xff\xfe-\xc3\xa9\n\xe2\x82\n", ["\ufffd\ufffd-é", "\ufffd\ufffd"]),
        (r"a\0b\x1b[1m\x7f\n", ["a\0b\x1b[1m\x7f"]),
        (r"\n\n", ["\n", "\n"]),
        (r"  spaces \t\n", ["  spaces \t"]),
        (r"\"\\<&>/\n", ['"\\<&>/']),
        (r"\U0001f600 日本\n", ["😀 日本"]),
        (r"data: {}\n: comment\n", ["data: {}", ": comment"]),
    ],
)
async def test_odd_output(osb: Box, printed: str, wanted: list[str]) -> None:
    assert await out(osb, f"printf '{printed}'") == wanted


async def test_a_character_that_comes_in_two_halves(osb: Box) -> None:
    assert await out(osb, r"printf '\xc3'; sleep 0.2; printf '\xa9\n'") == ["é"]


async def test_binary_output(osb: Box) -> None:
    execution = await run(osb, "head -c 300000 /dev/urandom")
    assert execution.exit_code == 0
    assert lines(execution)


async def test_a_long_line_comes_in_pieces(osb: Box) -> None:
    told = await out(osb, "head -c 5000000 /dev/zero | tr '\\0' x; echo; echo end")
    assert told[-1] == "end"
    assert "".join(told[:-1]) == "x" * 5000000
    assert max(map(len, told)) == 1 << 20


async def test_a_line_comes_at_once(osb: Box, tmp_path: Path) -> None:
    """Output is not held back until the command ends."""
    go = tmp_path / "go"
    task, _told = await start(osb, f"echo held; until [ -e {go} ]; do sleep 0.01; done")
    assert not task.done()
    go.touch()
    assert (await task).exit_code == 0


# --- background ---------------------------------------------------------------------------------


async def test_background(osb: Box, tmp_path: Path) -> None:
    go = tmp_path / "go"
    command = f"echo out; echo err >&2; until [ -e {go} ]; do sleep 0.01; done; echo last; exit 3"
    execution = await run(osb, command, background=True)
    assert execution.id
    assert execution.exit_code is None
    assert execution.complete is not None
    assert lines(execution) == []
    told = await status(osb, execution.id)
    assert told.running is True
    assert told.exit_code is None
    assert told.content == command
    assert told.id == execution.id
    go.touch()
    told = await ended(osb, execution.id)
    assert told.exit_code == 3
    assert told.error == "exit status 3"
    assert told.started_at <= told.finished_at
    got = await logs(osb, execution.id)
    assert got.content == "out\nerr\nlast\n"
    assert got.cursor == len(got.content)


async def test_logs_with_a_cursor(osb: Box, tmp_path: Path) -> None:
    steps = [tmp_path / str(n) for n in range(3)]
    waits = "; ".join(f"until [ -e {step} ]; do sleep 0.01; done; echo {n}é" for n, step in enumerate(steps))
    execution = await run(osb, waits, background=True)
    cursor, told = None, []
    for n, step in enumerate(steps):
        step.touch()
        text = ""
        while not text:
            got = await logs(osb, execution.id, cursor)
            text, cursor = got.content, got.cursor
        told.append(text)
        assert text == f"{n}é\n"
    assert (await ended(osb, execution.id)).exit_code == 0
    got = await logs(osb, execution.id, cursor)
    assert (got.content, got.cursor) == ("", cursor)
    assert (await logs(osb, execution.id)).content == "".join(told)


async def test_background_interrupt_and_timeout(osb: Box) -> None:
    execution = await run(osb, "sleep 600", background=True)
    await osb.commands("interrupt", execution.id)
    assert (await ended(osb, execution.id)).exit_code == 128 + 2
    execution = await run(osb, "sleep 600", background=True, timeout=timedelta(milliseconds=200))
    told = await ended(osb, execution.id)
    assert told.exit_code == 137
    assert "timed out" in told.error


async def test_a_background_command_ends_with_its_sandbox(make_osb: Make, tmp_path: Path) -> None:
    sbx = await make_osb(interpret=False)
    pid = tmp_path / "pid"
    await run(sbx, f"echo $$ > {pid}.new; mv {pid}.new {pid}; sleep 600", background=True)
    until("it to begin", pid.exists)
    await sbx.method("kill")
    until("it to end", lambda: is_gone(pid.read_text().strip()))


async def test_status_of_a_foreground_command(osb: Box) -> None:
    execution = await run(osb, "exit 4")
    told = await status(osb, execution.id or "")
    assert (told.running, told.exit_code, told.content) == (False, 4, "exit 4")
    with pytest.raises(SandboxApiException) as caught:
        await logs(osb, execution.id or "")
    assert caught.value.status_code == 400


async def test_unknown_command(osb: Box) -> None:
    for name, code in (("get_command_status", 404), ("get_background_command_logs", 404), ("interrupt", 500)):
        with pytest.raises(SandboxApiException) as caught:
            await osb.commands(name, "0" * 32)
        assert caught.value.status_code == code


# --- owner --------------------------------------------------------------------------------------


async def test_owner(osb: Box) -> None:
    uid, gid = os.geteuid(), os.getegid()
    assert await out(osb, "id -u", uid=uid, gid=gid) == [str(uid)]
    for other in ({"uid": uid + 1}, {"uid": uid, "gid": gid + 1}):
        with pytest.raises(SandboxException) as caught:
            await run(osb, "id", **other)
        assert "as the gateway does" in str(caught.value)


# --- raw ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (b"", "error parsing request"),
        (b"{", "error parsing request"),
        (b"[]", "not an object"),
        ({}, "command"),
        ({"command": ""}, "command"),
        ({"command": 7}, "command"),
        ({"command": None}, "command"),
        ({"command": "a\0b"}, "error parsing request"),
        ({"command": "true", "argv": ["true"]}, "argv"),
        ({"argv": []}, "argv"),
        ({"argv": "true"}, "argv"),
        ({"argv": ["echo", 1]}, "argv[1]"),
        ({"argv": [""]}, "argv[0]"),
        ({"command": "true", "cwd": 1}, "cwd"),
        ({"command": "true", "cwd": "/nonexistent"}, "/nonexistent"),
        ({"command": "true", "background": "yes"}, "background"),
        ({"command": "true", "timeout": -1}, "timeout"),
        ({"command": "true", "timeout": 1.5}, "timeout"),
        ({"command": "true", "timeout": True}, "timeout"),
        ({"command": "true", "uid": -1}, "uid"),
        ({"command": "true", "gid": 0}, "uid is required"),
        ({"command": "true", "envs": []}, "envs"),
        ({"command": "true", "envs": {"A": 1}}, "envs"),
        ({"command": "true", "envs": {"A=B": "1"}}, "envs"),
    ],
)
def test_bad_bodies(osb_raw: Raw, body: Any, says: str) -> None:
    answer = osb_raw.ask("POST", "/command", body)
    assert answer.status_code == 400, answer.text
    assert answer.json()["code"] == "INVALID_REQUEST_BODY"
    assert says in answer.json()["message"]


def test_nulls_are_absent(osb_raw: Raw) -> None:
    names = ("argv", "cwd", "background", "timeout", "uid", "gid", "envs")
    events = osb_raw.events("/command", {"command": "echo hi"} | dict.fromkeys(names))
    assert [event["type"] for event in events] == ["init", "stdout", "execution_complete"]
    assert events[1]["text"] == "hi"
    assert type(events[2]["execution_time"]) is int


def test_framing(osb_raw: Raw) -> None:
    with osb_raw.stream("POST", "/command", {"command": "echo hi; exit 2"}) as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        assert answer.headers["cache-control"] == "no-cache"
        events = [event for event in parse(answer.read()) if event["type"] != "ping"]
    assert [event["type"] for event in events] == ["init", "stdout", "error"]
    assert events[2]["error"] == {"ename": "CommandExecError", "evalue": "2", "traceback": ["exit status 2"]}


def test_interrupt_without_an_id(osb_raw: Raw) -> None:
    for path in ("/command", "/command?id="):
        answer = osb_raw.ask("DELETE", path)
        assert answer.status_code == 400
        assert answer.json()["code"] == "MISSING_QUERY"


def first_line(chunks: Iterator[str]) -> str:
    """The first line of stdout."""
    told = ""
    while '"stdout"' not in told or not told.endswith("\n\n"):
        told += next(chunks)
    return next(event["text"] for event in parse(told.encode()) if event["type"] == "stdout")


def test_a_client_that_leaves_ends_its_command(osb_raw: Raw) -> None:
    with osb_raw.stream("POST", "/command", {"command": "echo $$; sleep 600"}) as answer:
        pid = first_line(answer.iter_text())
    until("it to end", lambda: is_gone(pid))


def test_a_client_that_leaves_ends_what_ignores_it(osb_raw: Raw) -> None:
    command = "trap '' INT; echo $$; while :; do sleep 600; done"
    with osb_raw.stream("POST", "/command", {"command": command}) as answer:
        pid = first_line(answer.iter_text())
    until("it to end", lambda: is_gone(pid))


def test_a_client_that_does_not_read_makes_its_command_wait(osb_raw: Raw, tmp_path: Path) -> None:
    """The command sleeps in its write, and goes on when the client reads."""
    pid = tmp_path / "pid"
    command = f"echo $$ > {pid}.new; mv {pid}.new {pid}; exec seq 1 500000"
    with osb_raw.stream("POST", "/command", {"command": command}) as answer:
        until("it to begin", pid.exists)
        program = psutil.Process(int(pid.read_text()))
        until("it to wait", lambda: program.name() == "seq" and program.status() == psutil.STATUS_SLEEPING)
        assert osb_raw.ask("GET", "/ping").status_code == 200
        assert program.is_running()
        body = answer.read()
    assert body.count(b'"type":"stdout"') == 500000
    assert b"execution_complete" in body[-200:]


def background(raw: Raw, command: str) -> str:
    """Start a command in the background; its id when it has ended."""
    events = raw.events("/command", {"command": command, "background": True})
    assert [event["type"] for event in events] == ["init", "execution_complete"]
    command_id = events[0]["text"]
    until("it to end", lambda: not raw.ask("GET", f"/command/status/{command_id}").json()["running"])
    return command_id


def test_raw_logs(osb_raw: Raw) -> None:
    made = background(osb_raw, r"printf 'a\xff\0b\n'; printf '\xe2\x82'")
    answer = osb_raw.ask("GET", f"/command/{made}/logs")
    assert answer.content == b"a\xff\0b\n\xe2\x82"
    assert answer.headers["content-type"] == "text/plain; charset=utf-8"
    assert answer.headers["execd-commands-tail-cursor"] == "7"
    answer = osb_raw.ask("GET", f"/command/{made}/logs?cursor=3")
    assert (answer.content, answer.headers["execd-commands-tail-cursor"]) == (b"b\n\xe2\x82", "7")
    answer = osb_raw.ask("GET", f"/command/{made}/logs?cursor=99")
    assert (answer.content, answer.headers["execd-commands-tail-cursor"]) == (b"", "99")
    for cursor in ("-1", "x", "1x", "99999999999999999999"):
        answer = osb_raw.ask("GET", f"/command/{made}/logs?cursor={cursor}")
        assert answer.status_code == 400
        assert "cursor" in answer.json()["message"]


def test_logs_cut_no_character(osb_raw: Raw, tmp_path: Path) -> None:
    """The beginning of a character waits for its end while the command runs."""
    go = tmp_path / "go"
    command = rf"printf 'a\xe2\x82'; until [ -e {go} ]; do sleep 0.01; done; printf '\xacb'"
    [init, _end] = osb_raw.events("/command", {"command": command, "background": True})
    path = f"/command/{init['text']}/logs"
    until("the first output", lambda: osb_raw.ask("GET", path).content == b"a")
    assert osb_raw.ask("GET", path).headers["execd-commands-tail-cursor"] == "1"
    go.touch()
    until("the rest", lambda: osb_raw.ask("GET", path + "?cursor=1").content == "€b".encode())


def test_long_logs_come_in_answers_of_sixteen_megabytes(osb_raw: Raw) -> None:
    made = background(osb_raw, "yes 'é' | head -c 20000001")
    got, sizes, cursor = b"", [], 0
    while not sizes or sizes[-1]:
        answer = osb_raw.ask("GET", f"/command/{made}/logs?cursor={cursor}")
        answer.content.decode()  # whole characters
        got += answer.content
        sizes.append(len(answer.content))
        cursor = int(answer.headers["execd-commands-tail-cursor"])
    assert got == ("é\n".encode() * 6666667)[:20000001]
    assert max(sizes) <= 16 << 20
    assert len(sizes) == 3


def test_commands_of_another_sandbox(osb_raw: Raw) -> None:
    made = background(osb_raw, "echo mine")
    with Raw(osb_raw.gateway) as other:
        assert other.ask("GET", f"/command/status/{made}").status_code == 404
        assert other.ask("GET", f"/command/{made}/logs").status_code == 404
        assert other.ask("DELETE", f"/command?id={made}").status_code == 500
