"""Shell sessions through OpenSandbox's SDKs: state from run to run, output line by line, how runs end.

Facts: opensandbox.md (b), the SDKs' adapters/command_adapter.py.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from harness.gateway import Gateway, until
from opensandbox.exceptions import SandboxApiException
from opensandbox.models.execd import Execution
from osb_adapter import Box, Told
from osb_raw import Raw, parse

pytest_plugins = ["osb_fixtures"]

Make = Callable[..., Awaitable[Box]]


class Session:
    """A session of a box's sandbox."""

    def __init__(self, box: Box, session_id: str) -> None:
        self.box = box
        self.id = session_id

    @classmethod
    async def create(cls, box: Box, **kwargs: Any) -> Session:
        return cls(box, await box.commands("create_session", **kwargs))

    def run(self, command: str, **kwargs: Any) -> Awaitable[Execution]:
        return self.box.commands("run_in_session", self.id, command, **kwargs)

    async def out(self, command: str, **kwargs: Any) -> list[str]:
        """The lines that a command prints; it must succeed."""
        execution = await self.run(command, **kwargs)
        assert execution.error is None, execution.error
        assert execution.exit_code == 0
        return lines(execution)

    async def start(self, command: str, **kwargs: Any) -> tuple[asyncio.Task[Execution], Told]:
        """Start a run and wait until it has printed `held`."""
        told = Told()
        task = asyncio.ensure_future(self.run(command, handlers=told.handlers(self.box.client), **kwargs))
        await told.wait_text("stdout", "held")
        return task, told

    def delete(self) -> Awaitable[None]:
        return self.box.commands("delete_session", self.id)


def lines(execution: Execution) -> list[str]:
    return [message.text for message in execution.logs.stdout]


def errors(execution: Execution) -> list[str]:
    return [message.text for message in execution.logs.stderr]


@pytest.fixture
def session(osb: Box, loop: Any) -> Iterator[Session]:
    """A session that only this test uses."""
    made = loop.run(Session.create(osb))
    yield made
    loop.run(made.delete())


# --- state --------------------------------------------------------------------------------------


async def test_state_stays(session: Session) -> None:
    await session.run("mkdir -p s/t && cd s/t")
    await session.run("plain=1; export SHOWN=2; f() { echo \"f $1\"; }; alias hi='echo hello'")
    await session.run("shopt -s expand_aliases; set -o noglob")
    out = await session.out('basename "$PWD"; echo $plain; printenv SHOWN; f x; hi; echo *')
    assert out == ["t", "1", "2", "f x", "hello", "*"]


async def test_sessions_are_apart(osb: Box, session: Session) -> None:
    other = await Session.create(osb)
    try:
        await session.run("only=here; cd /")
        assert await other.out('echo "[$only]"; pwd') == ["[]", await osb.home()]
        assert await session.out('echo "[$only]"; pwd') == ["[here]", "/"]
    finally:
        await other.delete()


@pytest.mark.parametrize(
    ("given", "where"),
    [("~", ""), ("~/made", "/made"), ("made", "/made"), ("$DIR/x", "/made/x"), ("${DIR}", "/made")],
)
async def test_cwd_of_a_session(make_osb: Make, given: str, where: str) -> None:
    sbx = await make_osb(interpret=False, env={"DIR": "made"})
    first = await Session.create(sbx)
    await first.run("mkdir -p made/x")
    made = await Session.create(sbx, working_directory=given)
    assert await made.out("pwd") == [await sbx.home() + where]
    assert await first.out("pwd", working_directory=given) == [await sbx.home() + where]


async def test_cwd_outside_of_the_home(osb: Box) -> None:
    made = await Session.create(osb, working_directory="/tmp")
    try:
        assert await made.out("pwd") == ["/tmp"]
        assert await made.out("pwd", working_directory="/var") == ["/var"]
        assert await made.out("pwd") == ["/tmp"]  # a run's directory is its own
    finally:
        await made.delete()


async def test_environment(make_osb: Make) -> None:
    sbx = await make_osb(interpret=False, env={"OF_SANDBOX": "yes  two"})
    made = await Session.create(sbx)
    assert await made.out('echo "$OF_SANDBOX"') == ["yes  two"]


async def test_set_env_before_a_session(make_osb: Make) -> None:
    sbx = await make_osb(interpret=False)
    await sbx.commands("set_env", "EARLY", "a 'b' \"c\"\nd")
    made = await Session.create(sbx)
    assert await made.out('printf "%s\\n" "$EARLY"') == ["a 'b' \"c\"", "d"]


# --- output -------------------------------------------------------------------------------------


