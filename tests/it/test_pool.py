"""Kernels started ahead: what a context that gets one can tell, and what happens to them at the worst moment."""

from __future__ import annotations

import json
import os
import random
import re
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import atrest
import psutil
import pytest
from clients import Native, hold, wait_run
from harness.gateway import Gateway, prefix, until

PID = "import os; print(os.getpid(), end='')"
STARTED = re.compile(r"kernel=(\w+) started spec=python3 .*pid=(\d+)")
RANDOM = 20261121  # seed of what is killed when
KILLS = 50


def living(gateway: Gateway) -> list[int]:
    """The pids of its kernels, oldest first."""
    children = {child.pid for child in psutil.Process(gateway.process.pid).children()}
    return [int(pid) for _, pid in STARTED.findall(gateway.stderr) if int(pid) in children]


def has_ended(gateway: Gateway, pid: int) -> bool:
    """That the gateway knows it; its process has gone a little before."""
    log = gateway.stderr
    return any(int(found) == pid and f"kernel={name} ended" in log for name, found in STARTED.findall(log))


def waiting(gateway: Gateway) -> list[int]:
    """The pids of those in its pool, oldest first, where no context but the default one exists."""
    default = int(wait_run(gateway, PID)["stdout"])
    return [pid for pid in living(gateway) if pid != default]


def hits(gateway: Gateway) -> tuple[int, int]:
    return gateway.gauge("pool_hits_total"), gateway.gauge("pool_misses_total")


def kill(pid: int) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


def spec(**changes: Any) -> str:
    """The kernel.json of python3 with changes of its top level."""
    file = prefix() / "share/jupyter/kernels/python3/kernel.json"
    return json.dumps(json.loads(file.read_text()) | changes)


@pytest.fixture
def full(gw: Gateway) -> Gateway:
    """The file's gateway, its pool full."""
    gw.wait_pool()
    return gw


# ------------------------------------------------------------------ what a context gets


def test_where_it_is_and_what_it_has(full: Gateway, tmp_path: Path) -> None:
    """Directory, home and variables are the context's, for Python, for the C library, for what it starts."""
    code = (
        "import os, subprocess, ctypes, json\n"
        "libc = ctypes.CDLL(None); libc.getenv.restype = ctypes.c_char_p\n"
        "sh = 'pwd; echo $HOME; echo \"$OWN\"; echo $BOX'\n"
        "print(json.dumps([os.getcwd(), os.path.expanduser('~'), os.environ['OWN'], os.environ['BOX'],\n"
        "    *subprocess.run(['sh', '-c', sh], capture_output=True, text=True).stdout.splitlines(),\n"
        "    libc.getenv(b'OWN').decode()]))"
    )
    _, made = full.json(
        "POST", "/v1/native/sandboxes", {"name": "pooled", "envs": {"BOX": "box", "OWN": "box"}}
    )
    own = 'it\'s "q" $HOME\t\N{SNOWMAN}'
    before, pids = hits(full), waiting(full)
    with Native(full) as native:
        context = native.context(sandbox="pooled", cwd=str(tmp_path), envs={"OWN": own})
        first = native.run(code, context=context)
        assert first.one("started")["count"] == 1
        assert int(native.run(PID, context=context).text()) == pids[0]
    home = made["home"]  # type: ignore[index]
    assert json.loads(first.text()) == [str(tmp_path), home, own, "box", str(tmp_path), home, own, "box", own]
    assert hits(full) == (before[0] + 1, before[1])


