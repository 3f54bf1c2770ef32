"""Contexts: life, state, working directories, queues, parallel runs: e2b.md sections 3.2 and 4."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import e2b_code_interpreter as e2b
import pytest
from e2b_adapter import Box, hold, start, stdout
from harness.gateway import Gateway

pytest_plugins = ["e2b_fixtures"]

WHERE = "import os; print(os.getcwd())"
UNKNOWN = "00000000-0000-4000-8000-000000000000"


def stranger(context_id: str) -> e2b.Context:
    return e2b.Context(context_id=context_id, language="python", cwd="/")


# ------------------------------------------------------------------ life


async def test_create(sbx: Box, fresh: Any) -> None:
    assert fresh.id
    assert (fresh.language, fresh.cwd) == ("python", "/home/user")
    home = (await sbx.out(WHERE, context=fresh)).strip()
    assert Path(home).is_dir()
    assert await sbx.out(WHERE) == f"{home}\n"


async def test_home_by_its_name_in_e2b(sbx: Box, fresh: Any) -> None:
    """/home/user is the sandbox's home folder, wherever that is."""
    home = await sbx.out("import os; os.makedirs('sub', exist_ok=True); print(os.getcwd())", context=fresh)
    for place, there in (("/home/user", home), ("/home/user/sub", f"{home.strip()}/sub\n")):
        made = await sbx.create_context(cwd=place)
        assert made.cwd == place
        assert await sbx.out(WHERE, context=made) == there
        await sbx.remove(made)


async def test_list_ends_with_the_newest(sbx: Box, fresh: Any) -> None:
    other = await sbx.create_context()
    listed = await sbx.contexts()
    assert [context.id for context in listed[-2:]] == [fresh.id, other.id]
    assert vars(listed[-1]) == vars(other)
    assert listed[0].language == "python"
    await sbx.remove(other)


async def test_default_context_is_listed_and_can_be_named(sbx: Box, fresh: Any) -> None:
    await sbx.run("who = 'default'")
    named = [
        context.id
        for context in await sbx.contexts()
        if context.language == "python"
        and (await sbx.run("globals().get('who')", context=context)).text == "default"
    ]
    assert len(named) == 1
    await sbx.run("del who")


async def test_state_of_contexts_is_apart(sbx: Box, fresh: Any) -> None:
    await sbx.run("only_in_fresh = 'mine'", context=fresh)
    assert (await sbx.run("only_in_fresh", context=fresh)).text == "mine"
    missing = await sbx.run("only_in_fresh")
    assert missing.error is not None
    assert missing.error.name == "NameError"


async def test_remove(sbx: Box) -> None:
    made = await sbx.create_context()
    await sbx.run("1", context=made)
    await sbx.remove(made)
    assert made.id not in [context.id for context in await sbx.contexts()]
    with pytest.raises(e2b.NotFoundException, match=f"Context {made.id} not found"):
        await sbx.run("1", context=made)
    with pytest.raises(e2b.NotFoundException, match=f"Context {made.id} not found"):
        await sbx.remove(made)


async def test_remove_by_id(sbx: Box) -> None:
    made = await sbx.create_context()
    await sbx.remove(made.id)
    assert made.id not in [context.id for context in await sbx.contexts()]


async def test_remove_takes_the_processes_along(sbx: Box) -> None:
    made = await sbx.create_context()
    code = "import os, subprocess\nprint(os.getpid(), subprocess.Popen(['sleep', '1000']).pid)"
    pids = (await sbx.out(code, context=made)).split()
    await sbx.remove(made)
    while any(Path(f"/proc/{pid}/exe").exists() for pid in pids):  # the test's deadline bounds it
        await asyncio.sleep(0.02)


async def test_remove_while_running(sbx: Box) -> None:
    """The run ends with an error at once; nothing hangs."""
    made = await sbx.create_context()
    running, _ = await start(sbx, "print('held')\nwhile True: pass", context=made)
    await sbx.remove(made)
    execution = await running
    assert execution.error is not None
    assert stdout(execution) == "held\n"


