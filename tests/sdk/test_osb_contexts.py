"""Contexts: opensandbox.md (b) /code/contexts, and what of (c) is about them."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from opensandbox.exceptions import SandboxApiException
from osb_adapter import Box, Client, hold, results, start, stdout
from osb_raw import Raw, text

pytest_plugins = ["osb_fixtures"]

Make = Callable[..., Awaitable[Box]]


async def ids(box: Box, language: str = "python") -> list[str]:
    return [context.id for context in await box.codes("list_contexts", language)]


# --- create, find, list ---------------------------------------------------------------------


async def test_create(osb: Box, osb_ctx: Any) -> None:
    assert osb_ctx.language == "python"
    assert osb_ctx.id
    other = await osb.create_context()
    assert other.id != osb_ctx.id
    await osb.codes("delete_context", other.id)


async def test_get(osb: Box, osb_ctx: Any) -> None:
    found = await osb.codes("get_context", osb_ctx.id)
    assert (found.id, found.language) == (osb_ctx.id, "python")


async def test_answers_have_two_fields(osb_raw: Raw) -> None:
    made = osb_raw.ask("POST", "/code/context", {"language": "python", "more": 1})
    assert (made.status_code, set(made.json())) == (200, {"id", "language"})
    path = f"/code/contexts/{made.json()['id']}"
    assert osb_raw.ask("GET", path).json() == made.json()
    assert made.json() in osb_raw.ask("GET", "/code/contexts").json()
    gone = osb_raw.ask("DELETE", path)
    assert (gone.status_code, gone.content) == (200, b"")


async def test_list(osb: Box, osb_ctx: Any) -> None:
    listed = await osb.codes("list_contexts", "python")
    assert osb_ctx.id in [context.id for context in listed]
    assert {context.language for context in listed} == {"python"}


async def test_default_contexts_are_listed(osb: Box) -> None:
    execution = await osb.run("1")
    assert execution.id in await ids(osb)
    assert (await osb.codes("get_context", execution.id)).language == "python"


@pytest.mark.parametrize("language", ["cobol", "sql", "command", "java"])
async def test_list_of_a_language_that_has_none(make_osb: Make, language: str) -> None:
    assert await ids(await make_osb(), language) == []


async def test_list_of_all(osb_raw: Raw) -> None:
    bash = osb_raw.ask("POST", "/code/context", {"language": "bash"}).json()
    everything = osb_raw.ask("GET", "/code/contexts").json()
    assert {context["language"] for context in everything} == {"python", "bash"}
    assert osb_raw.ask("GET", "/code/contexts?language=").json() == everything
    assert osb_raw.ask("GET", "/code/contexts?language=bash").json() == [bash]
    osb_raw.ask("DELETE", f"/code/contexts/{bash['id']}")


@pytest.mark.parametrize("alias", ["py", "PYTHON", "python3", "ipython"])
async def test_other_names_of_a_language(osb: Box, osb_ctx: Any, alias: str) -> None:
    """The same language in a list, in a run, and of a context."""
    assert osb_ctx.id in await ids(osb, alias)
    assert (await osb.run("1", language=alias)).id == (await osb.run("1")).id
    made = await osb.create_context(alias)
    assert made.language == "python"
    await osb.codes("delete_context", made.id)


async def test_sessions_are_not_listed(osb: Box) -> None:
    """A shell session is no context, although it is made like one."""
    before = await ids(osb, "bash")
    session = await osb.commands("create_session")
    try:
        assert await ids(osb, "bash") == before
        for method in ("get_context", "delete_context"):
            with pytest.raises(SandboxApiException) as caught:
                await osb.codes(method, session)
            assert caught.value.error.code == "CONTEXT_NOT_FOUND"
        hidden = osb.client.context(id=session, language="bash")
        with pytest.raises(SandboxApiException, match="context not found"):
            await osb.run("echo", context=hidden)
        await osb.codes("delete_contexts", "bash")
        assert (await osb.commands("run_in_session", session, "echo alive")).error is None
    finally:
        await osb.commands("delete_session", session)


@pytest.mark.parametrize("method", ["get_context", "delete_context"])
async def test_an_unknown_id(osb: Box, method: str) -> None:
    with pytest.raises(SandboxApiException) as caught:
        await osb.codes(method, "nobody")
    assert caught.value.status_code == 404
    assert caught.value.error.code == "CONTEXT_NOT_FOUND"
    assert "context nobody not found" in str(caught.value)


async def test_creation_in_an_unknown_language(osb: Box) -> None:
    with pytest.raises(SandboxApiException) as caught:
        await osb.create_context("cobol")
    assert caught.value.status_code == 500
    assert caught.value.error.code == "RUNTIME_ERROR"
    assert "unknown language: cobol" in str(caught.value)


async def test_creation_in_a_version_that_is_not_installed(make_osb: Make) -> None:
    """A context is made in the one that there is: the sandbox has said so."""
    box = await make_osb(env={"GO_VERSION": "1.2", "BASH_VERSION": "99.9"})
    go = 'import "fmt"\nfunc main() { fmt.Println("hi") }'
    for language, code in (("go", go), ("bash", "echo hi")):
        made = await box.create_context(language)
        assert await box.out(code, context=made) == "hi\n"


@pytest.mark.parametrize(
    "body", [b"", b"{", b"[]", {"language": 1}, {"language": "python", "cwd": 1}], ids=repr
)
async def test_bodies_that_are_refused(osb_raw: Raw, body: Any) -> None:
    answer = osb_raw.ask("POST", "/code/context", body)
    assert (answer.status_code, answer.json()["code"]) == (400, "INVALID_REQUEST_BODY")


# --- what is apart and what is shared -------------------------------------------------------


async def test_variables_are_apart_and_files_shared(osb: Box, osb_ctx: Any) -> None:
    other = await osb.create_context()
    await osb.run("x = 1\nopen('shared', 'w').write('by one')", context=osb_ctx)
    execution = await osb.run("x", context=other)
    assert execution.error is not None
    assert execution.error.name == "NameError"
    assert (
        await osb.out("import os; print(open('shared').read()); os.remove('shared')", context=other)
        == "by one\n"
    )
    await osb.codes("delete_context", other.id)


async def test_contexts_are_processes(osb: Box, osb_ctx: Any) -> None:
    code = "import os; print(os.getpid())"
    assert await osb.out(code) != await osb.out(code, context=osb_ctx)


async def test_the_sandboxs_variables(make_osb: Make) -> None:
    box = await make_osb(env={"KBT": "it's $HOME"})
    made = await box.create_context()
    code = "import os; print(os.environ['KBT'])"
    assert [await box.out(code), await box.out(code, context=made)] == ["it's $HOME\n"] * 2


async def test_contexts_of_another_sandbox(osb: Box, osb_ctx: Any, make_osb: Make) -> None:
    other = await make_osb()
    assert osb_ctx.id not in await ids(other)
    with pytest.raises(SandboxApiException, match="context not found"):
        await other.run("1", context=osb_ctx)
    for method in ("get_context", "delete_context", "interrupt"):
        with pytest.raises(SandboxApiException):
            await other.codes(method, osb_ctx.id)
    assert results(await osb.run("1", context=osb_ctx)) == ["1"]


async def test_a_context_outlives_its_client(osb: Box, osb_ctx: Any, osb_client: Client) -> None:
    await osb.run("x = 9", context=osb_ctx)
    later = await osb_client.connect(osb.id)
    try:
        found = await later.codes("get_context", osb_ctx.id)
        assert results(await later.run("x", context=found)) == ["9"]
    finally:
        await later.close()


# --- deletion -------------------------------------------------------------------------------


async def test_delete(osb: Box, osb_ctx: Any) -> None:
    await osb.codes("delete_context", osb_ctx.id)
    assert osb_ctx.id not in await ids(osb)
    with pytest.raises(SandboxApiException, match="context not found"):
        await osb.run("1", context=osb_ctx)


async def test_delete_of_a_default_context(make_osb: Make) -> None:
    """The next run makes a fresh one."""
    box = await make_osb()
    first = await box.run("x = 1")
    await box.codes("delete_context", first.id)
    assert await ids(box) == []
    second = await box.run("x")
    assert second.id != first.id
    assert second.error is not None
    assert second.error.name == "NameError"


async def test_delete_by_language(make_osb: Make) -> None:
    """The default one too; those of another language stay."""
    box = await make_osb()
    made = [await box.create_context() for _ in range(2)]
    default = (await box.run("1")).id
    bash = await box.create_context("bash")
    assert sorted(await ids(box)) == sorted([default, *(context.id for context in made)])
    await box.codes("delete_contexts", "py")
    assert (await ids(box), await ids(box, "bash")) == ([], [bash.id])
    await box.codes("delete_contexts", "python")  # none is there
    await box.codes("delete_contexts", "cobol")
    assert stdout(await box.run("echo alive", context=bash)) == "alive\n"


async def test_delete_by_no_language(osb_raw: Raw) -> None:
    for path in ("/code/contexts", "/code/contexts?language="):
        answer = osb_raw.ask("DELETE", path)
        assert (answer.status_code, answer.json()["code"]) == (400, "MISSING_QUERY")


@pytest.mark.parametrize("by", ["id", "language", "sandbox"])
async def test_delete_while_it_runs(make_osb: Make, by: str) -> None:
    """The run ends at once with an error that says why, the one that waits too, and nobody hangs."""
    box = await make_osb()
    context = await box.create_context()
    running, _ = await start(box, "import time\nprint('held')\nwhile True: time.sleep(1)", context=context)
    waiting = asyncio.ensure_future(box.run("1", context=context))
    if by == "id":
        await box.codes("delete_context", context.id)
    elif by == "language":
        await box.codes("delete_contexts", "python")
    else:
        await box.method("kill")
    [run, queued] = await asyncio.gather(running, waiting, return_exceptions=True)
    assert run.error is not None
    assert run.error.name == "ExecutionAborted"
    assert run.error.value == ("sandbox killed" if by == "sandbox" else "context deleted")
    assert (stdout(run), run.complete) == ("held\n", None)
    if isinstance(queued, Exception):  # it came after the deletion
        assert "not found" in str(queued)
    else:
        assert queued.error is not None


# --- the working directory ------------------------------------------------------------------


def directory(raw: Raw, cwd: Any, language: str = "python") -> str:
    """Where a context that is made there runs."""
    answer = raw.ask("POST", "/code/context", {"language": language, "cwd": cwd})
    assert answer.status_code == 200, answer.text
    made = answer.json()["id"]
    code = "pwd -P" if language == "bash" else "import os; print(os.getcwd())"
    events = raw.code(code, language, made)
    assert raw.ask("DELETE", f"/code/contexts/{made}").status_code == 200
    return text(events, "stdout").strip()


@pytest.mark.parametrize("cwd", ["/", "/tmp", "/usr/../etc"])
async def test_cwd_elsewhere(osb_raw: Raw, cwd: str) -> None:
    """Where code can go, it can begin: as commands, and as in the other dialects."""
    assert directory(osb_raw, cwd) == str(Path(cwd).resolve())


@pytest.mark.parametrize("cwd", [None, "", ".", "~"])
async def test_cwd_is_home(osb_raw: Raw, cwd: Any) -> None:
    assert directory(osb_raw, cwd) == osb_raw.home


@pytest.mark.parametrize("language", ["python", "bash"])
async def test_cwd_that_is_there(osb_raw: Raw, language: str) -> None:
    below = Path(osb_raw.home, "a b", "ü")
    below.mkdir(parents=True, exist_ok=True)
    below.chmod(0o700)
    for cwd in ("a b/ü", "~/a b/ü", str(below), "a b/../a b/./ü/"):
        assert directory(osb_raw, cwd, language) == str(below)
    assert below.stat().st_mode & 0o777 == 0o700


async def test_cwd_is_made(osb_raw: Raw) -> None:
    below = Path(osb_raw.home, "made", "deep")
    assert not below.exists()
    assert directory(osb_raw, "made/deep") == str(below)
    assert below.is_dir()


async def test_cwd_is_only_a_beginning(osb_raw: Raw) -> None:
    """Another context's is not touched, and os.chdir() goes anywhere."""
    answer = osb_raw.ask("POST", "/code/context", {"language": "python", "cwd": "one"})
    made = answer.json()["id"]
    osb_raw.code("import os; os.chdir('/')", context=made)
    assert text(osb_raw.code("import os; print(os.getcwd())", context=made), "stdout") == "/\n"
    assert text(osb_raw.code("import os; print(os.getcwd())"), "stdout") == osb_raw.home + "\n"
    osb_raw.ask("DELETE", f"/code/contexts/{made}")


