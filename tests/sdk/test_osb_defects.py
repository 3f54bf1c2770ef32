"""What execd does wrong with /code, and we do not: each defect with a test that it is absent.

Facts: opensandbox.md (b) and (c); the issues of the upstream project that these are known from.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest
from harness.gateway import until
from osb_adapter import Box, Told, hold, results, start, stderr, stdout
from osb_raw import Raw, text

pytest_plugins = ["osb_fixtures"]


def kinds(events: list[dict[str, Any]]) -> list[str]:
    return [event["type"] for event in events]


@pytest.fixture
def own(osb_raw: Raw) -> Iterator[Callable[..., list[dict[str, Any]]]]:
    """A Python context that only this test uses: own(code) runs there; own.id is its id."""
    made = osb_raw.ask("POST", "/code/context", {"language": "python"}).json()["id"]

    def run(code: str, **kwargs: Any) -> list[dict[str, Any]]:
        return osb_raw.code(code, context=made, **kwargs)

    run.id = made  # type: ignore[attr-defined]
    yield run
    osb_raw.ask("DELETE", f"/code/contexts/{made}")


# --- a run after a failed run ---------------------------------------------------------------


async def test_a_run_right_after_an_error(osb: Box, osb_ctx: Any) -> None:
    """execd's next run is aborted, or answered with the old error."""
    for i in range(50):
        failed = await osb.run(f"raise ValueError({i})", context=osb_ctx)
        assert failed.error is not None
        assert failed.error.value == str(i)
        after = await osb.run(f"{i}", context=osb_ctx)
        assert (results(after), after.error) == ([str(i)], None)


async def test_runs_that_wait_behind_an_error(osb: Box, osb_ctx: Any, tmp_path: Path) -> None:
    """Sent while the one that fails still runs: none is aborted."""
    go = tmp_path / "go"
    failing, _ = await start(osb, hold(go) + "1/0", context=osb_ctx)
    rest = [asyncio.ensure_future(osb.run(f"{i}", context=osb_ctx)) for i in range(5)]
    go.touch()
    failed = await failing
    assert failed.error is not None
    assert failed.error.name == "ZeroDivisionError"
    assert sorted(results(execution)[0] for execution in await asyncio.gather(*rest)) == list("01234")


# --- results --------------------------------------------------------------------------------


async def test_a_thousand_results(own: Any) -> None:
    """execd completes a run before its result is there, and loses it."""
    for i in range(1000):
        events = own(f"{i}")
        assert kinds(events) == ["init", "execution_count", "result", "execution_complete"]
        assert events[2]["results"] == {"text": str(i)}


async def test_the_result_follows_all_that_was_printed(own: Any) -> None:
    for _ in range(20):
        events = own("for i in range(200): print(i)\n'end'")
        assert text(events, "stdout") == "".join(f"{i}\n" for i in range(200))
        assert kinds(events)[-2:] == ["result", "execution_complete"]


# --- output and its end ---------------------------------------------------------------------


async def test_complete_comes_after_all_output(osb: Box, osb_ctx: Any) -> None:
    """100,000 lines, in order, and only then the end."""
    told = Told()
    execution = await osb.run(
        "for i in range(100_000): print(i)", context=osb_ctx, handlers=told.handlers(osb.client)
    )
    assert stdout(execution) == "".join(f"{i}\n" for i in range(100_000))
    assert told.kinds[-1] == "execution_complete"
    assert told.kinds.count("execution_complete") == 1


async def test_an_error_comes_after_all_output(own: Any) -> None:
    events = own("import sys\nfor i in range(20_000): print(i)\nprint('last', file=sys.stderr)\n1/0")
    assert text(events, "stdout") == "".join(f"{i}\n" for i in range(20_000))
    assert text(events, "stderr") == "last\n"
    assert kinds(events)[-1] == "error"
    assert "execution_complete" not in kinds(events)


async def test_twenty_thousand_flushed_prints(osb: Box, osb_ctx: Any) -> None:
    """Each a message of its own: a kernel's socket drops what nobody reads in time; none is lost."""
    execution = await osb.run("for i in range(20_000): print(i, flush=True)", context=osb_ctx)
    assert stdout(execution) == "".join(f"{i}\n" for i in range(20_000))
    assert execution.complete is not None


async def test_both_streams_at_once(own: Any) -> None:
    events = own(
        "import sys\nfor i in range(5_000):\n"
        "    print(i, flush=True)\n    print(-i, file=sys.stderr, flush=True)"
    )
    assert text(events, "stdout") == "".join(f"{i}\n" for i in range(5_000))
    assert text(events, "stderr") == "".join(f"{-i}\n" for i in range(5_000))


