"""Fixtures of the OpenSandbox suites: a gateway, a client per flavour, sandboxes, contexts, a look at what is left.

A pytest plugin: each suite names it in `pytest_plugins`. Plugins are global, so every name here begins or ends in osb.
"""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from harness.gateway import Gateway, until
from osb_adapter import FLAVOURS, SETTINGS, Box, Client
from osb_raw import Lifecycle, Raw

ZERO = (
    "executions_queued",
    "executions_running",
    "executions_kept",
    "events_bytes",
    "commands_running",
    "websockets",
    'kernels{state="starting"}',
    'kernels{state="busy"}',
    'kernels{state="stopping"}',
)


@pytest.fixture(scope="session")
def osb_gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """One gateway for all OpenSandbox suites; stopped with every check at the end."""
    running = Gateway(tmp_path_factory.mktemp("osb") / "state", *SETTINGS)
    try:
        running.wait_ready()
    except AssertionError as error:
        pytest.fail(str(error)[-1500:], pytrace=False)
    yield running
    running.stop()


@pytest.fixture(scope="session", params=FLAVOURS)
def osb_client(request: pytest.FixtureRequest, osb_gateway: Gateway) -> Client:
    return Client(request.param, osb_gateway)


@pytest.fixture(scope="session")
def osb_life(osb_gateway: Gateway) -> Iterator[Lifecycle]:
    """Raw requests to the lifecycle."""
    made = Lifecycle(osb_gateway)
    yield made
    made.close()


@pytest.fixture(scope="session")
def shared_osb(osb_life: Lifecycle) -> Iterator[str]:
    """The sandbox that the tests of both flavours share."""
    made = osb_life.create(timeout=3600, metadata={"suite": "shared"})
    yield made["id"]
    osb_life.kill(made["id"])


@pytest.fixture(scope="session")
def osb(osb_client: Client, shared_osb: str, loop: Any) -> Iterator[Box]:
    """The shared sandbox, its default Python context warm; tests leave that in order."""
    made = loop.run(osb_client.connect(shared_osb))
    loop.run(made.run("pass"))
    loop.run(made.files("write_file", "first", ""))  # from then on its folder is open
    yield made
    loop.run(made.close())


@pytest.fixture(scope="session")
def osb_raw(osb_gateway: Gateway) -> Iterator[Raw]:
    """A sandbox for raw requests, shared; its default Python context is warm."""
    with Raw(osb_gateway, timeout=3600) as made:
        made.code("pass")
        made.ask("GET", "/files/download?path=first")
        yield made


def gauges(gateway: Gateway) -> dict[str, int]:
    metrics = gateway.metrics()
    names = (*ZERO, "contexts", "sandboxes")
    return {name: int(metrics[f"kernelbridge_{name}"]) for name in names}


def open_files(gateway: Gateway) -> int:
    """How many descriptors it has but for sockets, which are its clients' and its kernels'."""
    count = 0
    for link in Path(f"/proc/{gateway.process.pid}/fd").iterdir():
        try:
            target = os.readlink(link)
        except FileNotFoundError:
            continue
        count += not target.startswith(("socket:", "anon_inode:[eventfd]"))
    return count


def holds(gateway: Gateway) -> dict[str, int]:
    """What must be the same after a test: gauges; processes and open files but for those of its pool."""

    def look() -> dict[str, int]:
        children = psutil.Process(gateway.process.pid).children(recursive=True)
        return gauges(gateway) | {"processes": len(children), "files": open_files(gateway)}

    seen, ahead = gateway.still(look)
    seen["processes"] -= ahead.kernels + ahead.zygotes
    seen["files"] -= ahead.kernels  # the end of a pipe each
    return seen


@pytest.fixture(autouse=True)
def osb_baseline(request: pytest.FixtureRequest) -> Iterator[None]:
    """After a test of this gateway nothing runs, and there is no more of anything than before.

    There may be less: what the test before it deleted may still have been ending.
    """
    if "osb_gateway" not in request.fixturenames:
        yield
        return
    gateway = request.getfixturevalue("osb_gateway")
    for name in ("osb", "osb_raw", "osb_spoken"):  # what they make is there before the test
        if name in request.fixturenames:
            request.getfixturevalue(name)
    until("the last test's kernels to end", lambda: not any(gauges(gateway)[name] for name in ZERO), 30)
    before = dict.fromkeys(ZERO, 0) | {k: v for k, v in holds(gateway).items() if k not in ZERO}
    yield
    now: dict[str, int] = {}

    def at_rest() -> bool:
        now.update(holds(gateway))
        return all(now[k] <= v for k, v in before.items())

    try:
        until("", at_rest, 30)
    except AssertionError:
        grown = {k: (v, now[k]) for k, v in before.items() if now[k] > v}
        raise AssertionError(f"(before, now) 30 s after the test: {grown}") from None


@pytest.fixture
def osb_ctx(osb: Box, loop: Any) -> Iterator[Any]:
    """A Python context that only this test uses."""
    made = loop.run(osb.create_context())
    yield made
    if made.id in {context.id for context in loop.run(osb.codes("list_contexts", "python"))}:
        loop.run(osb.codes("delete_context", made.id))


@pytest.fixture
def make_osb(osb_client: Client, loop: Any) -> Iterator[Callable[..., Awaitable[Box]]]:
    """Factory of sandboxes that only this test uses; what is left of them is killed."""
    made: list[Box] = []

    async def make(*args: Any, **kwargs: Any) -> Box:
        made.append(await osb_client.create(*args, **kwargs))
        return made[-1]

    yield make
    for one in made:
        loop.run(one.kill())
