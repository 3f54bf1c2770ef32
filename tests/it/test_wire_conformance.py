"""wire/ against kernels of six implementations, over each transport that they speak.

The client knows none of them: what differs is in the table of wirekernels.py, and a test asserts what is there. A
kernel that is not installed in the prefix is skipped (scripts/test installs all).
"""

from __future__ import annotations

import json
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from test_wire_kernels import probe_program
from wirekernels import KERNELS, STRANGE, Kernel, Process, installed

Result = dict[str, Any]
EPIPE = -32


class Probe:
    """wire_probe on one kernel, then perhaps on another; see its head."""

    def __init__(self, file: Path) -> None:
        self.popen = subprocess.Popen(
            [probe_program(), file], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert self.popen.stdin and self.popen.stdout
        self.to, self.from_ = self.popen.stdin, self.popen.stdout

    def open(self, file: Path) -> None:
        self.to.write(json.dumps({"type": "open", "file": str(file)}) + "\n")
        self.to.flush()

    def ask(self, type: str, **more: object) -> Result:
        self.to.write(json.dumps({"type": type} | more) + "\n")
        self.to.flush()
        line = self.from_.readline()
        assert line, "wire_probe gave up"
        return json.loads(line)

    def run(self, code: str, silent: bool = False, **more: object) -> Result:
        content = {
            "code": code, "silent": silent, "store_history": not silent, "user_expressions": {},
            "allow_stdin": "input" in more, "stop_on_error": True,
        }  # fmt: skip
        return self.ask("execute_request", content=content, **more)

    def stop(self) -> None:
        self.to.close()
        assert self.popen.wait(20) == 0


class Bench:
    """One kernel with a client that has found it ready."""

    def __init__(self, kernel: Kernel, transport: str, folder: Path) -> None:
        self.kernel, self.transport, self.folder = kernel, transport, folder
        self.process = Process(kernel, transport, folder / "1")
        self.probe = Probe(self.process.file)
        self.ready = self.probe.ask("ready")

    def run(self, code: str, **more: object) -> Result:
        """One run. What comes for it after its end is put behind its messages: the next question proves that it is all."""
        result = self.probe.run(code, **more)
        behind = self.probe.ask("kernel_info_request")
        late = [[kind, content] for kind, parent, content in behind["stray"] if parent == result["id"]]
        result["late"] = late
        result["messages"] += late
        assert behind["dropped"] == 0
        return result

    def stop(self) -> None:
        self.probe.stop()
        self.process.stop()


def ids(value: object) -> str:
    return value.name if isinstance(value, Kernel) else str(value)


WAYS = [(kernel, transport) for kernel in KERNELS for transport in kernel.transports]


def start(kernel: Kernel, transport: str, folder: Path) -> Bench:
    if not installed(kernel):
        pytest.fail(f"no kernel {kernel.name} in the prefix: scripts/install-kernels all", pytrace=False)
    return Bench(kernel, transport, folder)


@pytest.fixture(scope="module", params=WAYS, ids=lambda way: "-".join(map(ids, way)))
def bench(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    """A kernel that all tests of the file use, one after the other."""
    made = start(*request.param, tmp_path_factory.mktemp("wire"))
    yield made
    made.stop()


@pytest.fixture
def own(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Bench]:
    """A kernel that a test may end."""
    made = start(*request.param, tmp_path)
    yield made
    made.stop()


def of_kind(result: Result, *kinds: str) -> list[dict[str, Any]]:
    return [content for kind, content in result["messages"] if kind in kinds]


def text(result: Result, name: str = "stdout") -> str:
    """All that was printed to one stream."""
    return "".join(c["text"] for c in of_kind(result, "stream") if c["name"] == name)


def states(result: Result) -> list[str]:
    return [c["execution_state"] for c in of_kind(result, "status")]


def test_ready(bench: Bench) -> None:
    """With iopub_welcome or without: a question whose idle came proves that nothing will be lost."""
    assert bench.ready["status"] == 0 and bench.ready["live"]
    info = bench.ready["reply"]
    assert info["implementation"] == bench.kernel.implementation
    assert info["language_info"]["name"].lower() == bench.kernel.language.lower()
    # Where there is one, a status that came before it has proven the same, and it is not passed on.
    assert bench.kernel.welcome or "iopub_welcome" not in [kind for kind, *_ in bench.ready["stray"]]


def test_kernel_info(bench: Bench) -> None:
    result = bench.probe.ask("kernel_info_request")
    assert (result["status"], states(result)) == (0, ["busy", "idle"])
    assert result["reply"]["protocol_version"].startswith("5.")


def test_output(bench: Bench) -> None:
    result = bench.run(bench.kernel.says)
    assert (result["status"], result["reply"]["status"]) == (0, "ok")
    assert text(result) == "hi\n"
    assert states(result) == ["busy", "idle"]
    (started,) = of_kind(result, "execute_input")
    assert started["execution_count"] == result["reply"]["execution_count"]


def test_count(bench: Bench) -> None:
    """Each run that is not silent counts one more; some announce or count a silent one all the same."""
    before = bench.run(bench.kernel.says)["reply"]["execution_count"]
    silent = bench.run(bench.kernel.says, silent=True)
    assert (silent["status"], states(silent)) == (0, ["busy", "idle"])
    after = bench.run(bench.kernel.says)["reply"]["execution_count"]
    assert (of_kind(silent, "execute_input") != [], after - before - 1) == bench.kernel.silent


def test_unicode(bench: Bench) -> None:
    result = bench.run(bench.kernel.strange)
    assert (result["status"], text(result)) == (0, STRANGE + "\n")


def test_error(bench: Bench) -> None:
    result = bench.run(bench.kernel.fails)
    assert (result["status"], result["reply"]["status"]) == (0, "error")
    (error,) = of_kind(result, "error")
    assert {"ename", "evalue", "traceback"} <= error.keys() and isinstance(error["traceback"], list)
    assert text(bench.run(bench.kernel.says)) == "hi\n"


def test_error_in_the_reply_only(bench: Bench) -> None:
    if bench.kernel.quiet_fails is None:
        pytest.skip("tells of every error on iopub")
    result = bench.run(bench.kernel.quiet_fails)
    assert (result["status"], of_kind(result, "error")) == (0, [])
    assert result["reply"]["status"] == "error" and result["reply"]["ename"]


def test_interrupt(bench: Bench) -> None:
    process, how = bench.process, {"signal": int(signal.SIGINT)}
    more = {"send": "interrupt_request"} if process.by_message else how | {"pid": process.pid}
    result = bench.run(bench.kernel.loop, after="running", **more)
    assert result["status"] == 0 and text(result).startswith("running\n")
    assert result["reply"]["status"] in bench.kernel.interrupted
    assert text(bench.run(bench.kernel.says)) == "hi\n"


def test_input(bench: Bench) -> None:
    if bench.kernel.asks is None:
        pytest.skip("reads no stdin")
    result = bench.run(bench.kernel.asks, input="Jörg \U0001f600")
    assert result["status"] == 0 and "read Jörg \U0001f600" in text(result)
    assert len(of_kind(result, "input_request")) == 1


def test_nothing_of_a_burst_is_lost(bench: Bench) -> None:
    """Messages or lines, all there, in order, and under their own request."""
    result = bench.run(bench.kernel.burst)
    assert (result["status"], result["reply"]["status"]) == (0, "ok")
    shown = [c["data"]["text/plain"] for c in of_kind(result, "display_data")]
    assert (shown if bench.kernel.shows else text(result).split()) == [str(i) for i in range(5000)]


def test_nothing_is_lost_behind_a_slow_reader(bench: Bench) -> None:
    if bench.kernel.waits is not None:
        assert bench.run(bench.kernel.waits, silent=True)["reply"]["status"] == "ok"
    result = bench.run(bench.kernel.burst, pause_ms=1500)
    assert (result["status"], result["dropped"]) == (0, 0)
    shown = [c["data"]["text/plain"] for c in of_kind(result, "display_data")]
    assert (shown if bench.kernel.shows else text(result).split()) == [str(i) for i in range(5000)]


def test_one_big_output(bench: Bench) -> None:
    result = bench.run(bench.kernel.big)
    printed = text(result)
    assert result["status"] == 0 and len(printed) == bench.kernel.bytes + 1
    assert printed.count("x") == bench.kernel.bytes


def test_output_is_complete_or_has_its_parent(bench: Bench) -> None:
    """Output after idle (Deno's, at times) is stray, under the request that it is of, and comes before the next run."""
    for _ in range(25 if bench.kernel.name == "go" else 100):  # Go compiles each
        result = bench.run(bench.kernel.says)
        assert text(result) == "hi\n" and states(result) == ["busy", "idle"]
        assert all(kind == "stream" for kind, _ in result["late"])


def test_question_on_control(bench: Bench) -> None:
    """Answered or not, it ends nothing: shell goes on."""
    result = bench.run(bench.kernel.says)
    assert result["status"] == 0
    if not bench.kernel.deaf:
        again = bench.probe.ask("kernel_info_request", control=True)
        assert again["reply"]["implementation"] == bench.kernel.implementation


ONE_WAY = [(kernel, kernel.transports[0]) for kernel in KERNELS]
ONE_IDS = [kernel.name for kernel in KERNELS]


@pytest.mark.parametrize("own", ONE_WAY, ids=ONE_IDS, indirect=True)
def test_shutdown(own: Bench) -> None:
    """Some reply and exit, gonb exits only, JJava replies only (and is killed by its owner)."""
    result = own.probe.ask(
        "shutdown_request", content={"restart": False}, control=True, reply_only=True, leave=own.process.pid
    )
    assert (result["status"] == 0) == own.kernel.replies
    if own.kernel.exits:
        own.process.popen.wait(10)


@pytest.mark.parametrize("own", ONE_WAY, ids=ONE_IDS, indirect=True)
def test_killed_while_it_runs(own: Bench) -> None:
    """What it had printed is there, the request ends when its owner says so; a new kernel is found as the first was."""
    result = own.probe.run(
        own.kernel.loop, after="running", pid=own.process.pid, signal=int(signal.SIGKILL), close=True
    )
    assert result["status"] == EPIPE and text(result).startswith("running\n")
    own.process.stop()
    own.process = Process(own.kernel, own.transport, own.folder / "2")
    own.probe.open(own.process.file)
    assert own.probe.ask("ready")["status"] == 0
    assert text(own.run(own.kernel.says)) == "hi\n"
