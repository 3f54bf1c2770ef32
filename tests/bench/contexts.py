"""Many contexts at once, each with one run in flight: runs per second, their times, what the gateway takes for it."""

from __future__ import annotations

import contextlib
import selectors
import subprocess
import time

from barekernel import floor_kernel
from rig import PLAIN, TOOLS, Bench, Gateway, available_mib, gateway, spread, weight
from wsock import Native

LEVELS = (1, 16, 100, 500)
PER_CONNECTION = 100  # a connection follows 256 executions at most
RESERVE_MIB = 2048  # memory that stays free
FLOOR_LEVELS = (1, 16)  # kernels without a gateway: each is spawned
DONE = b'"event":"done"'


class Load:
    """Connections with contexts of their own."""

    def __init__(self, running: Gateway) -> None:
        self.running = running
        self.clients: list[Native] = []
        self.contexts: list[list[str]] = []

    def __len__(self) -> int:
        return sum(len(contexts) for contexts in self.contexts)

    def grow(self, n: int) -> None:
        """Up to n contexts, each of which has run once."""
        while (missing := n - len(self)) > 0:
            if not self.contexts or len(self.contexts[-1]) == PER_CONNECTION:
                self.clients.append(Native(self.running.url, self.running.token))
                self.contexts.append([])
            client, contexts = self.clients[-1], self.contexts[-1]
            wave = min(missing, PER_CONNECTION - len(contexts), 16)
            asked = {client.post("create_context") for _ in range(wave)}
            while asked:
                said = client.next()
                if said.get("ok") is False:
                    raise RuntimeError(str(said))
                if said.get("id") in asked:
                    asked.remove(said["id"])
                    contexts.append(said["context"])
            for context in contexts[-wave:]:
                client.run(PLAIN, context=context)

    def run(self, seconds: float) -> list[float]:
        """Keep a run in flight in each context for so long, at least two in each; their times in ms."""
        took: list[float] = []
        # Of each client: what its executions are (by id of the request, then by execution's id), and since when.
        flight: list[dict[bytes, tuple[str, float]]] = [{} for _ in self.clients]
        end = time.monotonic() + seconds
        wanted = 2 * len(self)

        def start(i: int, context: str) -> None:
            asked = self.clients[i].post("execute", code="1", context=context)
            flight[i][b"%d" % asked] = (context, time.monotonic())

        def take(i: int, message: bytes) -> None:
            if DONE in message:
                context, since = flight[i].pop(field(message, b'"execution":"'))
                now = time.monotonic()
                took.append((now - since) * 1e3)
                if now < end or len(took) < wanted:
                    start(i, context)
            elif b'"ok":true' in message:
                flight[i][field(message, b'"execution":"')] = flight[i].pop(number(message))
            elif b'"ok":false' in message:
                raise RuntimeError(message.decode())

        with selectors.DefaultSelector() as ready:
            for i, client in enumerate(self.clients):
                ready.register(client, selectors.EVENT_READ, i)
                for context in self.contexts[i]:
                    start(i, context)
            while any(flight):
                for key, _ in ready.select(60):
                    client = self.clients[key.data]
                    take(key.data, client.receive())
                    while client.waiting():
                        take(key.data, client.receive())
        return took

    def close(self) -> None:
        for client in self.clients:
            client.close()


def field(message: bytes, key: bytes) -> bytes:
    at = message.index(key) + len(key)
    return message[at : message.index(b'"', at)]


def number(message: bytes) -> bytes:
    """The id of an answer, which is a number."""
    at = message.index(b'"id":') + 5
    end = at
    while message[end : end + 1].isdigit():
        end += 1
    return message[at:end]


def level(load: Load, n: int, seconds: float) -> dict:
    load.grow(n)
    running = load.running
    load.run(min(1.0, seconds))  # every path is warm
    cpu, start = running.cpu_ms(), time.monotonic()
    took = load.run(seconds)
    cpu, wall = running.cpu_ms() - cpu, time.monotonic() - start
    kernels = running.kernels()
    pss = weight(kernels)[1]
    return spread(took) | {
        "runs_per_s": len(took) / wall,
        "cpu_ms": cpu / len(took),
        "gateway_mib": running.rss_kib() / 1024,
        "pss_mib": pss,
        "pss_each_mib": pss / len(kernels),
    }


def floors(bench: Bench, n: int, runs: int) -> dict:
    """n kernels without a gateway, each with a client of its own, all at once."""
    with contextlib.ExitStack() as stack:
        kernels = [stack.enter_context(floor_kernel(bench)) for _ in range(n)]
        for kernel in kernels:
            subprocess.run([TOOLS / "floor", kernel.file, "1"], stdout=subprocess.DEVNULL, check=True)
        start = time.monotonic()
        clients = [
            subprocess.Popen([TOOLS / "floor", k.file, str(runs)], stdout=subprocess.DEVNULL) for k in kernels
        ]
        ends = [client.wait() for client in clients]
        if any(ends):
            raise RuntimeError("a client of a kernel without a gateway failed")
        return {"runs_per_s": n * (runs + 10) / (time.monotonic() - start)}  # floor warms up with ten


def measure(bench: Bench) -> dict:
    """{"levels": {n: ...}, "floor": {n: {"runs_per_s"}}}"""
    report: dict = {"levels": {}, "floor": {}}
    for n in FLOOR_LEVELS:
        report["floor"][str(n)] = floors(bench, n, bench.pick(1600, 800) // n)
    with gateway(bench) as running:
        load = Load(running)
        each = 40.0
        for n in LEVELS if not bench.quick else LEVELS[:3]:
            if (n - len(load)) * each > available_mib() - RESERVE_MIB:
                bench.note(f"contexts: {n} left out, which need {n * each / 1024:.1f} GiB of memory")
                break
            report["levels"][str(n)] = level(load, n, bench.pick(4, 2))
            each = report["levels"][str(n)]["pss_each_mib"]
        load.close()
    return report
