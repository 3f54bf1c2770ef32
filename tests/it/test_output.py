"""Much output, slow readers, strange text, output that Python did not write: nothing is lost, memory is bounded."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest
from clients import Native, Stream, daytona, wait_run
from harness.gateway import Gateway, until

MIB = 1 << 20
STALL_S = 3  # of the issue; nothing moves for that long
GROWTH_MIB = 32


def wait_blocked(gateway: Gateway, pids: list[int]) -> None:
    """Wait until those kernels use no CPU and no event is added, for STALL_S."""
    last: list[object] = []
    since = time.monotonic()

    def still() -> bool:
        nonlocal since
        now: list[object] = [gateway.gauge("events_bytes")]
        for pid in pids:
            times = psutil.Process(pid).cpu_times()
            now.append(round(times.user + times.system, 1))
        if now != last:
            last[:] = now
            since = time.monotonic()
        return time.monotonic() - since >= STALL_S

    until("kernels that wait for their readers", still)


OUTPUTS = {
    "one line": (
        "print('0123456789abcdef' * 3_276_800)",
        lambda: "0123456789abcdef" * 3_276_800 + "\n",
    ),
    "lines": (
        "for i in range(200_000): print(i, 'x' * 90)",
        lambda: "".join(f"{i} {'x' * 90}\n" for i in range(200_000)),
    ),
}


@pytest.mark.parametrize("name", OUTPUTS)
def test_readers_that_stall_get_everything(gw: Gateway, name: str, tmp_path: Path) -> None:
    """Three readers, one of each kind, stop reading until their kernels stand still; a fourth context works meanwhile."""
    code, expected = OUTPUTS[name]
    with Native(gw) as control:
        contexts = [control.context() for _ in Stream.KINDS]
        pids = [int(control.run("import os; print(os.getpid())", context=c).text()) for c in contexts]
        assert control.run("pass").how == "ok"
        rss = psutil.Process(gw.process.pid).memory_info().rss
        done = [tmp_path / kind for kind in Stream.KINDS]
        streams = [
            Stream(gw, kind, f"{code}\nopen({str(mark)!r}, 'w').close()", context)
            for kind, mark, context in zip(Stream.KINDS, done, contexts, strict=True)
        ]
        wait_blocked(gw, pids)
        assert not any(mark.exists() for mark in done)
        assert control.run("print('beside')").text() == "beside\n"
        grown = (psutil.Process(gw.process.pid).memory_info().rss - rss) / MIB
        assert grown <= GROWTH_MIB, f"{grown:.0f} MiB more with three readers that stall"
        digest = hashlib.sha256(expected().encode()).hexdigest()
        for stream in streams:
            got = hashlib.sha256()
            for text in stream.texts():
                got.update(text.encode())
            stream.close()
            assert got.hexdigest() == digest, stream.kind
        grown = (psutil.Process(gw.process.pid).memory_info().rss - rss) / MIB
        assert grown <= GROWTH_MIB, f"{grown:.0f} MiB more after all was read"


def test_reader_that_stalls_and_leaves(gw: Gateway) -> None:
    """Its kernel goes on: Daytona's runs finish without a client."""
    with Native(gw) as control:
        context = control.context()
        pid = int(control.run("import os; print(os.getpid())", context=context).text())
        stream = Stream(gw, "daytona", "for i in range(200_000): print(i, 'x' * 90)\nfinished = 1", context)
        wait_blocked(gw, [pid])
        stream.sock.reset()
        assert control.run("print(finished)", context=context).text() == "1\n"


def test_two_megabytes_of_code(gw: Gateway) -> None:
    text = "".join(chr(97 + i % 26) for i in range(2_000_000))
    code = f"import hashlib\nbig = '''{text}'''\nprint(len(big), hashlib.sha256(big.encode()).hexdigest())"
    expected = f"2000000 {hashlib.sha256(text.encode()).hexdigest()}\n"
    assert wait_run(gw, code)["stdout"] == expected
    with Native(gw) as native:
        assert native.run(code).text() == expected
    frames, close, reason = daytona(gw, {"code": code})
    assert ("".join(f["text"] for f in frames if f["type"] == "stdout"), close, reason) == (
        expected,
        1000,
        "",
    )


TEXTS = {
    "NUL": ("print('a\\0b')", "a\0b\n"),
    "all of C0 and DEL": (
        "print(''.join(map(chr, [*range(32), 127])))",
        "".join(map(chr, [*range(32), 127])) + "\n",
    ),
    "lone surrogates": ("print('<\\ud800|\\udfff>')", "<\ufffd|\ufffd>\n"),
    "a pair of surrogates": ("print('\\ud83d\\ude00')", ("\ufffd\ufffd\n", "\U0001f600\n")),
    "astral": ("print('\U0001f600' * 30_000)", "\U0001f600" * 30_000 + "\n"),
    "noncharacters": ("print('\\ufffe\\uffff\\U0010ffff')", "\ufffe\uffff\U0010ffff\n"),
    "line separators": ("print('a\\u2028b\\u2029c\\x85d\\re')", "a\u2028b\u2029c\x85d\re\n"),
    "invalid bytes": ("import os; os.write(1, b'<\\xff\\xc3>\\n'); None", "<\ufffd\ufffd>\n"),
    "a character in two writes": (
        "import os; os.write(1, b'\\xe2\\x82'); os.write(1, b'\\xac\\n'); None",
        "€\n",
    ),
    "nothing": ("print('', end='')", ""),
}