def test_two_of_a_pool_share_nothing(full: Gateway) -> None:
    """Forks of one process: their chances, names and modules are their own."""
    code = (
        "import random, uuid, secrets, tempfile, os, sys\n"
        "seen = [random.random(), uuid.uuid4().hex, secrets.token_hex(8), os.urandom(8), os.getpid(),\n"
        "    tempfile.mktemp(), id(get_ipython()) and get_ipython().history_manager.session_number]\n"
        "try:\n    import numpy; seen.append(numpy.random.rand())\nexcept ImportError: pass\n"
        "print(seen[:6] + seen[7:], getattr(sys, 'left_here', None), 'mine' in globals())\n"
        "sys.left_here = os.environ['LEFT_HERE'] = mine = 'left'"
    )
    before = hits(full)
    with Native(full) as native:
        said = [native.run(code, context=native.context()).text() for _ in range(2)]
    assert hits(full)[0] == before[0] + 2
    first, second = (line.partition("] ") for line in said)
    assert first[2] == second[2] == "None False\n"
    pairs = list(zip(first[0].split(", "), second[0].split(", "), strict=True))
    assert len(pairs) >= 6 and all(a != b for a, b in pairs), pairs


def test_variables_that_count_at_the_start_only(full: Gateway) -> None:
    """They are in force, in a kernel that was started with them; others come late."""
    before = hits(full)
    with Native(full) as native:
        seeds = [native.context(envs={"PYTHONHASHSEED": "7"}) for _ in range(2)]
        hashes = {native.run("print(hash('a'))", context=context).text() for context in seeds}
        assert len(hashes) == 1
        assert hits(full) == before
        full.wait_pool()
        late = native.context(envs={"PYTHON_VERSION": "3", "PYTHONSTARTUPS": "x"})
        assert native.run("import os; print(os.environ['PYTHON_VERSION'])", context=late).text() == "3\n"
    assert hits(full)[0] == before[0] + 1


def test_a_restart_takes_one(full: Gateway) -> None:
    before, pids = hits(full), waiting(full)
    with Native(full) as native:
        context = native.context()
        full.wait_pool()
        old = int(native.run("kept = 1; " + PID, context=context).text())
        assert native.ask("restart_context", context=context)["ok"]
        assert native.run("print('kept' in globals())", context=context).text() == "False\n"
        new = int(native.run(PID, context=context).text())
        assert (old, new) == (pids[0], pids[1])
        os.kill(new, signal.SIGKILL)  # and so does the next run after a death
        until("no kernel", lambda: not psutil.pid_exists(new))
        assert native.run("1", context=context).how == "ok"
    assert hits(full)[0] >= before[0] + 2


def test_errors_come_at_once(full: Gateway) -> None:
    """What a start refuses is refused, though a kernel waits."""
    before = hits(full)
    status, said = full.json("POST", "/v1/contexts", {"cwd": "/no/such"})
    assert status == 400 and "/no/such" in str(said)
    status, said = full.json("POST", "/v1/contexts", {"envs": {"BIG": "x" * 200_000}})
    assert status == 400 and "BIG" in str(said), (status, said)
    assert hits(full) == before


def test_thirty_at_once(full: Gateway) -> None:
    """More than the pool has: all are served, those who asked first before the others."""
    before = hits(full)
    with Native(full) as native:
        asked = [native.post("create_context") for _ in range(30)]
        answers = [native.message() for _ in asked]
        assert all(answer["ok"] for answer in answers), answers
        order = [answer["id"] for answer in answers]
        at_once = 2 * max(4, 2 * (os.cpu_count() or 1))  # how many start together, and may overtake
        if os.environ.get("KBTEST_LAUNCHER") == "local":
            at_once = len(asked)  # they are started in order, all of them at once
        assert all(abs(order.index(number) - asked.index(number)) < at_once for number in asked), order
        contexts = [answer["context"] for answer in answers]
        runs = [native.start("print(6 * 7)", context=context) for context in contexts]
        assert [native.rest_of(run).text() for run in runs] == ["42\n"] * 30
    now = hits(full)
    assert now[0] + now[1] == sum(before) + 30
    assert now[0] - before[0] >= 2
    for context in contexts:
        assert full.http("DELETE", f"/v1/contexts/{context}")[0] == 200
    until("a pool that grew", lambda: full.gauge("pool_kernels") > 2)


# ------------------------------------------------------------------ killed


