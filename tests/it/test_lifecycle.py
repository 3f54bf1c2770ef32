"""Gateways that start, share a machine, drain, die and are swept up after; contexts by the hundred."""

from __future__ import annotations

import fcntl
import os
import shutil
import signal
import socket
import subprocess
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest
from clients import DAYTONA, Native, hold, wait_run
from harness.gateway import DEADLINE_S, Gateway, binary, prefix, until
from rawsock import Ws

PID = "import os; print(os.getpid())"


def ended(process: subprocess.Popen[str]) -> int:
    """The exit code of a gateway that is expected to end by itself."""
    return process.wait(DEADLINE_S)


def folders(gateway: Gateway) -> list[str]:
    """The names of the run folders in its state_dir."""
    return [p.name for p in (gateway.state_dir / "run").iterdir() if p.name != ".lock"]


def processes(gateway: Gateway) -> int:
    """How many it has, without those that nobody asked for."""
    found, ahead = gateway.still(gateway.descendants)
    return len(found) - ahead.kernels - ahead.zygotes


# ------------------------------------------------------------------ a hundred contexts

DAEMONS = {
    "setsid": "import subprocess\nsubprocess.Popen(['setsid', 'sleep', '1000'])",
    "nohup": "import os\nos.system('nohup sleep 1000 >/dev/null 2>&1 &')",
    "double fork": (
        "import os, time\nif os.fork() == 0:\n    os.setsid()\n    if os.fork():\n        os._exit(0)\n"
        "    for fd in range(256):\n        try: os.close(fd)\n        except OSError: pass\n"
        "    os.execvp('sleep', ['sleep', '1000'])\nos.wait()"
    ),
    "fork": "import os\nif os.fork() == 0:\n    import time\n    while True: time.sleep(1)",
}


def test_a_hundred_contexts_come_and_go(gw: Gateway) -> None:
    """Busy, starting, idle, with daemons in the background: `gw` then finds no process, descriptor or file."""
    with Native(gw) as native:
        for batch in range(10):
            contexts = [native.context() for _ in range(4)]
            runs = [native.start("while True: pass", context=contexts[0])]
            runs.append(native.start("print('queued')", context=contexts[0]))
            for context, code in zip(contexts[1:3], list(DAEMONS.values())[batch % 2 * 2 :], strict=False):
                assert native.run(code, context=context).how == "ok"
            for _ in range(6):  # deleted while they start
                status, made = gw.json("POST", f"{DAYTONA}/context", {})
                assert status == 200
                contexts.append(made["id"])  # type: ignore[index]
            assert gw.gauge("contexts") == 11
            for context in contexts:
                assert native.ask("delete_context", context=context)["ok"]
            assert [native.rest_of(run).how for run in runs] == ["aborted", "aborted"]
    assert gw.gauge("kernel_starts_total") >= 101


@pytest.mark.parametrize("name", DAEMONS)
@pytest.mark.parametrize("how", ["delete", "kill"])
def test_what_a_kernel_leaves_in_the_background_goes_with_it(gw: Gateway, name: str, how: str) -> None:
    with Native(gw) as native:
        context = native.context()
        pid = int(native.run(PID, context=context).text())
        assert native.run(DAEMONS[name], context=context).how == "ok"
        until("the daemon, and no more", lambda: processes(gw) == 3)
        if how == "kill":
            os.kill(pid, signal.SIGKILL)
        else:
            native.ask("delete_context", context=context)
        until("the default kernel alone", lambda: processes(gw) == 1)


def test_contexts_of_a_sandbox_go_with_it(gw: Gateway) -> None:
    _, made = gw.json("POST", "/v1/native/sandboxes", {"name": "box", "envs": {"BOX": "1"}})
    home = Path(made["home"])  # type: ignore[index]
    with Native(gw) as native:
        busy = native.start(
            "import os\nprint(os.environ['BOX'], os.getcwd())\nwhile True: pass", sandbox="box"
        )
        said = native.wait_text(busy, "\n")
        assert said.text() == f"1 {home}\n"
        assert gw.http("DELETE", "/v1/native/sandboxes/box")[0] == 200
        assert native.rest_of(busy, said).how == "aborted"
    until("no home", lambda: not home.parent.exists())


def test_restart_ends_the_run_and_the_queue(gw: Gateway, tmp_path: Path) -> None:
    with Native(gw) as native:
        context = native.context()
        busy = native.start(f"kept = 1\n{hold(tmp_path / 'never')}", context=context)
        said = native.wait_text(busy, "held")
        queued = native.start("print('queued')", context=context)
        assert native.ask("restart_context", context=context)["ok"]
        assert native.rest_of(busy, said).how == native.rest_of(queued).how == "aborted"
        assert native.run("print('kept' in globals())", context=context).text() == "False\n"


# ------------------------------------------------------------------ two gateways