@pytest.mark.parametrize("name", TEXTS)
def test_text_arrives_as_it_is(gw: Gateway, name: str) -> None:
    code, expected = TEXTS[name]
    allowed = (expected,) if isinstance(expected, str) else expected
    with Native(gw) as native:
        said = native.run(code)
        assert (said.how, said.text() in allowed) == ("ok", True), ascii(said.text())[:200]
    assert wait_run(gw, code)["stdout"] in allowed
    frames, close, _ = daytona(gw, {"code": code})
    assert "".join(f["text"] for f in frames if f["type"] == "stdout") in allowed
    assert close == 1000


def test_strange_text_in_errors_and_results(gw: Gateway) -> None:
    with Native(gw) as native:
        error = native.run("raise ValueError('<\\ud800\\0>')").one("error")
        assert (error["name"], error["value"]) == ("ValueError", "<\ufffd\0>")
        result = native.run("'<\\ud800\\0>'").one("result")
        assert result["bundle"]["text/plain"] == r"'<\ud800\x00>'"
        shown = native.run("display({'text/plain': '<\\ud800\\0>', 'x/y': {'k\\ud800': [None]}}, raw=True)")
        assert shown.one("display")["bundle"] == {
            "text/plain": "<\ufffd\0>",
            "x/y": {"k\ufffd": [None]},
        }


WRITERS: dict[str, str] = {
    "a child's stdout": "import subprocess; subprocess.run(['echo', 'made it']); None",
    "a shell's stdout": "import os; os.system('echo made it'); None",
    "os.write": "import os; os.write(1, b'made it\\n'); None",
    "C": "import ctypes; libc = ctypes.CDLL(None); libc.puts(b'made it'); None",
    "C without a newline": "import ctypes; libc = ctypes.CDLL(None); libc.printf(b'made it'); None",
    "sys.stdout.buffer": "import sys; sys.stdout.buffer.write(b'made it\\n'); None",
    "sys.__stdout__": "import sys; print('made it', file=sys.__stdout__, flush=True)",
    "a shell escape": "!echo made it",
    "multiprocessing": (
        "import multiprocessing\np = multiprocessing.get_context('fork').Process(target=print, args=('made it',))\n"
        "p.start(); p.join()"
    ),
}


@pytest.mark.parametrize("name", WRITERS)
def test_output_below_python_is_captured(gw: Gateway, name: str) -> None:
    assert wait_run(gw, WRITERS[name])["stdout"].replace("\r", "").strip() == "made it"


def test_stderr_of_children_and_descriptors(gw: Gateway) -> None:
    answer = wait_run(
        gw,
        "import os, subprocess\nos.write(2, b'one ')\nsubprocess.run('echo two >&2', shell=True)\nNone",
    )
    assert (answer["stdout"], answer["stderr"]) == ("", "one two\n")


def test_order_is_kept_across_layers(gw: Gateway) -> None:
    code = (
        "import os, subprocess, sys\nfor i in range(30):\n    print('python', i)\n    os.write(1, b'fd %d\\n' % i)\n"
        "    subprocess.run(['echo', 'child', str(i)])\n"
    )
    assert wait_run(gw, code)["stdout"] == "".join(f"python {i}\nfd {i}\nchild {i}\n" for i in range(30))


def test_thread_output_after_the_run(gw: Gateway, tmp_path: Path) -> None:
    """It belongs to no run any more: it disturbs none, and the metric counts it."""
    go, wrote = tmp_path / "go", tmp_path / "wrote"
    late = gw.gauge("late_output_total")
    code = (
        f"import os, threading, time\ndef later():\n    while not os.path.exists({str(go)!r}): time.sleep(0.01)\n"
        f"    print('late')\n    open({str(wrote)!r}, 'w').close()\nt = threading.Thread(target=later)\nt.start()\nprint('done')"
    )
    assert wait_run(gw, code)["stdout"] == "done\n"
    go.touch()
    until("the late output", lambda: gw.gauge("late_output_total") > late)
    assert wait_run(gw, "t.join(); print('next')")["stdout"] == "next\n"


def test_output_is_cut_at_max_output_bytes(make_gateway: Callable[..., Gateway]) -> None:
    """One byte over the limit is an overrun that every API tells of; the context goes on."""
    gateway = make_gateway("--max_output_bytes=100000")
    assert wait_run(gateway, "import sys; sys.stdout.write('x' * 100_000); None")["how"] == "ok"
    over = "import sys, time\nkept = 1\nsys.stdout.write('x' * 100_001)\nsys.stdout.flush()\ntime.sleep(1000)"
    answer = wait_run(gateway, over)
    assert (answer["how"], len(answer["stdout"]) <= 100_000) == ("overrun", True)
    _, close, reason = daytona(gateway, {"code": over})
    assert (close, reason) == (1011, "more output than max_output_bytes allows")
    assert wait_run(gateway, "print(kept)")["stdout"] == "1\n"
    assert gateway.metrics()['kernelbridge_executions_total{how="overrun"}'] == 2
    gateway.wait_at_rest()