@contextmanager
def load(gateway: Gateway) -> Iterator[list[str]]:
    """Contexts come, run and go while two kernels wait, and one floods, until the block ends; yields how their
    runs ended."""
    over = threading.Event()
    ends: list[str] = []

    def come_and_go() -> None:
        with Native(gateway) as native:
            while not over.is_set():
                try:
                    gateway.wait_pool()
                    context = native.context()
                    ends.append(native.run("print(6 * 7)", context=context).how)
                    assert native.ask("delete_context", context=context)["ok"]
                except BaseException as error:
                    ends.append(repr(error))
                    raise

    worker = threading.Thread(target=come_and_go)
    with Native(gateway) as native:
        flood = native.start("while True: print('x' * 100)")
        native.wait_text(flood, "x")
        worker.start()
        try:
            yield ends
        finally:
            over.set()
            worker.join()
        native.ask("restart_context", context="default")


def test_fifty_killed_that_wait(full: Gateway) -> None:
    """Whoever asks for a context meanwhile notices nothing, but for a run in one that was killed as it left the pool."""
    default = int(wait_run(full, PID)["stdout"])
    killed: set[int] = set()
    with load(full) as ends:
        while len(killed) < KILLS:
            full.wait_pool()
            newest = living(full)[-1]  # as a rule the oldest are handed out first
            assert newest != default
            kill(newest)
            killed.add(newest)
            until("the end of it", lambda pid=newest: has_ended(full, pid))
    assert set(ends) <= {"ok", "kernel_died"} and ends.count("kernel_died") <= KILLS // 10, ends


@pytest.mark.parametrize("when", ["handed out", "used"])
def test_fifty_killed_as_they_leave(full: Gateway, when: str) -> None:
    """At any point from being chosen to its first run: the context works, on another kernel.

    Only code that was sent to a kernel before it was killed can end with it.
    """
    chance = random.Random(RANDOM)
    ended: list[str] = []
    with Native(full) as native:
        for _ in range(KILLS):
            full.wait_pool()
            chosen = waiting(full)[0]
            number = native.post("create_context")
            time.sleep(chance.random() * 0.004)  # the moment is what is tried
            if when == "handed out":
                kill(chosen)
            answer = native.message()
            assert answer["id"] == number and answer["ok"], answer
            context = answer["context"]
            if when == "used":
                execution = native.start("import time; time.sleep(0.004); print('there')", context=context)
                time.sleep(chance.random() * 0.008)
                kill(chosen)
                ended.append(native.rest_of(execution).how)
            until("the end of it", lambda pid=chosen: has_ended(full, pid))
            assert native.run("print(6 * 7)", context=context).text() == "42\n"
            assert native.ask("delete_context", context=context)["ok"]
    assert set(ended) <= {"ok", "kernel_died"}, ended


# ------------------------------------------------------------------ settings


def test_no_pool(make_gateway: Callable[..., Gateway]) -> None:
    gateway = make_gateway("--pool_python=0")
    with Native(gateway) as native:
        assert native.run("print(1)", context=native.context()).text() == "1\n"
    assert hits(gateway) == (0, 0)
    assert gateway.gauge("kernels") == gateway.gauge("contexts") == 2


def test_no_memory_for_a_pool(make_gateway: Callable[..., Gateway]) -> None:
    """One is started, found too large, and ends; no other is tried."""
    gateway = make_gateway("--pool_bytes=1000000")
    until("the end of the first", lambda: gateway.gauge("kernel_deaths_total") == 1)
    with Native(gateway) as native:
        assert native.run("print(1)", context=native.context()).text() == "1\n"
    assert gateway.gauge("kernel_starts_total") == 3
    assert hits(gateway) == (0, 1)


def test_reload(make_gateway: Callable[..., Gateway], tmp_path: Path) -> None:
    config = tmp_path / "gateway.cfg"
    config.write_text("pool_python = 1\n")
    gateway = make_gateway(f"--config={config}")
    gateway.wait_gauge("pool_kernels", 1)
    for n in (3, 0, 2):
        config.write_text(f"pool_python = {n}\n")
        gateway.process.send_signal(signal.SIGHUP)
        gateway.wait_gauge("pool_kernels", n)
        gateway.wait_gauge("kernels", n + 1)


