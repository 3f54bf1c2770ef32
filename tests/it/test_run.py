"""`kernelbridge run FILE|-`: streams, statuses, input, Ctrl-C, and clear words when something is wrong."""

from __future__ import annotations

import os
import pty
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from clients import hold
from harness.gateway import DEADLINE_S, Gateway, binary, until

LOOP = "print('looping', flush=True)\nwhile True: pass\n"


class Cli:
    """Starts `kernelbridge run` with the gateway's address and token in its environment."""

    def __init__(self, gateway: Gateway, folder: Path) -> None:
        self.gateway, self.folder = gateway, folder
        clean = {k: v for k, v in os.environ.items() if not k.startswith("KERNELBRIDGE_")}
        self.env = clean | {"KERNELBRIDGE_URL": gateway.url, "KERNELBRIDGE_TOKEN": gateway.token}
        self.started: list[subprocess.Popen[bytes]] = []

    def file(self, code: str) -> str:
        path = self.folder / "code.py"
        path.write_text(code)
        return str(path)

    def start(self, *args: str, stdin: int = subprocess.DEVNULL, **env: str) -> subprocess.Popen[bytes]:
        self.started.append(
            subprocess.Popen(
                [str(binary()), "run", *args],
                stdin=stdin,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                env=self.env | env,
            )
        )
        return self.started[-1]

    def run(self, *args: str, stdin: bytes = b"", **env: str) -> tuple[int, str, str]:
        """Exit status, stdout and stderr."""
        process = self.start(*args, stdin=subprocess.PIPE, **env)
        out, err = process.communicate(stdin, timeout=DEADLINE_S)
        return process.returncode, out.decode(), err.decode()


@pytest.fixture
def cli(gw: Gateway, tmp_path: Path) -> Iterator[Cli]:
    made = Cli(gw, tmp_path)
    yield made
    for process in made.started:
        if process.poll() is None:
            process.kill()
        process.wait()
        for pipe in (process.stdin, process.stdout, process.stderr):
            if pipe:
                pipe.close()


def line(process: subprocess.Popen[bytes]) -> str:
    assert process.stdout
    return process.stdout.readline().decode()


def test_a_file_and_standard_input(cli: Cli) -> None:
    code = "import sys\nprint('out')\nprint('err', file=sys.stderr)\n6 * 7\n"
    assert cli.run(cli.file(code)) == (0, "out\n42\n", "err\n")
    assert cli.run("-", stdin=code.encode()) == (0, "out\n42\n", "err\n")


def test_output_comes_while_it_runs(cli: Cli, tmp_path: Path) -> None:
    go = tmp_path / "go"
    process = cli.start(cli.file(hold(go) + "print('later')\n"))
    assert line(process) == "held\n"
    assert process.poll() is None
    go.touch()
    assert line(process) == "later\n"
    assert process.wait(DEADLINE_S) == 0


def test_code_that_raises(cli: Cli) -> None:
    status, out, err = cli.run(cli.file("print('before')\n1/0\n"))
    assert (status, out) == (1, "before\n")
    assert err.startswith("Traceback (most recent call last):\n") and err.endswith("ZeroDivisionError: division by zero\n")
    assert "\x1b" not in err


def test_kernel_death_and_timeout(cli: Cli) -> None:
    status, _, err = cli.run(cli.file("import os; os._exit(3)\n"))
    assert status == 1 and "KernelDied" in err and "exit code 3" in err
    status, _, err = cli.run("--timeout", "0.2", cli.file("while True: pass\n"))
    assert status == 1 and err.endswith("kernelbridge: timeout\n")


def test_context_and_language(cli: Cli, gw: Gateway) -> None:
    _, made = gw.json("POST", "/v1/contexts", {})
    context = made["context"]  # type: ignore[index]
    assert cli.run("--context", context, cli.file("kept = 'k'\n"))[0] == 0
    assert cli.run(f"--context={context}", cli.file("kept\n")) == (0, "'k'\n", "")
    assert cli.run("--language", "python3", cli.file("1\n")) == (0, "1\n", "")
    status, _, err = cli.run("--language", "klingon", cli.file("1\n"))
    assert status == 3 and "klingon" in err


