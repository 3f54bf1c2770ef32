"""Timeouts, crashes, deletion while running, clients that leave: daytona.md sections 3 and 4, design section 6."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from pathlib import Path
from typing import Any

import daytona
import psutil
import pytest
from adapter import Box, Heard
from harness.gateway import Gateway
from websockets.asyncio.client import connect

TIMED_OUT = (
    "Failed to run code: Execution timed out: operation exceeded the configured `timeout`. "
    "Provide a larger value if needed."
)


def hold(go: Path) -> str:
    """Code that prints `held` and goes on when the file `go` exists."""
    return f"import os, time\nprint('held')\nwhile not os.path.exists({str(go)!r}): time.sleep(0.01)\n"


async def start(box: Box, code: str, context: Any = None, **kwargs: Any) -> tuple[asyncio.Task[Any], Heard]:
    """Start a run and wait until it has printed `held`."""
    heard = Heard()
    task = asyncio.ensure_future(box.run(code, context=context, **heard.callbacks, **kwargs))
    waiting = asyncio.ensure_future(heard.wait_text("stdout", "held"))
    await asyncio.wait({task, waiting}, return_when=asyncio.FIRST_COMPLETED)
    if not waiting.done():
        waiting.cancel()
        raise AssertionError(f"ended before it held: {task.exception() or task.result()}")
    return task, heard


# ------------------------------------------------------------------ timeout


@pytest.mark.parametrize("timeout", [None, 0, 1, 600, 100_000])
async def test_timeout_that_is_not_reached(box: Box, timeout: int | None) -> None:
    assert (await box.run("print('in time')", timeout=timeout)).stdout == "in time\n"


async def test_timeout_zero_is_none(box: Box) -> None:
    assert (await box.run("import time; time.sleep(0.3); print('done')", timeout=0)).stdout == "done\n"


async def test_negative_timeout_is_refused(box: Box) -> None:
    with pytest.raises(daytona.DaytonaConnectionError) as caught:
        await box.run("print(1)", timeout=-1)
    assert (
        str(caught.value)
        == "Failed to run code: timeout must be greater than or equal to 0 (close code 1008)"
    )


LOOPS = {
    "busy": "while True: pass",
    "sleep": "import time; time.sleep(1000)",
    "input of a child": "import subprocess; subprocess.run(['sleep', '1000'])",
    "lock": "import threading; l = threading.Lock(); l.acquire(); l.acquire()",
    "printing": "while True: print('x' * 100)",
}


@pytest.mark.parametrize("name", LOOPS)
async def test_timeout_ends_the_run_and_keeps_the_state(box: Box, ctx: Any, name: str) -> None:
    await box.run("kept = 'kept'", context=ctx)
    with pytest.raises(daytona.DaytonaTimeoutError) as caught:
        await box.run(LOOPS[name], context=ctx, timeout=1)
    assert str(caught.value) == TIMED_OUT
    assert (await box.run("print(kept)", context=ctx)).stdout == "kept\n"


async def test_timeout_delivers_what_was_printed(box: Box, ctx: Any) -> None:
    heard = Heard()
    with pytest.raises(daytona.DaytonaTimeoutError):
        await box.run("print('early')\nwhile True: pass", context=ctx, timeout=1, **heard.callbacks)
    assert heard.text("stdout") == "early\n"


async def test_timeout_runs_finally_blocks(box: Box, ctx: Any, tmp_path: Path) -> None:
    mark = tmp_path / "finally"
    code = (
        "import time\nseen = []\ntry:\n    while True: time.sleep(0.01)\n"
        "except KeyboardInterrupt:\n    seen.append('except')\n    raise\n"
        f"finally:\n    seen.append('finally')\n    open({str(mark)!r}, 'w').close()"
    )
    with pytest.raises(daytona.DaytonaTimeoutError):
        await box.run(code, context=ctx, timeout=1)
    assert (await box.run("print(seen)", context=ctx)).stdout == "['except', 'finally']\n"
    assert mark.exists()


async def test_code_that_swallows_the_interrupt_once(box: Box, ctx: Any) -> None:
    """It ends within the grace: the client is told of the timeout, the state is kept."""
    code = (
        "import time\ntry:\n    while True: time.sleep(0.01)\nexcept KeyboardInterrupt:\n    swallowed = True"
    )
    with pytest.raises(daytona.DaytonaTimeoutError):
        await box.run(code, context=ctx, timeout=1)
    assert (await box.run("print(swallowed)", context=ctx)).stdout == "True\n"


async def test_code_that_swallows_every_interrupt(box: Box, ctx: Any) -> None:
    """It is killed: the client is told of the timeout, the same context id works with fresh globals."""
    code = (
        "lost = 1\nimport time\nwhile True:\n    try:\n        while True: time.sleep(0.01)\n"
        "    except BaseException:\n        pass"
    )
    with pytest.raises(daytona.DaytonaTimeoutError):
        await box.run(code, context=ctx, timeout=1)
    assert (await box.run("print('lost' in globals())", context=ctx)).stdout == "False\n"


async def test_code_that_ignores_the_signal(box: Box, ctx: Any) -> None:
    code = "import signal, time\nsignal.signal(signal.SIGINT, signal.SIG_IGN)\ntime.sleep(1000)"
    with pytest.raises(daytona.DaytonaTimeoutError):
        await box.run(code, context=ctx, timeout=1)
    assert (await box.run("print('works')", context=ctx)).stdout == "works\n"


async def test_timeout_counts_from_the_start_of_the_run(
    box: Box, ctx: Any, gateway: Gateway, tmp_path: Path
) -> None:
    """A run with timeout 2 that waited longer than that in the queue is not late."""
    go = tmp_path / "go"
    first, _ = await start(box, hold(go) + "time.sleep(3)", ctx)
    queued = asyncio.ensure_future(box.run("print('not late')", context=ctx, timeout=2))
    await asyncio.to_thread(gateway.wait_gauge, "executions_queued", 1)
    go.touch()
    assert (await queued).stdout == "not late\n"
    assert (await first).stdout == "held\n"


async def test_timeout_of_one_run_leaves_the_queue_alone(box: Box, ctx: Any, gateway: Gateway) -> None:
    first, _ = await start(box, "print('held')\nwhile True: pass", ctx, timeout=2)
    queued = [asyncio.ensure_future(box.run(f"print({i})", context=ctx)) for i in range(3)]
    with pytest.raises(daytona.DaytonaTimeoutError):
        await first
    assert [r.stdout for r in await asyncio.gather(*queued)] == ["0\n", "1\n", "2\n"]


async def test_timeout_in_the_default_context(box: Box) -> None:
    await box.run("kept_default = 1")
    with pytest.raises(daytona.DaytonaTimeoutError):
        await box.run("while True: pass", timeout=1)
    assert (await box.run("print(kept_default)")).stdout == "1\n"


# ------------------------------------------------------------------ crash

CRASHES = {
    "os._exit": ("import os; os._exit(3)", "exit code 3"),
    "os._exit zero": ("import os; os._exit(0)", "exit code 0"),
    "SIGSEGV": ("import os, signal; os.kill(os.getpid(), signal.SIGSEGV)", "signal 11"),
    "SIGKILL": ("import os, signal; os.kill(os.getpid(), signal.SIGKILL)", "signal 9"),
    "abort": ("import os; os.abort()", "signal 6"),
    "null pointer": ("import ctypes; ctypes.string_at(0)", "signal 11"),
}


@pytest.mark.parametrize("name", CRASHES)
async def test_crash_is_reported_and_the_context_recovers(box: Box, ctx: Any, name: str) -> None:
    code, what = CRASHES[name]
    heard = Heard()
    with pytest.raises(daytona.DaytonaConnectionError) as caught:
        await box.run(f"gone = 1\nprint('last words', flush=True)\n{code}", context=ctx, **heard.callbacks)
    assert "died" in str(caught.value)
    assert what in str(caught.value)
    assert str(caught.value).endswith("(close code 1011)")
    result = await box.run("print('gone' in globals())", context=ctx)
    assert (result.stdout, result.error) == ("False\n", None)
    assert ctx.id in [context.id for context in await box.list_contexts()]


async def test_crash_of_the_default_context(make_box: Any) -> None:
    made = await make_box()
    with pytest.raises(daytona.DaytonaConnectionError, match="exit code 7"):
        await made.run("import os; os._exit(7)")
    assert (await made.run("print('fresh')")).stdout == "fresh\n"


async def test_crash_keeps_the_cwd(box: Box, tmp_path: Path) -> None:
    made = await box.create_context(cwd=str(tmp_path))
    with pytest.raises(daytona.DaytonaConnectionError):
        await box.run("import os; os.chdir('/'); os._exit(1)", context=made)
    assert (await box.run("import os; print(os.getcwd())", context=made)).stdout == f"{tmp_path}\n"
    await box.delete_context(made)


async def test_crash_while_five_runs_wait(box: Box, ctx: Any, gateway: Gateway, tmp_path: Path) -> None:
    """The running one fails; the waiting ones run, in order, on a fresh kernel."""
    go = tmp_path / "go"
    first, _ = await start(box, hold(go) + "os._exit(1)", ctx)
    waiting = []
    for i in range(5):
        code = f"order = globals().get('order', []) + [{i}]\nprint(order)"
        waiting.append(asyncio.ensure_future(box.run(code, context=ctx)))
        await asyncio.to_thread(gateway.wait_gauge, "executions_queued", i + 1)
    go.touch()
    with pytest.raises(daytona.DaytonaConnectionError, match="died"):
        await first
    results = await asyncio.gather(*waiting)
    assert [r.stdout for r in results] == [f"{list(range(i + 1))}\n" for i in range(5)]


async def test_kernel_killed_while_idle(box: Box, ctx: Any) -> None:
    pid = int((await box.run("import os; print(os.getpid())", context=ctx)).stdout)
    os.kill(pid, signal.SIGKILL)
    while psutil.pid_exists(pid):
        await asyncio.sleep(0.01)
    result = await box.run("import os; print(os.getpid())", context=ctx)
    assert result.error is None
    assert int(result.stdout) != pid


async def test_kernel_killed_from_outside_while_running(box: Box, ctx: Any) -> None:
    task, heard = await start(
        box, "import os, time\nprint(os.getpid())\nprint('held')\ntime.sleep(1000)", ctx
    )
    os.kill(int(heard.text("stdout").split()[0]), signal.SIGKILL)
    with pytest.raises(daytona.DaytonaConnectionError, match="signal 9"):
        await task
    assert (await box.run("print('fresh')", context=ctx)).stdout == "fresh\n"


async def test_crash_loop(box: Box, ctx: Any) -> None:
    """A context that crashes again and again stays usable."""
    for _ in range(3):
        with pytest.raises(daytona.DaytonaConnectionError, match="died"):
            await box.run("import os; os._exit(1)", context=ctx)
    assert (await box.run("print('usable')", context=ctx)).stdout == "usable\n"


async def test_fork_that_ends_in_the_child(box: Box, ctx: Any) -> None:
    """A forked child that leaves does not count as the kernel's death."""
    result = await box.run(
        "import os\npid = os.fork()\nif pid == 0:\n    os._exit(0)\nprint(os.waitpid(pid, 0)[1])", context=ctx
    )
    assert (result.stdout, result.error) == ("0\n", None)
    assert (await box.run("print('alive')", context=ctx)).stdout == "alive\n"


