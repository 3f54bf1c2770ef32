"""The control plane as E2B's SDKs use it: e2b.md sections 0 to 2."""

from __future__ import annotations

import asyncio
import datetime
import json
import uuid
from typing import Any

import e2b_code_interpreter as e2b
import pytest
from e2b_adapter import Box, Client, start
from harness.gateway import Gateway

pytest_plugins = ["e2b_fixtures"]

KILLED = "The sandbox was killed while the request was in progress"


# ------------------------------------------------------------------ life


async def test_create_run_kill(e2b_client: Client, make_sbx: Any) -> None:
    made = await make_sbx()
    assert await made.out("print('hello')") == "hello\n"
    assert await made.method("is_running") is True
    assert await made.method("kill") is True
    assert await made.method("is_running") is False
    assert await made.method("kill") is False


async def test_create_answer_is_complete(make_sbx: Any) -> None:
    made = await make_sbx()
    assert made.id
    assert made.sandbox.traffic_access_token
    assert made.sandbox._envd_access_token


async def test_info_of_a_new_sandbox(e2b_client: Client, make_sbx: Any) -> None:
    before = datetime.datetime.now(datetime.UTC) - datetime.timedelta(seconds=2)
    made = await make_sbx(timeout=200, metadata={"user_id": "u_123", "naïve": "ü & = 🦆"})
    info = await made.method("get_info")
    assert info == await e2b_client.get_info(made.id)
    assert info.sandbox_id == made.id
    assert info.template_id == "code-interpreter-v1"
    assert info.metadata == {"user_id": "u_123", "naïve": "ü & = 🦆"}
    assert info.state == e2b.SandboxState.RUNNING
    assert info.cpu_count >= 1
    assert info.memory_mb >= 1
    assert before <= info.started_at <= datetime.datetime.now(datetime.UTC) + datetime.timedelta(seconds=2)
    assert abs(info.end_at - info.started_at - datetime.timedelta(seconds=200)) <= datetime.timedelta(
        seconds=2
    )


async def test_default_timeout_is_five_minutes(make_sbx: Any) -> None:
    info = await (await make_sbx()).method("get_info")
    assert abs(info.end_at - info.started_at - datetime.timedelta(seconds=300)) <= datetime.timedelta(
        seconds=2
    )


async def test_own_template_name_is_kept(make_sbx: Any) -> None:
    made = await make_sbx(template="my-template")
    assert (await made.method("get_info")).template_id == "my-template"


async def test_connect_from_another_client(e2b_client: Client, make_sbx: Any) -> None:
    made = await make_sbx()
    await made.run("shared = 41")
    other = await e2b_client.connect(made.id)
    assert other.id == made.id
    assert (await other.run("shared + 1")).text == "42"


async def test_connect_lengthens_and_never_shortens(e2b_client: Client, make_sbx: Any) -> None:
    """connect(timeout) on a running sandbox prolongs it, as E2B documents; it never cuts it short."""
    made = await make_sbx(timeout=500)
    before = (await made.method("get_info")).end_at
    await e2b_client.connect(made.id, timeout=100)
    assert (await made.method("get_info")).end_at >= before - datetime.timedelta(seconds=1)
    await e2b_client.connect(made.id, timeout=900)
    assert (await made.method("get_info")).end_at >= before + datetime.timedelta(seconds=300)


async def test_kill_by_id(e2b_client: Client, make_sbx: Any) -> None:
    made = await make_sbx()
    assert await e2b_client.kill(made.id) is True
    assert await e2b_client.kill(made.id) is False


async def test_unknown_sandbox(e2b_client: Client) -> None:
    unknown = "i" + uuid.uuid4().hex[:19]
    assert await e2b_client.kill(unknown) is False
    with pytest.raises(e2b.SandboxNotFoundException, match=unknown):
        await e2b_client.get_info(unknown)
    with pytest.raises(e2b.SandboxNotFoundException, match=unknown):
        await e2b_client.connect(unknown)


async def test_a_killed_sandbox_tells_why(make_sbx: Any) -> None:
    """Requests for a sandbox that is gone answer 502, which both SDKs explain."""
    made = await make_sbx()
    await made.method("kill")
    for request in (made.run("print(1)"), made.contexts(), made.create_context()):
        with pytest.raises(e2b.TimeoutException, match="likely due to sandbox timeout"):
            await request
    with pytest.raises(e2b.SandboxNotFoundException):
        await made.method("get_info")


async def test_kill_while_running(e2b_client: Client, make_sbx: Any) -> None:
    made = await make_sbx()
    running, _ = await start(made, "print('held')\nwhile True: pass")
    await e2b_client.kill(made.id)
    with pytest.raises(e2b.TimeoutException, match=KILLED):
        await running


