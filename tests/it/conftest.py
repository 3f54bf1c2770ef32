"""Fixtures of the integration tests: a gateway that must be at rest after each test."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent))

import atrest  # noqa: E402
from harness.gateway import Gateway  # noqa: E402


@pytest.fixture(scope="module")
def resting(
    tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> Iterator[tuple[Gateway, dict[str, int]]]:
    """One gateway for a file of tests, with the file's own settings in RESTING, and what it holds at rest."""
    own = getattr(request.module, "RESTING", ())
    settings = ("--interrupt_grace_ms=1000", "--start_timeout_ms=30000", atrest.QUIET, *own)
    env = {"ASAN_OPTIONS": "detect_leaks=1:abort_on_error=0:exitcode=99:quarantine_size_mb=4"}
    running = Gateway(tmp_path_factory.mktemp("it") / "state", *settings, env=env).wait_ready()
    try:
        before = atrest.baseline(running)
    except BaseException:
        running.kill()
        raise
    yield running, before
    running.stop()


@pytest.fixture
def gw(resting: tuple[Gateway, dict[str, int]]) -> Iterator[Gateway]:
    """The file's gateway; after the test it must hold what it held before the first one."""
    running, before = resting
    yield running
    atrest.check(running, before)


@pytest.fixture
def start_gateway(tmp_path: Path) -> Iterator[Callable[..., Gateway]]:
    """Factory of gateways that may fail to start; those that live are killed. `state_dir` is another one's."""
    made: list[Gateway] = []

    def make(*args: str, state_dir: Path | None = None, env: dict[str, str] | None = None) -> Gateway:
        shared = [f"--state_dir={state_dir}"] if state_dir else []
        made.append(Gateway(tmp_path / f"state{len(made)}", *shared, *args, env=env))
        return made[-1]

    yield make
    for running in made:
        if running.process.poll() is None:
            running.kill()
        for folder in (running.state_dir / "run").glob("*"):
            shutil.rmtree(folder.resolve(), ignore_errors=True)  # of long paths, they are in /tmp