@pytest.mark.parametrize("share", ["nothing", "state_dir"])
def test_two_gateways_on_one_machine(start_gateway: Callable[..., Gateway], share: str) -> None:
    """Each serves its own kernels; the end of one, by force even, does nothing to the other."""
    one = start_gateway().wait_ready()
    shared = one.state_dir if share == "state_dir" else None
    two = start_gateway(state_dir=shared).wait_ready()
    assert (one.token == two.token) is bool(shared)
    pids = [wait_run(g, f"kept = 1; {PID}")["stdout"] for g in (one, two)]
    assert pids[0] != pids[1]
    two.process.kill()
    two.process.wait()
    three = start_gateway(state_dir=shared).wait_ready()  # sweeps up after two, not one
    until("no kernel of the dead one", lambda: not psutil.pid_exists(int(pids[1])))
    assert wait_run(one, f"print(kept); {PID}")["stdout"] == f"1\n{pids[0]}"
    three.stop()
    one.stop()
    if shared:
        assert sorted(p.name for p in one.state_dir.iterdir()) == ["run", "sandboxes", "token"]
        assert not folders(one)


@pytest.mark.parametrize("how", ["stop", "kill"])
def test_sandboxes_go_with_their_gateway(start_gateway: Callable[..., Gateway], how: str) -> None:
    """No other can name them: at its stop, or at the next start after it was killed; another's stay."""
    one = start_gateway().wait_ready()
    two = start_gateway(state_dir=one.state_dir).wait_ready()
    homes = [Path(g.json("POST", "/v1/native/sandboxes", {"name": "box"})[1]["home"]) for g in (one, two)]
    for home in homes:
        (home / "kept").touch()
    default = one.state_dir / "sandboxes" / "default" / "home" / "kept"
    default.touch()
    if how == "kill":
        two.process.kill()
        two.process.wait()
        two = start_gateway(state_dir=one.state_dir).wait_ready()
    else:
        two.stop()
    until("the folder of two's gone", lambda: not homes[1].parent.exists())
    assert (homes[0] / "kept").exists()
    if how == "kill":
        two.stop()
    one.stop()
    until("both", lambda: not homes[0].parent.exists())
    assert default.exists()
    assert not folders(one)


def test_gateway_whose_program_was_replaced(start_gateway: Callable[..., Gateway], tmp_path: Path) -> None:
    """An upgrade in place: the new program lets the old one, which still runs, keep its kernels."""
    copy = tmp_path / "kernelbridge"
    shutil.copy(binary(), copy)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("KERNELBRIDGE_BIN", str(copy))
        old = start_gateway().wait_ready()
        assert wait_run(old, "kept = 1")["how"] == "ok"
        copy.unlink()
        shutil.copy(f"/proc/{old.process.pid}/exe", copy)
        new = start_gateway(state_dir=old.state_dir).wait_ready()
    assert wait_run(old, "print(kept)")["stdout"] == "1\n"
    new.stop()
    assert wait_run(old, "print(kept)")["stdout"] == "1\n"
    old.stop()


