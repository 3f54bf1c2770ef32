"""Clients of the SDKs of Daytona, E2B and OpenSandbox at once, each in a sandbox of its own, each sure of its answers.

Usage: crowd.py URL TOKEN CLIENTS SECONDS, with CLIENTS of each SDK. Each has a secret number, which its interpreter
holds: runs print it, return it and fail with it, in contexts that are made, restarted and deleted meanwhile; now and
then a client leaves its sandbox for a new one. An answer that is not the client's own, or any error that it did not
provoke, ends the program with a traceback. Prints `in` when all have a sandbox, waits for a line, and prints a JSON
object at the end: {"runs": number of runs of each SDK}.
"""

from __future__ import annotations

import asyncio
import json
import random
import sys
import time
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import daytona
import e2b_code_interpreter as e2b
from code_interpreter import CodeInterpreter
from opensandbox import Sandbox
from opensandbox.config import ConnectionConfig
from opensandbox.models.filesystem import WriteEntry

STEPS_IN_A_SANDBOX = 150


@dataclass
class Said:
    """What came of a run; value is text/plain of the last result, error its name and value."""

    stdout: str
    stderr: str
    value: str | None
    error: tuple[str, str] | None


@dataclass
class Member(ABC):
    """One client. `count` is how often its default context was told to count."""

    url: str
    token: str
    secret: int
    counted: int = 0
    runs: int = 0
    dice: random.Random = field(init=False)

    kind = ""
    has_values = True

    def __post_init__(self) -> None:
        self.dice = random.Random(self.secret)

    @abstractmethod
    async def enter(self) -> None:
        """Get a sandbox."""

    @abstractmethod
    async def leave(self) -> None:
        """End the sandbox."""

    @abstractmethod
    async def execute(self, code: str, context: Any) -> Said: ...

    @abstractmethod
    async def new_context(self) -> Any: ...

    @abstractmethod
    async def drop(self, context: Any) -> None: ...

    async def restart(self, context: Any) -> Any:
        """A context with nothing in it, in place of this one."""
        await self.drop(context)
        return await self.new_context()

    async def close(self) -> None:
        """Close its connections."""

    async def run(self, code: str, context: Any = None) -> Said:
        self.runs += 1
        return await self.execute(code, context)

    async def clean(self, code: str, context: Any = None) -> Said:
        """A run that must not fail."""
        said = await self.run(code, context)
        assert said.error is None, said
        return said

    async def settle(self) -> None:
        await self.enter()
        self.counted = 0
        await self.clean(f"secret, count = {self.secret}, 0")

    # What a client does; each is sure of the answer.

    async def tell(self) -> None:
        n = self.dice.randrange(1, 200)
        said = await self.clean(f"for i in range({n}): print(secret, i)")
        want = "".join(f"{self.secret} {i}\n" for i in range(n))
        assert (said.stdout, said.stderr) == (want, ""), (self.secret, said.stdout[:200], said.stderr[:200])

    async def tell_both(self) -> None:
        said = await self.clean("import sys\nprint('out', secret)\nprint('err', secret, file=sys.stderr)")
        assert (said.stdout, said.stderr) == (f"out {self.secret}\n", f"err {self.secret}\n"), said

    async def value(self) -> None:
        n = self.dice.randrange(1_000_000)
        said = await self.clean(f"secret + {n}" if self.has_values else f"print(secret + {n})")
        assert (said.value if self.has_values else said.stdout.strip()) == str(self.secret + n), said

    async def count(self) -> None:
        self.counted += 1
        said = await self.clean("count += 1\nprint(secret, count)")
        assert said.stdout == f"{self.secret} {self.counted}\n", (said, self.counted)

    async def much(self) -> None:
        said = await self.clean("print(f'{secret:09d}' * 30_000)")
        assert said.stdout == f"{self.secret:09d}" * 30_000 + "\n", (self.secret, len(said.stdout))

    async def fail(self) -> None:
        said = await self.run("print('before', secret)\nraise ValueError(secret)")
        want = (f"before {self.secret}\n", ("ValueError", str(self.secret)))
        assert (said.stdout, said.error) == want, said
        await self.count()

    async def together(self) -> None:
        """Several runs at once queue in one context."""
        said = await asyncio.gather(*(self.clean(f"print(secret, {i})") for i in range(4)))
        assert [one.stdout for one in said] == [f"{self.secret} {i}\n" for i in range(4)], said

    async def another_context(self) -> None:
        other = await self.new_context()
        said = await self.run("secret", other)
        assert said.error is not None, said
        assert said.error[0] == "NameError", said
        await self.clean(f"secret = {-self.secret}", other)
        mine, theirs = await asyncio.gather(self.clean("print(secret)"), self.clean("print(secret)", other))
        assert (mine.stdout, theirs.stdout) == (f"{self.secret}\n", f"{-self.secret}\n"), (mine, theirs)
        other = await self.restart(other)
        said = await self.run("secret", other)
        assert said.error is not None, said
        assert said.error[0] == "NameError", said
        await self.drop(other)

    async def elsewhere(self) -> None:
        """Leave the sandbox for a new one."""
        await self.leave()
        await self.settle()

    def acts(self) -> list[tuple[int, Callable[[], Awaitable[None]]]]:
        """What it does, and how often."""
        return [
            (20, self.tell),
            (20, self.tell_both),
            (20, self.value),
            (20, self.count),
            (10, self.much),
            (10, self.fail),
            (5, self.together),
            (2, self.another_context),
        ]

    async def stay(self, until: float) -> None:
        """Go on until that time."""
        often, acts = zip(*self.acts(), strict=True)
        steps = self.dice.randrange(STEPS_IN_A_SANDBOX)
        while time.monotonic() < until:
            steps += 1
            if steps % STEPS_IN_A_SANDBOX == 0:
                await self.elsewhere()
            await self.dice.choices(acts, often)[0]()


