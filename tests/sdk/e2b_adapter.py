"""One face for E2B's two Python SDKs, so that each case is written once and runs for both.

Every method is a coroutine. The synchronous SDK runs in a thread, the asynchronous one in the loop;
arguments, results and exceptions are the SDK's own, untouched.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import e2b_code_interpreter as e2b
from adapter import Heard
from harness.gateway import Gateway

FLAVOURS = ("sync", "async")
SETTINGS = ("--keep_executions=0", "--interrupt_grace_ms=5000", "--start_timeout_ms=60000")  # of a gateway


def options(gateway: Gateway) -> dict[str, str]:
    """What an E2B program is told of the gateway."""
    return {"api_key": gateway.token, "api_url": gateway.url, "sandbox_url": gateway.url}


class Client:
    """`Sandbox` or `AsyncSandbox` with its connection options (api_key, api_url, sandbox_url, debug)."""

    def __init__(self, flavour: str, **options: Any) -> None:
        self.flavour = flavour
        self.options = options
        self.sdk: Any = e2b.Sandbox if flavour == "sync" else e2b.AsyncSandbox

    async def call(self, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """Call a method of the SDK, whichever kind it is."""
        if self.flavour == "sync":
            return await asyncio.to_thread(function, *args, **kwargs)
        return await function(*args, **kwargs)

    def _class_call(self, name: str, *args: Any, **kwargs: Any) -> Awaitable[Any]:
        return self.call(getattr(self.sdk, name), *args, **(self.options | kwargs))

    async def create(self, **kwargs: Any) -> Box:
        return Box(self, await self._class_call("create", **kwargs))

    async def connect(self, sandbox_id: str, **kwargs: Any) -> Box:
        return Box(self, await self._class_call("connect", sandbox_id, **kwargs))

    def kill(self, sandbox_id: str, **kwargs: Any) -> Awaitable[bool]:
        return self._class_call("kill", sandbox_id, **kwargs)

    def get_info(self, sandbox_id: str, **kwargs: Any) -> Awaitable[Any]:
        return self._class_call("get_info", sandbox_id, **kwargs)

    async def pages(self, **kwargs: Any) -> list[list[Any]]:
        """All pages of `list`, each a list of the SDK's SandboxInfo."""
        paginator = self.sdk.list(**(self.options | kwargs))
        pages = []
        while paginator.has_next:
            pages.append(await self.call(paginator.next_items))
        return pages

    async def ids(self, **kwargs: Any) -> list[str]:
        return [info.sandbox_id for page in await self.pages(**kwargs) for info in page]


@dataclass
class Box:
    """A sandbox of either SDK; `sandbox` is the SDK's object."""

    client: Client
    sandbox: Any

    @property
    def id(self) -> str:
        return self.sandbox.sandbox_id

    def method(self, name: str, *args: Any, **kwargs: Any) -> Awaitable[Any]:
        """Any method of the sandbox object."""
        return self.client.call(getattr(self.sandbox, name), *args, **kwargs)

    def run(self, code: str, **kwargs: Any) -> Awaitable[e2b.Execution]:
        return self.method("run_code", code, **kwargs)

    async def out(self, code: str, **kwargs: Any) -> str:
        """What the code prints; it must not fail."""
        execution = await self.run(code, **kwargs)
        assert execution.error is None, execution.error
        return stdout(execution)

    def create_context(self, **kwargs: Any) -> Awaitable[e2b.Context]:
        return self.method("create_code_context", **kwargs)

    def contexts(self) -> Awaitable[list[e2b.Context]]:
        return self.method("list_code_contexts")

    def restart(self, context: Any) -> Awaitable[None]:
        return self.method("restart_code_context", context)

    def remove(self, context: Any) -> Awaitable[None]:
        return self.method("remove_code_context", context)


def stdout(execution: e2b.Execution) -> str:
    return "".join(execution.logs.stdout)


def stderr(execution: e2b.Execution) -> str:
    return "".join(execution.logs.stderr)


class Told(Heard):
    """What the callbacks of one run were told, in order."""

    @property
    def callbacks(self) -> dict[str, Callable[[Any], None]]:
        return {
            "on_stdout": lambda message: self._add("stdout", message.line),
            "on_stderr": lambda message: self._add("stderr", message.line),
            "on_result": lambda result: self._add("result", result),
            "on_error": lambda error: self._add("error", error),
        }

    def merged(self) -> list[tuple[str, Any]]:
        """The events with neighbours of one stream joined."""
        out: list[tuple[str, Any]] = []
        for kind, value in self.events:
            if out and out[-1][0] == kind and kind in ("stdout", "stderr"):
                out[-1] = (kind, out[-1][1] + value)
            else:
                out.append((kind, value))
        return out


async def start(sbx: Box, code: str, **kwargs: Any) -> tuple[asyncio.Task[Any], Told]:
    """Start a run and wait until it has printed `held`."""
    told = Told()
    task = asyncio.ensure_future(sbx.run(code, **told.callbacks, **kwargs))
    waiting = asyncio.ensure_future(told.wait_text("stdout", "held"))
    await asyncio.wait({task, waiting}, return_when=asyncio.FIRST_COMPLETED)
    if not waiting.done():
        waiting.cancel()
        raise AssertionError(f"ended before it held: {task.exception() or task.result()}")
    return task, told


def hold(go: object) -> str:
    """Python that prints `held` and goes on when the file `go` exists."""
    return f"import os, time\nprint('held')\nwhile not os.path.exists({str(go)!r}): time.sleep(0.01)\n"