def test_drain(make_gateway: Callable[..., Gateway], tmp_path: Path) -> None:
    """The pool goes at once, what runs goes on."""
    gateway = make_gateway()
    gateway.wait_pool()
    go = tmp_path / "go"
    with Native(gateway) as native:
        execution = native.start(hold(go) + "print('end')")
        said = native.wait_text(execution, "held")
        (running, *idle) = living(gateway)
        assert len(idle) == 2
        gateway.process.send_signal(signal.SIGTERM)
        until("the pool's end", lambda: not any(map(psutil.pid_exists, idle)))
        assert psutil.pid_exists(running)
        go.touch()
        assert native.rest_of(execution, said).how == "ok"


def test_another_kernelspec(make_gateway: Callable[..., Gateway], tmp_path: Path) -> None:
    """Those of the old one go, and nobody gets one."""
    file = tmp_path / "kernels/python3/kernel.json"
    file.parent.mkdir(parents=True)
    file.write_text(spec(env={"WHICH": "old"}))
    gateway = make_gateway(env={"JUPYTER_PATH": str(tmp_path)})
    gateway.wait_pool()
    old = waiting(gateway)
    with Native(gateway) as native:
        which = "import os; print(os.environ['WHICH'])"
        assert native.run(which, context=native.context()).text() == "old\n"
        gateway.wait_pool()
        file.write_text(spec(env={"WHICH": "new"}))
        assert native.run(which, context=native.context()).text() == "new\n"
        until("the end of the old ones", lambda: not any(map(psutil.pid_exists, old[1:])))
        gateway.wait_pool()
        before = hits(gateway)
        assert native.run(which, context=native.context()).text() == "new\n"
        assert hits(gateway) == (before[0] + 1, before[1])


def test_a_kernelspec_that_stops_working(make_gateway: Callable[..., Gateway], tmp_path: Path) -> None:
    """It is said once, and tried again until it works."""
    file = tmp_path / "kernels/python3/kernel.json"
    file.parent.mkdir(parents=True)
    file.write_text(spec())
    gateway = make_gateway("--start_timeout_ms=30000", env={"JUPYTER_PATH": str(tmp_path)})
    gateway.wait_pool()
    broken = json.loads(spec(argv=["/bin/false"]))
    del broken["metadata"]["kernelbridge"]["zygote"]
    file.write_text(json.dumps(broken))
    kill(waiting(gateway)[0])
    said = "no kernel can be started ahead, trying again: "
    until("a warning", lambda: said in gateway.stderr)
    until("another try", lambda: gateway.gauge("kernel_starts_total") >= 5)
    assert gateway.stderr.count(said) == 1
    file.write_text(spec())
    gateway.wait_pool()
    with Native(gateway) as native:
        assert native.run("print(1)", context=native.context()).text() == "1\n"


def test_what_a_pool_holds_is_found(full: Gateway) -> None:
    """That `atrest` still sees a leak: a process, a file, a context more than there was."""
    before = atrest.holds(full)
    pid = int(
        wait_run(full, "import subprocess; print(subprocess.Popen(['sleep', '1000']).pid, end='')")["stdout"]
    )
    assert atrest.holds(full)["processes"] == before["processes"] + 1
    kill(pid)
    wait_run(full, f"import os; os.waitpid({pid}, 0)")
    leaked = Path(full.run_files()[0]).with_name("leak.json")
    leaked.touch()
    assert atrest.holds(full)["files"] == before["files"] + 1
    leaked.unlink()
    with Native(full) as native:
        context = native.context()
        grown = atrest.holds(full)
        assert grown['kernels{state="ready"}'] == 2 and grown["contexts"] == 2
        assert native.ask("delete_context", context=context)["ok"]
