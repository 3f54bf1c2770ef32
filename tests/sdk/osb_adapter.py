"""One face for OpenSandbox's two Python SDKs, so that each case is written once and runs for both.

Every method is a coroutine. The synchronous classes run in threads, the asynchronous ones in the loop;
arguments, results and exceptions are the SDK's own, untouched.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from adapter import Heard
from code_interpreter import CodeInterpreter, CodeInterpreterSync
from code_interpreter.models.code import CodeContext
from code_interpreter.models.code_sync import CodeContextSync
from harness.gateway import Gateway
from opensandbox import Sandbox, SandboxManager, SandboxManagerSync, SandboxSync
from opensandbox.config import ConnectionConfig
from opensandbox.config.connection_sync import ConnectionConfigSync
from opensandbox.models.execd import Execution, ExecutionHandlers
from opensandbox.models.execd_sync import ExecutionHandlersSync

FLAVOURS = ("sync", "async")
SETTINGS = ("--keep_executions=0", "--interrupt_grace_ms=5000", "--start_timeout_ms=60000")  # of a gateway
IMAGE = "opensandbox/code-interpreter:latest"


class Client:
    """`Sandbox` and `CodeInterpreter`, or `SandboxSync` and `CodeInterpreterSync`, for one gateway."""

    def __init__(self, flavour: str, gateway: Gateway, **config: Any) -> None:
        self.flavour = flavour
        self.given = {"api_key": gateway.token, "domain": gateway.url.removeprefix("http://")} | config
        sync = flavour == "sync"
        self.sdk: Any = SandboxSync if sync else Sandbox
        self.interpreter: Any = CodeInterpreterSync if sync else CodeInterpreter
        self.context: Any = CodeContextSync if sync else CodeContext

    def config(self, **more: Any) -> Any:
        """A fresh connection configuration: each sandbox object owns and closes its connections."""
        made: Any = ConnectionConfigSync if self.flavour == "sync" else ConnectionConfig
        return made(**(self.given | more))

    async def call(self, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """Call a function of the SDK, whichever kind it is."""
        if self.flavour == "sync":
            return await asyncio.to_thread(function, *args, **kwargs)
        return await function(*args, **kwargs)

    async def create(
        self, image: Any = IMAGE, *, interpret: bool = True, config: Any = None, **kwargs: Any
    ) -> Box:
        """`Sandbox.create` and, with `interpret`, `CodeInterpreter.create` on it."""
        made = await self.call(self.sdk.create, image, connection_config=config or self.config(), **kwargs)
        return await self._box(made, interpret)

    async def connect(
        self, sandbox_id: str, *, interpret: bool = True, config: Any = None, **kwargs: Any
    ) -> Box:
        made = await self.call(
            self.sdk.connect, sandbox_id, connection_config=config or self.config(), **kwargs
        )
        return await self._box(made, interpret)

    async def resume(self, sandbox_id: str, *, interpret: bool = True, **kwargs: Any) -> Box:
        made = await self.call(self.sdk.resume, sandbox_id, connection_config=self.config(), **kwargs)
        return await self._box(made, interpret)

    async def _box(self, sandbox: Any, interpret: bool) -> Box:
        box = Box(self, sandbox, None)
        try:
            if interpret:
                box.interpreter = await self.call(self.interpreter.create, sandbox)
        except BaseException:
            await box.close()
            raise
        return box

    async def manager(self, **config: Any) -> Manager:
        made: Any = SandboxManagerSync if self.flavour == "sync" else SandboxManager
        return Manager(self, await self.call(made.create, connection_config=self.config(**config)))


@dataclass
class Manager:
    """`SandboxManager` of either SDK."""

    client: Client
    sdk: Any

    def method(self, name: str, *args: Any, **kwargs: Any) -> Awaitable[Any]:
        return self.client.call(getattr(self.sdk, name), *args, **kwargs)


@dataclass
class Box:
    """A sandbox of either SDK: `sandbox` and `interpreter` are the SDK's objects."""

    client: Client
    sandbox: Any
    interpreter: Any

    @property
    def id(self) -> str:
        return self.sandbox.id

    def method(self, name: str, *args: Any, **kwargs: Any) -> Awaitable[Any]:
        """Any method of the sandbox object."""
        return self.client.call(getattr(self.sandbox, name), *args, **kwargs)

    def codes(self, name: str, *args: Any, **kwargs: Any) -> Awaitable[Any]:
        """Any method of `interpreter.codes`."""
        return self.client.call(getattr(self.interpreter.codes, name), *args, **kwargs)

    def files(self, name: str, *args: Any, **kwargs: Any) -> Awaitable[Any]:
        return self.client.call(getattr(self.sandbox.files, name), *args, **kwargs)

    def commands(self, name: str, *args: Any, **kwargs: Any) -> Awaitable[Any]:
        return self.client.call(getattr(self.sandbox.commands, name), *args, **kwargs)

    def run(self, code: str, **kwargs: Any) -> Awaitable[Execution]:
        """`codes.run`: language=, context=, handlers=."""
        return self.codes("run", code, **kwargs)

    async def out(self, code: str, **kwargs: Any) -> str:
        """What the code prints; it must not fail."""
        execution = await self.run(code, **kwargs)
        assert execution.error is None, execution.error
        return stdout(execution)

    def create_context(self, language: str = "python") -> Awaitable[Any]:
        return self.codes("create_context", language)

    async def home(self) -> str:
        """The absolute path of its home."""
        info = await self.method("get_info")
        return info.metadata["kernelbridge.home"]

    async def kill(self) -> None:
        """End the sandbox, which may be gone already, and close its connections."""
        try:
            await self.method("kill")
        except Exception as error:
            if getattr(error, "status_code", None) != 404:
                raise
        finally:
            await self.close()

    async def close(self) -> None:
        """Close the SDK's connections; the sandbox stays."""
        if (
            self.client.flavour == "sync" and self.interpreter is not None
        ):  # the other has no connections of its own
            await self.client.call(self.interpreter.close)
        await self.method("close")


