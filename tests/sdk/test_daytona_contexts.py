"""Contexts, environment variables and working directories: daytona.md sections 2 and 4."""

from __future__ import annotations

import asyncio
import datetime
import uuid
from pathlib import Path
from typing import Any

import daytona
import pytest
from adapter import Box
from daytona_toolbox_api_client import InterpreterContext


def stranger(context_id: str) -> InterpreterContext:
    """A context object that the gateway did not make."""
    return InterpreterContext(
        id=context_id, cwd="/", created_at="2026-01-01T00:00:00Z", active=True, language="python"
    )


# ------------------------------------------------------------------ life


async def test_created_context_has_all_fields(box: Box, ctx: Any) -> None:
    uuid.UUID(ctx.id)
    assert Path(ctx.cwd).is_absolute()
    assert ctx.language == "python"
    assert ctx.active is True
    made = datetime.datetime.fromisoformat(str(ctx.created_at).replace("Z", "+00:00"))
    age = datetime.datetime.now(datetime.UTC) - made
    assert datetime.timedelta(minutes=-5) < age < datetime.timedelta(minutes=30)


async def test_list_holds_created_but_not_default(box: Box, ctx: Any) -> None:
    await box.run("print(1)")
    listed = {context.id: context for context in await box.list_contexts()}
    assert listed[ctx.id] == ctx
    assert "default" not in listed
    default_pid = (await box.run("import os; print(os.getpid())")).stdout
    for context in listed.values():
        assert (await box.run("import os; print(os.getpid())", context=context)).stdout != default_pid


async def test_state_is_kept_in_a_created_context(box: Box, ctx: Any) -> None:
    await box.run("x = 100", context=ctx)
    assert (await box.run("print(x)", context=ctx)).stdout == "100\n"


async def test_contexts_do_not_share_state(box: Box, ctx: Any) -> None:
    await box.run("only_here = 1", context=ctx)
    result = await box.run("print(only_here)")
    assert result.error is not None
    assert result.error.name == "NameError"
    await box.run("only_there = 1")
    assert (await box.run("print('only_there' in globals())", context=ctx)).stdout == "False\n"


async def test_contexts_do_not_share_imports_cwd_or_environment(box: Box, ctx: Any, tmp_path: Path) -> None:
    await box.run(f"import os, sys\nos.environ['LEAK'] = '1'\nos.chdir({str(tmp_path)!r})", context=ctx)
    result = await box.run("import os\nprint(os.environ.get('LEAK'), os.getcwd())")
    assert result.stdout.startswith("None ")
    assert str(tmp_path) not in result.stdout
    assert (await box.run("print(os.getcwd())", context=ctx)).stdout == f"{tmp_path}\n"


async def test_delete(box: Box) -> None:
    made = await box.create_context()
    pid = int((await box.run("import os; print(os.getpid())", context=made)).stdout)
    await box.delete_context(made)
    assert made.id not in [context.id for context in await box.list_contexts()]
    with pytest.raises(daytona.DaytonaConnectionError) as caught:
        await box.run("print(1)", context=made)
    assert str(caught.value) == f"Failed to run code: context not found: {made.id} (close code 1008)"
    while Path(f"/proc/{pid}").exists():  # the test's deadline bounds it
        await asyncio.sleep(0.02)


async def test_delete_takes_child_processes_along(box: Box) -> None:
    made = await box.create_context()
    pid = int(
        (
            await box.run("import subprocess\nprint(subprocess.Popen(['sleep', '1000']).pid)", context=made)
        ).stdout
    )
    assert Path(f"/proc/{pid}").exists()
    await box.delete_context(made)
    while Path(f"/proc/{pid}/exe").exists():
        await asyncio.sleep(0.02)


async def test_delete_default_is_refused(box: Box) -> None:
    with pytest.raises(daytona.DaytonaBadRequestError) as caught:
        await box.delete_context(stranger("default"))
    assert str(caught.value).startswith("Failed to delete interpreter context: ")
    assert "default" in str(caught.value)
    assert (await box.run("print('still')")).stdout == "still\n"