# ------------------------------------------------------------------ timeout of the sandbox


async def test_a_sandbox_expires(e2b_client: Client, make_sbx: Any) -> None:
    """Nothing but the end of its time ends this run: the SDK reports that the sandbox is gone."""
    made = await make_sbx(timeout=3)
    with pytest.raises(e2b.TimeoutException, match=KILLED):
        await made.run("while True: pass")
    assert await made.method("is_running") is False
    assert made.id not in await e2b_client.ids()
    with pytest.raises(e2b.SandboxNotFoundException):
        await made.method("get_info")


async def test_set_timeout_shortens(make_sbx: Any) -> None:
    made = await make_sbx(timeout=3600)
    running, _ = await start(made, "print('held')\nwhile True: pass")
    await made.method("set_timeout", 1)
    with pytest.raises(e2b.TimeoutException, match=KILLED):
        await running
    assert await made.method("is_running") is False


async def test_set_timeout_lengthens(e2b_client: Client, make_sbx: Any) -> None:
    """A sandbox made beside it with the first time to live is gone; this one is not."""
    made, other = await make_sbx(timeout=3), await make_sbx(timeout=3)
    await made.method("set_timeout", 600)
    with pytest.raises(e2b.TimeoutException, match=KILLED):
        await other.run("while True: pass")
    assert await made.method("is_running") is True
    assert await made.out("print('still here')") == "still here\n"
    info = await made.method("get_info")
    left = info.end_at - datetime.datetime.now(datetime.UTC)
    assert datetime.timedelta(seconds=500) < left < datetime.timedelta(seconds=601)


async def test_set_timeout_of_an_unknown_sandbox(make_sbx: Any) -> None:
    made = await make_sbx()
    await made.method("kill")
    with pytest.raises(e2b.SandboxNotFoundException):
        await made.method("set_timeout", 60)


# ------------------------------------------------------------------ pause, metrics


async def test_pause_and_connect(e2b_client: Client, make_sbx: Any) -> None:
    made = await make_sbx()
    assert await made.method("pause") is True
    assert (await made.method("get_info")).state == e2b.SandboxState.PAUSED
    assert await made.method("pause") is False
    again = await e2b_client.connect(made.id)
    assert (await again.method("get_info")).state == e2b.SandboxState.RUNNING
    assert await again.out("print('awake')") == "awake\n"


async def test_pause_of_an_unknown_sandbox(make_sbx: Any) -> None:
    made = await make_sbx()
    await made.method("kill")
    with pytest.raises(e2b.SandboxNotFoundException):
        await made.method("pause")


async def test_metrics_is_a_list(make_sbx: Any) -> None:
    assert isinstance(await (await make_sbx()).method("get_metrics"), list)


# ------------------------------------------------------------------ list


async def test_list_by_metadata(e2b_client: Client, make_sbx: Any) -> None:
    mark = uuid.uuid4().hex
    mine = await make_sbx(metadata={"mark": mark, "n": "1", "t": "a b&c=d/ü"})
    await make_sbx(metadata={"mark": mark, "n": "2"})

    async def found(**metadata: str) -> list[str]:
        return await e2b_client.ids(query=e2b.SandboxQuery(metadata=metadata))

    assert len(await found(mark=mark)) == 2
    assert await found(mark=mark, n="1") == [mine.id]
    assert await found(mark=mark, t="a b&c=d/ü") == [mine.id]
    assert await found(mark=mark, n="3") == []


async def test_list_by_page(e2b_client: Client, make_sbx: Any) -> None:
    mark = uuid.uuid4().hex
    made = [(await make_sbx(metadata={"mark": mark})).id for _ in range(5)]
    pages = await e2b_client.pages(query=e2b.SandboxQuery(metadata={"mark": mark}), limit=2)
    assert [len(page) for page in pages] == [2, 2, 1]
    assert sorted(info.sandbox_id for page in pages for info in page) == sorted(made)


async def test_list_in_order(e2b_client: Client, make_sbx: Any) -> None:
    mark = uuid.uuid4().hex
    query = e2b.SandboxQuery(metadata={"mark": mark})
    made = [(await make_sbx(metadata={"mark": mark})).id for _ in range(3)]
    assert await e2b_client.ids(query=query, order="asc") == made
    assert await e2b_client.ids(query=query, order="desc") == made[::-1]