def test_input_from_the_callers_stdin(cli: Cli) -> None:
    code = "a = input('a? ')\nb = input()\nprint(repr(a), repr(b))\ntry: input()\nexcept EOFError: print('end')\n"
    assert cli.run(cli.file(code), stdin="é1\r\nlast".encode()) == (0, "a? 'é1\\r' 'last'\nend\n", "")


def test_input_comes_line_by_line(cli: Cli) -> None:
    process = cli.start(cli.file("while (t := input()) != 'stop': print('got', t, flush=True)\n"), stdin=subprocess.PIPE)
    assert process.stdin
    for word in ("one", "two"):
        process.stdin.write(f"{word}\n".encode())
        process.stdin.flush()
        assert line(process) == f"got {word}\n"
    process.stdin.write(b"stop\n")
    process.stdin.flush()
    assert process.wait(DEADLINE_S) == 0


def test_code_from_standard_input_cannot_ask(cli: Cli) -> None:
    status, _, err = cli.run("-", stdin=b"input()\n")
    assert status == 1 and "EOFError" in err


def test_a_password_is_not_echoed(cli: Cli) -> None:
    master, slave = pty.openpty()
    code = "from getpass import getpass\nprint('plain', repr(input()))\nprint('hidden', repr(getpass('pw? ')))\n"
    process = cli.start(cli.file(code), stdin=slave)
    os.close(slave)
    os.write(master, b"seen\n")
    assert line(process) == "plain 'seen'\n"
    assert process.stdout
    assert process.stdout.read(4) == b"pw? "
    os.write(master, b"secret\n")
    assert line(process) == "hidden 'secret'\n"
    assert process.wait(DEADLINE_S) == 0
    echoed = os.read(master, 4096)
    os.close(master)
    assert b"seen" in echoed and b"secret" not in echoed


def test_ctrl_c_interrupts_the_code(cli: Cli, gw: Gateway) -> None:
    process = cli.start(cli.file(LOOP))
    assert line(process) == "looping\n"
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=DEADLINE_S)
    assert process.returncode == 130 and b"KeyboardInterrupt" in err
    gw.wait_gauge("executions_running", 0)


def test_ctrl_c_twice_leaves_at_once(cli: Cli, gw: Gateway) -> None:
    code = (
        "while True:\n    try:\n        print('on', flush=True)\n        while True: pass\n"
        "    except KeyboardInterrupt: pass\n"
    )
    process = cli.start(cli.file(code))
    for _ in range(2):
        assert line(process) == "on\n"
        process.send_signal(signal.SIGINT)
    assert process.wait(DEADLINE_S) == 130
    gw.wait_gauge("executions_running", 0)


def test_ctrl_c_at_a_prompt(cli: Cli) -> None:
    process = cli.start(cli.file("input('? ')\n"), stdin=subprocess.PIPE)
    assert process.stdout
    assert process.stdout.read(2) == b"? "
    process.send_signal(signal.SIGINT)
    assert process.wait(DEADLINE_S) == 130


@pytest.mark.parametrize("sig", [signal.SIGTERM, signal.SIGKILL])
def test_a_client_that_is_killed_interrupts_the_code(cli: Cli, gw: Gateway, sig: signal.Signals) -> None:
    process = cli.start(cli.file(LOOP))
    assert line(process) == "looping\n"
    process.send_signal(sig)
    assert process.wait(DEADLINE_S) == -sig
    gw.wait_gauge("executions_running", 0)


def test_a_reader_that_leaves_ends_it(cli: Cli, gw: Gateway) -> None:
    process = cli.start(cli.file("while True: print('x' * 100)\n"))
    assert process.stdout and line(process).startswith("x")
    process.stdout.close()
    assert process.wait(DEADLINE_S) == 128 + signal.SIGPIPE
    gw.wait_gauge("executions_running", 0)