async def test_delete_unknown_is_an_error(box: Box) -> None:
    with pytest.raises(daytona.DaytonaNotFoundError) as caught:
        await box.delete_context(stranger("nowhere"))
    assert str(caught.value).startswith("Failed to delete interpreter context: ")
    assert "nowhere" in str(caught.value)


async def test_delete_twice_is_an_error(box: Box) -> None:
    made = await box.create_context()
    await box.delete_context(made)
    with pytest.raises(daytona.DaytonaNotFoundError):
        await box.delete_context(made)


async def test_run_right_after_create(box: Box) -> None:
    """The first run waits for the kernel's start; nothing of its output is lost."""
    made = await box.create_context()
    result = await box.run("for i in range(100): print(i)", context=made)
    assert result.stdout == "".join(f"{i}\n" for i in range(100))
    await box.delete_context(made)


async def test_delete_right_after_create(box: Box) -> None:
    made = await box.create_context()
    await box.delete_context(made)
    assert made.id not in [context.id for context in await box.list_contexts()]


# ------------------------------------------------------------------ cwd


async def test_default_cwd(box: Box, ctx: Any) -> None:
    assert (await box.run("import os; print(os.getcwd())", context=ctx)).stdout == f"{ctx.cwd}\n"


async def test_given_cwd(box: Box, tmp_path: Path) -> None:
    (tmp_path / "data.txt").write_text("found")
    made = await box.create_context(cwd=str(tmp_path))
    try:
        assert made.cwd == str(tmp_path)
        result = await box.run("import os\nprint(os.getcwd(), open('data.txt').read())", context=made)
        assert result.stdout == f"{tmp_path} found\n"
        child = await box.run("import subprocess; print(subprocess.getoutput('pwd'))", context=made)
        assert child.stdout == f"{tmp_path}\n"
    finally:
        await box.delete_context(made)


async def test_cwd_with_spaces_and_unicode(box: Box, tmp_path: Path) -> None:
    place = tmp_path / "a b 'ü' \"q\""
    place.mkdir()
    made = await box.create_context(cwd=str(place))
    try:
        assert made.cwd == str(place)
        assert (await box.run("import os; print(os.getcwd())", context=made)).stdout == f"{place}\n"
    finally:
        await box.delete_context(made)


async def test_missing_cwd_is_a_clear_error(box: Box) -> None:
    before = len(await box.list_contexts())
    with pytest.raises(daytona.DaytonaBadRequestError) as caught:
        await box.create_context(cwd="/no/such/place")
    assert str(caught.value).startswith("Failed to create interpreter context: ")
    assert "/no/such/place" in str(caught.value)
    assert len(await box.list_contexts()) == before