@pytest.mark.parametrize("bad", [UNKNOWN, "nonsense", "a%2Fb", "ü"])
async def test_unknown_context(sbx: Box, bad: str) -> None:
    for request in (sbx.run("1", context=stranger(bad)), sbx.remove(bad), sbx.restart(bad)):
        with pytest.raises(e2b.NotFoundException, match="not found"):
            await request


async def test_removed_default_context_is_made_again(make_sbx: Any) -> None:
    made = await make_sbx()
    await made.run("lost = 1")
    [default] = await made.contexts()
    await made.remove(default)
    assert (await made.run("'lost' in globals()")).text == "False"
    assert (await made.run("1 + 1", language="python")).text == "2"
    assert default.id not in [context.id for context in await made.contexts()]


# ------------------------------------------------------------------ restart


async def test_restart(sbx: Box, tmp_path: Path) -> None:
    """State is gone, id and directory stay, the count starts again."""
    made = await sbx.create_context(cwd=str(tmp_path))
    await sbx.run("x = 1", context=made)
    pid = await sbx.out("import os; print(os.getpid()); os.chdir('/')", context=made)
    await sbx.restart(made)
    execution = await sbx.run(
        "print('x' in globals(), os.getpid() if 'os' in globals() else None)", context=made
    )
    assert stdout(execution) == "False None\n"
    assert execution.execution_count == 1
    assert await sbx.out("import os; print(os.getpid())", context=made) != pid
    assert await sbx.out(WHERE, context=made) == f"{tmp_path}\n"
    [listed] = [context for context in await sbx.contexts() if context.id == made.id]
    assert listed.cwd == str(tmp_path)
    await sbx.remove(made.id)


async def test_restart_while_running(sbx: Box, fresh: Any) -> None:
    running, _ = await start(sbx, "print('held')\nwhile True: pass", context=fresh)
    await sbx.restart(fresh)
    execution = await running
    assert execution.error is not None
    assert (await sbx.run("1 + 1", context=fresh)).text == "2"


async def test_restart_twice_at_once(sbx: Box, fresh: Any) -> None:
    await sbx.run("x = 1", context=fresh)
    await asyncio.gather(*(sbx.restart(fresh) for _ in range(2)))
    assert (await sbx.run("'x' in globals()", context=fresh)).text == "False"


async def test_restart_keeps_the_variables_of_the_sandbox(make_sbx: Any) -> None:
    made = await make_sbx(envs={"KBT": "sandbox"})
    context = await made.create_context()
    await made.run("import os; os.environ['KBT'] = 'changed'", context=context)
    await made.restart(context)
    assert (await made.run("import os; os.environ['KBT']", context=context)).text == "sandbox"


# ------------------------------------------------------------------ working directories


async def test_cwd(sbx: Box, tmp_path: Path) -> None:
    (tmp_path / "data.txt").write_text("found")
    made = await sbx.create_context(cwd=str(tmp_path), language="python")
    assert made.cwd == str(tmp_path)
    assert await sbx.out("print(open('data.txt').read())", context=made) == "found\n"
    assert (
        await sbx.out("import subprocess; print(subprocess.getoutput('pwd'))", context=made)
        == f"{tmp_path}\n"
    )
    assert (await sbx.run("1", context=made)).execution_count == 3
    await sbx.remove(made)


async def test_cwd_of_any_name(sbx: Box, tmp_path: Path) -> None:
    place = tmp_path / "a b 'ü' \"q\" 🦆 $x"
    place.mkdir()
    made = await sbx.create_context(cwd=str(place))
    assert made.cwd == str(place)
    assert await sbx.out(WHERE, context=made) == f"{place}\n"
    await sbx.remove(made)


@pytest.mark.parametrize("place", ["/no/such/place", "/etc/passwd"])
async def test_impossible_cwd_is_a_clear_error(sbx: Box, place: str) -> None:
    before = len(await sbx.contexts())
    with pytest.raises(e2b.SandboxException, match=place):
        await sbx.create_context(cwd=place)
    assert len(await sbx.contexts()) == before


