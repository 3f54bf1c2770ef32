"""LiteLLM's sandbox functions by line, for test_litellm.py: runs in the environment that has LiteLLM.

Each line of stdin is an array of calls, made at once: [name, keyword arguments, what to call the sandbox made or ""].
`container` may be what a sandbox was called. The answer is a line with an array of {"value"} or
{"error", "status", "text"}.
Names below $KB_DOMAIN resolve to loopback, as a wildcard record in DNS would have it.
"""

from __future__ import annotations

import asyncio
import json
import os
import socket
import sys
from typing import Any

import litellm

DOMAIN = "." + os.environ["KB_DOMAIN"]
ANSWERS, sys.stdout = sys.stdout, sys.stderr  # LiteLLM prints, too
resolve = socket.getaddrinfo
sandboxes: dict[str, Any] = {}


def resolve_domain(host: str | bytes | None, *args: Any, **kwargs: Any) -> Any:
    here = isinstance(host, str) and host.endswith(DOMAIN)
    return resolve("127.0.0.1" if here else host, *args, **kwargs)


async def call(name: str, kwargs: dict[str, Any], keep: str) -> dict[str, Any]:
    if kwargs.get("container") in sandboxes:
        kwargs["container"] = sandboxes[kwargs["container"]]
    try:
        value = await getattr(litellm, name)(**kwargs)
    except Exception as error:  # told to the test, whatever it is
        status = getattr(getattr(error, "response", None), "status_code", None)
        return {"error": type(error).__name__, "status": status, "text": str(error)}
    if keep:
        sandboxes[keep] = value
    return {"value": value if isinstance(value, bool) else value.model_dump()}


async def main() -> None:
    loop = asyncio.get_running_loop()
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        answers = await asyncio.gather(*(call(*one) for one in json.loads(line)))
        print(json.dumps(answers), file=ANSWERS, flush=True)


socket.getaddrinfo = resolve_domain
asyncio.run(main())
