"""The languages of OpenSandbox's interpreter, and R, through its SDK: opensandbox.md (c).

Every kernel must be installed (scripts/install-kernels all); a missing one fails here.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from code_interpreter import SupportedLanguage
from e2b_tongues import TONGUES, Tongue
from osb_adapter import Box, hold, results, start, stderr, stdout
from osb_raw import Raw, text

pytest_plugins = ["osb_fixtures"]

Make = Callable[..., Awaitable[Box]]

ODD = 'ünïcode 日本 🦆 it\'s "quoted" `x` $HOME \\ #'
STDERR = {
    "python": "import sys; print('err', file=sys.stderr)",
    "javascript": "console.error('err')",
    "typescript": "console.error('err' as string)",
    "r": "message('err')",
    "java": 'System.err.println("err");',
    "bash": "echo err >&2",
    "go": '%%\nfmt.Fprintln(os.Stderr, "err")',
}


@pytest.fixture(scope="session", params=TONGUES)
def osb_spoken(request: pytest.FixtureRequest, osb: Box, loop: Any) -> Tongue:
    """A language whose default context in the shared sandbox runs."""
    tongue = TONGUES[request.param]
    execution = loop.run(osb.run(tongue.printing("ready"), language=tongue.name))
    assert execution.error is None, execution.error
    return tongue


@pytest.fixture
def osb_of(osb: Box, loop: Any) -> Iterator[Callable[[str], Awaitable[Any]]]:
    """Factory of contexts of a language that only this test uses."""
    made = []

    async def make(language: str) -> Any:
        made.append(await osb.create_context(language))
        return made[-1]

    yield make
    for context in made:
        loop.run(osb.codes("delete_context", context.id))


def test_the_sdks_languages_are_all_here() -> None:
    theirs = {v for k, v in vars(SupportedLanguage).items() if not k.startswith("_") and isinstance(v, str)}
    assert theirs <= set(TONGUES) == set(STDERR)


async def test_any_text(osb: Box, osb_spoken: Tongue) -> None:
    execution = await osb.run(osb_spoken.printing(ODD), language=osb_spoken.name)
    assert (stdout(execution), stderr(execution), execution.error) == (ODD + "\n", "", None)
    assert execution.complete is not None


async def test_state_of_the_default_context(osb: Box, osb_spoken: Tongue) -> None:
    first = await osb.run(osb_spoken.keep, language=osb_spoken.name)
    second = await osb.run(osb_spoken.show, language=osb_spoken.name)
    assert (stdout(second).split(), second.id) == (["42"], first.id)
    assert [c.id for c in await osb.codes("list_contexts", osb_spoken.name)] == [first.id]


async def test_value(osb: Box, osb_spoken: Tongue) -> None:
    if osb_spoken.value is None:
        execution = await osb.run(osb_spoken.printing("x"), language=osb_spoken.name)
        assert execution.result == []
        return
    [result] = results(await osb.run(osb_spoken.value, language=osb_spoken.name))
    assert "42" in (result or "")


async def test_stderr(osb: Box, osb_spoken: Tongue) -> None:
    execution = await osb.run(STDERR[osb_spoken.name], language=osb_spoken.name)
    assert (stdout(execution), stderr(execution).strip(), execution.error) == ("", "err", None)


async def test_error(osb: Box, osb_spoken: Tongue) -> None:
    """An error event where the language has errors, and the next run is not touched."""
    execution = await osb.run(osb_spoken.fail, language=osb_spoken.name)
    if osb_spoken.error is None:  # Go: a panic ends the program, and the cell tells of it on stderr
        assert "boom" in stderr(execution) + (execution.error.value if execution.error else "")
    else:
        assert execution.error is not None
        assert execution.error.name.rpartition(".")[2] == osb_spoken.error
        told = execution.error.value + "".join(execution.error.traceback) + stdout(execution)
        assert "boom" in told
        assert execution.complete is None
    assert "again" in await osb.out(osb_spoken.printing("again"), language=osb_spoken.name)


async def test_interrupt(osb: Box, osb_spoken: Tongue) -> None:
    """The run ends with an error, and the context goes on."""
    running, _ = await start(osb, osb_spoken.loop, language=osb_spoken.name)
    known = (await osb.codes("list_contexts", osb_spoken.name))[0].id
    await osb.codes("interrupt", known)
    execution = await running
    assert execution.error is not None
    assert execution.error.name or execution.error.value == "130"  # bash's errors are a status
    assert execution.complete is None
    assert "alive" in await osb.out(osb_spoken.printing("alive"), language=osb_spoken.name)


async def test_a_context_of_its_own(osb_raw: Raw, osb_spoken: Tongue) -> None:
    """Made in a folder, with a state that is not the default one's; listed under all its names."""
    made = osb_raw.ask("POST", "/code/context", {"language": osb_spoken.name, "cwd": "own place"}).json()
    try:
        assert made["language"] == osb_spoken.name
        for name in (osb_spoken.name, *osb_spoken.aliases):
            assert made in osb_raw.ask("GET", "/code/contexts", params={"language": name.strip()}).json()
        where = text(osb_raw.code(osb_spoken.directory, osb_spoken.name, made["id"]), "stdout")
        assert where.strip() == str(Path(osb_raw.home, "own place"))
        osb_raw.code(osb_spoken.keep, osb_spoken.name, made["id"])
        assert text(osb_raw.code(osb_spoken.show, osb_spoken.name, made["id"]), "stdout").split() == ["42"]
    finally:
        assert osb_raw.ask("DELETE", f"/code/contexts/{made['id']}").status_code == 200