async def test_home_folders_are_apart(make_sbx: Any) -> None:
    one, two = await make_sbx(), await make_sbx()
    assert await one.out(WHERE) != await two.out(WHERE)
    await one.run("open('file', 'w').write('x')")
    assert await two.out("import os; print(os.path.exists('file'))") == "False\n"
    assert await one.out("print(open('file').read())", context=await one.create_context()) == "x\n"


# ------------------------------------------------------------------ queues and parallel runs


async def test_one_context_runs_one_at_a_time(sbx: Box, fresh: Any) -> None:
    code = "import time\nassert not globals().get('inside')\ninside = True\ntime.sleep(0.01)\ninside = False"
    executions = await asyncio.gather(*(sbx.run(code, context=fresh) for _ in range(10)))
    assert [execution.error for execution in executions] == [None] * 10
    assert sorted(execution.execution_count for execution in executions) == list(range(1, 11))


async def test_runs_are_first_in_first_out(
    sbx: Box, fresh: Any, e2b_gateway: Gateway, tmp_path: Path
) -> None:
    go = tmp_path / "go"
    first, _ = await start(sbx, "log = []\n" + hold(go), context=fresh)
    queued = []
    for i in range(5):
        queued.append(asyncio.ensure_future(sbx.run(f"log.append({i})", context=fresh)))
        await asyncio.to_thread(e2b_gateway.wait_gauge, "executions_queued", i + 1)
    go.touch()
    await asyncio.gather(first, *queued)
    assert (await sbx.run("log", context=fresh)).results[0].json == [0, 1, 2, 3, 4]


async def test_contexts_run_in_parallel(sbx: Box, tmp_path: Path) -> None:
    """Four are inside at once: each goes on when all four files exist."""
    made = await asyncio.gather(*(sbx.create_context() for _ in range(4)))

    def code(n: int) -> str:
        return (
            f"import os, time\nopen({str(tmp_path)!r} + '/{n}', 'w').close()\n"
            f"while len(os.listdir({str(tmp_path)!r})) < 4: time.sleep(0.02)\nprint('all', {n})"
        )

    executions = await asyncio.gather(*(sbx.run(code(n), context=c) for n, c in enumerate(made)))
    assert [stdout(execution) for execution in executions] == [f"all {n}\n" for n in range(4)]
    await asyncio.gather(*(sbx.remove(context) for context in made))


async def test_sandboxes_run_in_parallel(make_sbx: Any, tmp_path: Path) -> None:
    made = [await make_sbx() for _ in range(2)]

    def code(mine: str, theirs: str) -> str:
        return (
            f"import os, time\nopen({str(tmp_path / mine)!r}, 'w').close()\n"
            f"while not os.path.exists({str(tmp_path / theirs)!r}): time.sleep(0.01)\nprint('met')"
        )

    assert await asyncio.gather(made[0].out(code("a", "b")), made[1].out(code("b", "a"))) == ["met\n"] * 2


async def test_lists_while_busy(sbx: Box, fresh: Any, tmp_path: Path) -> None:
    running, _ = await start(sbx, hold(tmp_path / "go"), context=fresh)
    assert fresh.id in [context.id for context in await sbx.contexts()]
    assert await sbx.out("print('beside')") == "beside\n"
    (tmp_path / "go").touch()
    assert (await running).error is None


async def test_output_is_not_mixed(sbx: Box, fresh: Any) -> None:
    executions = await asyncio.gather(
        *(sbx.run(f"for i in range(50): print({n}, i)", context=fresh) for n in range(5))
    )
    for n, execution in enumerate(executions):
        assert stdout(execution) == "".join(f"{n} {i}\n" for i in range(50))


async def test_first_runs_of_a_new_sandbox_at_once(make_sbx: Any) -> None:
    """Ten programs use the default context before it exists: one is made."""
    made = await make_sbx()
    executions = await asyncio.gather(*(made.run("import os; os.getpid()") for _ in range(10)))
    assert len({execution.text for execution in executions}) == 1
    assert len(await made.contexts()) == 1