async def test_a_client_that_reads_slowly_gets_all(osb_raw: Raw, own: Any) -> None:
    """It takes nothing until the kernel cannot have more on its way, then all of it."""
    body = {"code": "for i in range(300_000): print(i)", "context": {"id": own.id}}
    got = bytearray()
    with osb_raw.stream("POST", "/code", body) as answer:
        pieces = answer.iter_raw(4096)
        got += next(pieces)
        other = osb_raw.code("'another context is not held up'")
        assert kinds(other)[-1] == "execution_complete"
        for piece in pieces:
            got += piece
    events = [json.loads(line) for line in bytes(got).splitlines() if line]
    assert text(events, "stdout") == "".join(f"{i}\n" for i in range(300_000))
    assert kinds(events)[-1] == "execution_complete"


# --- late output ----------------------------------------------------------------------------


async def test_late_stderr_is_not_the_next_runs(osb: Box, osb_ctx: Any, tmp_path: Path) -> None:
    """What a thread says after its run, and before the next one begins, is in neither."""
    go, said = tmp_path / "go", tmp_path / "said"
    first = await osb.run(
        "import os, sys, threading, time\ndef late():\n"
        f"    while not os.path.exists({str(go)!r}): time.sleep(0.005)\n"
        "    print('late err', file=sys.stderr, flush=True)\n    print('late out', flush=True)\n"
        "    os.write(2, b'late fd\\n')\n"
        f"    open({str(said)!r}, 'w').close()\n"
        "thread = threading.Thread(target=late)\nthread.start()",
        context=osb_ctx,
    )
    assert (first.error, stderr(first)) == (None, "")
    go.touch()
    while not said.exists():  # the test's deadline bounds it
        await asyncio.sleep(0.01)
    second = await osb.run("thread.join()\nprint('mine')\n2", context=osb_ctx)
    assert (stdout(second), stderr(second), results(second)) == ("mine\n", "", ["2"])


async def test_what_a_thread_says_is_of_the_run_that_runs(osb: Box, osb_ctx: Any, tmp_path: Path) -> None:
    """As in Jupyter: of that one and of no other, whole, before its end."""
    go = tmp_path / "go"
    await osb.run(
        "import os, sys, threading, time\ndef late():\n"
        f"    while not os.path.exists({str(go)!r}): time.sleep(0.005)\n"
        "    print('from a thread', file=sys.stderr, flush=True)\n"
        "thread = threading.Thread(target=late)\nthread.start()",
        context=osb_ctx,
    )
    second = await osb.run(f"open({str(go)!r}, 'w').close()\nthread.join()", context=osb_ctx)
    assert stderr(second) == "from a thread\n"
    third = await osb.run("3", context=osb_ctx)
    assert (stderr(third), results(third)) == ("", ["3"])


async def test_stderr_at_the_end_of_a_run_is_its_own(own: Any) -> None:
    """The last words of a run and of its children come before its end, every time."""
    for i in range(30):
        events = own(f"import os, sys\nprint('last {i}', file=sys.stderr)\nos.system('echo child {i} >&2')")
        assert sorted(text(events, "stderr").splitlines()) == [f"child {i}", f"last {i}"]
        assert kinds(own("0")) == ["init", "execution_count", "result", "execution_complete"]


# --- the death of a kernel ------------------------------------------------------------------


@pytest.mark.parametrize("code", ["os._exit(3)", "os.kill(os.getpid(), 9)", "os.abort()"])
async def test_death_ends_the_run(osb: Box, osb_ctx: Any, code: str, tmp_path: Path) -> None:
    """execd waits for ever. The error says how it died, and the next run has a fresh kernel."""
    go = tmp_path / "go"
    running, told = await start(osb, f"x = 1\n{hold(go)}{code}", context=osb_ctx)
    go.touch()  # what it printed has left the kernel by now
    execution = await running
    assert execution.error is not None
    assert execution.error.name == "KernelDied"
    assert ("exit code 3" if "exit" in code else "signal") in execution.error.value
    assert stdout(execution) == "held\n"
    assert told.kinds[-1] == "error"
    after = await osb.run("'x' in globals()", context=osb_ctx)
    assert (after.id, results(after)) == (osb_ctx.id, ["False"])


async def test_death_by_another_hand(osb: Box, osb_ctx: Any) -> None:
    pid = int(await osb.out("import os; print(os.getpid())", context=osb_ctx))
    running, _ = await start(osb, "import time\nprint('held')\ntime.sleep(600)", context=osb_ctx)
    os.kill(pid, signal.SIGKILL)
    execution = await running
    assert execution.error is not None
    assert execution.error.name == "KernelDied"
    assert "signal 9" in execution.error.value
    assert results(await osb.run("1 + 1", context=osb_ctx)) == ["2"]


