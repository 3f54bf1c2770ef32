"""A moderate load of everything, for tests/bench/soak.py: soakload.py URL TOKEN SECONDS

Clients of the three SDKs, each in a sandbox of its own (tests/sdk/crowd.py, with pauses), and beside them clients of the
native API that make contexts, run in them, leave in the middle of a run, and delete them. An answer that is not the
client's own, or an error that it did not provoke, ends the program with a traceback. Prints {"runs": N, "contexts": N,
"left": N}.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import sys
import time
from pathlib import Path

from wsock import Native

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "sdk"))
import crowd

OF_EACH_SDK = 2
PAUSE_S = 0.25  # between what one client does
COUNTS = {"runs": 0, "contexts": 0, "left": 0}


async def stay(member: crowd.Member, until: float) -> None:
    """As Member.stay, with pauses, and out of the sandbox more often."""
    often, acts = zip(*member.acts(), strict=True)
    steps = 0
    while time.monotonic() < until:
        steps += 1
        if steps % 40 == 0:
            await member.elsewhere()
        await member.dice.choices(acts, often)[0]()
        await asyncio.sleep(PAUSE_S * 2 * member.dice.random())


def churn(url: str, token: str, until: float, seed: int) -> None:
    """One client of the native API, in a thread."""
    dice = random.Random(seed)
    while time.monotonic() < until:
        client = Native(url, token)
        context = client.ask("create_context")["context"]
        COUNTS["contexts"] += 1
        for i in range(dice.randrange(1, 5)):
            client.run(f"x = {i}\nprint(x * 1000)", context=context)
            COUNTS["runs"] += 1
            time.sleep(PAUSE_S * dice.random())
        if dice.random() < 0.3:  # leaves while it prints: the run is interrupted
            client.post("execute", context=context, code="for i in range(10**7): print(i, flush=True)")
            while client.next().get("event") != "stdout":
                pass
            client.close()
            COUNTS["left"] += 1
            client = Native(url, token)
        client.ask("delete_context", context=context)
        client.close()
        time.sleep(PAUSE_S)


async def load(url: str, token: str, seconds: float) -> None:
    kinds = (crowd.DaytonaClient, crowd.E2bClient, crowd.OpenSandboxClient)
    members = [kind(url, token, 1 + 1000 * n + i) for n, kind in enumerate(kinds) for i in range(OF_EACH_SDK)]
    for member in members:
        await member.settle()
    until = time.monotonic() + seconds
    async with asyncio.TaskGroup() as tasks:
        for member in members:
            tasks.create_task(stay(member, until))
        for seed in range(2):
            tasks.create_task(asyncio.to_thread(churn, url, token, until, seed))
    for member in members:
        await member.leave()
        await member.close()
        COUNTS["runs"] += member.runs


if __name__ == "__main__":
    asyncio.run(load(sys.argv[1], sys.argv[2], float(sys.argv[3])))
    print(json.dumps(COUNTS), flush=True)
    os._exit(0)
