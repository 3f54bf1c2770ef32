"""How a run can end: exit, interrupts, input, forked children, death."""

import os
import signal

import pytest

HEAD = "Traceback (most recent call last):"


@pytest.mark.parametrize(
    ("code", "value"),
    [
        ("import sys; sys.exit(3)", "3"),
        ("raise SystemExit('bye')", "bye"),
        ("exit(4)", "4"),
        ("quit()", "None"),
        ("import sys; sys.exit()", ""),
    ],
)
def test_exit_ends_the_run_not_the_kernel(kernel, code, value):
    run = kernel.run("print('before'); kept = 5\n" + code)
    assert run.error["ename"] == run.plain["name"] == "SystemExit"
    assert run.error["evalue"] == value
    assert run.text("stderr") == ""
    assert run.text() == "before\n"
    assert kernel.run("kept").result == "5"


@pytest.mark.parametrize("code", ["exit", "quit"])
def test_exit_without_parentheses(kernel, code):
    assert kernel.run(code).error["ename"] == "SystemExit"


def test_exit_in_a_callback_of_the_event_loop(kernel):
    kernel.run("import asyncio, sys; asyncio.get_event_loop().call_soon(sys.exit, 1)")
    assert kernel.run("5").result == "5"


def test_exit_with_warnings_as_errors(kernel):
    code = "import warnings\nwith warnings.catch_warnings():\n  warnings.simplefilter('error')\n  exit(1)"
    assert kernel.run(code).error["ename"] == "SystemExit"


def interrupted(kernel, code):
    """Run `code`, which prints 'on', and interrupt it then."""
    msg_id = kernel.send(code)
    kernel.until_text(msg_id, "on\n")
    kernel.interrupt()
    return kernel.finish(msg_id)


BUSY = {
    "loop": "print('on')\nwhile True: pass",
    "sleep": "import time\nprint('on')\ntime.sleep(1000)",
    "child": "import subprocess\nprint('on')\nsubprocess.run(['sleep', '1000'])",
    "await": "import asyncio\nprint('on')\nawait asyncio.sleep(1000)",
    "loop after await": "import asyncio\nawait asyncio.sleep(0)\nprint('on')\nwhile True: pass",
    "printing": "print('on')\nwhile True: print('x', flush=True)",
    "lock": "import threading\nprint('on')\nthreading.Event().wait()",
    "loop in a task": "import asyncio\nasync def f():\n    print('on')\n    while True: pass\n"
    "await asyncio.create_task(f())",
}


@pytest.mark.parametrize("kind", BUSY)
def test_interrupt(kernel, kind):
    run = interrupted(kernel, BUSY[kind])
    assert run.error["ename"] == run.reply["ename"] == run.plain["name"] == "KeyboardInterrupt"
    lines = run.plain["traceback"].splitlines()
    assert lines[0] == HEAD and lines[-1] == "KeyboardInterrupt"
    if lines[1] != lines[-1]:  # else it came between two statements
        assert lines[1].startswith('  File "<stdin>", line ')
    for word in ("ipykernel", "IPython", "kernelbridge_kernel"):
        assert word not in run.plain["traceback"]


def test_finally_and_except_run_on_interrupt(kernel):
    code = """
try:
    print('on')
    while True: pass
except KeyboardInterrupt:
    print('caught')
finally:
    print('cleaned')
"""
    run = interrupted(kernel, code)
    assert run.reply["status"] == "ok"
    assert run.text() == "caught\ncleaned\n"


def test_interrupt_while_idle_is_harmless(kernel):
    for i in range(20):
        os.kill(kernel.process.pid, signal.SIGINT)
        assert kernel.run(str(i)).result == str(i)


def test_every_interrupted_run_has_a_reply(kernel):
    """Interrupts that come at any moment of short runs, also between the code's end and the reply."""
    for _ in range(150):
        msg_id = kernel.send("for i in range(300): pass")
        os.kill(kernel.process.pid, signal.SIGINT)
        run = kernel.finish(msg_id)
        assert run.reply["status"] in ("ok", "error")
        assert len(run.of("error")) <= 1 or run.reply["status"] == "error"


def answer(kernel, msg_id, value):
    """Wait for the input request of `msg_id`, answer it and return the request's content."""
    request = kernel.client.get_stdin_msg(timeout=30)
    assert request["parent_header"]["msg_id"] == msg_id
    kernel.client.input(value)
    return request["content"]


def test_input(kernel):
    msg_id = kernel.send("print('before'); name = input('who? '); print(name)", allow_stdin=True)
    assert answer(kernel, msg_id, "me \u20ac") == {"prompt": "who? ", "password": False}
    assert kernel.finish(msg_id).text() == "before\nme \u20ac\n"


def test_getpass(kernel):
    msg_id = kernel.send("from getpass import getpass; print(len(getpass('pw')))", allow_stdin=True)
    assert answer(kernel, msg_id, "secret") == {"prompt": "pw", "password": True}
    assert kernel.finish(msg_id).text() == "6\n"


def test_end_of_input(kernel):
    msg_id = kernel.send("input()", allow_stdin=True)
    answer(kernel, msg_id, "\x04")
    assert kernel.finish(msg_id).error["ename"] == "EOFError"


