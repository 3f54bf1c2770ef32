"""Clients that do not read, in each API: kernels that wait are held and lose nothing, what others print is cut and marked.

The marker, for those who read it: an event `cut` in the native API, a line on stderr in the others.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from clients import DAYTONA, Native
from harness.gateway import Gateway, binary, prefix, until
from rawsock import CLOSE, PING, PONG, TEXT, Ws, frame
from specs import write_spec

# Of the gateway, with four readers that stall; a sanitizer's red zones make small pieces of memory three times as large.
GROWTH_MIB = 96 if b"__asan_init" in binary().read_bytes() else 32
# A sanitizer keeps what was freed, by default 256 MiB of it: the gateway's own memory is what counts here.
FRUGAL = {
    "ASAN_OPTIONS": "detect_leaks=1:abort_on_error=0:exitcode=99:quarantine_size_mb=1:thread_local_quarantine_size_kb=64"
}
KINDS = ("native", "daytona", "e2b", "opensandbox")
MARK = re.compile(
    r"^\[kernelbridge: (\d+) bytes of output were cut here, as they were not read in time \(kernel_buffer_bytes\)\]\n$"
)


class Reader:
    """A run in one API, of which nothing is read before `pieces` is."""

    def __init__(self, gateway: Gateway, kind: str, code: str, context: str) -> None:
        self.kind = kind
        self.sock = Ws(gateway, receive_buffer=65536)
        if kind == "native":
            assert self.sock.upgrade("/v1/ws") == 101
            self.sock.text({"id": 1, "op": "execute", "code": code, "context": context})
        elif kind == "daytona":
            assert self.sock.upgrade(f"{DAYTONA}/execute") == 101
            self.sock.text({"code": code, "contextId": context, "timeout": 0})
        elif kind == "e2b":
            self._post(
                "/execute",
                {"code": code, "context_id": context},
                {"E2b-Sandbox-Id": "default"},
            )
        else:
            self._post(
                "/sandboxes/default/proxy/44772/code",
                {"code": code, "context": {"id": context}},
                {},
            )

    def _post(self, path: str, body: dict[str, Any], headers: dict[str, str]) -> None:
        data = json.dumps(body).encode()
        head = {
            "Content-Type": "application/json",
            "Content-Length": str(len(data)),
        } | headers
        self.sock.send(self.sock.head("POST", path, head) + data)

    def pieces(self) -> Iterator[tuple[str, str]]:
        """(stdout, text) and (cut, number of bytes) in their order, then (end, how)."""
        for message in self._messages():
            kind = message.get("event", message.get("type"))
            if kind == "stdout":
                yield "stdout", message["text"]
            elif kind == "cut":
                yield "cut", str(message["bytes"])
            elif kind == "stderr" and (found := MARK.match(message["text"])):
                yield "cut", found[1]
            elif kind in ("done", "control"):
                yield "end", message.get("how", message.get("text"))
            elif kind in ("end_of_execution", "execution_complete"):
                yield "end", "ok"
            else:
                assert kind not in ("stderr", "error"), message

    def _messages(self) -> Iterator[dict[str, Any]]:
        if self.kind in ("native", "daytona"):
            yield from self._frames()
            return
        while self.sock.line():
            pass
        left = b""
        for chunk in self.sock.chunks():
            *lines, left = (left + chunk).split(b"\n")
            yield from (json.loads(line) for line in lines if line)
        assert not left

    def _frames(self) -> Iterator[dict[str, Any]]:
        while True:
            opcode, payload = self.sock.frame()
            if opcode == PING:
                self.sock.send(frame(PONG, payload))
            elif opcode == TEXT:
                message = json.loads(payload)
                yield message
                if message.get("event") == "done":
                    return
            elif opcode == CLOSE:
                self.sock.send(frame(CLOSE, payload[:2]))
                return

    def close(self) -> None:
        self.sock.socket.close()


def rss_mib(pid: int) -> float:
    return psutil.Process(pid).memory_info().rss / (1 << 20)


def wait_still(what: str, probe: Callable[[], object]) -> None:
    """Wait until it is the same for a second."""
    seen: list[object] = []

    def still() -> bool:
        seen.append(probe())
        return len(seen) > 50 and seen[-50:] == 50 * seen[-1:]

    until(f"{what} that stand still", still)


def wait_held(gateway: Gateway, pids: list[int]) -> None:
    """Wait until the gateway has paused that many kernels, and none of them uses its processor any more."""
    until("kernels that are paused", lambda: gateway.gauge("kernels_paused") == len(pids))
    wait_still("kernels", lambda: [sum(psutil.Process(pid).cpu_times()[:2]) for pid in pids])


# Lines that count from 0, for ever, but 100,000 at least once the file exists.
COUNT = {
    "python": "import os\ni = 0\nwhile i < 100_000 or not os.path.exists(%r):\n    print(i, 'x' * 290)\n    i += 1",
    "bash": "x=$(printf 'x%%.0s' {1..290}); i=0\n"
    "while ((i < 100000)) || ! [ -e %r ]; do echo $i $x; ((++i)); done",
}
COUNT["stock"] = COUNT["python"]
PID = {"python": "import os; print(os.getpid())", "bash": "echo $PPID"}
PID["stock"] = PID["python"]
STOCK_GROWS = {"stock"}  # its print() goes on while its messages wait


def check_counted(reader: Reader) -> int:
    """Every line arrives, in order; returns how many."""
    left, next_line = "", 0
    for kind, text in reader.pieces():
        if kind == "end":
            assert (text in ("ok", "completed"), left) == (True, ""), reader.kind
            return next_line
        assert kind == "stdout", (reader.kind, kind, text)
        *lines, left = (left + text).split("\n")
        for line in lines:
            assert line == f"{next_line} {'x' * 290}", (
                reader.kind,
                next_line,
                line[:80],
            )
            next_line += 1
    raise AssertionError(f"{reader.kind}: no end")


@pytest.fixture(scope="module")
def stock(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for JUPYTER_PATH with ipykernel's own kernelspec, called `stock`."""
    jupyter = tmp_path_factory.mktemp("jupyter")
    argv = [
        str(prefix() / "venv/bin/python"),
        "-m",
        "ipykernel_launcher",
        "-f",
        "{connection_file}",
    ]
    write_spec(jupyter, "stock", argv, language="python")
    return jupyter


