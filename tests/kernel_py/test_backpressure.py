"""Code that prints faster than its reader reads waits; memory stays bounded; nothing is lost."""

import os
import time

import pytest
from harness.gateway import until

MIB = 1 << 20
GROWTH = 12 * MIB  # of the kernel, while hundreds of MB are printed to a reader that takes none


def stalled(progress):
    """A probe that is true once the file's size has not changed for a second."""
    last = [-1, 0.0]

    def probe():
        size = os.path.getsize(progress) if progress.exists() else 0
        if size != last[0]:
            last[:] = [size, time.monotonic()]
        return size > 0 and time.monotonic() - last[1] > 1

    return probe


FLOODS = {
    "lines": "print('x' * 9999)",
    "flushed": "print('x' * 9999, flush=True)",
    "displays": "display({'text/plain': 'x' * 10000}, raw=True)",
    "huge": "print('x' * 999999)",
    "descriptor": "os.write(1, b'x' * 10000)",
    "stderr": "print('x' * 9999, file=sys.stderr)",
}


@pytest.mark.parametrize("kind", FLOODS)
def test_code_waits_for_a_reader_that_stalls(make_kernel, tmp_path, kind):
    kernel = make_kernel()
    progress = tmp_path / "progress"
    size = 1_000_000 if kind == "huge" else 10_000
    count = 300_000_000 // size
    kernel.run("print('warm'); display(1)")
    before = kernel.rss()
    msg_id = kernel.send(f"""
import os, sys
with open({str(progress)!r}, 'ab', 0) as progress:
    for i in range({count}):
        {FLOODS[kind]}
        progress.write(b'.')
""")
    until("the printing code waits", stalled(progress))
    assert os.path.getsize(progress) < count
    assert kernel.rss() - before < GROWTH
    assert not kernel.replied()
    total = 0
    while True:
        msg = kernel.event(msg_id)
        if msg["msg_type"] == "stream":
            total += len(msg["content"]["text"])
        elif msg["msg_type"] == "display_data":
            total += len(msg["content"]["data"]["text/plain"])
        elif msg["msg_type"] == "status" and msg["content"]["execution_state"] == "idle":
            break
    assert total == count * size
    assert kernel.rss() - before < GROWTH
    assert kernel.run("1").result == "1"


def test_waiting_code_can_be_interrupted(make_kernel, tmp_path):
    kernel = make_kernel()
    progress = tmp_path / "progress"
    msg_id = kernel.send(f"""
try:
    with open({str(progress)!r}, 'ab', 0) as progress:
        while True:
            print('x' * 9999)
            progress.write(b'.')
finally:
    open({str(tmp_path / "left")!r}, 'w')
""")
    until("the printing code waits", stalled(progress))
    kernel.interrupt()
    until("the code was interrupted", (tmp_path / "left").exists)
    run = kernel.finish(msg_id)
    assert run.reply["ename"] == "KeyboardInterrupt"
    assert run.plain["traceback"].splitlines()[-1] == "KeyboardInterrupt"


def test_control_requests_are_answered_while_code_waits(make_kernel, tmp_path):
    kernel = make_kernel()
    progress = tmp_path / "progress"
    msg_id = kernel.send(f"""
with open({str(progress)!r}, 'ab', 0) as progress:
    for i in range(20000):
        print('x' * 9999)
        progress.write(b'.')
""")
    until("the printing code waits", stalled(progress))
    request = kernel.client.session.msg("kernel_info_request")
    kernel.client.control_channel.send(request)
    reply = kernel.client.get_control_msg(timeout=30)
    assert reply["parent_header"]["msg_id"] == request["header"]["msg_id"]
    assert len(kernel.finish(msg_id).text()) == 20000 * 10000


def test_memory_of_what_was_printed_is_not_kept(make_kernel):
    kernel = make_kernel()
    kernel.run("for i in range(300000): print(i)")
    before = kernel.rss()
    for _ in range(4):
        kernel.run("for i in range(300000): print(i)")
    assert kernel.rss() - before < 8 * MIB
