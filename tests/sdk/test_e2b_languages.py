"""The languages of E2B, and TypeScript and Go, through the SDK: e2b.md section 4.

Every kernel must be installed (scripts/install-kernels all); a missing one fails here.
"""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import e2b_code_interpreter as e2b
import pytest
from e2b_adapter import FLAVOURS, Box, Client, hold, options, stderr, stdout
from e2b_tongues import TONGUES, Tongue
from harness.gateway import Gateway, prefix

pytest_plugins = ["e2b_fixtures"]

ODD = 'ünïcode 日本 🦆 it\'s "quoted" `x` $HOME \\ #'


async def test_first_output(sbx: Box, spoken: Tongue) -> None:
    execution = await sbx.run(spoken.printing("hello"), language=spoken.name)
    assert stdout(execution) == "hello\n"
    assert (stderr(execution), execution.error) == ("", None)


async def test_any_text(sbx: Box, spoken: Tongue) -> None:
    assert await sbx.out(spoken.printing(ODD), language=spoken.name) == ODD + "\n"


async def test_default_context_keeps_state(sbx: Box, spoken: Tongue) -> None:
    await sbx.run(spoken.keep, language=spoken.name)
    assert (await sbx.out(spoken.show, language=spoken.name)).split() == ["42"]


async def test_names(sbx: Box, spoken: Tongue) -> None:
    """However the name is written, it is the same context."""
    before = len(await sbx.contexts())
    for alias in spoken.aliases:
        execution = await sbx.run(spoken.printing("named"), language=alias)
        assert "named" in stdout(execution)
    assert len(await sbx.contexts()) == before


async def test_context_of_a_language(sbx: Box, spoken: Tongue, tmp_path: Path) -> None:
    made = await sbx.create_context(language=spoken.name, cwd=str(tmp_path))
    try:
        assert (made.language, made.cwd) == (spoken.name, str(tmp_path))
        assert (await sbx.contexts())[-1].id == made.id
        assert (await sbx.out(spoken.directory, context=made)).split() == [str(tmp_path)]
        await sbx.run(spoken.keep, context=made)
        assert (await sbx.out(spoken.show, context=made)).split() == ["42"]
        await sbx.restart(made)
        execution = await sbx.run(spoken.show, context=made)
        assert "42" not in stdout(execution)
        assert (await sbx.out(spoken.directory, context=made)).split() == [str(tmp_path)]
    finally:
        await sbx.remove(made)


async def test_value(sbx: Box, spoken: Tongue) -> None:
    if spoken.value is None:
        execution = await sbx.run(spoken.printing("x"), language=spoken.name)
        assert (execution.text, execution.results) == (None, [])
        return
    execution = await sbx.run(spoken.value, language=spoken.name)
    [result] = execution.results
    assert "42" in result.text
    assert result.is_main_result is spoken.main
    assert execution.text == (result.text if spoken.main else None)


async def test_error(sbx: Box, spoken: Tongue) -> None:
    execution = await sbx.run(spoken.fail, language=spoken.name)
    if spoken.error is None:  # Go: a panic ends the program, and the cell tells of it on stderr
        assert "boom" in stderr(execution) + (execution.error.value if execution.error else "")
    else:
        assert execution.error is not None
        assert execution.error.name.rpartition(".")[2] == spoken.error
        assert "boom" in execution.error.value + execution.error.traceback + stdout(execution)
        assert "\x1b" not in execution.error.value
    assert "again" in await sbx.out(spoken.printing("again"), language=spoken.name)


async def test_callbacks_are_prompt(sbx: Box, spoken: Tongue, tmp_path: Path) -> None:
    """Code that waits for a file is waited for; its last line reaches the callback."""
    held, go = tmp_path / "held", tmp_path / "go"
    heard: list[str] = []
    running = asyncio.ensure_future(
        sbx.run(spoken.waiting(held, go), language=spoken.name, on_stdout=lambda m: heard.append(m.line))
    )
    while not held.exists() and not running.done():  # the test's deadline bounds it
        await asyncio.sleep(0.02)
    assert not running.done(), running.result()
    go.touch()
    assert (await running).error is None
    assert "".join(heard).split()[-1] == "woke"


