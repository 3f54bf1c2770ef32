"""How runs end early: timeouts, clients that leave, kernels that die, exit(): e2b.md sections 3.1 and 4."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import e2b_code_interpreter as e2b
import psutil
import pytest
from e2b_adapter import Box, Told, hold, start, stdout
from harness.gateway import Gateway

pytest_plugins = ["e2b_fixtures"]

TIMED_OUT = "Execution timed out"


class Leave(Exception):
    """Raised by a callback: the SDK closes the connection while the run goes on."""


async def leave(sbx: Box, code: str, **kwargs: Any) -> None:
    """Run code, and leave when it has printed something."""

    def go(message: Any) -> None:
        raise Leave

    with pytest.raises(Leave):
        await sbx.run(code, on_stdout=go, **kwargs)


def caught(mark: Path, loop: str = "while True: time.sleep(0.01)") -> str:
    """Python that prints `held`, loops, and writes what exception ended the loop into the file `mark`."""
    return (
        "import time\nkept = 'kept'\n"
        f"try:\n    print('held')\n    {loop}\nexcept BaseException as e:\n"
        f"    open({str(mark)!r}, 'w').write(type(e).__name__)\n    raise"
    )


# ------------------------------------------------------------------ the client's timeout


LOOPS = {
    "busy": "while True: pass",
    "sleep": "import time; time.sleep(1000)",
    "child": "import subprocess; subprocess.run(['sleep', '1000'])",
    "printing": "while True: print('x' * 100)",
    "await": "import asyncio; await asyncio.sleep(1000)",
}


@pytest.mark.parametrize("name", LOOPS)
async def test_timeout(sbx: Box, fresh: Any, name: str) -> None:
    """The SDK gives up, and the kernel is interrupted: the next run comes at once and has the state."""
    await sbx.run("kept = 'kept'", context=fresh)
    with pytest.raises(e2b.TimeoutException, match=TIMED_OUT):
        await sbx.run(LOOPS[name], context=fresh, timeout=1)
    assert (await sbx.run("kept", context=fresh)).text == "kept"


async def test_timeout_interrupts(sbx: Box, fresh: Any, tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    with pytest.raises(e2b.TimeoutException, match=TIMED_OUT):
        await sbx.run(caught(mark), context=fresh, timeout=1)
    assert (await sbx.run("kept", context=fresh)).text == "kept"
    assert mark.read_text() == "KeyboardInterrupt"


async def test_timeout_delivers_what_was_printed(sbx: Box, fresh: Any) -> None:
    told = Told()
    with pytest.raises(e2b.TimeoutException):
        await sbx.run("print('early')\nwhile True: pass", context=fresh, timeout=1, **told.callbacks)
    assert told.text("stdout") == "early\n"


async def test_no_timeout(sbx: Box, fresh: Any) -> None:
    """timeout=0 turns the limit off."""
    assert await sbx.out("import time; time.sleep(0.5); print('done')", context=fresh, timeout=0) == "done\n"


async def test_timeout_while_queued(sbx: Box, fresh: Any, e2b_gateway: Gateway, tmp_path: Path) -> None:
    """The one that gave up never runs; the one that runs is not touched; later ones run."""
    go, ran = tmp_path / "go", tmp_path / "ran"
    first, _ = await start(sbx, hold(go), context=fresh)
    impatient = asyncio.ensure_future(sbx.run(f"open({str(ran)!r}, 'w').close()", context=fresh, timeout=1))
    await asyncio.to_thread(e2b_gateway.wait_gauge, "executions_queued", 1)
    with pytest.raises(e2b.TimeoutException):
        await impatient
    await asyncio.to_thread(e2b_gateway.wait_gauge, "executions_queued", 0)
    later = asyncio.ensure_future(sbx.run("'later'", context=fresh))
    go.touch()
    assert (await first).error is None
    assert (await later).text == "later"
    assert not ran.exists()


# ------------------------------------------------------------------ clients that leave


async def test_leaving_interrupts(sbx: Box, fresh: Any, tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    await leave(sbx, caught(mark), context=fresh)
    assert (await sbx.run("kept", context=fresh)).text == "kept"
    assert mark.read_text() == "KeyboardInterrupt"


async def test_leaving_in_the_default_context(sbx: Box, tmp_path: Path) -> None:
    await leave(sbx, caught(tmp_path / "mark"))
    assert (await sbx.run("kept; del kept")).error is None
    assert (tmp_path / "mark").read_text() == "KeyboardInterrupt"


async def test_leaving_while_it_prints(sbx: Box, fresh: Any) -> None:
    """With megabytes of output on the way."""
    await leave(sbx, "kept = 1\nwhile True: print('x' * 10_000)", context=fresh)
    assert (await sbx.run("kept", context=fresh)).text == "1"


async def test_leaving_code_that_swallows_the_interrupt(sbx: Box, fresh: Any) -> None:
    """It is killed after the grace; the context id goes on with a fresh kernel."""
    code = (
        "lost = 1\nimport time\nwhile True:\n    try:\n        print('held')\n"
        "        while True: time.sleep(0.01)\n    except BaseException:\n        pass"
    )
    await leave(sbx, code, context=fresh)
    assert (await sbx.run("'lost' in globals()", context=fresh)).text == "False"


async def test_leaving_does_not_touch_the_next_run(
    sbx: Box, fresh: Any, e2b_gateway: Gateway, tmp_path: Path
) -> None:
    """The client behind in the queue gets its whole output, and no KeyboardInterrupt."""
    running = asyncio.ensure_future(leave(sbx, hold(tmp_path / "go") + "print('never')", context=fresh))
    await running
    executions = await asyncio.gather(
        *(
            sbx.run("import time\nfor i in range(20): print(i); time.sleep(0.005)", context=fresh)
            for _ in range(3)
        )
    )
    for execution in executions:
        assert execution.error is None
        assert stdout(execution) == "".join(f"{i}\n" for i in range(20))


async def test_cancelled_task(sbx: Box, fresh: Any, tmp_path: Path) -> None:
    """asyncio's own way to leave; the synchronous SDK has only its callbacks."""
    mark = tmp_path / "mark"
    if sbx.client.flavour == "sync":
        await leave(sbx, caught(mark, "time.sleep(1000)"), context=fresh)
    else:
        running, _ = await start(sbx, caught(mark, "time.sleep(1000)"), context=fresh)
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
    assert (await sbx.run("kept", context=fresh)).text == "kept"
    assert mark.read_text() == "KeyboardInterrupt"


