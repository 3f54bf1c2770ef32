"""Debug mode: a gateway without keys, SDKs that know E2B_DEBUG=true and an address: e2b.md section 0."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import e2b_code_interpreter as e2b
import pytest
from e2b_adapter import FLAVOURS, SETTINGS, Box, Client, stdout
from harness.gateway import Gateway

pytest_plugins = ["e2b_fixtures"]


@pytest.fixture(scope="module")
def open_gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    running = Gateway(tmp_path_factory.mktemp("e2b-open") / "state", "--auth=none", *SETTINGS).wait_ready()
    yield running
    running.stop()


@pytest.fixture(params=FLAVOURS)
def debug(
    request: pytest.FixtureRequest, open_gateway: Gateway, monkeypatch: pytest.MonkeyPatch, loop: Any
) -> Box:
    """A sandbox as a program makes it that is told all by its environment."""
    for name in ("E2B_API_URL", "E2B_DOMAIN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("E2B_DEBUG", "true")
    monkeypatch.setenv("E2B_SANDBOX_URL", open_gateway.url)
    monkeypatch.setenv("E2B_API_KEY", "e2b_00")
    return loop.run(Client(request.param).create())


async def test_run(debug: Box) -> None:
    assert debug.id == "debug_sandbox_id"
    execution = await debug.run("print('hello')\n6 * 7")
    assert (stdout(execution), execution.text) == ("hello\n", "42")


async def test_it_is_the_default_sandbox(debug: Box, open_gateway: Gateway) -> None:
    await debug.run("mark = 'debug'")
    contexts = [context.id for context in await debug.contexts()]
    _, listed = open_gateway.json("GET", "/v1/contexts", auth=False)
    assert sorted(one["context"] for one in listed["contexts"]) == sorted(contexts)  # type: ignore[index]


async def test_contexts(debug: Box) -> None:
    made = await debug.create_context()
    await debug.run("x = 1", context=made)
    assert (await debug.run("x", context=made)).text == "1"
    await debug.restart(made)
    assert (await debug.run("x", context=made)).error is not None
    await debug.remove(made)
    with pytest.raises(e2b.NotFoundException):
        await debug.run("x", context=made)


async def test_what_needs_no_request(debug: Box) -> None:
    assert await debug.method("is_running") is True
    await debug.method("set_timeout", 60)
    assert await debug.method("kill") is True
    assert (await debug.run("'still here'")).text == "still here"


async def test_connect(debug: Box) -> None:
    await debug.run("kept = 5")
    again = await debug.client.connect(debug.id)
    assert (await again.run("kept")).text == "5"


async def test_timeout(debug: Box) -> None:
    await debug.run("kept = 6")
    with pytest.raises(e2b.TimeoutException, match="Execution timed out"):
        await debug.run("while True: pass", timeout=1)
    assert (await debug.run("kept")).text == "6"