def test_a_reader_that_stalls_gets_everything(cli: Cli, gw: Gateway) -> None:
    """What nobody reads stops at the kernel: the gateway holds little of 20 MB, and all of it arrives."""
    process = cli.start(cli.file("for i in range(200_000): print(i, 'x' * 93)\n"))
    assert process.stdout and line(process).startswith("0 ")
    last = [-1, 0]

    def still() -> bool:
        now = gw.gauge("events_bytes")
        last[1] = last[1] + 1 if now == last[0] else 0
        last[0] = now
        return last[1] > 20

    until("a gateway that holds still", still)
    assert gw.gauge("executions_running") == 1 and last[0] < 8 << 20
    text = process.stdout.read().decode()
    assert text == "".join(f"{i} {'x' * 93}\n" for i in range(1, 200_000))
    assert process.wait(DEADLINE_S) == 0


def test_no_gateway(cli: Cli, gw: Gateway) -> None:
    status, out, err = cli.run(cli.file("1\n"), KERNELBRIDGE_URL="http://127.0.0.1:1")
    assert (status, out) == (3, "") and err.startswith("kernelbridge: cannot reach the gateway: ") and err.count("\n") == 1
    status, _, err = cli.run("--token", "wrong", cli.file("1\n"))
    assert status == 3 and err.startswith("kernelbridge: the gateway refused (401): ")


def test_a_gateway_that_dies(tmp_path: Path, start_gateway: Callable[..., Gateway]) -> None:
    own = start_gateway().wait_ready()
    process = Cli(own, tmp_path).start("-", stdin=subprocess.PIPE)
    assert process.stdin
    process.stdin.write(LOOP.encode())
    process.stdin.close()
    assert line(process) == "looping\n"
    own.kill()
    assert process.wait(DEADLINE_S) == 3
    assert process.stdout and process.stderr
    assert b"went away" in process.stderr.read()
    process.stdout.close()
    process.stderr.close()


def test_a_gateway_that_is_stopped(cli: Cli, make_gateway: Callable[..., Gateway]) -> None:
    own = make_gateway("--drain_ms=0")
    process = cli.start(cli.file(LOOP), KERNELBRIDGE_URL=own.url, KERNELBRIDGE_TOKEN=own.token)
    assert line(process) == "looping\n"
    own.stop()
    _, err = process.communicate(timeout=DEADLINE_S)
    assert process.returncode == 1 and b"aborted: the gateway is stopping" in err


def test_the_local_token_file_is_found(cli: Cli, gw: Gateway) -> None:
    for token in ("", gw.token):
        env = {"KERNELBRIDGE_TOKEN": token, "KERNELBRIDGE_STATE_DIR": str(gw.state_dir)}
        assert cli.run("-", stdin=b"1\n", **env) == (0, "1\n", "")
    status, _, err = cli.run("-", KERNELBRIDGE_TOKEN="", KERNELBRIDGE_STATE_DIR="/nonexistent")
    assert status == 3 and "401" in err


@pytest.mark.parametrize(
    ("args", "words"),
    [
        ([], "FILE is missing"),
        (["a", "b"], "one FILE only, not also b"),
        (["--nonsense", "x", "-"], "unknown option --nonsense"),
        (["-x"], "unknown option -x"),
        (["-", "--url"], "a value is missing after --url"),
        (["--timeout", "soon", "-"], "--timeout is not a number of seconds: soon"),
        (["--timeout=-1", "-"], "--timeout is not a number of seconds: -1"),
        (["--context", "c", "--language", "l", "-"], "--context goes without --language"),
        (["/nonexistent/file"], "cannot read /nonexistent/file: No such file"),
        (["/tmp"], "cannot read /tmp: Is a directory"),
        (["--url", "ftp://x", "-"], "'ftp://x' is not http://HOST:PORT"),
        (["--url", "http://:80", "-"], "is not http://HOST:PORT"),
        (["--url", "http://h:99999", "-"], "is not http://HOST:PORT"),
    ],
)
def test_usage(cli: Cli, args: list[str], words: str) -> None:
    status, out, err = cli.run(*args)
    assert (status, out) == (2, "") and words in err.splitlines()[0]


def test_code_that_is_not_text(cli: Cli) -> None:
    status, _, err = cli.run("-", stdin=b"\xff\xfe")
    assert status == 2 and "not UTF-8" in err
    assert cli.run("-", stdin=b"") == (0, "", "")


def test_help(cli: Cli) -> None:
    status, out, err = cli.run("--help")
    assert status == 0 and out.startswith("usage: kernelbridge run ") and not err
