"""Settings from the command line up: what is refused and how, precedence, reload, exit codes, the token."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from clients import Native, wait_run
from harness.gateway import DEADLINE_S, ROOT, Gateway, binary, until


def kernelbridge(*args: str, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    """Run it to its end, without any setting from this environment."""
    clean = {k: v for k, v in os.environ.items() if not k.startswith("KERNELBRIDGE_")}
    return subprocess.run(
        [str(binary()), *args], env=clean | (env or {}), capture_output=True, text=True, timeout=DEADLINE_S
    )


def refused(*args: str, env: dict[str, str] | None = None) -> str:
    """The one line that it says, with exit code 2, when it is not content with its settings."""
    for verb in ((), ("--check-config",), ("--print-config",)):
        done = kernelbridge(*verb, *args, env=env)
        assert (done.returncode, done.stdout) == (2, ""), (verb, done)
        assert done.stderr.count("\n") == 1 and done.stderr.startswith("kernelbridge: "), done.stderr
    return done.stderr


def printed(*args: str, env: dict[str, str] | None = None) -> dict[str, str]:
    """The settings that --print-config shows."""
    done = kernelbridge("--print-config", *args, env=env)
    assert (done.returncode, done.stderr) == (0, ""), done
    lines = [line for line in done.stdout.splitlines() if line and not line.startswith("#")]
    return {key.strip(): value.strip() for key, _, value in (line.partition("=") for line in lines)}


# ------------------------------------------------------------------ what is refused

BAD = {
    "--max_contxts=5": ("max_contxts", "max_contexts"),
    "--liste=127.0.0.1:0": ("liste", "listen"),
    "--max_contexts=0": ("max_contexts", "0", "1 to 100000"),
    "--max_contexts=100001": ("max_contexts", "100001"),
    "--max_contexts=-1": ("max_contexts", "-1"),
    "--max_contexts=1.5": ("max_contexts", "1.5"),
    "--max_contexts=five": ("max_contexts", "five"),
    "--max_contexts=": ("max_contexts",),
    "--max_contexts=99999999999999999999999": ("max_contexts",),
    "--auth=maybe": ("auth", "maybe", "token|none"),
    "--auth=tok": ("auth", "tok"),
    "--auth=": ("auth",),
    "--prefix=": ("prefix", "empty", "path"),
    "--state_dir=": ("state_dir", "absolute path"),
    "--log_level=loud": ("log_level", "loud"),
    "--insecure=perhaps": ("insecure", "perhaps"),
    "--max_contexts": ("max_contexts", "needs a value"),
    "stray": ("stray",),
    "-x": ("-x",),
    "--": ("--",),
    "--=5": ("nearest",),
    "--config=/nonexistent/file": ("/nonexistent/file",),
}


@pytest.mark.parametrize("argument", BAD)
def test_bad_arguments(argument: str) -> None:
    said = refused(argument)
    assert all(word in said for word in BAD[argument]), said


def test_bad_environment_variables() -> None:
    said = refused(env={"KERNELBRIDGE_MAX_CONTEXTS": "five"})
    assert "max_contexts" in said and "five" in said


FILES = {
    "max_contexts = five\n": ("max_contexts", ":1:"),
    "# fine\n\nlog_level = info\nmax_contxts = 5\n": ("max_contxts", "max_contexts", ":4:"),
    "max_contexts = 5\nmax_contexts = 0\n": ("max_contexts", ":2:"),
}


@pytest.mark.parametrize("text", FILES)
def test_bad_files(tmp_path: Path, text: str) -> None:
    """The message says file and line."""
    path = tmp_path / "kb.cfg"
    path.write_text(text)
    said = refused(f"--config={path}")
    assert all(word in said for word in ("kb.cfg", *FILES[text])), said


NO_FILES = {
    b"\0\1\2\3": ":1: it holds a NUL",
    b"# fine\nmax_queue = 5\0\n": ":2: it holds a NUL",
    b"just words without a sign": ":1: expected key = value",
    b"\n\n= 5": ":3: expected key = value",
    b"{}": ":1: expected key = value",
    b"\xff\xfe": ":1: expected key = value",
    b"max_queue": ":1: expected key = value",
    b'listen = "127.0.0.1:1\n': ":1: a quote is not closed",
    b"  max_queue = 5\n": ":1: the line is indented",
    b"max_queue = 5\n\tmax_contexts = 5\n": ":2: the line is indented",
    b"max_queue = 5\n    max_contexts = 5\n": ":1: 'max_queue' has indented lines below it",
}


@pytest.mark.parametrize("text", NO_FILES, ids=repr)
def test_files_that_are_none(tmp_path: Path, text: bytes) -> None:
    path = tmp_path / "kb.cfg"
    path.write_bytes(text)
    assert f"kb.cfg{NO_FILES[text]}" in refused(f"--config={path}")


def test_folders_and_devices_are_no_files(tmp_path: Path) -> None:
    assert str(tmp_path) in refused(f"--config={tmp_path}")
    assert printed("--config=/dev/null") == printed()


LISTENS = (
    "nonsense",
    "127.0.0.1",
    "127.0.0.1:",
    ":8686",
    "127.0.0.1:99999",
    "::1:0",
    "no.such.host.invalid:0",
    "1.2.3.4:0",
)


@pytest.mark.parametrize("listen", LISTENS)
def test_bad_addresses(tmp_path: Path, listen: str) -> None:
    """It could not start: exit code 1 (or 2 where the text is no address at all), one line that names it."""
    done = kernelbridge(f"--listen={listen}", f"--state_dir={tmp_path / 's'}", "--log_level=error")
    assert done.returncode in (1, 2) and done.stdout == ""
    assert listen in done.stderr and done.stderr.count("\n") == 1, done.stderr


def test_state_dir_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    done = kernelbridge(
        "--listen=127.0.0.1:0", f"--state_dir={tmp_path / 'file' / 'state'}", "--log_level=error"
    )
    assert (done.returncode, done.stdout) == (1, "")
    assert str(tmp_path / "file") in done.stderr


@pytest.mark.parametrize("listen", ["0.0.0.0:0", "[::]:0", "127.0.0.1.nip.io:0"])
def test_no_auth_beyond_loopback(tmp_path: Path, listen: str) -> None:
    done = kernelbridge(
        f"--listen={listen}", "--auth=none", f"--state_dir={tmp_path / 's'}", "--log_level=error"
    )
    assert done.returncode in (1, 2) and done.stdout == ""
    assert listen in done.stderr and "loopback" in done.stderr and "--insecure" in done.stderr


def test_no_auth_on_loopback(make_gateway: Callable[..., Gateway]) -> None:
    gateway = make_gateway("--auth=none")
    assert "token" not in gateway.stdout.lower() and gateway.token == ""
    assert gateway.http("GET", "/v1/contexts", auth=False)[0] == 200
    evil = {"Origin": "https://evil.example"}
    assert gateway.http("POST", "/v1/executions", {"code": "1"}, evil, auth=False)[0] == 403
    assert gateway.http("GET", "/v1/contexts", headers={"Host": "evil.example"}, auth=False)[0] == 403


def test_no_auth_if_insecure_is_given(start_gateway: Callable[..., Gateway]) -> None:
    gateway = start_gateway("--listen=0.0.0.0:0", "--auth=none", "--insecure").wait_listening()
    gateway.stop()


# ------------------------------------------------------------------ where settings come from


def test_precedence(tmp_path: Path) -> None:
    """defaults < file < environment < arguments; a list is replaced, not extended."""
    path = tmp_path / "kb.cfg"
    path.write_text('max_contexts = 11\nmax_queue = 12\nlisten = "127.0.0.1:1"\nmax_sandboxes = 13\n')
    env = {
        "KERNELBRIDGE_MAX_CONTEXTS": "21",
        "KERNELBRIDGE_MAX_QUEUE": "22",
        "KERNELBRIDGE_LISTEN": "127.0.0.1:2,127.0.0.1:3",
    }
    shown = printed(
        f"--config={path}", "--max_contexts=31", "--listen=127.0.0.1:4", "--listen", "127.0.0.1:5", env=env
    )
    assert shown["max_contexts"] == "31"
    assert shown["max_queue"] == "22"
    assert shown["max_sandboxes"] == "13"
    assert shown["max_connections"] == "4096"
    assert shown["listen"].replace('"', "") == "127.0.0.1:4,127.0.0.1:5"
    assert printed(f"--config={path}", env=env)["listen"].replace('"', "") == "127.0.0.1:2,127.0.0.1:3"
    assert printed("--max_contexts=31", f"--config={path}")["max_contexts"] == "31"


def test_an_empty_variable_is_not_set() -> None:
    """But where a setting may be empty, it says so."""
    names = ("PREFIX", "STATE_DIR", "MAX_CONTEXTS", "LOG_LEVEL", "INSECURE", "ZYGOTE_PRELOAD", "E2B_DOMAIN")
    shown = printed(env={f"KERNELBRIDGE_{name}": "" for name in names})
    assert shown.pop("zygote_preload").replace('"', "") == ""
    default = printed()
    default.pop("zygote_preload")
    assert shown == default


def test_what_is_printed_can_be_read(tmp_path: Path) -> None:
    """--print-config writes a file that says the same again, odd values included."""
    odd = [
        "--allow_hosts=a.example,b.example",
        "--allow_origins=https://a.example:8443",
        "--token_file=/x/y#z.txt",
    ]
    odd += ["--state_dir=/a b/c", "--insecure", "--max_output_bytes=7"]
    path = tmp_path / "kb.cfg"
    first = kernelbridge("--print-config", *odd).stdout
    path.write_text(first)
    assert kernelbridge("--print-config", f"--config={path}").stdout == first
    assert kernelbridge("--check-config", f"--config={path}").stdout == "configuration is fine\n"
    assert kernelbridge("--print-config").stdout != first


def test_the_sample_files_are_fine() -> None:
    files = sorted((ROOT / "configs").glob("*.cfg"))
    assert files
    for path in files:
        done = kernelbridge("--check-config", f"--config={path}")
        assert (done.returncode, done.stderr) == (0, ""), path


def test_help_and_version() -> None:
    keys = printed()
    done = kernelbridge("--help")
    assert done.returncode == 0
    assert all(f"--{key}=" in done.stdout for key in keys)
    done = kernelbridge("--version")
    assert done.returncode == 0 and done.stdout.startswith("kernelbridge ")


# ------------------------------------------------------------------ reload


def test_reload(make_gateway: Callable[..., Gateway], tmp_path: Path) -> None:
    """Good: from now on; bad or not changeable: nothing is changed and the log says why."""
    path = tmp_path / "kb.cfg"
    path.write_text("max_queue = 1\n")
    gateway = make_gateway(
        f"--config={path}", "--allow_origins=https://good.example", "--allow_hosts=good.example"
    )

    def reload(text: str, said: str) -> None:
        count = gateway.stderr.count(said)
        path.write_text(text)
        gateway.process.send_signal(signal.SIGHUP)
        until(said, lambda: gateway.stderr.count(said) > count)

    def room() -> int:
        """How many executions the default context takes."""
        with Native(gateway) as native:
            first = native.start("import time\nwhile True: time.sleep(0.01)")
            count = 1
            while native.ask("execute", code="1")["ok"]:
                count += 1
            native.ask("interrupt", execution=first)
            native.rest_of(first)
        gateway.wait_at_rest()
        return count

    assert room() == 1
    reload("max_queue = 3\n", "configuration reloaded")
    assert room() == 3
    reload("max_queue = none\n", "reload refused, nothing changed: ")
    reload(
        "max_queue = 5\nmax_contexts = 7\n", "reload refused, nothing changed: 'max_contexts' needs a restart"
    )
    reload("max_queue 5\n", "reload refused, nothing changed: ")
    path.unlink()
    gateway.process.send_signal(signal.SIGHUP)
    until("a refusal", lambda: gateway.stderr.count("reload refused") == 4)
    assert room() == 3
    reload("max_queue = 2\n", "configuration reloaded")
    assert room() == 2
    # What cannot change is still in force after three reloads.
    good = {"Origin": "https://good.example", "Host": "good.example"}
    assert gateway.http("POST", "/v1/executions", {"code": "1", "wait": True}, good)[0] == 200
    assert gateway.http("GET", "/health", headers={"Host": "evil.example"})[0] == 403


def test_reload_while_kernels_start_and_run(make_gateway: Callable[..., Gateway]) -> None:
    gateway = make_gateway()
    with Native(gateway) as native:
        busy = native.start("print('on')\nwhile True: pass", timeout_ms=3000)
        said = native.wait_text(busy, "on")
        native.post("create_context")
        for _ in range(20):
            gateway.process.send_signal(signal.SIGHUP)
        context = native.context()
        assert native.run("print(1)", context=context).text() == "1\n"
        assert native.rest_of(busy, said).how == "timeout"


# ------------------------------------------------------------------ the token


def test_a_reload_reads_the_token_again(make_gateway: Callable[..., Gateway]) -> None:
    """The old one opens nothing any more; a file that cannot be read changes nothing."""
    gateway = make_gateway()
    path, old = gateway.state_dir / "token", gateway.token
    for times, (text, good) in enumerate([("", old), ("another-one\n", "another-one")], 1):
        path.write_text(text)
        gateway.process.send_signal(signal.SIGHUP)
        until("reloaded", lambda: gateway.stderr.count("configuration reloaded") == times)  # noqa: B023
        assert gateway.stderr.count("the token stays as it was") == 1
        for token in (old, "another-one"):
            gateway.token = token
            assert gateway.http("GET", "/v1/contexts")[0] == (200 if token == good else 401)


def test_the_token_is_made_once(start_gateway: Callable[..., Gateway]) -> None:
    """0600, kept over restarts; a file that others may read is refused; it is never in the log."""
    first = start_gateway("--log_level=debug").wait_ready()
    path = first.state_dir / "token"
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.read_text().strip() == first.token and len(first.token) == 64
    assert wait_run(first, "import os; print([k for k in os.environ if 'TOKEN' in k])")["stdout"] == "[]\n"
    first.stop()
    assert first.token not in first.stderr
    again = start_gateway(state_dir=first.state_dir).wait_listening()
    assert again.token == first.token
    again.stop()
    path.chmod(0o644)
    done = kernelbridge("--listen=127.0.0.1:0", f"--state_dir={first.state_dir}", "--log_level=error")
    assert done.returncode == 1 and "token" in done.stderr and "chmod 600" in done.stderr


@pytest.mark.parametrize("text", ["", "  \n", "two words\n", "x" * 5000, "t\u00f6ken"])
def test_bad_token_files(tmp_path: Path, text: str) -> None:
    path = tmp_path / "secret"
    path.write_text(text)
    path.chmod(0o600)
    state = f"--state_dir={tmp_path / 's'}"
    done = kernelbridge("--listen=127.0.0.1:0", state, f"--token_file={path}", "--log_level=error")
    assert (done.returncode, done.stdout) == (1, "")
    assert str(path) in done.stderr and (not text.strip() or text.strip() not in done.stderr)