async def test_cwd_that_is_a_file_is_a_clear_error(box: Box, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(daytona.DaytonaBadRequestError, match="file"):
        await box.create_context(cwd=str(tmp_path / "file"))


async def test_empty_cwd_is_the_default(box: Box, ctx: Any) -> None:
    made = await box.create_context(cwd="")
    try:
        assert made.cwd == ctx.cwd
    finally:
        await box.delete_context(made)


# ------------------------------------------------------------------ envs

SHOW = "import os; print(repr(os.environ.get('KBT')))"


async def test_envs_are_set_for_the_run_only(box: Box) -> None:
    assert (await box.run(SHOW, envs={"KBT": "v"})).stdout == "'v'\n"
    assert (await box.run(SHOW)).stdout == "None\n"


async def test_envs_reach_child_processes(box: Box) -> None:
    result = await box.run(
        "import subprocess; print(subprocess.getoutput('echo $KBT'))", envs={"KBT": "inherited"}
    )
    assert result.stdout == "inherited\n"


async def test_envs_restore_the_value_before(box: Box, ctx: Any) -> None:
    await box.run("import os; os.environ['KBT'] = 'mine'", context=ctx)
    assert (await box.run(SHOW, context=ctx, envs={"KBT": "theirs"})).stdout == "'theirs'\n"
    assert (await box.run(SHOW, context=ctx)).stdout == "'mine'\n"


async def test_envs_changed_by_the_code_are_restored_too(box: Box, ctx: Any) -> None:
    await box.run(
        "import os; os.environ['KBT'] = 'changed'; os.environ['OTHER'] = 'stays'",
        context=ctx,
        envs={"KBT": "v"},
    )
    assert (
        await box.run("print(os.environ.get('KBT'), os.environ['OTHER'])", context=ctx)
    ).stdout == "None stays\n"
    await box.run("del os.environ['OTHER']", context=ctx, envs={"OTHER": "x"})
    assert (await box.run("print(os.environ['OTHER'])", context=ctx)).stdout == "stays\n"


async def test_envs_are_restored_after_an_error(box: Box) -> None:
    result = await box.run("import os\nprint(os.environ['KBT'])\n1/0", envs={"KBT": "v"})
    assert (result.stdout, result.error.name) == ("v\n", "ZeroDivisionError")  # type: ignore[union-attr]
    assert (await box.run(SHOW)).stdout == "None\n"


async def test_envs_are_restored_after_a_syntax_error_and_exit(box: Box) -> None:
    for code in ("x ===", "import sys; sys.exit(1)"):
        await box.run(code, envs={"KBT": "v"})
        assert (await box.run(SHOW)).stdout == "None\n"


async def test_envs_keep_line_numbers_true(box: Box) -> None:
    result = await box.run("a = 1\n1/0", envs={"KBT": "v", "KBT2": "w"})
    assert result.error is not None
    assert "line 2" in result.error.traceback


VALUES = {
    "quotes": 'it\'s "quoted" `x` $HOME',
    "newlines": "a\nb\r\nc\n",
    "emoji": "🦆 日本",
    "empty": "",
    "backslashes": "C:\\new\\table %s {x}",
    "long": "x" * 50_000,
    "code": "'; import os; os._exit(1) #",
}


@pytest.mark.parametrize("name", VALUES)
async def test_envs_hold_any_value(box: Box, name: str) -> None:
    value = VALUES[name]
    result = await box.run(
        "import os, subprocess, sys\nprint(ascii(os.environ['KBT']))\n"
        "print(subprocess.check_output([sys.executable, '-c', "
        "'import os; print(ascii(os.environ[\"KBT\"]))'], text=True), end='')",
        envs={"KBT": value},
    )
    assert result.error is None
    assert result.stdout == f"{ascii(value)}\n" * 2


async def test_many_envs(box: Box) -> None:
    envs = {f"KBT_{i}": str(i) for i in range(200)}
    result = await box.run(
        "import os; print(sum(int(os.environ[f'KBT_{i}']) for i in range(200)))", envs=envs
    )
    assert result.stdout == "19900\n"
    assert (await box.run("print(sum(k.startswith('KBT_') for k in os.environ))")).stdout == "0\n"


async def test_empty_envs(box: Box) -> None:
    assert (await box.run("print(1)", envs={})).stdout == "1\n"


async def test_impossible_env_name_is_an_answer_not_a_crash(box: Box) -> None:
    """A name that no process can have: the run ends with an error of some kind, the context lives on."""
    for name in ("", "A=B", "A\x00B"):
        try:
            await box.run("print(1)", envs={name: "v"})
        except daytona.DaytonaError:
            pass
        assert (await box.run("print('alive')")).stdout == "alive\n"


async def test_queued_runs_have_their_own_envs(box: Box) -> None:
    results = await asyncio.gather(
        *(box.run(SHOW, envs={"KBT": str(i)} if i % 2 else None) for i in range(6))
    )
    assert [r.stdout for r in results] == [f"'{i}'\n" if i % 2 else "None\n" for i in range(6)]
