"""Fixtures of the SDK suites: one event loop for the session, a client per flavour, its sandbox, contexts.

Coroutine tests of this folder run on that loop, each under a deadline.
"""

from __future__ import annotations

import asyncio
import inspect
import sys
import threading
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent))

from adapter import FLAVOURS, Box, Client  # noqa: E402
from harness.gateway import DEADLINE_S, Gateway, serving  # noqa: E402

HIT_DEADLINE = pytest.StashKey[bool]()


class Loop:
    """An event loop in a thread of its own."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self.loop.set_default_executor(ThreadPoolExecutor(64, "sdk"))
        self.thread = threading.Thread(target=self.loop.run_forever, daemon=True)
        self.thread.start()

    def run(self, coroutine: Awaitable[Any], deadline_s: float = DEADLINE_S) -> Any:
        async def bounded() -> Any:
            async with asyncio.timeout(deadline_s):
                return await coroutine

        return asyncio.run_coroutine_threadsafe(bounded(), self.loop).result()


@pytest.fixture(scope="session")
def loop() -> Iterator[Loop]:
    running = Loop()
    yield running
    running.loop.call_soon_threadsafe(running.loop.stop)
    running.thread.join(5)


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    """Run a coroutine test on the session's loop."""
    if not inspect.iscoroutinefunction(pyfuncitem.obj):
        return None
    running: Loop = pyfuncitem._request.getfixturevalue("loop")
    names = pyfuncitem._fixtureinfo.argnames
    try:
        running.run(pyfuncitem.obj(**{name: pyfuncitem.funcargs[name] for name in names}))
    except TimeoutError:
        pyfuncitem.stash[HIT_DEADLINE] = True
        raise
    return True


@pytest.fixture(scope="session")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """One of its own for this folder: the SDKs' clients stay connected for the session."""
    with serving(tmp_path_factory.mktemp("sdk") / "state") as running:
        yield running


@pytest.fixture(scope="session", params=FLAVOURS)
def client(request: pytest.FixtureRequest, gateway: Gateway, loop: Loop) -> Iterator[Client]:
    """A Daytona client of each flavour, given nothing but address and key."""

    async def make() -> Client:
        return Client(request.param, api_key=gateway.token, api_url=gateway.api_url, target="local")

    made = loop.run(make())
    yield made
    loop.run(made.close())


@pytest.fixture(scope="session")
def boxes(client: Client, loop: Loop) -> Iterator[list[Box]]:
    """The sandboxes that `box` used; the last one is in use."""
    made: list[Box] = []
    yield made
    for one in made:
        loop.run(client.call(client.sdk.delete, one.sandbox))


@pytest.fixture
def box(boxes: list[Box], client: Client, loop: Loop, request: pytest.FixtureRequest) -> Iterator[Box]:
    """A sandbox that tests share, with its default context, which they leave in order.

    A test that hits its deadline may leave a run behind: the tests after it get a new sandbox.
    """
    if not boxes:
        boxes.append(loop.run(client.create()))
    yield boxes[-1]
    if request.node.stash.get(HIT_DEADLINE, False):
        boxes.append(loop.run(client.create()))


@pytest.fixture
def ctx(box: Box, loop: Loop) -> Iterator[Any]:
    """A context that only this test uses."""
    made = loop.run(box.create_context())
    yield made
    left = {context.id for context in loop.run(box.list_contexts())}
    if made.id in left:
        loop.run(box.delete_context(made))


@pytest.fixture
def make_box(client: Client, loop: Loop) -> Iterator[Callable[..., Awaitable[Box]]]:
    """Factory of sandboxes that only this test uses; what is left of them is deleted."""
    made: list[Box] = []

    async def make(*args: Any, **kwargs: Any) -> Box:
        made.append(await client.create(*args, **kwargs))
        return made[-1]

    yield make
    left = {sandbox.id for sandbox in loop.run(client.list())}
    for one in made:
        if one.sandbox.id in left:
            loop.run(client.call(client.sdk.delete, one.sandbox))