async def test_death_spares_those_who_wait(osb: Box, osb_ctx: Any, tmp_path: Path) -> None:
    """Queued runs have a fresh kernel."""
    go = tmp_path / "go"
    dying, _ = await start(osb, hold(go) + "os._exit(1)", context=osb_ctx)
    rest = [asyncio.ensure_future(osb.run(f"{i}", context=osb_ctx)) for i in range(3)]
    go.touch()
    assert (await dying).error is not None
    assert sorted(results(execution)[0] for execution in await asyncio.gather(*rest)) == list("012")


async def test_death_between_runs(osb: Box, osb_ctx: Any) -> None:
    kernel = psutil.Process(int(await osb.out("import os; print(os.getpid())", context=osb_ctx)))
    kernel.kill()
    while kernel.is_running():  # the test's deadline bounds it
        await asyncio.sleep(0.02)
    assert results(await osb.run("1 + 1", context=osb_ctx)) == ["2"]


# --- clients that leave ---------------------------------------------------------------------


@contextmanager
def begun(raw: Raw, own: Any, code: str, rule: str | None) -> Iterator[None]:
    """A run that has printed `held`, whose client leaves at the end of the block."""
    headers: dict[str, str | None] = {"X-Kernelbridge-Disconnect": rule}
    with raw.stream("POST", "/code", {"code": code, "context": {"id": own.id}}, headers) as answer:
        lines = answer.iter_lines()
        while "held" not in next(lines):
            pass
        yield


async def test_leaving_frees_the_context_when_asked(osb_raw: Raw, own: Any) -> None:
    with begun(osb_raw, own, "x = 1\nimport time\nprint('held')\nwhile True: time.sleep(0.01)", "interrupt"):
        pass
    assert own("x")[2]["results"] == {"text": "1"}


@pytest.mark.parametrize("rule", [None, "finish", "drop"])
async def test_leaving_lets_the_run_finish_else(
    osb_raw: Raw, own: Any, tmp_path: Path, rule: str | None
) -> None:
    go = tmp_path / "go"
    with begun(osb_raw, own, hold(go) + "x = 'finished'", rule):
        pass
    go.touch()
    assert own("x")[2]["results"] == {"text": "'finished'"}


@pytest.mark.parametrize(("rule", "want"), [(None, "[1, 2]"), ("drop", "[1]"), ("interrupt", "[1]")])
async def test_leaving_the_queue(osb_raw: Raw, own: Any, tmp_path: Path, rule: str | None, want: str) -> None:
    """A run that has not begun is dropped with its client where that was asked."""
    go = tmp_path / "go"
    headers: dict[str, str | None] = {"X-Kernelbridge-Disconnect": rule}
    gateway = osb_raw.gateway
    with begun(osb_raw, own, "ran = [1]\n" + hold(go), "finish"):
        body = {"code": "ran.append(2)", "context": {"id": own.id}}
        with osb_raw.stream("POST", "/code", body, headers) as answer:
            assert "init" in next(answer.iter_lines())
        if rule is not None:
            until(
                "the queue to be empty",
                lambda: gateway.metrics()["kernelbridge_executions_queued"] == 0,
            )
        go.touch()
    assert own("ran")[2]["results"] == {"text": want}


# --- no shell -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "body",
    [{}, {"context": {}}, {"context": None}, {"context": {"language": ""}}, {"context": {"language": None}}],
    ids=repr,
)
async def test_no_language_is_no_shell(osb_raw: Raw, tmp_path: Path, body: dict[str, Any]) -> None:
    """execd runs such code as a shell command. It is Python here, and nothing else."""
    mark = tmp_path / "mark"
    events = osb_raw.events("/code", {"code": f"echo x > {mark}"} | body)
    assert events[-1]["error"]["ename"] == "SyntaxError"
    assert not mark.exists()


@pytest.mark.parametrize("language", ["command", "background-command", "sql", "cobol", "../bash", " "])
async def test_no_other_language_is_a_shell(osb_raw: Raw, tmp_path: Path, language: str) -> None:
    mark = tmp_path / "mark"
    answer = osb_raw.ask("POST", "/code", {"code": f"echo x > {mark}", "context": {"language": language}})
    assert answer.status_code in (400, 500)
    assert answer.json()["code"] in ("RUNTIME_ERROR", "INVALID_REQUEST_BODY")
    assert not mark.exists()