# ------------------------------------------------------------------ delete while running


async def test_delete_while_running(box: Box) -> None:
    made = await box.create_context()
    task, _ = await start(box, "import time\nprint('held')\ntime.sleep(1000)", made)
    await box.delete_context(made)
    with pytest.raises(daytona.DaytonaConnectionError) as caught:
        await task
    assert str(caught.value) == "Failed to run code: context deleted (close code 1011)"


async def test_delete_with_queued_runs(box: Box, gateway: Gateway) -> None:
    made = await box.create_context()
    task, _ = await start(box, "import time\nprint('held')\ntime.sleep(1000)", made)
    queued = [asyncio.ensure_future(box.run(f"print({i})", context=made)) for i in range(3)]
    await asyncio.to_thread(gateway.wait_gauge, "executions_queued", 3)
    await box.delete_context(made)
    for one in (task, *queued):
        with pytest.raises(daytona.DaytonaConnectionError, match=r"context deleted \(close code 1011\)"):
            await one
    await asyncio.to_thread(gateway.wait_at_rest)


async def test_delete_of_a_context_that_swallows_interrupts(box: Box) -> None:
    made = await box.create_context()
    code = (
        "import time\nprint('held')\nwhile True:\n    try: time.sleep(1000)\n    except BaseException: pass"
    )
    task, _ = await start(box, code, made)
    await box.delete_context(made)
    with pytest.raises(daytona.DaytonaConnectionError, match="context deleted"):
        await task


