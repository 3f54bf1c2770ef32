"""The bash kernel itself (kernelmgr/python/kernelbridge_bash), driven by jupyter_client."""

from __future__ import annotations

import base64
import json
import os
import shlex
import signal
import threading
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from harness.gateway import until
from rawkernel import Outcome, RawKernel

REPLACED = "bash ended (%s): a new one, without its variables, takes its place\n"
NASTY = 'it\'s "quoted"\n$HOME `id` \\n\t!! \U0001f600\x01\x7f '


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RawKernel]:
    kernel = RawKernel(tmp_path_factory.mktemp("bash"), "bash", env={"KB_GIVEN": NASTY})
    yield kernel
    kernel.close()


@pytest.fixture
def bash(shared: RawKernel) -> Iterator[RawKernel]:
    """A kernel that tests share: the same bash must be there, and idle, after each of them."""
    pid = shared.run("echo $$").stdout
    yield shared
    assert shared.run("echo $$").stdout == pid


@pytest.fixture
def own(tmp_path: Path) -> Iterator[RawKernel]:
    kernel = RawKernel(tmp_path / "own", "bash")
    yield kernel
    kernel.close()


def ended(out: Outcome) -> tuple[str, str, str]:
    """What it printed, and the status of an error, or "ok"."""
    values = [error["evalue"] for error in out.errors]
    assert out.reply["status"] == ("error" if values else "ok")
    assert [out.reply["evalue"]] == values if values else True
    return out.stdout, out.stderr, "".join(values) or "ok"


def test_streams_and_state(bash: RawKernel) -> None:
    assert ended(bash.run("x=5; f() { echo f$x; }; echo out; echo err >&2")) == ("out\n", "err\n", "ok")
    assert ended(bash.run("f; pwd")) == (f"f5\n{bash.cwd}\n", "", "ok")
    assert ended(bash.run('printf %s "$KB_GIVEN"')) == (NASTY, "", "ok")


def test_status(bash: RawKernel) -> None:
    out = bash.run("echo a; (exit 7)")
    assert ended(out) == ("a\n", "", "7")
    assert out.errors[0] == {"ename": "", "evalue": "7", "traceback": []}
    assert ended(bash.run("echo $?; return 3")) == ("7\n", "", "3")
    assert ended(bash.run("false; true")) == ("", "", "ok")
    assert ended(bash.run("yes | head -1; echo ${PIPESTATUS[0]}")) == ("y\n141\n", "", "ok")


def test_line_numbers_and_syntax_errors(bash: RawKernel) -> None:
    assert bash.run("echo $LINENO\n\necho $LINENO").stdout == "1\n3\n"
    out, err, status = ended(bash.run("echo a\nfoo )\necho b"))
    assert (out, status) == ("a\n", "2")
    assert "line 2: syntax error" in err
    for code in (
        "echo 'unclosed",
        'echo "unclosed',
        "echo `unclosed",
        "if true; then",
        "f() {",
        "cat <(echo",
    ):
        out, err, status = ended(bash.run(code))
        assert (out, status) == ("", "2"), code
        assert "unexpected" in err


def test_standard_input_is_empty(bash: RawKernel) -> None:
    assert ended(bash.run("read x; echo $? [$x]; cat; wc -c")) == ("1 []\n0\n", "", "ok")


def test_text_is_taken_as_it_is(bash: RawKernel) -> None:
    long = "y" * 200_000
    assert bash.run(f"v={long}; echo ${{#v}}").stdout == "200000\n"
    code = "cat <<'E'\n\ttab\there !! !x \U0001f600\n\nE\necho 'two\nlines' # end"
    assert bash.run(code).stdout == "\ttab\there !! !x \U0001f600\n\ntwo\nlines\n"
    assert bash.run("printf 'a\\xff\\xc3'; printf '\\xa9\\r\\n'").stdout == "a\ufffd\u00e9\r\n"
    assert ended(bash.run("")) == ended(bash.run(" \n# only this\n")) == ("", "", "ok")


def test_much_output(bash: RawKernel) -> None:
    assert bash.run("seq 100000").stdout == "".join(f"{i}\n" for i in range(1, 100_001))
    assert bash.run("printf %1000000s | tr ' ' x; echo .").stdout == "x" * 1_000_000 + ".\n"


# Says so when bash waits for it: a signal that meets bash between a fork and its wait ends the cell whatever the
# child does about it, and `timeout` without a child, `cat` before its exec, or a subshell that has not set itself up,
# ends by itself, and bash goes on.
READY = """until grep -q "^State:.S" /proc/$PPID/status; do :; done; echo ready"""
READY_INSIDE = (
    f"timeout 1000 sh -c '{READY}; exec sleep 1000'",
    "f() { echo ready; sleep 1000; echo no; }; f | cat",
    f"({READY.replace('PPID', '$')}; sleep 1000; echo no)",
)
READY_BEFORE = (
    "while :; do :; done",
    "sleep 1000",
    "while :; do sleep 1000; done",
    "x=$(sleep 1000)",
    "sleep 1000 & wait",
    "while :; do /bin/true; done",
)


