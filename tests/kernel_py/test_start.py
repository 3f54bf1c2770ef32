"""The kernel's start and what the user's code finds: nothing of ours, nothing of the user's read."""

import ast
import json
import os
import signal
import subprocess
import sys

import pytest
from harness.gateway import until

from .conftest import PREFIX

SHADOWS = [
    "random", "zmq", "json", "types", "enum", "asyncio", "logging", "traceback", "socket", "tokenize",
    "IPython", "ipykernel", "traitlets", "tornado", "kernelbridge_kernel", "runpy", "contextlib",
    "ipython_config", "ipython_kernel_config", "sitecustomize", "usercustomize", "select", "pdb",
]  # fmt: skip


def test_files_of_the_user_do_not_break_the_start(make_kernel, tmp_path):
    cwd = tmp_path / "k0" / "cwd"
    cwd.mkdir(parents=True)
    for name in SHADOWS:
        (cwd / f"{name}.py").write_text("raise RuntimeError('imported by the kernel')")
    (cwd / "own.py").write_text("value = 11")
    kernel = make_kernel()
    assert kernel.run("import own; print(own.value)").text() == "11\n"
    assert kernel.run("1/0").plain["name"] == "ZeroDivisionError"
    assert kernel.run("import sys; sys.path[0]").result == "''"


def test_home_is_not_touched_or_read(make_kernel, tmp_path):
    home = tmp_path / "k0" / "home"
    startup = home / ".ipython/profile_default/startup"
    startup.mkdir(parents=True)
    (startup / "00.py").write_text("print('startup'); from_startup = 1")
    config = "c.InteractiveShellApp.exec_lines = ['from_config = 1']"
    (startup.parent / "ipython_config.py").write_text(config)
    (home / "rc.py").write_text("from_rc = 1")
    before = sorted(home.rglob("*"))
    kernel = make_kernel(env={"PYTHONSTARTUP": str(home / "rc.py")})
    run = kernel.run("[n for n in dir() if n.startswith('from_')]")
    assert run.result == "[]"
    assert sorted(home.rglob("*")) == before


def test_nothing_is_made_in_the_home(make_kernel):
    kernel = make_kernel()
    assert kernel.run("get_ipython().ipython_dir").result == repr(str(kernel.home / ".ipython"))
    kernel.run("1/0")
    assert list(kernel.home.rglob("*")) == []


def test_home_that_cannot_be_written(make_kernel):
    kernel = make_kernel(env={"HOME": "/proc/nowhere", "XDG_CONFIG_HOME": "/proc/nowhere"})
    run = kernel.run("print('fine')")
    assert run.text() == "fine\n" and run.text("stderr") == ""


def test_no_output_at_start(make_kernel):
    kernel = make_kernel()
    run = kernel.run("1")
    assert [e["msg_type"] for e in run.events] == ["status", "execute_input", "execute_result", "status"]
    assert run.events[1]["content"]["execution_count"] == 1
    assert kernel.stderr() == ""


def stock_names(tmp_path) -> set[str]:
    """Return the names in a stock ipykernel's namespace after one cell."""
    folder = tmp_path / "stock"
    folder.mkdir()
    script = f"""
from jupyter_client.manager import KernelManager
km = KernelManager(transport='ipc', connection_file={str(folder / "k.json")!r})
from jupyter_client.kernelspec import KernelSpec
python = {str(PREFIX / "venv/bin/python")!r}
km._kernel_spec = KernelSpec(argv=[python, '-m', 'ipykernel_launcher', '-f', '{{connection_file}}'])
km.start_kernel()
kc = km.client(); kc.start_channels(); kc.wait_for_ready(timeout=60)
out = []
kc.execute_interactive('print(sorted(dir()))', output_hook=lambda m: out.append(m['content'].get('text', '')), timeout=60)
km.shutdown_kernel(now=True)
print(''.join(out))
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    return set(ast.literal_eval(done.stdout.strip().splitlines()[-1]))


def test_namespace_is_that_of_a_stock_kernel(make_kernel, tmp_path):
    kernel = make_kernel()
    ours = set(ast.literal_eval(kernel.run("print(sorted(dir()))").text()))
    assert ours == stock_names(tmp_path)


def test_what_a_program_sees(make_kernel):
    kernel = make_kernel()
    code = """
import sys
print(__name__, '__file__' in globals(), sys.argv, get_ipython().__class__.__name__)
print(sys.modules['__main__'].__dict__ is globals(), 'IPKernelApp' in get_ipython().config)
print('debugpy' in sys.modules, 'sqlite3' in sys.modules, 'matplotlib' in sys.modules)
"""
    expected = "__main__ False [''] ZMQInteractiveShell\nTrue True\nFalse False False\n"
    assert kernel.run(code).text() == expected


def test_history_works_without_a_database(make_kernel):
    kernel = make_kernel()
    kernel.run("'marked'")
    assert kernel.run("_").result == "'marked'"
    assert kernel.run("In[-2]").result == "'_'"
    assert kernel.run("'sqlite3' in __import__('sys').modules").result == "False"


def test_what_is_done_ahead_leaves_nothing(make_kernel):
    kernel = make_kernel()
    code = """
