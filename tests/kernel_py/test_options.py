"""Options on a kernel's command line (docs/python-kernel.md), in spawned and in forked kernels."""

from __future__ import annotations

import importlib.util
import json
import os
import sqlite3
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from harness.gateway import until

from .conftest import DEADLINE_S, PREFIX, SPEC, Kernel, Run, starts_late
from .zygote import Zygote

PYTHON = str(PREFIX / "venv/bin/python")


@pytest.fixture(params=["spawned", "forked"])
def start(request, make_kernel, tmp_path: Path) -> Iterator[Callable[..., Kernel]]:
    """Factory of kernels with options."""
    if request.param == "spawned":
        yield lambda *options, **kwargs: make_kernel(options=list(options), zygote=None, **kwargs)
        return
    made: list[Kernel | Zygote] = []

    def fork(*options, env=None) -> Kernel:
        zygote = Zygote(json.loads(SPEC.read_text()), *options, stderr=stderr, env=env)
        made.insert(0, zygote)
        late = {name: value for name, value in (env or {}).items() if starts_late({name: value})}
        folder = tmp_path / f"f{len(made)}"
        folder.mkdir()
        made.insert(0, Kernel(folder, env=late, zygote=zygote))
        return made[0]

    with (tmp_path / "stderr").open("wb") as stderr:
        yield fork
        for one in made:
            one.close()


def test_defaults(start):
    kernel = start()
    values = "k._execute_sleep, k.flush_interval, sys.stdout.flush_interval, s.history_manager.enabled"
    run = kernel.run(f"import sys; s = get_ipython(); k = s.kernel; [{values}, 'sqlite3' in sys.modules]")
    assert run.result == "[0.0, 0.01, 0.01, False, False]"


def test_any_option_of_the_kernel_and_its_shell(start):
    kernel = start(
        "--IPythonKernel._execute_sleep=0.25",
        "--IPythonKernel.flush_interval=0.5",
        "--PlainTextFormatter.max_seq_length=2",
        "--InteractiveShell.ast_node_interactivity=all",
    )
    run = kernel.run("import sys\n[1] * 5\n[get_ipython().kernel._execute_sleep, sys.stdout.flush_interval]")
    shown = [e["content"]["data"]["text/plain"] for e in run.of("execute_result")]
    assert shown == ["[1, 1, ...]", "[0.25, 0.5]"]


def test_flush_interval_delays_what_is_not_a_line(start, gate):
    kernel = start("--IPythonKernel.flush_interval=3600")
    code = f"print('a\\n' * 2, end='')\nprint('b', end='')\nprint('c', end='')\n{gate.wait}\nprint('d')"
    gate.open()
    run = kernel.run(code)
    assert run.text() == "a\na\nbcd\n" and len(run.of("stream")) <= 2


def test_history_is_kept_in_the_users_file(start):
    kernel = start("--HistoryManager.enabled=True")
    folder = kernel.home / ".ipython"
    assert not folder.exists()
    for code in ("first = 1", "first + 1"):
        kernel.run(code)
    file = folder / "profile_default/history.sqlite"

    def stored():
        with sqlite3.connect(file) as db:
            return [line for (line,) in db.execute("SELECT source_raw FROM history ORDER BY line")]

    until("both lines are there", lambda: stored() == ["first = 1", "first + 1"])
    kernel.client.history(hist_access_type="tail", n=2)
    reply = kernel.client.get_shell_msg(timeout=DEADLINE_S)["content"]
    assert [line for _, _, line in reply["history"]] == ["first = 1", "first + 1"]


def test_history_of_an_assigned_kernel_is_in_its_own_home(start, tmp_path):
    kernel = start("--HistoryManager.enabled=True")
    msg = kernel.client.session.msg("kernelbridge_assign_request", {"env": {"HOME": str(tmp_path / "new")}})
    kernel.client.shell_channel.send(msg)
    assert kernel.client.get_shell_msg(timeout=DEADLINE_S)["content"]["status"] == "ok"
    kernel.run("1")
    assert (tmp_path / "new/.ipython/profile_default/history.sqlite").is_file()
    assert list(kernel.home.iterdir()) == []