async def test_lines_and_streams(session: Session) -> None:
    told = Told()
    execution = await session.run(
        "echo one; echo two >&2; echo; printf three", handlers=told.handlers(session.box.client)
    )
    assert execution.id == session.id
    assert lines(execution) == ["one", "\n", "three"]
    assert errors(execution) == ["two"]
    assert execution.exit_code == 0
    assert execution.complete is not None
    assert told.kinds[0] == "init"
    assert told.kinds[-1] == "execution_complete"


async def test_odd_output(session: Session) -> None:
    out = await session.out(r"printf 'a\u2028b\u0085c\n10%%\r20%%\r\ntabs\tand\\slashes\"\n'")
    assert out == ["a\u2028b\u0085c", "10%", "20%", 'tabs\tand\\slashes"']


async def test_bytes_are_repaired(session: Session) -> None:
    assert await session.out(r"printf '\xff\xfe-\xc3\xa9\n'") == ["\ufffd\ufffd-é"]


async def test_many_lines(session: Session) -> None:
    assert await session.out("seq 50000") == [str(n) for n in range(1, 50001)]


async def test_a_long_line_comes_in_pieces(session: Session) -> None:
    out = await session.out("head -c 3000000 /dev/zero | tr '\\0' x; echo; echo end")
    assert out[-1] == "end"
    assert "".join(out[:-1]) == "x" * 3000000
    assert max(map(len, out)) == 1 << 20


# --- ends ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(("command", "status"), [("false", 1), ("(exit 7)", 7), ("nosuchcommand", 127)])
async def test_a_status_is_an_error(session: Session, command: str, status: int) -> None:
    await session.run("kept=1")
    execution = await session.run(f"echo out; {command}")
    assert execution.error is not None
    assert (execution.error.name, execution.error.value) == ("CommandExecError", str(status))
    assert execution.error.traceback == [f"exit status {status}"]
    assert execution.exit_code == status
    assert execution.complete is None
    assert lines(execution) == ["out"]
    assert await session.out("echo $kept") == ["1"]


async def test_exit_brings_a_fresh_shell(session: Session) -> None:
    await session.run("lost=1")
    execution = await session.run("echo before; exit 3")
    assert lines(execution) == ["before"]
    assert execution.exit_code == 3
    assert await session.out('echo "[$lost]"') == ["[]"]


async def test_timeout(session: Session) -> None:
    await session.run("kept=1")
    execution = await session.run("echo begun; sleep 60", timeout=timedelta(milliseconds=300))
    assert lines(execution) == ["begun"]
    assert execution.error is not None
    assert execution.error.name == "CommandTimeout"
    assert "timed out" in execution.error.value
    assert execution.exit_code is None
    assert await session.out("echo $kept") == ["1"]


async def test_interrupt(session: Session) -> None:
    await session.run("kept=1")
    task, _told = await session.start("echo held; sleep 60; echo never")
    await session.box.commands("interrupt", session.id)
    execution = await task
    assert lines(execution) == ["held"]
    assert execution.exit_code == 130
    assert await session.out("echo $kept") == ["1"]


async def test_interrupting_nothing(session: Session) -> None:
    await session.box.commands("interrupt", session.id)
    assert await session.out("echo fine") == ["fine"]


async def test_runs_queue(session: Session, tmp_path: Path) -> None:
    go = tmp_path / "go"
    first, _told = await session.start(f"echo held; until [ -e {go} ]; do sleep 0.01; done; n=1; echo first")
    rest = [asyncio.ensure_future(session.out("n=$((n + 1)); echo $n")) for _ in range(3)]
    go.touch()
    assert lines(await first) == ["held", "first"]
    assert sorted([await one for one in rest]) == [["2"], ["3"], ["4"]]


async def test_delete_ends_a_run(osb: Box) -> None:
    made = await Session.create(osb)
    task, _told = await made.start("echo held; sleep 60")
    await made.delete()
    execution = await task
    assert execution.error is not None
    assert execution.error.value == "session deleted"
    with pytest.raises(SandboxApiException) as caught:
        await made.run("echo")
    assert caught.value.status_code == 404


async def test_a_background_job_lives_as_long_as_its_session(osb: Box) -> None:
    made = await Session.create(osb)
    [pid] = await made.out("sleep 600 >/dev/null 2>&1 & echo $!")
    assert await made.out(f"kill -0 {pid} && echo alive") == ["alive"]
    await made.delete()
    until("the job to end", lambda: not Path(f"/proc/{pid}").exists())