async def test_delete_while_the_kernel_starts(box: Box) -> None:
    made = await box.create_context()
    task = asyncio.ensure_future(box.run("print('x')", context=made))
    await asyncio.sleep(0)
    await box.delete_context(made)
    try:
        assert (await task).stdout in ("x\n",)
    except daytona.DaytonaConnectionError as error:
        assert "context deleted" in str(error) or "context not found" in str(error)


async def test_delete_the_sandbox_while_running(make_box: Any) -> None:
    made = await make_box()
    task, _ = await start(made, "import time\nprint('held')\ntime.sleep(1000)")
    await made.method("delete")
    with pytest.raises(daytona.DaytonaConnectionError):
        await task


# ------------------------------------------------------------------ clients that leave


async def leave_mid_run(gateway: Gateway, box: Box, context: Any, code: str, *, politely: bool) -> None:
    """Start `code` on a WebSocket of its own, wait for `held`, and go."""
    url = f"{box.sandbox.toolbox_proxy_url}/{box.sandbox.id}/process/interpreter/execute".replace(
        "http", "ws", 1
    )
    ws = await connect(url, additional_headers={"Authorization": f"Bearer {gateway.token}"})
    await ws.send(json.dumps({"code": code, "contextId": context.id}))
    while "held" not in json.loads(await ws.recv()).get("text", ""):
        pass
    if politely:
        await ws.close()
    else:
        ws.transport.abort()