@pytest.mark.parametrize("name", COUNT)
def test_kernels_that_wait_are_held(
    make_gateway: Callable[..., Gateway], stock: Path, name: str, tmp_path: Path
) -> None:
    """A program that prints for ever, to a reader in each API that does not read; then they read."""
    gw = make_gateway(env={"JUPYTER_PATH": str(stock)} | FRUGAL)
    go = tmp_path / "go"
    with Native(gw) as control:
        contexts = [control.context(language=name) for _ in KINDS]
        pids = [int(control.run(PID[name], context=c).text()) for c in contexts]
        before = rss_mib(gw.process.pid)
        readers = [Reader(gw, k, COUNT[name] % str(go), c) for k, c in zip(KINDS, contexts, strict=True)]
        if name in STOCK_GROWS:
            until("paused kernels", lambda: gw.gauge("kernels_paused") == len(pids))
        else:
            wait_held(gw, pids)
        assert control.run("print('beside')").text() == "beside\n"
        grown = rss_mib(gw.process.pid) - before
        assert grown <= GROWTH_MIB, f"{grown:.0f} MiB more with {len(KINDS)} readers that stall"
        go.touch()
        for reader in readers:
            assert check_counted(reader) >= 100_000
            reader.close()
        assert gw.gauge("kernels_paused") == 0
        assert gw.gauge("output_cut_bytes_total") == 0