async def test_unknown_session(osb: Box) -> None:
    for call in (("run_in_session", "nope", "echo"), ("delete_session", "nope")):
        with pytest.raises(SandboxApiException) as caught:
            await osb.commands(*call)
        assert caught.value.status_code == 404
        assert caught.value.error.code == "CONTEXT_NOT_FOUND"
        assert "session nope not found" in str(caught.value)


async def test_sessions_are_in_no_list(osb: Box, session: Session, osb_gateway: Gateway) -> None:
    await session.run("true")
    assert session.id not in {c.id for c in await osb.codes("list_contexts", "bash")}
    _status, native = osb_gateway.json("GET", "/v1/contexts")
    assert session.id not in str(native)


# --- raw ----------------------------------------------------------------------------------------


@pytest.fixture
def raw_session(osb_raw: Raw) -> Iterator[str]:
    made = osb_raw.ask("POST", "/session").json()["session_id"]
    yield made
    osb_raw.ask("DELETE", f"/session/{made}")


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (b"", "error parsing request"),
        (b"[]", "not an object"),
        ({}, "command"),
        ({"command": ""}, "command"),
        ({"command": 7}, "command"),
        ({"command": "true", "timeout": -1}, "timeout"),
        ({"command": "true", "timeout": "1"}, "timeout"),
        ({"command": "true", "cwd": 1}, "cwd"),
        ({"command": "true", "cwd": "/nonexistent"}, "/nonexistent"),
        ({"command": "true", "cwd": "$NO_SUCH_VARIABLE/x"}, "NO_SUCH_VARIABLE"),
    ],
)
def test_bad_runs(osb_raw: Raw, raw_session: str, body: Any, says: str) -> None:
    answer = osb_raw.ask("POST", f"/session/{raw_session}/run", body)
    assert answer.status_code == 400
    assert answer.json()["code"] == "INVALID_REQUEST_BODY"
    assert says in answer.json()["message"]


@pytest.mark.parametrize("body", [None, {}, {"cwd": ""}, {"cwd": None}, {"unknown": 1}])
def test_bodies_that_make_a_session(osb_raw: Raw, body: Any) -> None:
    answer = osb_raw.ask("POST", "/session", body)
    assert answer.status_code == 200
    assert osb_raw.ask("DELETE", f"/session/{answer.json()['session_id']}").status_code == 200


@pytest.mark.parametrize("body", [b"{", b"[]", {"cwd": 1}, {"cwd": "/nonexistent"}, {"cwd": "/etc/passwd"}])
def test_bodies_that_make_none(osb_raw: Raw, body: Any) -> None:
    answer = osb_raw.ask("POST", "/session", body)
    assert answer.status_code == 400
    assert answer.json()["code"] == "INVALID_REQUEST_BODY"


def test_a_client_that_leaves_interrupts_its_run(osb_raw: Raw, raw_session: str, tmp_path: Path) -> None:
    path = f"/session/{raw_session}/run"
    ended = tmp_path / "ended"
    body = {"command": f"trap 'touch {ended}' EXIT; kept=1; echo held; (sleep 600); echo never"}
    with osb_raw.stream("POST", path, body) as answer:
        body_so_far = ""
        for chunk in answer.iter_text():
            body_so_far += chunk
            if "held" in body_so_far:
                break
    events = osb_raw.events(path, {"command": "echo $kept; trap - EXIT"})
    assert [event["type"] for event in events] == ["init", "stdout", "execution_complete"]
    assert events[1]["text"] == "1"
    assert not ended.exists()  # the shell went on


def test_a_run_of_no_session_of_another_sandbox(osb_raw: Raw, raw_session: str) -> None:
    with Raw(osb_raw.gateway) as other:
        assert other.ask("POST", f"/session/{raw_session}/run", {"command": "true"}).status_code == 404
        assert other.ask("DELETE", f"/session/{raw_session}").status_code == 404


def test_a_context_is_no_session(osb_raw: Raw) -> None:
    made = osb_raw.ask("POST", "/code/context", {"language": "bash"}).json()["id"]
    assert osb_raw.ask("POST", f"/session/{made}/run", {"command": "true"}).status_code == 404
    assert osb_raw.ask("DELETE", f"/session/{made}").status_code == 404
    assert osb_raw.ask("DELETE", f"/code/contexts/{made}").status_code == 200


def test_framing(osb_raw: Raw, raw_session: str) -> None:
    with osb_raw.stream("POST", f"/session/{raw_session}/run", {"command": "echo hi"}) as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        events = list(parse(answer.read()))
    assert [event["type"] for event in events if event["type"] != "ping"] == [
        "init",
        "stdout",
        "execution_complete",
    ]