@pytest.mark.parametrize(
    "cwd", ["..", "a/../../b", "/not/there", "/etc/passwd", "out", "out/x", "file", "file/x", "a\0b"]
)
async def test_cwd_that_is_refused(osb_raw: Raw, cwd: str) -> None:
    """Relative and outside of the sandbox's files, through a link too, or no folder."""
    link, file = Path(osb_raw.home, "out"), Path(osb_raw.home, "file")
    if not link.is_symlink():
        link.symlink_to("/tmp")
    file.write_text("")
    before = osb_raw.ask("GET", "/code/contexts").json()
    answer = osb_raw.ask("POST", "/code/context", {"language": "python", "cwd": cwd})
    assert answer.status_code in (400, 403), answer.text
    assert set(answer.json()) == {"code", "message"}
    assert osb_raw.ask("GET", "/code/contexts").json() == before
    assert not Path("/tmp/x").exists()


async def test_contexts_at_once(make_osb: Make, tmp_path: Path) -> None:
    """Ten made at the same time run at the same time."""
    box = await make_osb()
    go = tmp_path / "go"
    made = await asyncio.gather(*(box.create_context() for _ in range(10)))
    assert len({context.id for context in made}) == 10
    running = [start(box, f"me = {i}\n" + hold(go), context=context) for i, context in enumerate(made)]
    tasks = [task for task, _ in await asyncio.gather(*running)]
    go.touch()
    assert [execution.error for execution in await asyncio.gather(*tasks)] == [None] * 10
    told = await asyncio.gather(*(box.run("me", context=context) for context in made))
    assert [results(execution) for execution in told] == [[str(i)] for i in range(10)]