async def test_leaving_interrupts(sbx: Box, spoken: Tongue) -> None:
    """A client that goes away frees the context, whatever the language; the next run comes."""
    made = await sbx.create_context(language=spoken.name)
    try:

        def leave(message: Any) -> None:
            raise EOFError

        with pytest.raises(EOFError):
            await sbx.run(spoken.loop, context=made, on_stdout=leave)
        assert "alive" in await sbx.out(spoken.printing("alive"), context=made)
    finally:
        await sbx.remove(made)


async def test_languages_run_in_parallel(sbx: Box, spoken: Tongue, tmp_path: Path) -> None:
    """Python goes on only when the other language is inside its run, which goes on only then."""
    held, go = tmp_path / "held", tmp_path / "go"
    other = asyncio.ensure_future(sbx.run(spoken.waiting(held, go), language=spoken.name))
    made = await sbx.create_context()
    await sbx.run(hold(held) + f"open({str(go)!r}, 'w').close()", context=made)
    assert "woke" in stdout(await other)
    await sbx.remove(made)


# ------------------------------------------------------------------ what only one language does


@pytest.fixture
def context_of(sbx: Box, loop: Any) -> Iterator[Callable[[str], Awaitable[Any]]]:
    """Factory of contexts of a language that only this test uses."""
    made = []

    async def make(language: str) -> Any:
        made.append(await sbx.create_context(language=language))
        return made[-1]

    yield make
    for context in made:
        loop.run(sbx.remove(context))


async def test_bash_streams_and_status(sbx: Box, context_of: Any) -> None:
    """The status of the last command is an error. (E2B's bash has no stderr of its own; ours has.)"""
    bash = await context_of("bash")
    execution = await sbx.run("echo out; echo err >&2; false", context=bash)
    assert (stdout(execution), stderr(execution)) == ("out\n", "err\n")
    assert execution.error is not None
    assert (execution.error.name, execution.error.value, execution.error.traceback) == ("", "1", "")
    execution = await sbx.run("(exit 42)", context=bash)
    assert execution.error is not None
    assert execution.error.value == "42"
    assert (await sbx.run("false; true", context=bash)).error is None


async def test_r_results_are_not_main(sbx: Box, context_of: Any) -> None:
    r = await context_of("R")
    execution = await sbx.run("x <- c(1, 2)\nx\n'two'", context=r)
    assert execution.text is None
    assert [result.is_main_result for result in execution.results] == [False, False]
    assert {"text", "html", "markdown", "latex"} <= set(execution.results[0].formats())


async def test_r_plot(sbx: Box, context_of: Any) -> None:
    execution = await sbx.run("plot(1:3)", context=await context_of("r"))
    assert execution.error is None
    assert [base64.b64decode(result.png)[:8] for result in execution.results] == [b"\x89PNG\r\n\x1a\n"]


async def test_javascript_values(sbx: Box, context_of: Any) -> None:
    js = await context_of("javascript")
    assert (await sbx.run("undefined", context=js)).results == []
    assert (await sbx.run("const a = 1", context=js)).results == []
    assert (await sbx.run("await Promise.resolve('later')", context=js)).text in ("later", '"later"')
    execution = await sbx.run("console.error('err'); console.log('out')", context=js)
    assert (stdout(execution), stderr(execution)) == ("out\n", "err\n")


async def test_javascript_error(sbx: Box, context_of: Any) -> None:
    """name and value are the Error's, the traceback its stack."""
    js = await context_of("js")
    execution = await sbx.run("function f() { throw new RangeError('far') }\nf()", context=js)
    assert execution.error is not None
    assert (execution.error.name, execution.error.value) == ("RangeError", "far")
    assert "at f" in execution.error.traceback