def test_port_that_is_taken(start_gateway: Callable[..., Gateway]) -> None:
    """One clear line, exit code 1, no kernel and no file left."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        second = start_gateway(f"--listen={address}", "--log_level=error")
        assert ended(second.process) == 1
    assert second.stderr == f"kernelbridge: cannot listen on {address}: address in use\n"
    assert second.stdout == ""
    assert not second.run_files()
    until("no process", lambda: not second.descendants())


# ------------------------------------------------------------------ killed, and swept up after


def test_killed_gateway(start_gateway: Callable[..., Gateway]) -> None:
    """Its kernels, even busy ones, end by themselves; the next start removes what they left behind."""
    first = start_gateway().wait_ready()
    pids: list[int] = []
    with Native(first) as native:
        for code in ("while True: pass", "import time; time.sleep(1000)", "pass", *DAEMONS.values()):
            context = native.context()
            pids.append(int(native.run(PID, context=context).text()))
            execution = native.start(f"print('on')\n{code}", context=context)
            native.wait_text(execution, "on")
        until("the daemons", lambda: len(first.descendants()) >= len(pids) + 1 + len(DAEMONS))
        first.process.kill()
        first.process.wait()
    until("no kernel", lambda: not any(map(psutil.pid_exists, pids)), 30)
    left = list(first.descendants())
    assert left and first.run_files()
    second = start_gateway(state_dir=first.state_dir).wait_ready()
    until("nothing of the dead gateway", lambda: not any(map(psutil.pid_exists, left)))
    assert "which outlived its gateway" in second.stderr
    until("only the new run folder", lambda: folders(first) == [str(second.process.pid)])
    assert wait_run(second, "print(1)")["stdout"] == "1\n"
    second.stop()


def test_gateways_with_the_same_pid(tmp_path: Path) -> None:
    """As in containers that share a volume: each start has the same pid, in a pid namespace of its own.

    A dead one's folder under our own pid is swept; a living one's is left alone.
    """
    state = tmp_path / "state"
    command = f"{binary()} --listen=127.0.0.1:0 --state_dir={state} --prefix={prefix()} & echo $!; wait $!"
    user = [] if os.geteuid() == 0 else ["--user", "--map-root-user"]
    unshare = ["unshare", *user, "--pid", "--fork", "--mount-proc", "--kill-child", "sh", "-c"]
    tried = subprocess.run([*unshare, "true"], capture_output=True, text=True)
    if tried.returncode != 0:  # as in a container without rights, or below a chroot
        pytest.skip(f"no pid namespaces here: {tried.stderr.strip()}")

    def start() -> tuple[subprocess.Popen[str], str]:
        process = subprocess.Popen(
            [*unshare, command], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )
        assert process.stdout
        pid = process.stdout.readline().strip()
        assert "listening on" in process.stdout.readline()
        return process, pid

    def names() -> list[str]:
        return sorted(p.name for p in (state / "run").iterdir() if p.name != ".lock")

    first, pid = start()
    second, same = start()
    try:
        assert (same, names()) == (pid, [pid, f"{pid}.1"])
        first.kill()  # and with it, soon, all of its namespace
        first.wait()
        with open(state / "run" / pid / ".lock") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)  # once it is dead
        third, same = start()
        try:
            until("the dead one's folder to be gone", lambda: (same, names()) == (pid, [pid, f"{pid}.1"]))
        finally:
            third.kill()
            third.wait()
    finally:
        second.kill()
        second.wait()
        for folder in (state / "run").glob("[0-9]*"):
            shutil.rmtree(folder.resolve(), ignore_errors=True)


# ------------------------------------------------------------------ signals


def test_sigterm_drains(make_gateway: Callable[..., Gateway], tmp_path: Path) -> None:
    """What runs and what waits finish and are heard; new executions and connections are refused."""
    gateway = make_gateway()
    go = tmp_path / "go"
    with Native(gateway) as native, Ws(gateway) as early:
        context = native.context()
        assert early.upgrade(f"{DAYTONA}/execute") == 101
        running = native.start(hold(go) + "print('finished')", context=context)
        said = native.wait_text(running, "held")
        queued = native.start("print('queued')", context=context)
        gateway.process.send_signal(signal.SIGTERM)
        until("draining", lambda: "draining" in gateway.stderr)
        for op, keys in (("execute", {"code": "1"}), ("create_context", {})):
            refused = native.ask(op, **keys)
            assert refused["error"] == {"code": "stopping", "message": "the gateway is stopping"}, op
        early.text({"code": "print(1)"})
        assert early.closing() == (1011, "the gateway is stopping")
        with pytest.raises(ConnectionRefusedError):
            Ws(gateway)
        go.touch()
        assert native.rest_of(running, said).text() == "held\nfinished\n"
        assert native.rest_of(queued).text() == "queued\n"
        assert native.closing() == (1001, "the gateway stops")
    assert ended(gateway.process) == 0


@pytest.mark.parametrize("how", ["second SIGTERM", "SIGINT after SIGTERM", "drain_ms"])
def test_drain_that_is_cut_short(make_gateway: Callable[..., Gateway], tmp_path: Path, how: str) -> None:
    """Runs end as aborted, clients are told, and all is clean."""
    gateway = make_gateway("--drain_ms=300" if how == "drain_ms" else "--drain_ms=3600000")
    with Native(gateway) as native, Ws(gateway) as other:
        running = native.start(hold(tmp_path / "never"))
        said = native.wait_text(running, "held")
        assert other.upgrade(f"{DAYTONA}/execute") == 101
        other.text({"code": "print('queued')"})
        gateway.wait_gauge("executions_queued", 1)
        gateway.process.send_signal(signal.SIGTERM)
        until("draining", lambda: "draining" in gateway.stderr)
        if how != "drain_ms":
            gateway.process.send_signal(signal.SIGINT if "SIGINT" in how else signal.SIGTERM)
        said = native.rest_of(running, said)
        assert (said.how, said.one("done")["why"]) == ("aborted", "the gateway is stopping")
        assert other.closing() == (1011, "the gateway is stopping")
        assert native.closing() == (1001, "the gateway stops")
    assert ended(gateway.process) == 0


def test_sigterm_while_kernels_start(make_gateway: Callable[..., Gateway]) -> None:
    gateway = make_gateway(ready=False)
    with Native(gateway) as native:
        for _ in range(3):
            native.post("create_context")
        native.post("ping")
        gateway.wait_gauge("contexts", 4)
        gateway.process.send_signal(signal.SIGTERM)
        assert ended(gateway.process) == 0


def test_sigterm_with_clients_that_never_leave(make_gateway: Callable[..., Gateway]) -> None:
    """A client that does not answer the close frame, one that sent half a request, one that stalls."""
    gateway = make_gateway()
    with Ws(gateway, receive_buffer=4096) as stalled, Ws(gateway) as half, Ws(gateway) as silent:
        assert stalled.upgrade(f"{DAYTONA}/execute") == 101
        stalled.text({"code": "while True: print('x' * 1000)"})
        assert stalled.frame()[0] == 1
        half.send(half.head("POST", "/v1/executions", {"Content-Length": "100"}) + b"{")
        assert silent.upgrade("/v1/ws") == 101
        gateway.process.send_signal(signal.SIGTERM)
        until("draining", lambda: "draining" in gateway.stderr)
        gateway.process.send_signal(signal.SIGTERM)
        assert ended(gateway.process) == 0