@pytest.mark.parametrize("code", [*READY_INSIDE, *(f"echo ready; {code}" for code in READY_BEFORE)])
def test_interrupt(bash: RawKernel, code: str) -> None:
    out = bash.interrupted(f"{code}; echo not reached", "ready\n")
    assert ended(out) == ("ready\n", "", "130")
    assert bash.run("echo $?; kill $! 2>/dev/null; true").stdout == "130\n"


def test_what_handles_an_interrupt_goes_on(bash: RawKernel) -> None:
    """And hears of one interrupt once."""
    code = f"trap 'echo caught' INT; sh -c '{READY}; exec sleep 1000'; sleep 0.3; trap - INT; echo end"
    assert ended(bash.interrupted(code, "ready\n")) == ("ready\ncaught\nend\n", "", "ok")
    program = """import os, time
try:
    while ") S " not in open(f"/proc/{os.getppid()}/stat").read():
        pass
    print("ready", flush=True)
    time.sleep(1000)
except KeyboardInterrupt:
    print("caught")
time.sleep(0.3)
print("end")"""
    assert ended(bash.interrupted(f"python3 -c {shlex.quote(program)}", "ready\n")) == (
        "ready\ncaught\nend\n",
        "",
        "ok",
    )


def test_an_interrupt_at_any_time(own: RawKernel) -> None:
    """Between a fork and its exec, before the cell and behind a command that ends: none is lost. Rarely
    `cat` ends well before it hears of it, or bash itself is left turning round and is replaced, see
    Session.is_stuck."""
    codes = ["sleep 1000", "/bin/true; sleep 1000", "sleep 1000 | cat", "while :; do /bin/true; done"]
    endings = []
    for turn in range(100):
        request = own.send(codes[turn % len(codes)])
        while own.client.get_iopub_msg(timeout=60)["msg_type"] != "execute_input":
            pass
        threading.Event().wait(turn * 0.00005)
        own.manager.interrupt_kernel()
        endings.append(ended(own.finish(request)))
    usual, rare = ("", "", "130"), {("", "", "ok"), ("", REPLACED % "SIGKILL", "137")}
    assert set(endings) <= {usual, *rare}
    assert endings.count(usual) >= 95


def test_an_interrupt_where_they_were_ignored(tmp_path: Path) -> None:
    """As what a shell starts in the background inherits it."""
    handler = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        kernel = RawKernel(tmp_path / "own", "bash")
    finally:
        signal.signal(signal.SIGINT, handler)
    assert ended(kernel.interrupted("echo ready; sleep 1000; echo not reached", "ready\n")) == (
        "ready\n",
        "",
        "130",
    )
    kernel.close()


def test_interrupt_without_code_is_nothing(bash: RawKernel) -> None:
    bash.manager.interrupt_kernel()
    assert ended(bash.run("echo a; sleep 0.2; echo b")) == ("a\nb\n", "", "ok")


def test_a_background_job_prints_into_the_last_run(bash: RawKernel) -> None:
    fifo = bash.cwd / "fifo"
    os.mkfifo(fifo)
    assert ended(bash.run("{ read x <fifo; echo late $x; } &")) == ("", "", "ok")
    request = bash.send("echo now")
    bash.finish(request)
    fifo.write_text("1\n")
    msg = bash.client.get_iopub_msg(timeout=60)
    assert (msg["content"], msg["parent_header"]["msg_id"]) == (
        {"name": "stdout", "text": "late 1\n"},
        request,
    )


@pytest.mark.parametrize(
    ("code", "how", "status"),
    [
        ("exit 3", "exit 3", "3"),
        ("exit", "exit 0", "ok"),
        ("exec false", "exit 1", "1"),
        ("set -e; false", "exit 1", "1"),
        ("kill -9 $$", "SIGKILL", "137"),
    ],
)
def test_exit_brings_a_new_bash(own: RawKernel, code: str, how: str, status: str) -> None:
    own.run("x=5; cd /")
    assert ended(own.run(f"echo a; {code}; echo b")) == ("a\n", REPLACED % how, status)
    assert ended(own.run("echo [$x]; pwd")) == (f"[]\n{own.cwd}\n", "", "ok")


def test_exec_lasts_for_a_cell(bash: RawKernel) -> None:
    assert ended(bash.run("exec >/dev/null 2>&1; echo hidden")) == ("", "", "ok")
    assert ended(bash.run("echo seen; echo too >&2")) == ("seen\n", "too\n", "ok")