async def test_javascript_syntax_error(sbx: Box, context_of: Any) -> None:
    execution = await sbx.run("let = = 3", context=await context_of("js"))
    assert execution.error is not None
    assert execution.error.name


async def test_javascript_and_typescript_are_apart(sbx: Box, context_of: Any) -> None:
    js, ts = await context_of("js"), await context_of("ts")
    assert (js.language, ts.language) == ("javascript", "typescript")
    await sbx.run("var only = 1", context=js)
    assert (await sbx.run("only", context=ts)).error is not None


async def test_javascript_modules(sbx: Box, context_of: Any) -> None:
    js = await context_of("js")
    assert await sbx.out("import { sep } from 'node:path'\nconsole.log(sep)", context=js) == "/\n"


async def test_java_classes_and_compile_errors(sbx: Box, context_of: Any) -> None:
    java = await context_of("java")
    await sbx.run("class P { int twice(int n) { return 2 * n; } }", context=java)
    assert (await sbx.run("new P().twice(21)", context=java)).text == "42"
    execution = await sbx.run('int y = "text";', context=java)
    assert execution.error is not None
    assert "incompatible types" in execution.error.value + execution.error.traceback
    execution = await sbx.run('System.err.println("err");', context=java)
    assert stderr(execution) == "err\n"


async def test_go_functions_and_compile_errors(sbx: Box, context_of: Any) -> None:
    go = await context_of("go")
    await sbx.run("func twice(n int) int { return 2 * n }", context=go)
    assert await sbx.out("%%\nfmt.Println(twice(21))", context=go) == "42\n"
    execution = await sbx.run('%%\nvar y int = "text"\nfmt.Println(y)', context=go)
    assert "cannot use" in stderr(execution) + (repr(execution.error) if execution.error else "")
    assert execution.error is not None


# ------------------------------------------------------------------ what is not installed


@pytest.mark.parametrize("language", ["python", "java", "go"])
async def test_version_that_is_not_installed(make_sbx: Any, language: str) -> None:
    """A variable of the sandbox asks for a version; the error lists those there are."""
    made = await make_sbx(envs={f"{language.upper()}_VERSION": "99.9"})
    with pytest.raises(e2b.SandboxException, match=r"99\.9.*\d+\.\d+") as caught:
        await made.run("1", language=language)
    assert "Failed to create context" in str(caught.value)


@pytest.fixture(scope="module")
def poor_gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """A gateway with nothing but Python in its prefix; the machine may have R's kernel of its own."""
    top = tmp_path_factory.mktemp("poor")
    specs = top / "prefix" / "share" / "jupyter" / "kernels"
    specs.mkdir(parents=True)
    (top / "prefix" / "venv").symlink_to(prefix() / "venv")
    (specs / "python3").symlink_to(prefix() / "share" / "jupyter" / "kernels" / "python3")
    env = {"JUPYTER_PATH": "", "JUPYTER_DATA_DIR": str(top / "none")}
    running = Gateway(top / "state", f"--prefix={top / 'prefix'}", env=env)
    running.wait_ready()
    yield running
    running.stop()


@pytest.mark.parametrize("flavour", FLAVOURS)
@pytest.mark.parametrize("language", [name for name in TONGUES if name not in ("python", "r")])
async def test_language_that_is_not_installed(poor_gateway: Gateway, flavour: str, language: str) -> None:
    """The error is the command that installs it."""
    client = Client(flavour, **options(poor_gateway))
    made = await client.create()
    try:
        for request in (made.run("1", language=language), made.create_context(language=language)):
            with pytest.raises(e2b.SandboxException, match=f"scripts/install-kernels {language}") as caught:
                await request
            assert "Failed to create context" in str(caught.value)
        assert (await made.run("1 + 1")).text == "2"
    finally:
        await client.kill(made.id)
