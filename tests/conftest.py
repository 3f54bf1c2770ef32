"""Fixtures that every suite shares: a running gateway (one for the session, or one for a test)."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent))

from harness.gateway import Gateway, binary, serving  # noqa: E402

# What a shell starts in the background ignores these, and so would all that the tests start.
for number, usual in ((signal.SIGINT, signal.default_int_handler), (signal.SIGQUIT, signal.SIG_DFL)):
    if signal.getsignal(number) == signal.SIG_IGN:
        signal.signal(number, usual)


@pytest.hookimpl(hookwrapper=True, tryfirst=True)
def pytest_runtest_makereport(item: pytest.Item):  # type: ignore[no-untyped-def]
    """On a failure, add the end of the gateway's log to the report."""
    outcome = yield
    report = outcome.get_result()
    if report.failed:
        for value in getattr(item, "funcargs", {}).values():
            if isinstance(value, Gateway):
                report.sections.append(("gateway stderr", value.stderr[-6000:]))


@pytest.fixture(scope="session")
def gateway_binary() -> Path:
    return binary()


@pytest.fixture(scope="session")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """One gateway for the session. Its tests leave no connection, context or execution behind."""
    with serving(tmp_path_factory.mktemp("kb") / "state") as running:
        yield running


@pytest.fixture
def make_gateway(tmp_path: Path) -> Iterator[Callable[..., Gateway]]:
    """Factory of gateways for one test: make_gateway('--key=value', ..., env={...}); all are stopped and checked."""
    made: list[Gateway] = []

    def make(*args: str, env: dict[str, str] | None = None, ready: bool = True) -> Gateway:
        running = Gateway(tmp_path / f"state{len(made)}", *args, env=env)
        made.append(running)
        return running.wait_ready() if ready else running.wait_listening()

    yield make
    problems = []
    for running in made:
        try:
            running.stop()
        except AssertionError as error:
            problems.append(str(error))
    assert not problems, "\n".join(problems)


@pytest.fixture
def fresh_gateway(make_gateway: Callable[..., Gateway]) -> Gateway:
    """A gateway that only this test uses."""
    return make_gateway()
