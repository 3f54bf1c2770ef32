"""A language, a context of it and a connection: what the suites of test_language*.py have in hand."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

import atrest
import psutil
from clients import Native, Said
from harness.gateway import Gateway
from languages import Error, Language


@dataclass
class Seat:
    """A language, its context, and the gateway; `alone` are the kernels that were there before."""

    lang: Language
    gateway: Gateway
    context: str
    alone: set[int]

    def kernel(self) -> int:
        """The pid of the context's kernel."""
        (pid,) = kernels(self.gateway) - self.alone
        return pid


@dataclass
class Tongue:
    """What a test has: the language, and a connection."""

    lang: Language
    ws: Native
    seat: Seat

    def run(self, code: str, **keys: Any) -> Said:
        return self.ws.run(code, context=self.seat.context, **keys)

    def start(self, code: str, **keys: Any) -> str:
        return self.ws.start(code, context=self.seat.context, **keys)

    def state(self) -> str:
        """What is printed of the state; nothing, where printing it fails."""
        return self.run(self.lang.code(self.lang.kept)).text()

    def begun(self, *then: str, **keys: Any) -> tuple[str, Said]:
        """Start a cell that prints `on` and then does these; returns when `on` is there."""
        lang = self.lang
        execution = self.start(lang.code(lang.fill(lang.say, text="on"), *then), **keys)
        return execution, self.ws.wait_text(execution, "on\n")


def kernels(gateway: Gateway) -> set[int]:
    """The living kernels' pids."""
    living = set()
    for child in psutil.Process(gateway.process.pid).children():
        with suppress(psutil.NoSuchProcess):
            if child.status() != psutil.STATUS_ZOMBIE:
                living.add(child.pid)
    return living


@contextmanager
def seated(resting: tuple[Gateway, dict[str, int]], lang: Language, **context: Any) -> Iterator[Seat]:
    """A context for a language's tests; after them the gateway holds what it held before."""
    gateway, before = resting
    alone = kernels(gateway)
    status, made = gateway.json("POST", "/v1/contexts", {"language": lang.name, **context})
    assert status == 201, made
    yield Seat(lang, gateway, made["context"], alone)  # type: ignore[index]
    atrest.check(gateway, before)


@contextmanager
def talking(seat: Seat) -> Iterator[Tongue]:
    """A connection to the language's context, which afterwards is at rest and alone."""
    with Native(seat.gateway) as ws:
        yield Tongue(seat.lang, ws, seat)
    wanted = {"executions_running": 0, "executions_queued": 0, "websockets": 0, "contexts": 2}
    wanted |= {'kernels{state="busy"}': 0, 'kernels{state="ready"}': 2, "events_bytes": 0, "kernels": 2}
    for name, value in wanted.items():
        seat.gateway.wait_gauge(name, value)


def plain(lines: list[str]) -> str:
    return re.sub(r"\x1b\[[0-9;]*m", "", "\n".join(lines))


def check_error(said: Said, error: Error) -> None:
    assert said.how == "error", said.events
    event = said.one("error")
    assert event["name"] == error.name, event
    assert re.search(error.value, event["value"]), event
    assert re.search(error.trace, plain(event["traceback"])), event
    assert re.search(error.stderr, plain([said.text("stderr")])), said.events


def error_name(said: Said) -> str | None:
    """The name of its error, None where it told of none."""
    names = [event["name"] for event in said.events if event["event"] == "error"]
    assert len(names) <= 1, said.events
    return names[0] if names else None
