"""One face for Daytona's two Python SDKs, so that each case is written once and runs for both.

Every method is a coroutine. The synchronous SDK runs in a thread, the asynchronous one in the loop;
arguments, results and exceptions are the SDK's own, untouched.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import daytona

FLAVOURS = ("sync", "async")


class Client:
    """`Daytona` or `AsyncDaytona`."""

    def __init__(self, flavour: str, **config: Any) -> None:
        self.flavour = flavour
        made = daytona.Daytona if flavour == "sync" else daytona.AsyncDaytona
        self.sdk: Any = made(daytona.DaytonaConfig(**config)) if config else made()

    async def call(self, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """Call a method of the SDK, whichever kind it is."""
        if self.flavour == "sync":
            return await asyncio.to_thread(function, *args, **kwargs)
        return await function(*args, **kwargs)

    async def create(self, *args: Any, **kwargs: Any) -> Box:
        return Box(self, await self.call(self.sdk.create, *args, **kwargs))

    async def get(self, sandbox_id: str) -> Box:
        return Box(self, await self.call(self.sdk.get, sandbox_id))

    async def list(self, query: Any = None) -> list[Any]:
        """All sandboxes of all pages, as the SDK's objects."""
        if self.flavour == "sync":
            return await asyncio.to_thread(lambda: list(self.sdk.list(query)))
        return [sandbox async for sandbox in self.sdk.list(query)]

    async def close(self) -> None:
        if self.flavour == "async":
            await self.sdk.close()


@dataclass
class Box:
    """A sandbox of either SDK; `sandbox` is the SDK's object."""

    client: Client
    sandbox: Any

    @property
    def interpreter(self) -> Any:
        return self.sandbox.code_interpreter

    def run(self, code: str, context: Any = None, **kwargs: Any) -> Awaitable[daytona.ExecutionResult]:
        if context is not None:
            kwargs["context"] = context
        return self.client.call(self.interpreter.run_code, code, **kwargs)

    def create_context(self, *args: Any, **kwargs: Any) -> Awaitable[Any]:
        return self.client.call(self.interpreter.create_context, *args, **kwargs)

    def list_contexts(self) -> Awaitable[list[Any]]:
        return self.client.call(self.interpreter.list_contexts)

    def delete_context(self, context: Any) -> Awaitable[None]:
        return self.client.call(self.interpreter.delete_context, context)

    def method(self, name: str, *args: Any, **kwargs: Any) -> Awaitable[Any]:
        """Any other method of the sandbox object."""
        return self.client.call(getattr(self.sandbox, name), *args, **kwargs)


@dataclass
class Heard:
    """What the callbacks of one run were told, in order."""

    events: list[tuple[str, Any]] = field(default_factory=list)
    loop: asyncio.AbstractEventLoop = field(default_factory=asyncio.get_running_loop)
    changed: asyncio.Event = field(default_factory=asyncio.Event)

    def _add(self, kind: str, value: Any) -> None:
        self.events.append((kind, value))
        self.loop.call_soon_threadsafe(self.changed.set)

    @property
    def callbacks(self) -> dict[str, Callable[[Any], None]]:
        return {
            "on_stdout": lambda message: self._add("stdout", message.output),
            "on_stderr": lambda message: self._add("stderr", message.output),
            "on_error": lambda error: self._add("error", error),
        }

    def text(self, kind: str) -> str:
        return "".join(value for k, value in self.events if k == kind)

    def merged(self) -> list[tuple[str, Any]]:
        """The events with neighbours of one stream joined."""
        out: list[tuple[str, Any]] = []
        for kind, value in self.events:
            if out and out[-1][0] == kind and kind != "error":
                out[-1] = (kind, out[-1][1] + value)
            else:
                out.append((kind, value))
        return out

    async def wait_text(self, kind: str, text: str) -> None:
        """Wait until that stream has brought `text`; the test's deadline bounds it."""
        while text not in self.text(kind):
            self.changed.clear()
            if text not in self.text(kind):
                await self.changed.wait()