def test_nothing_of_ours_shows(bash: RawKernel) -> None:
    assert bash.run("alias; trap -p; history; jobs").stdout == ""
    assert bash.run("ls /proc/self/fd | grep -cvx '[0123]'").stdout == "1\n"  # the cell itself
    assert ended(bash.run("set -x; : a")) == ("", "++ : a\n", "ok")
    assert ended(bash.run("set +x", silent=True))[0] == ""
    assert bash.run("trap 'echo debug' DEBUG; set -T").stdout == "debug\n"
    assert bash.run("echo a", meta={"env": {"KB": "1"}, "cwd": "/"}).stdout == "debug\na\n"
    bash.run("trap - DEBUG; set +T")


KINDS = """plain='p p'; declare -a list=(1 'two 2'); declare -A map=([a]=1); declare -i number=5
export old=$'o\\tld'; cd /; cd - >/dev/null"""


def test_own_variables_and_directory(bash: RawKernel, tmp_path: Path) -> None:
    odd = tmp_path / 'it\'s "odd"\n$HOME \U0001f600'
    odd.mkdir()
    bash.run(KINDS)
    show = "declare -p plain list map number old PAGER OLDPWD PWD; compgen -v; false"
    before = bash.run(show).stdout
    env = {"plain": NASTY, "list": "", "map": "x", "number": "abc", "old": "0123456789" * 10_000, "new": "1"}
    code = f"python3 -c 'import os; print([os.environ[n] for n in {json.dumps(list(env))}])'"
    out = bash.run(f"echo $?; pwd; {code}; unset old; new=2; cd /; false", meta={"env": env, "cwd": str(odd)})
    assert ended(out) == (f"1\n{odd}\n{list(env.values())}\n", "", "1")
    assert ended(bash.run("echo $?"))[0] == "1\n"
    assert bash.run(show).stdout == before
    assert "declare -a list" in before


@pytest.mark.parametrize(
    ("meta", "why"),
    [
        ({"cwd": "/nonexistent", "env": {"KB": "1"}}, "cd: /nonexistent: No such file or directory"),
        ({"env": {"KB": "1", "UID": "7"}}, "unset: UID: cannot unset: readonly variable"),
        (
            {"env": {"KB": "1", "no-name": "7"}},
            "environment variable 'no-name': not a name that bash can hold",
        ),
        ({"env": {"KB": 1}}, "environment variable KB: the value must be a string without NUL"),
        ({"cwd": "relative"}, "metadata.kernelbridge.cwd must be an absolute path"),
    ],
)
def test_what_bash_refuses(bash: RawKernel, meta: dict, why: str) -> None:
    out = bash.run("echo not run", meta=meta)
    assert ended(out) == ("", "", why)
    assert out.errors[0]["ename"] == "bash"
    assert ended(bash.run("echo [$KB]; pwd")) == (f"[]\n{bash.cwd}\n", "", "ok")


def test_pictures(bash: RawKernel) -> None:
    image = b"\x89PNG\r\n\x1a\n" + bytes(99)
    (bash.cwd / "a.png").write_bytes(image)
    out = bash.run(
        "echo a; display <a.png; echo err >&2; echo '<b>1</b>' | displayHTML kb; echo 2 | displayHTML kb"
    )
    shown = [(kind, content["data"]) for kind, content in out.others if kind != "execute_input"]
    assert [(kind, [*data]) for kind, data in shown] == [
        ("display_data", ["image/png"]),
        ("display_data", ["text/html"]),
        ("update_display_data", ["text/html"]),
    ]
    assert base64.b64decode(shown[0][1]["image/png"]) == image
    assert ended(out) == ("a\n", "err\n", "ok")


def test_completion(bash: RawKernel) -> None:
    for code, found in (("ech", "echo"), ("cat /et", "/etc/"), ("", None)):
        matches = bash.client.complete(code, len(code), reply=True, timeout=60)["content"]["matches"]
        assert found in matches if found else matches == []


def test_bash_dies_with_its_kernel(own: RawKernel) -> None:
    bash = psutil.Process(int(own.run("echo $$").stdout))
    busy = own.send("echo ready; while :; do :; done")
    msg = own.client.get_iopub_msg(timeout=60)
    while msg["content"].get("text") != "ready\n" or msg["parent_header"]["msg_id"] != busy:
        msg = own.client.get_iopub_msg(timeout=60)
    psutil.Process(own.pid).kill()
    until("bash ends", lambda: not bash.is_running() or bash.status() == psutil.STATUS_ZOMBIE)


def test_shutdown_ends_what_runs(tmp_path: Path) -> None:
    kernel = RawKernel(tmp_path / "k", "bash")
    pids = kernel.run(
        "sleep 1000 & echo $!; trap '' TERM; sleep 1000 | sleep 1000 & echo $! $$"
    ).stdout.split()
    processes = [psutil.Process(int(pid)) for pid in pids]
    kernel.client.shutdown(reply=True, timeout=60)
    for process in processes:
        until("it ends", lambda process=process: not process.is_running() or process.status() == "zombie")
    kernel.close()