import linecache, sys, kernelbridge_kernel.warm
def seen():
    shell = get_ipython()
    return sorted(shell.user_ns), sorted(linecache.cache), In[:], dict(Out), shell.execution_count, sys.argv
before = after = None
before = seen()
kernelbridge_kernel.warm.settle(get_ipython())
after = seen()
print(before == after)
"""
    run = kernel.run(code)
    assert run.text() == "True\n" and run.text("stderr") == ""
    assert [e["msg_type"] for e in run.events] == ["status", "execute_input", "stream", "status"]


def test_input_transformers_see_each_cell_once(make_kernel):
    kernel = make_kernel()
    transformers = "get_ipython().input_transformers_cleanup"
    kernel.run(f"seen = []\n{transformers}.append(lambda lines: (seen.append(lines), lines)[1])")
    assert kernel.run("seen").result == "[['seen\\n']]"
    kernel.run(f"{transformers}[0] = lambda lines: [line.replace('one', '1') for line in lines]")
    assert kernel.run("one").result == "1"
    assert kernel.run("await __import__('asyncio').sleep(0, one)").result == "1"
    kernel.run(f"text = 'o' + 'ne'; a = get_ipython().transform_cell(text); {transformers}.clear()")
    assert kernel.run("a, get_ipython().transform_cell(text)").result == "('1\\n', 'one\\n')"


def test_silent_runs_do_not_count(kernel):
    count = kernel.run("0").reply["execution_count"]
    kernel.run("0", silent=True)
    assert kernel.run("0").reply["execution_count"] == count + 1


def test_installed_tools_come_first(kernel):
    run = kernel.run("import shutil, sys; print(shutil.which('pip'), shutil.which('python'), sys.executable)")
    pip, python, executable = run.text().split()
    assert pip == str(PREFIX / "venv/bin/pip")
    assert python == executable == str(PREFIX / "venv/bin/python")


@pytest.mark.parametrize("how", ["%pip", "!pip", "!python -m pip"])
def test_pip_installs_into_the_kernels_own_environment(kernel, how):
    assert str(PREFIX / "venv/lib") in kernel.run(f"{how} --version").text()


def test_kernelspec():
    spec = json.loads((PREFIX / "share/jupyter/kernels/python3/kernel.json").read_text())
    assert os.path.isabs(spec["argv"][0])
    assert spec["argv"][1:] == ["-P", "-m", "kernelbridge_kernel", "-f", "{connection_file}"]
    assert spec["interrupt_mode"] == "signal" and spec["language"] == "python"


PARENT = """
import json, os, subprocess, sys
spec = json.load(open(sys.argv[1]))
env = {**os.environ, 'JPY_PARENT_PID': str(os.getpid())}
argv = [a.format(connection_file=sys.argv[2]) for a in spec['argv']]
print(subprocess.Popen(argv, env=env, start_new_session=True).pid, flush=True)
sys.stdin.read()
"""


def test_kernel_dies_with_its_parent(tmp_path):
    spec = PREFIX / "share/jupyter/kernels/python3/kernel.json"
    file = tmp_path / "c.json"
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT, spec, file], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    pid = int(parent.stdout.readline())
    until("the kernel has bound its sockets", file.exists)
    parent.kill()
    parent.wait()
    until("the kernel ends", lambda: not os.path.exists(f"/proc/{pid}"), 10)


def test_shutdown_request_ends_the_process(make_kernel):
    kernel = make_kernel()
    kernel.run("import atexit; atexit.register(print, 'bye')")
    kernel.client.shutdown()
    kernel.wait_dead()
    assert "Traceback" not in kernel.stderr()


def test_terminate_ends_the_process(make_kernel):
    kernel = make_kernel()
    os.kill(kernel.process.pid, signal.SIGTERM)
    kernel.wait_dead()


def test_completion_and_inspection(kernel):
    kernel.run("a_long_name = [1, 2, 3]")
    request = kernel.client.complete("a_long_")
    reply = kernel.client.get_shell_msg(timeout=30)
    assert reply["parent_header"]["msg_id"] == request
    assert "a_long_name" in reply["content"]["matches"]
    kernel.client.inspect("a_long_name")
    assert kernel.client.get_shell_msg(timeout=30)["content"]["found"]


def test_subshell_output_has_its_own_parent(kernel):
    session = kernel.client.session
    create = session.msg("create_subshell_request", {})
    kernel.client.control_channel.send(create)
    subshell = kernel.client.get_control_msg(timeout=30)["content"]["subshell_id"]
    msg = session.msg("execute_request", {"code": "print('sub')", "silent": False, "store_history": False})
    msg["header"]["subshell_id"] = subshell
    kernel.client.shell_channel.send(msg)
    assert kernel.finish(msg["header"]["msg_id"]).text() == "sub\n"
    kernel.client.control_channel.send(session.msg("delete_subshell_request", {"subshell_id": subshell}))
    assert kernel.client.get_control_msg(timeout=30)["content"]["status"] == "ok"