@pytest.mark.parametrize("code", ["input('x')", "__import__('getpass').getpass()"])
def test_input_where_nobody_can_answer(kernel, code):
    run = kernel.run(code)
    assert run.error["ename"] == "EOFError"
    assert run.plain["traceback"].splitlines()[-1] == "EOFError: EOF when reading a line"
    assert "ipykernel" not in run.plain["traceback"]


@pytest.mark.parametrize("code", ["input('x')", "__import__('getpass').getpass('x')"])
@pytest.mark.parametrize("allow", [False, True])
def test_input_where_it_is_denied(kernel, code, allow):
    denied = {"kernelbridge": {"stdin": "deny"}}
    run = kernel.run(code, meta=denied, allow_stdin=allow)
    assert run.error["ename"] == "StdinNotImplementedError" and run.text() == ""
    name = "getpass" if "getpass" in code else "raw_input"
    text = f"{name} was called, but this frontend does not support input requests."
    assert run.error["evalue"] == run.plain["value"] == text
    assert kernel.run(code).error["ename"] == "EOFError"


@pytest.mark.parametrize("value", ["allow", True, "", {}])
def test_stdin_is_denied_or_not_mentioned(kernel, value):
    run = kernel.run("print('ran')", meta={"kernelbridge": {"stdin": value}})
    assert run.error["ename"] == "ValueError" and run.text() == ""
    assert run.plain["value"] == 'metadata.kernelbridge.stdin must be "deny"'


def test_interrupt_ends_input(kernel):
    msg_id = kernel.send("input()", allow_stdin=True)
    kernel.client.get_stdin_msg(timeout=30)
    kernel.interrupt()
    assert kernel.finish(msg_id).error["ename"] == "KeyboardInterrupt"


def test_standard_input_is_empty(kernel):
    assert kernel.run("import sys; sys.stdin.read()").result == "''"


def test_fork_and_exit(kernel):
    code = """
import os
print('parent')
pid = os.fork()
if pid == 0:
    print('child')
    os._exit(3)
print('status', os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
"""
    assert kernel.run(code).text() == "parent\nchild\nstatus 3\n"


CHILD_ENDS = {  # last line of a forked child: (its exit status, the last line on stderr)
    "pass": (0, None),
    "display(1)": (0, None),
    "1/0": (1, "ZeroDivisionError: division by zero"),
    "raise SystemExit": (0, None),
    "raise SystemExit(7)": (7, None),
    "raise SystemExit('bye')": (1, "bye"),
}


@pytest.mark.parametrize("end", CHILD_ENDS)
def test_forked_child_that_reaches_the_end_of_the_cell(kernel, end):
    code = f"""
import os, warnings
warnings.simplefilter('ignore')  # Python 3.12 and later warn of every fork beside threads
pid = os.fork()
if pid == 0:
    print('child', end='')
    {end}
else:
    status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    print('\\nstatus', status)
"""
    status, message = CHILD_ENDS[end]
    run = kernel.run(code)
    assert run.reply["status"] == "ok"
    assert run.text().splitlines() == ["child", f"status {status}"]
    assert (run.text("stderr").splitlines() or [None])[-1] == message


def test_multiprocessing(kernel):
    code = """
import multiprocessing as mp
def work(n):
    print(f'work {n}')
    return n * n
with mp.get_context('fork').Pool(3) as pool:
    print(pool.map(work, range(20)))
"""
    lines = kernel.run(code).text().splitlines()
    assert sorted(lines[:-1]) == sorted(f"work {n}" for n in range(20))
    assert lines[-1] == str([n * n for n in range(20)])


def test_concurrent_futures_and_threads_with_fork(kernel):
    code = """
import os, threading, concurrent.futures as cf, multiprocessing as mp
stop = threading.Event()
def noise():
    while not stop.is_set(): print('.', end='')
t = threading.Thread(target=noise); t.start()
with cf.ProcessPoolExecutor(2, mp_context=mp.get_context('fork')) as pool:
    total = sum(pool.map(abs, range(100)))
stop.set(); t.join()
print('\\ntotal', total)
"""
    assert kernel.run(code).text().splitlines()[-1] == "total 4950"


DEATHS = {
    "_exit": "os._exit(9)",
    "segfault": "import ctypes; work(); ctypes.string_at(0)",
    "kill": "work(); os.kill(os.getpid(), 9)",
    "abort": "work(); os.abort()",
}


@pytest.mark.parametrize("death", DEATHS)
def test_a_line_printed_before_death_arrives(make_kernel, death):
    kernel = make_kernel()
    kernel.run("def work(): return sum(range(3_000_000))")
    msg_id = kernel.send(f"import os\nprint('last words')\n{DEATHS[death]}")
    kernel.until_text(msg_id, "last words\n")
    kernel.wait_dead()


def test_many_lines_before_os_exit_arrive(make_kernel):
    kernel = make_kernel()
    msg_id = kernel.send("import os\nfor i in range(5000): print(i)\nprint('end', end='')\nos._exit(1)")
    kernel.until_text(msg_id, "4999\nend")
    kernel.wait_dead()