async def test_languages_run_in_parallel(osb: Box, osb_spoken: Tongue, tmp_path: Path) -> None:
    """Python goes on only when the other language is inside its run, which goes on only then."""
    held, go = tmp_path / "held", tmp_path / "go"
    other = asyncio.ensure_future(osb.run(osb_spoken.waiting(held, go), language=osb_spoken.name))
    made = await osb.create_context()
    await osb.run(hold(held) + f"open({str(go)!r}, 'w').close()", context=made)
    assert "woke" in stdout(await other)
    await osb.codes("delete_context", made.id)


# --- what only one language does ------------------------------------------------------------


async def test_status_of_bash(osb: Box, osb_of: Any) -> None:
    """The last command's status is the error's value; its stderr is no stdout."""
    bash = await osb_of("bash")
    execution = await osb.run("echo out; echo err >&2; (exit 42)", context=bash)
    assert (stdout(execution), stderr(execution)) == ("out\n", "err\n")
    assert execution.error is not None
    assert (execution.error.name, execution.error.value, execution.error.traceback) == ("", "42", [])
    assert (await osb.run("false; true", context=bash)).error is None


async def test_result_of_java(osb: Box, osb_of: Any) -> None:
    assert results(await osb.run("int sum = 30;\nsum", context=await osb_of("java"))) == ["30"]


async def test_a_program_in_go(osb: Box, osb_of: Any) -> None:
    """A whole one, as the SDK's documentation has it."""
    code = 'package main\nimport "fmt"\nfunc main() {\n\tfmt.Println("out")\n\tprintln("err")\n}'
    execution = await osb.run(code, context=await osb_of("go"))
    assert (stdout(execution), stderr(execution), execution.error) == ("out\n", "err\n", None)


async def test_a_plot_of_r(osb_raw: Raw) -> None:
    made = osb_raw.ask("POST", "/code/context", {"language": "R"}).json()["id"]
    events = osb_raw.code("plot(1:3)", "r", made)
    shown = [event["results"] for event in events if event["type"] == "result"]
    assert any(result.get("image/png", "").startswith("iVBORw0KGgo") for result in shown)
    osb_raw.ask("DELETE", f"/code/contexts/{made}")


# --- versions -------------------------------------------------------------------------------


async def test_versions(make_osb: Make) -> None:
    """The one that is there is used; in place of one that is not, what there is: the sandbox has said so."""
    asked = "import sys; print('%d.%d' % sys.version_info[:2])"
    there = (await (await make_osb()).out(asked)).strip()
    box = await make_osb(env={"PYTHON_VERSION": there, "JAVA_VERSION": "8", "GO_VERSION": "1.2"})
    assert (await box.out(asked)).strip() == there
    noted = (await box.method("get_info")).metadata["kernelbridge.not-installed"]
    assert re.fullmatch(r"JAVA_VERSION=8 \(installed: .*\d.*\), GO_VERSION=1\.2 \(installed: .*\d.*\)", noted)
    assert results(await box.run("6 * 7", language="java")) == ["42"]
    assert "hi" in await box.out('import "fmt"\nfunc main() { fmt.Println("hi") }', language="go")
