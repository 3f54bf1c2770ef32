"""Fixtures of the E2B suites: a gateway, a client per flavour, sandboxes, contexts, a look at the gauges.

A pytest plugin: each suite names it in `pytest_plugins`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import pytest
from e2b_adapter import FLAVOURS, SETTINGS, Box, Client, options
from e2b_tongues import TONGUES, Tongue
from harness.gateway import Gateway, until

ZERO = (
    "executions_queued",
    "executions_running",
    "executions_kept",
    "events_bytes",
    "websockets",
    'kernels{state="starting"}',
    'kernels{state="busy"}',
    'kernels{state="stopping"}',
)


@pytest.fixture(scope="session")
def e2b_gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """One gateway for all E2B suites; stopped with every check at the end."""
    running = Gateway(tmp_path_factory.mktemp("e2b") / "state", *SETTINGS)
    try:
        running.wait_ready()
    except AssertionError as error:
        pytest.fail(str(error)[-1500:], pytrace=False)
    yield running
    running.stop()


@pytest.fixture(scope="session", params=FLAVOURS)
def e2b_client(request: pytest.FixtureRequest, e2b_gateway: Gateway) -> Client:
    return Client(request.param, **options(e2b_gateway))


@pytest.fixture(scope="session")
def shared_id(e2b_gateway: Gateway, loop: Any) -> Iterator[str]:
    """The sandbox that the tests of both flavours share."""
    client = Client("sync", **options(e2b_gateway))
    made = loop.run(client.create(timeout=3600, metadata={"suite": "shared"}))
    yield made.id
    loop.run(client.kill(made.id))


@pytest.fixture(scope="session")
def sbx(e2b_client: Client, shared_id: str, loop: Any) -> Box:
    """The shared sandbox; tests leave its default context in order."""
    made = loop.run(e2b_client.connect(shared_id, timeout=3600))
    loop.run(made.run("pass"))
    return made


@pytest.fixture(scope="session", params=TONGUES)
def spoken(request: pytest.FixtureRequest, sbx: Box, loop: Any) -> Tongue:
    """A language whose default context in the shared sandbox runs."""
    tongue = TONGUES[request.param]
    execution = loop.run(sbx.run(tongue.printing("ready"), language=tongue.name))
    assert execution.error is None, execution.error
    return tongue


def gauges(gateway: Gateway) -> dict[str, int]:
    metrics = gateway.metrics()
    names = (*ZERO, "contexts", "sandboxes")
    return {name: int(metrics[f"kernelbridge_{name}"]) for name in names}


@pytest.fixture(autouse=True)
def back_to_baseline(request: pytest.FixtureRequest) -> Iterator[None]:
    """After a test of this gateway nothing runs, and there are as many sandboxes and contexts as before."""
    if "e2b_gateway" not in request.fixturenames:
        yield
        return
    gateway = request.getfixturevalue("e2b_gateway")
    for name in ("sbx", "spoken", "raw_sandbox"):  # what they make is there before the test
        if name in request.fixturenames:
            request.getfixturevalue(name)
    before = dict.fromkeys(ZERO, 0) | {k: v for k, v in gauges(gateway).items() if k not in ZERO}
    yield
    now: dict[str, int] = {}

    def same() -> bool:
        now.update(gauges(gateway))
        return now == before

    try:
        until("", same, 30)
    except AssertionError:
        grown = {k: (v, now[k]) for k, v in before.items() if now[k] != v}
        raise AssertionError(f"(before, now) 30 s after the test: {grown}") from None


@pytest.fixture
def fresh(sbx: Box, loop: Any) -> Iterator[Any]:
    """A Python context that only this test uses."""
    made = loop.run(sbx.create_context())
    yield made
    if made.id in {context.id for context in loop.run(sbx.contexts())}:
        loop.run(sbx.remove(made))


@pytest.fixture
def make_sbx(e2b_client: Client, loop: Any) -> Iterator[Callable[..., Awaitable[Box]]]:
    """Factory of sandboxes that only this test uses; what is left of them is killed."""
    made: list[Box] = []

    async def make(**kwargs: Any) -> Box:
        made.append(await e2b_client.create(**kwargs))
        return made[-1]

    yield make
    for one in made:
        loop.run(e2b_client.kill(one.id))