def stdout(execution: Execution) -> str:
    return "".join(message.text for message in execution.logs.stdout)


def stderr(execution: Execution) -> str:
    return "".join(message.text for message in execution.logs.stderr)


def results(execution: Execution) -> list[str | None]:
    return [result.text for result in execution.result]


class Told(Heard):
    """What the handlers of one run were told, in order: kind and, of the streams, text, else the SDK's object."""

    KINDS = ("init", "stdout", "stderr", "result", "error", "execution_complete")

    def handlers(self, client: Client, **more: Any) -> Any:
        """Handlers for a run of that client."""
        if client.flavour == "sync":
            return ExecutionHandlersSync(**{f"on_{kind}": self._teller(kind) for kind in self.KINDS}, **more)
        return ExecutionHandlers(**{f"on_{kind}": self._async_teller(kind) for kind in self.KINDS}, **more)

    def _teller(self, kind: str) -> Callable[[Any], None]:
        def tell(value: Any) -> None:
            self._add(kind, value.text if kind in ("stdout", "stderr") else value)

        return tell

    def _async_teller(self, kind: str) -> Callable[[Any], Awaitable[None]]:
        told = self._teller(kind)

        async def tell(value: Any) -> None:
            told(value)

        return tell

    @property
    def kinds(self) -> list[str]:
        return [kind for kind, _ in self.events]

    def merged(self) -> list[tuple[str, Any]]:
        """The events with neighbours of one stream joined."""
        out: list[tuple[str, Any]] = []
        for kind, value in self.events:
            if out and out[-1][0] == kind and kind in ("stdout", "stderr"):
                out[-1] = (kind, out[-1][1] + value)
            else:
                out.append((kind, value))
        return out


async def start(box: Box, code: str, **kwargs: Any) -> tuple[asyncio.Task[Any], Told]:
    """Start a run and wait until it has printed `held`."""
    told = Told()
    task = asyncio.ensure_future(box.run(code, handlers=told.handlers(box.client), **kwargs))
    waiting = asyncio.ensure_future(told.wait_text("stdout", "held"))
    await asyncio.wait({task, waiting}, return_when=asyncio.FIRST_COMPLETED)
    if not waiting.done():
        waiting.cancel()
        raise AssertionError(f"ended before it held: {task.exception() or task.result()}")
    return task, told


def hold(go: object) -> str:
    """Python that prints `held` and goes on when the file `go` exists."""
    return f"import os, time\nprint('held')\nwhile not os.path.exists({str(go)!r}): time.sleep(0.01)\n"