# Code of kernels that cannot wait: 20 MB, then a file says so; a last line when another file is there.
FLOOD_LINES = 10_000
FLOOD = {
    "r": "for (i in 0:%d) cat(i, strrep('x', 1990), '\\n'); invisible(file.create(%s)); "
    "while (!file.exists(%s)) Sys.sleep(0.01); cat('after\\n')",
    "javascript": "for (let i = 0; i <= %d; i++) console.log(i, 'x'.repeat(1990), ''); Deno.writeTextFileSync(%s, ''); "
    "for (;;) { try { Deno.statSync(%s); break } catch { await new Promise((f) => setTimeout(f, 10)) } } console.log('after')",
    "go": '%%%%\nfor i := 0; i <= %d; i++ {\n\tfmt.Println(i, strings.Repeat("x", 1990), "")\n}\nos.WriteFile(%s, nil, 0o600)\n'
    "for {\n\tif _, err := os.Stat(%s); err == nil {\n\t\tbreak\n\t}\n\ttime.Sleep(10 * time.Millisecond)\n}\n"
    'fmt.Println("after")',
}


def whole(i: int) -> str:
    return f"{i} {'x' * 1990} "


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", FLOOD)
def test_kernels_that_cannot_wait_are_cut(
    make_gateway: Callable[..., Gateway], name: str, kind: str, tmp_path: Path
) -> None:
    """They run on; what is cut is counted and marked in its place; then output goes on."""
    if not (prefix() / f"share/jupyter/kernels/{name}/kernel.json").exists():
        pytest.fail(f"no kernel {name} in the prefix: scripts/install-kernels {name}", pytrace=False)
    flooded, go = tmp_path / "flooded", tmp_path / "go"
    code = FLOOD[name] % (
        FLOOD_LINES - 1,
        json.dumps(str(flooded)),
        json.dumps(str(go)),
    )
    total = sum(len(whole(i)) + 1 for i in range(FLOOD_LINES))
    gw = make_gateway("--kernel_buffer_bytes=1048576", "--start_timeout_ms=60000")
    with Native(gw) as control:
        context = control.context(language=name)
        reader = Reader(gw, kind, code, context)
        until("the end of the flood", flooded.exists)
        wait_still("bytes that were cut", lambda: gw.gauge("output_cut_bytes_total"))
        assert control.run("print('beside')").text() == "beside\n"
        assert gw.gauge("kernels_paused") == 0
        said: list[tuple[str, str]] = []
        left = total
        for kind_of, text in reader.pieces():
            said.append((kind_of, text))
            left -= int(text) if kind_of == "cut" else len(text) if kind_of == "stdout" else 0
            if left == 0:  # not before: the last line might be cut too
                go.touch()
        reader.close()
        assert said[-1] in (("end", "ok"), ("end", "completed"))
        cuts = [i for i, (k, _) in enumerate(said) if k == "cut"]
        # what the sockets took at first may have been cut once before they were full
        assert cuts and all(k == "stdout" for i, (k, _) in enumerate(said[:-1]) if i not in cuts)
        assert not any(i + 1 in cuts for i in cuts), "one marker for each"
        before = "".join(text for _, text in said[: cuts[0]]).split("\n")
        assert before[:-1] == [whole(i) for i in range(len(before) - 1)]
        assert said[-2][1].endswith("after\n")
        kept = sum(len(text) for k, text in said[:-1] if k == "stdout")
        cut = sum(int(said[i][1]) for i in cuts)
        assert kept + cut == total + len("after\n")
        assert cut == gw.gauge("output_cut_bytes_total")


def test_a_stock_kernel_is_set_up_unseen(make_gateway: Callable[..., Gateway], stock: Path) -> None:
    """What makes it wait leaves no name, no count, no output; and it is made anew for the next kernel."""
    gw = make_gateway(env={"JUPYTER_PATH": str(stock)})
    look = "[n for n in dir() if not n.startswith('_')], len(In), _, Out"
    with Native(gw) as control:
        context = control.context(language="stock")
        for _ in range(2):
            said = control.run(look, context=context)
            assert said.how == "ok"
            assert [e["event"] for e in said.events] == [
                "accepted",
                "started",
                "result",
                "done",
            ]
            assert said.one("started")["count"] == said.one("result")["count"] == 1
            names = "['In', 'Out', 'exit', 'get_ipython', 'open', 'quit']"
            assert said.one("result")["bundle"]["text/plain"] == f"({names}, 2, '', {{}})"
            assert control.ask("restart_context", context=context)["ok"]