class DaytonaClient(Member):
    kind = "daytona"
    has_values = False

    async def enter(self) -> None:
        if self.runs == 0:
            there = daytona.DaytonaConfig(
                api_key=self.token, api_url=f"{self.url}/daytona/api", target="local"
            )
            self.sdk = daytona.AsyncDaytona(there)
        self.sandbox = await self.sdk.create()
        self.interpreter = self.sandbox.code_interpreter

    async def leave(self) -> None:
        await self.sdk.delete(self.sandbox)

    async def close(self) -> None:
        await self.sdk.close()

    async def execute(self, code: str, context: Any) -> Said:
        done = await self.interpreter.run_code(code, **({"context": context} if context else {}))
        error = done.error and (done.error.name, done.error.value)
        return Said(done.stdout, done.stderr, None, error)

    async def new_context(self) -> Any:
        return await self.interpreter.create_context()

    async def drop(self, context: Any) -> None:
        await self.interpreter.delete_context(context)


class E2bClient(Member):
    kind = "e2b"

    async def enter(self) -> None:
        self.sandbox = await e2b.AsyncSandbox.create(
            api_key=self.token, api_url=self.url, sandbox_url=self.url, timeout=3600
        )

    async def leave(self) -> None:
        assert await self.sandbox.kill()

    async def execute(self, code: str, context: Any) -> Said:
        done = await self.sandbox.run_code(code, context=context)
        error = done.error and (done.error.name, done.error.value)
        return Said("".join(done.logs.stdout), "".join(done.logs.stderr), done.text, error)

    async def new_context(self) -> Any:
        return await self.sandbox.create_code_context()

    async def drop(self, context: Any) -> None:
        await self.sandbox.remove_code_context(context)

    async def restart(self, context: Any) -> Any:
        await self.sandbox.restart_code_context(context)
        return context


class OpenSandboxClient(Member):
    kind = "opensandbox"

    async def enter(self) -> None:
        there = ConnectionConfig(api_key=self.token, domain=self.url)
        self.sandbox = await Sandbox.create(
            "opensandbox/code-interpreter:latest", connection_config=there, env={"SECRET": str(self.secret)}
        )
        self.interpreter = await CodeInterpreter.create(self.sandbox)

    async def leave(self) -> None:
        await self.interpreter.aclose()
        await self.sandbox.destroy()

    async def execute(self, code: str, context: Any) -> Said:
        done = await self.interpreter.codes.run(code, context=context)
        error = done.error and (done.error.name, done.error.value)
        assert (done.complete is None) == (done.error is not None), done
        out, err = ("".join(m.text for m in stream) for stream in (done.logs.stdout, done.logs.stderr))
        return Said(out, err, done.result[-1].text if done.result else None, error)

    async def new_context(self) -> Any:
        return await self.interpreter.codes.create_context("python")

    async def drop(self, context: Any) -> None:
        await self.interpreter.codes.delete_context(context.id)

    async def command(self) -> None:
        done = await self.sandbox.commands.run("echo $SECRET; exit 3")
        assert [m.text for m in done.logs.stdout] == [str(self.secret)], done
        assert (done.error.name, done.error.value) == ("CommandExecError", "3"), done

    async def file(self) -> None:
        text = f"{self.secret}\n" * self.dice.randrange(1, 3000)
        await self.sandbox.files.write_files([WriteEntry(path="mine.txt", data=text)])
        assert (await self.clean("print(open('mine.txt').read(), end='')")).stdout == text
        assert await self.sandbox.files.read_file("mine.txt") == text

    def acts(self) -> list[tuple[int, Callable[[], Awaitable[None]]]]:
        return [*super().acts(), (5, self.command), (5, self.file)]


async def crowd(url: str, token: str, clients: int, seconds: float) -> dict[str, Any]:
    kinds = (DaytonaClient, E2bClient, OpenSandboxClient)
    members = [kind(url, token, 1 + 1000 * n + i) for n, kind in enumerate(kinds) for i in range(clients)]
    async with asyncio.TaskGroup() as tasks:
        for member in members:
            tasks.create_task(member.settle())
    print("in", flush=True)
    await asyncio.to_thread(sys.stdin.readline)
    until = time.monotonic() + seconds
    async with asyncio.TaskGroup() as tasks:
        for member in members:
            tasks.create_task(member.stay(until))
    async with asyncio.TaskGroup() as tasks:
        for member in members:
            tasks.create_task(member.leave())
    for member in members:
        await member.close()
    runs: Counter[str] = Counter()
    for member in members:
        runs[member.kind] += member.runs
    return {"runs": dict(runs)}


if __name__ == "__main__":
    there, key, each, long = sys.argv[1:]
    print(json.dumps(asyncio.run(crowd(there, key, int(each), float(long)))), flush=True)
