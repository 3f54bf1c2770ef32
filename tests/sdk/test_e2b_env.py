"""Environment variables of a run and of a sandbox, in every language: e2b.md section 4, design section 6."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import e2b_code_interpreter as e2b
import pytest
from e2b_adapter import Box, hold, start, stdout
from e2b_tongues import PYTHON, Tongue

pytest_plugins = ["e2b_fixtures"]

VALUES = {
    "plain": "value",
    "quotes": 'it\'s "quoted" `x`',
    "dollar": "$HOME ${HOME} $(id) %PATH% %s {x}",
    "newlines": "a\nb\r\nc\n\td",
    "backslashes": "C:\\new\\table\\u0041 \\",
    "emoji": "🦆 日本 \u2028 é",
    "spaces": "  lead and trail  ",
    "code": "'; import os; os._exit(1) #\"); System.exit(1); //",
}


@pytest.mark.parametrize("e2b_client", ["async"], indirect=True)  # 56 cases: the SDKs send the same
@pytest.mark.parametrize("value", VALUES)
async def test_any_value_in_any_language(sbx: Box, spoken: Tongue, value: str) -> None:
    """Set exactly, nothing else in the output, gone afterwards."""
    execution = await sbx.run(spoken.hexed, language=spoken.name, envs={"KBT": VALUES[value]})
    assert execution.error is None, execution.error
    assert stdout(execution).split() == [VALUES[value].encode().hex()]
    assert stdout(execution).count("\n") == 1
    assert (await sbx.out(spoken.shown, language=spoken.name)).split() == ["unset"]


async def test_count_and_results_with_variables(sbx: Box, spoken: Tongue) -> None:
    """Setting them counts no execution and shows no result."""
    made = await sbx.create_context(language=spoken.name)
    try:
        counts = []
        for envs in (None, {"KBT": "1"}, {"KBT": "2", "KBT2": "x"}, None):
            execution = await sbx.run(spoken.printing("said"), context=made, envs=envs)
            counts.append(execution.execution_count)
            assert (execution.results, execution.error) == ([], None)
        assert [count - counts[0] for count in counts] == [0, 1, 2, 3]
    finally:
        await sbx.remove(made)


async def test_restored_after_an_error(sbx: Box, spoken: Tongue) -> None:
    await sbx.run(spoken.fail, language=spoken.name, envs={"KBT": "v"})
    assert (await sbx.out(spoken.shown, language=spoken.name)).split() == ["unset"]


async def test_variables_of_the_sandbox(make_sbx: Any, spoken: Tongue) -> None:
    """They are there in every language, a run's own hide them, and they come back."""
    made = await make_sbx(envs={"KBT": "of the sandbox"})
    assert (await made.out(spoken.shown, language=spoken.name)).strip() == "of the sandbox"
    assert (
        await made.out(spoken.shown, language=spoken.name, envs={"KBT": "of the run"})
    ).strip() == "of the run"
    assert (await made.out(spoken.shown, language=spoken.name)).strip() == "of the sandbox"


# ------------------------------------------------------------------ Python


async def test_a_value_before_comes_back(sbx: Box, fresh: Any) -> None:
    await sbx.run("import os; os.environ['KBT'] = 'mine'", context=fresh)
    assert await sbx.out(PYTHON.shown, context=fresh, envs={"KBT": "theirs"}) == "theirs\n"
    assert await sbx.out(PYTHON.shown, context=fresh) == "mine\n"


async def test_child_processes_see_them(sbx: Box) -> None:
    code = "import subprocess; print(subprocess.getoutput('echo $KBT'))"
    assert await sbx.out(code, envs={"KBT": "inherited"}) == "inherited\n"


async def test_what_the_code_sets_itself_stays(sbx: Box, fresh: Any) -> None:
    await sbx.run(
        "import os; os.environ['OTHER'] = 'stays'; os.environ['KBT'] = 'changed'",
        context=fresh,
        envs={"KBT": "v"},
    )
    assert (
        await sbx.run("os.environ['OTHER'], os.environ.get('KBT')", context=fresh)
    ).text == "('stays', None)"