# ------------------------------------------------------------------ kernels that die

DEATHS = {
    "os._exit": "import os; os._exit(3)",
    "os._exit zero": "import os; os._exit(0)",
    "kill -9": "import os; os.kill(os.getpid(), 9)",
    "null pointer": "import ctypes; ctypes.string_at(0)",
    "kill -9 of a child": "import os, subprocess; subprocess.run(['kill', '-9', str(os.getpid())]); print('?')",
}


@pytest.mark.parametrize("name", DEATHS)
async def test_death(sbx: Box, fresh: Any, name: str, tmp_path: Path) -> None:
    """One error, all that was printed before, and the same context id works again."""
    go = tmp_path / "go"
    running, told = await start(sbx, f"gone = 1\n{hold(go)}{DEATHS[name]}", context=fresh)
    go.touch()  # what it printed has left the kernel by now
    execution = await running
    assert execution.error is not None
    assert execution.error.name
    assert execution.error.value
    assert stdout(execution) == "held\n"
    assert [kind for kind, _ in told.merged()] == ["stdout", "error"]
    after = await sbx.run("'gone' in globals()", context=fresh)
    assert (after.text, after.error, after.execution_count) == ("False", None, 1)
    assert fresh.id in [context.id for context in await sbx.contexts()]


async def test_death_of_the_default_context(make_sbx: Any) -> None:
    made = await make_sbx(envs={"KBT": "v"})
    assert (await made.run("import os; os._exit(1)")).error is not None
    assert (await made.run("import os; os.environ['KBT']")).text == "v"
    assert len(await made.contexts()) == 1


async def test_death_keeps_the_cwd(sbx: Box, tmp_path: Path) -> None:
    made = await sbx.create_context(cwd=str(tmp_path))
    await sbx.run("import os; os.chdir('/'); os._exit(1)", context=made)
    assert await sbx.out("import os; print(os.getcwd())", context=made) == f"{tmp_path}\n"
    await sbx.remove(made)


async def test_death_while_others_wait(sbx: Box, fresh: Any, e2b_gateway: Gateway, tmp_path: Path) -> None:
    go = tmp_path / "go"
    first, _ = await start(sbx, hold(go) + "os._exit(1)", context=fresh)
    queued = []
    for i in range(3):
        queued.append(asyncio.ensure_future(sbx.run(str(i), context=fresh)))
        await asyncio.to_thread(e2b_gateway.wait_gauge, "executions_queued", i + 1)
    go.touch()
    assert (await first).error is not None
    assert [execution.text for execution in await asyncio.gather(*queued)] == ["0", "1", "2"]


async def test_death_between_runs(sbx: Box, fresh: Any) -> None:
    """A kernel that is killed when nothing runs is replaced before the next run."""
    kernel = psutil.Process(int(await sbx.out("import os; print(os.getpid())", context=fresh)))
    kernel.kill()
    while kernel.is_running():  # the test's deadline bounds it
        await asyncio.sleep(0.02)
    assert (await sbx.run("1 + 1", context=fresh)).text == "2"


async def test_death_in_one_context_leaves_others_alone(sbx: Box, fresh: Any, tmp_path: Path) -> None:
    go = tmp_path / "go"
    running, _ = await start(sbx, "kept = 1\n" + hold(go), context=fresh)
    dying = await sbx.create_context()
    assert (await sbx.run("import os; os._exit(1)", context=dying)).error is not None
    go.touch()
    assert (await running).error is None
    assert (await sbx.run("kept", context=fresh)).text == "1"
    await sbx.remove(dying)


@pytest.mark.parametrize("code", ["exit()", "quit()", "import sys; sys.exit(0)", "raise SystemExit"])
async def test_exit(sbx: Box, fresh: Any, code: str) -> None:
    """Nothing hangs, the output before is there, and the context works afterwards."""
    execution = await sbx.run(f"print('before')\n{code}", context=fresh)
    assert stdout(execution) == "before\n"
    assert execution.error is None or execution.error.name == "SystemExit"
    assert (await sbx.run("1 + 1", context=fresh)).text == "2"