async def test_list_by_state(e2b_client: Client, make_sbx: Any) -> None:
    mark = uuid.uuid4().hex
    running, paused = await make_sbx(metadata={"mark": mark}), await make_sbx(metadata={"mark": mark})
    await paused.method("pause")

    async def found(*states: e2b.SandboxState) -> set[str]:
        query = e2b.SandboxQuery(metadata={"mark": mark}, state=list(states))
        return set(await e2b_client.ids(query=query))

    assert await found(e2b.SandboxState.RUNNING) == {running.id}
    assert await found(e2b.SandboxState.PAUSED) == {paused.id}
    assert await found() == {running.id, paused.id}


async def test_list_shows_what_info_shows(e2b_client: Client, make_sbx: Any) -> None:
    mark = uuid.uuid4().hex
    made = await make_sbx(metadata={"mark": mark})
    [[listed]] = await e2b_client.pages(query=e2b.SandboxQuery(metadata={"mark": mark}))
    info = await made.method("get_info")
    for name in (
        "sandbox_id",
        "template_id",
        "metadata",
        "started_at",
        "end_at",
        "state",
        "cpu_count",
        "memory_mb",
    ):
        assert getattr(listed, name) == getattr(info, name), name


# ------------------------------------------------------------------ many on one origin, keys


async def test_many_sandboxes_on_one_origin(make_sbx: Any) -> None:
    """They are told apart by a header alone: state, home folders, and runs at the same time."""
    made = [await make_sbx(envs={"NUMBER": str(i)}) for i in range(3)]
    code = "import os; mine = os.environ['NUMBER']; open('who', 'w').write(mine); print(mine)"
    assert await asyncio.gather(*(one.out(code) for one in made)) == ["0\n", "1\n", "2\n"]
    assert await asyncio.gather(*(one.out("print(mine, open('who').read())") for one in made)) == [
        "0 0\n",
        "1 1\n",
        "2 2\n",
    ]
    assert len({await one.out("import os; print(os.getpid())") for one in made}) == 3


async def test_contexts_of_another_sandbox_are_unknown(make_sbx: Any) -> None:
    one, two = await make_sbx(), await make_sbx()
    context = await one.create_context()
    for request in (two.run("1", context=context), two.restart(context), two.remove(context)):
        with pytest.raises(e2b.NotFoundException, match=context.id):
            await request
    assert context.id not in [c.id for c in await two.contexts()]
    assert (await one.run("1 + 1", context=context)).text == "2"


async def test_tokens_of_one_sandbox_do_not_open_another(
    e2b_client: Client, e2b_gateway: Gateway, make_sbx: Any
) -> None:
    mine, theirs = await make_sbx(), await make_sbx()
    config = mine.sandbox.connection_config
    thief = Box(
        e2b_client,
        e2b_client.sdk(
            sandbox_id=theirs.id,
            envd_version=mine.sandbox._envd_version,
            envd_access_token=mine.sandbox._envd_access_token,
            traffic_access_token=mine.sandbox.traffic_access_token,
            sandbox_domain=None,
            connection_config=config,
        ),
    )
    for request in (thief.run("print('in')"), thief.contexts(), thief.create_context()):
        with pytest.raises(e2b.SandboxException, match="40[13]"):
            await request
    assert await theirs.out("print('safe')") == "safe\n"


async def test_wrong_key(e2b_client: Client, sbx: Box) -> None:
    stranger = Client(e2b_client.flavour, **(e2b_client.options | {"api_key": "e2b_wrong"}))
    for request in (stranger.create(), stranger.connect(sbx.id), stranger.get_info(sbx.id), stranger.pages()):
        with pytest.raises(e2b.AuthenticationException):
            await request
    with pytest.raises(e2b.AuthenticationException):
        await stranger.kill(sbx.id)
    assert await sbx.method("is_running") is True


async def test_idempotent_create(make_sbx: Any) -> None:
    """An Idempotency-Key is accepted."""
    made = await make_sbx(idempotency_key=str(uuid.uuid4()))
    assert await made.method("is_running") is True


async def test_unused_options_are_accepted(make_sbx: Any) -> None:
    made = await make_sbx(allow_internet_access=False, secure=True, lifecycle={"on_timeout": "kill"})
    assert await made.out("print(1)") == "1\n"


async def test_sandbox_variables(make_sbx: Any) -> None:
    envs = {"A": 'it\'s "x" $HOME \\n', "B": "two\nlines", "C": "🦆"}
    made = await make_sbx(envs=envs)
    code = "import os, json; print(json.dumps({k: os.environ[k] for k in 'ABC'}))"
    assert json.loads(await made.out(code)) == envs
    context = await made.create_context()
    assert json.loads(await made.out(code, context=context)) == envs