def test_history_in_a_file_of_the_options(start, tmp_path):
    kernel = start("--HistoryManager.enabled=True", f"--HistoryManager.hist_file={tmp_path}/h.sqlite")
    kernel.run("1")
    assert (tmp_path / "h.sqlite").is_file() and list(kernel.home.iterdir()) == []


def test_history_that_cannot_be_written_is_no_error(start):
    kernel = start("--HistoryManager.enabled=True", env={"IPYTHONDIR": "/proc/nowhere"})
    assert kernel.run("6 * 7").result == "42"
    assert kernel.run("In[-2]").result == "'6 * 7'"


def test_options_are_not_the_programs_arguments(start):
    assert start("--IPythonKernel.flush_interval=0.5").run("import sys; sys.argv").result == "['']"


# -- the debugger ---------------------------------------------------------------------------------


@pytest.fixture
def debugpy(tmp_path: Path) -> str:
    """A folder for PYTHONPATH that has debugpy and nothing else."""
    spec = importlib.util.find_spec("debugpy")
    folder = tmp_path / "with-debugpy"
    folder.mkdir()
    (folder / "debugpy").symlink_to(Path(spec.origin).parent)
    return str(folder)


def debug(kernel: Kernel, command: str, **arguments) -> dict:
    """Send a debug_request; return its reply's content."""
    content = {"seq": 1, "type": "request", "command": command, "arguments": arguments}
    kernel.client.control_channel.send(kernel.client.session.msg("debug_request", content))
    reply = kernel.client.get_control_msg(timeout=DEADLINE_S)
    assert reply["msg_type"] == "debug_reply"
    return reply["content"]


CODE = "a = 1\nb = a + 1\nprint(b)"


def test_debugger(start, debugpy):
    kernel = start("--debugger", env={"PYTHONPATH": debugpy})
    assert debug(kernel, "initialize", clientID="test", adapterID="")["success"]
    assert debug(kernel, "attach")["success"]
    path = debug(kernel, "dumpCell", code=CODE)["body"]["sourcePath"]
    points = debug(kernel, "setBreakpoints", source={"path": path}, breakpoints=[{"line": 2}])
    assert points["body"]["breakpoints"][0]["verified"]
    assert debug(kernel, "configurationDone")["success"]
    msg_id = kernel.send(CODE)
    stopped: dict = {}
    while stopped.get("event") != "stopped":
        msg = kernel.client.get_iopub_msg(timeout=DEADLINE_S)
        stopped = msg["content"] if msg["msg_type"] == "debug_event" else {}
    thread = stopped["body"]["threadId"]
    frame = debug(kernel, "stackTrace", threadId=thread)["body"]["stackFrames"][0]
    assert frame["line"] == 2 and frame["source"]["path"] == path
    assert debug(kernel, "continue", threadId=thread)["success"]
    run: Run = kernel.finish(msg_id)
    assert run.text() == "2\n" and run.reply["status"] == "ok"


def test_no_debugger_unless_asked_for(start, debugpy):
    kernel = start(env={"PYTHONPATH": debugpy})
    assert kernel.run("import sys; 'debugpy' in sys.modules").result == "False"
    assert kernel.run("import debugpy; debugpy.__name__").result == "'debugpy'"
    kernel.client.kernel_info()
    info = kernel.client.get_shell_msg(timeout=DEADLINE_S)["content"]
    assert not info.get("debugger") and "debugger" not in info.get("supported_features", [])


def test_debugger_that_is_not_installed(tmp_path):
    command = [PYTHON, "-P", "-m", "kernelbridge_kernel", "-f", str(tmp_path / "k.json"), "--debugger"]
    env = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=DEADLINE_S)
    assert done.returncode == 1 and done.stdout == ""
    assert (
        f"needs debugpy, which is not installed; install it with\nkernelbridge: {PYTHON} -m pip"
        in done.stderr
    )
    assert not (tmp_path / "k.json").exists()
