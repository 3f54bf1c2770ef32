"""What the SDKs' calls take: sdkrun.py daytona|e2b|opensandbox WHAT URL TOKEN N

  run     run `1` N times in one sandbox, after five runs to warm up
  create  N times a new sandbox, the first run in it, and the end of both
  alone   (opensandbox) `run` against a server that does nothing but answer: what the SDK itself takes
Prints a JSON object: {NAME: {"n", "min_ms", "p50_ms", "p99_ms"}}; `both` is from the first call to the first
run's end.
"""

from __future__ import annotations

import gc
import json
import os
import sys
import time
from collections import defaultdict
from collections.abc import Callable
from typing import Any

WARM_UP = 5


def summary(took: list[float]) -> dict[str, float]:
    took = sorted(took)
    n = len(took)
    return {"n": n, "min_ms": took[0], "p50_ms": took[n // 2], "p99_ms": took[n * 99 // 100]}


def timed(call: Callable[[], Any], into: list[float]) -> Any:
    start = time.perf_counter()
    value = call()
    into.append((time.perf_counter() - start) * 1e3)
    return value


def collected(call: Callable[[], Any], into: list[float]) -> Any:
    """As timed, without what the garbage of the calls before takes: the SDKs' TLS contexts are large."""
    gc.collect()
    return timed(call, into)


def repeated(call: Callable[[], object], n: int) -> dict[str, float]:
    took: list[float] = []
    for _ in range(n + WARM_UP):
        timed(call, took)
    return summary(took[WARM_UP:])


def creates(
    create: Callable[[], Any], run: Callable[[Any], object], end: Callable[[Any], object], n: int
) -> dict[str, dict]:
    took: defaultdict[str, list[float]] = defaultdict(list)
    for _ in range(n):
        box = collected(create, took["create"])
        timed(lambda b=box: run(b), took["first run"])
        took["both"].append(took["create"][-1] + took["first run"][-1])
        end(box)
    return {name: summary(times) for name, times in took.items()}


def daytona(what: str, url: str, token: str, n: int) -> dict[str, dict]:
    from daytona import Daytona, DaytonaConfig

    sdk = Daytona(DaytonaConfig(api_key=token, api_url=url + "/daytona/api", target="local"))
    if what == "create":
        return creates(sdk.create, lambda box: box.code_interpreter.run_code("print(1)"), sdk.delete, n)
    run = sdk.get("default").code_interpreter.run_code
    return {"run": repeated(lambda: run("1"), n)}


def e2b(what: str, url: str, token: str, n: int) -> dict[str, dict]:
    from e2b_code_interpreter import Sandbox

    def create() -> Any:
        return Sandbox.create(api_key=token, api_url=url, sandbox_url=url)

    if what == "create":
        return creates(create, lambda box: box.run_code("print(1)"), lambda box: box.kill(), n)
    box = create()
    try:
        return {"run": repeated(lambda: box.run_code("1"), n)}
    finally:
        box.kill()


def opensandbox(what: str, url: str, token: str, n: int) -> dict[str, dict]:
    import osbrun

    return osbrun.main(what, url, token, n)


if __name__ == "__main__":
    sdk = {"daytona": daytona, "e2b": e2b, "opensandbox": opensandbox}[sys.argv[1]]
    print(json.dumps(sdk(sys.argv[2], sys.argv[3], sys.argv[4], int(sys.argv[5]))), flush=True)
    os._exit(0)