@pytest.mark.parametrize("politely", [True, False])
async def test_client_leaves_mid_run(
    gateway: Gateway, box: Box, ctx: Any, tmp_path: Path, politely: bool
) -> None:
    """The run goes on to its end, the context is busy until then, and works after."""
    go, end = tmp_path / "go", tmp_path / "end"
    code = hold(go) + f"print('into the void')\nfinished = True\nopen({str(end)!r}, 'w').close()"
    await leave_mid_run(gateway, box, ctx, code, politely=politely)
    next_run = asyncio.ensure_future(box.run("print(finished)", context=ctx))
    await asyncio.to_thread(gateway.wait_gauge, "executions_queued", 1)
    assert not end.exists()
    go.touch()
    assert (await next_run).stdout == "True\n"
    assert end.exists()


async def test_client_leaves_a_run_that_prints_much(gateway: Gateway, box: Box, ctx: Any) -> None:
    await leave_mid_run(
        gateway,
        box,
        ctx,
        "print('held')\nfor i in range(20000): print('x' * 100)\nfinished = True",
        politely=False,
    )
    assert (await box.run("print(finished)", context=ctx)).stdout == "True\n"


async def test_client_leaves_the_queue(gateway: Gateway, box: Box, ctx: Any, tmp_path: Path) -> None:
    """A queued run whose client left is dropped; runs behind it are not held up (design section 6)."""
    go, mark = tmp_path / "go", tmp_path / "mark"
    first, _ = await start(box, hold(go), ctx)
    url = f"{box.sandbox.toolbox_proxy_url}/{box.sandbox.id}/process/interpreter/execute".replace(
        "http", "ws", 1
    )
    ws = await connect(url, additional_headers={"Authorization": f"Bearer {gateway.token}"})
    await ws.send(json.dumps({"code": f"open({str(mark)!r}, 'w').close()", "contextId": ctx.id}))
    await asyncio.to_thread(gateway.wait_gauge, "executions_queued", 1)
    ws.transport.abort()
    await asyncio.to_thread(gateway.wait_gauge, "executions_queued", 0)
    last = asyncio.ensure_future(box.run("print('behind')", context=ctx))
    await asyncio.to_thread(gateway.wait_gauge, "executions_queued", 1)
    go.touch()
    await first
    assert (await last).stdout == "behind\n"
    assert not mark.exists()


async def test_cancelled_async_run(box: Box, ctx: Any, tmp_path: Path) -> None:
    """A task that is cancelled drops its connection; the run goes on, the client object stays usable."""
    if box.client.flavour == "sync":
        pytest.skip("a thread cannot be cancelled")
    go = tmp_path / "go"
    task, _ = await start(box, hold(go) + "finished = True", ctx)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    go.touch()
    assert (await box.run("print(finished)", context=ctx)).stdout == "True\n"