@pytest.mark.parametrize("code", ["1/0", "x ===", "import sys; sys.exit(1)", "raise KeyboardInterrupt"])
async def test_restored_however_it_ends(sbx: Box, fresh: Any, code: str) -> None:
    await sbx.run(code, context=fresh, envs={"KBT": "v"})
    assert await sbx.out(PYTHON.shown, context=fresh) == "unset\n"


async def test_restored_after_the_client_left(sbx: Box, fresh: Any) -> None:
    def leave(message: Any) -> None:
        raise EOFError

    with pytest.raises(EOFError):
        await sbx.run("print('held')\nwhile True: pass", context=fresh, envs={"KBT": "v"}, on_stdout=leave)
    assert await sbx.out(PYTHON.shown, context=fresh) == "unset\n"


async def test_line_numbers_stay_true(sbx: Box) -> None:
    execution = await sbx.run("a = 1\n1/0", envs={"KBT": "v", "KBT2": "w"})
    assert execution.error is not None
    assert "line 2" in execution.error.traceback
    assert "KBT" not in execution.error.traceback


async def test_names_of_the_user_are_untouched(sbx: Box, fresh: Any) -> None:
    before = (await sbx.run("sorted(globals())", context=fresh)).results[0].json
    await sbx.run("1", context=fresh, envs={"KBT": "v"})
    after = (await sbx.run("sorted(globals())", context=fresh)).results[0].json
    assert {name for name in set(after) - set(before) if not name.startswith("_")} == set()


async def test_many_variables(sbx: Box) -> None:
    envs = {f"KBT_{i}": "x" * i for i in range(200)}
    code = "import os; print(sum(len(os.environ[f'KBT_{i}']) for i in range(200)))"
    assert await sbx.out(code, envs=envs) == "19900\n"


async def test_a_long_value(sbx: Box) -> None:
    code = "import os; print(len(os.environ['KBT']))"
    assert await sbx.out(code, envs={"KBT": "🦆" * 25_000}) == "25000\n"


async def test_empty_value_and_no_variables(sbx: Box) -> None:
    assert await sbx.out("import os; print(repr(os.environ['KBT']))", envs={"KBT": ""}) == "''\n"
    assert await sbx.out("print(1)", envs={}) == "1\n"


async def test_queued_runs_have_their_own(sbx: Box) -> None:
    outs = await asyncio.gather(
        *(sbx.out(PYTHON.shown, envs={"KBT": str(i)} if i % 2 else None) for i in range(6))
    )
    assert outs == [f"{i}\n" if i % 2 else "unset\n" for i in range(6)]


async def test_parallel_contexts_have_their_own(sbx: Box, fresh: Any) -> None:
    code = "import os, json; print(json.dumps(os.environ['KBT']))"
    outs = await asyncio.gather(
        sbx.out(code, envs={"KBT": "a"}), sbx.out(code, context=fresh, envs={"KBT": "b"})
    )
    assert [json.loads(out) for out in outs] == ["a", "b"]


async def test_impossible_names_are_answered(sbx: Box) -> None:
    """A name that no process can have: an error of some kind, and the context lives on."""
    for name in ("", "A=B", "1=", "=C:"):
        with pytest.raises(e2b.SandboxException, match="422.*cannot be a variable's name"):
            await sbx.run("print(1)", envs={name: "v"})
        assert await sbx.out("print('alive')") == "alive\n"


async def test_variables_of_a_run_that_is_held(sbx: Box, fresh: Any, tmp_path: Any) -> None:
    """Another context does not see the variables of a run that goes on meanwhile."""
    go = tmp_path / "go"
    running, _ = await start(sbx, hold(go) + "print(os.environ['KBT'])", context=fresh, envs={"KBT": "mine"})
    assert await sbx.out(PYTHON.shown) == "unset\n"
    go.touch()
    assert stdout(await running) == "held\nmine\n"
