"""Kernels that cannot start, folders that are not there, variables that cannot be: the client is told why."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from clients import DAYTONA, Native, daytona
from harness.gateway import Gateway, until
from specs import PYTHON, write_spec

FAILS = {
    "missing binary": (["/nonexistent/python3"], ("/nonexistent/python3", "No such file")),
    "not executable": (["/etc/passwd"], ("/etc/passwd", "Permission denied")),
    "exits at once": (
        ["sh", "-c", "echo one >&2; echo 'the last words' >&2; exit 7"],
        ("could not start", "exit code 7", "one the last words"),
    ),
    "dies of a signal": (["sh", "-c", "kill -SEGV $$"], ("could not start", "signal 11")),
    "never answers": (
        ["sh", "-c", "echo 'I sleep' >&2; exec sleep 1000"],
        ("could not start", "did not answer within 0.5 s", "I sleep"),
    ),
    "Python without the module": (
        [PYTHON[0], "-m", "no_such_module"],
        ("could not start", "exit code 1", "No module named no_such_module"),
    ),
}


@pytest.fixture(scope="module")
def broken(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("broken")
    for name, (argv, _) in FAILS.items():
        write_spec(path, name.replace(" ", "-"), argv)
    return path


def test_start_failures_are_told(make_gateway: Callable[..., Gateway], broken: Path) -> None:
    """Each way of the native API says what went wrong, with the kernel's last words; nothing stays behind."""
    gateway = make_gateway("--start_timeout_ms=500", env={"JUPYTER_PATH": str(broken)}, ready=False)
    gateway.wait_gauge('kernels{state="starting"}', 0)
    for name, (_, words) in FAILS.items():
        language = name.replace(" ", "-")
        with Native(gateway) as native:
            answer = native.ask("create_context", language=language)
            assert not answer["ok"] and answer["error"]["code"] in ("failed", "not_found"), (name, answer)
            told = [answer["error"]["message"]]
            execution = native.ask("execute", code="1", language=language)
            if execution["ok"]:
                said = native.rest_of(execution["execution"])
                assert said.how == "kernel_died"
                told += [said.one("error")["value"], said.one("done")["why"]]
            else:
                told.append(execution["error"]["message"])
        status, answer = gateway.json("POST", "/v1/contexts", {"language": language})
        told.append(answer["error"]["message"])  # type: ignore[index]
        assert status in (404, 500), (name, status)
        for text in told:
            assert all(word in text for word in words), (name, text)
    _, listed = gateway.json("GET", "/v1/contexts")
    assert all(context["default"] for context in listed["contexts"]), listed  # type: ignore[index]
    gateway.wait_at_rest()


def test_daytona_is_told_of_start_failures(make_gateway: Callable[..., Gateway], tmp_path: Path) -> None:
    """As close reason, and the next run works once the kernelspec is right."""
    script = tmp_path / "flaky"
    script.write_text("#!/bin/sh\necho 'no luck today' >&2\nexit 9\n")
    script.chmod(0o700)
    write_spec(tmp_path, "python3", [str(script), "-f", "{connection_file}"], language="python")
    gateway = make_gateway(env={"JUPYTER_PATH": str(tmp_path)}, ready=False)
    until("the default kernel's end", lambda: "no luck today" in gateway.stderr)
    status, answer = gateway.json("GET", "/ready", auth=False)
    assert status == 503, answer
    _, close, reason = daytona(gateway, {"code": "1"})
    assert close == 1011
    assert "exit code 9" in reason and "no luck today" in reason
    status, made = gateway.json("POST", f"{DAYTONA}/context", {})
    assert status == 200
    _, close, reason = daytona(gateway, {"code": "1", "contextId": made["id"]})  # type: ignore[index]
    assert (close, "no luck today" in reason) == (1011, True)
    script.write_text(f'#!/bin/sh\nexec {" ".join(PYTHON)} "$@"\n')
    frames, close, _ = daytona(gateway, {"code": "print(1)", "contextId": made["id"]})  # type: ignore[index]
    assert ([f["text"] for f in frames], close) == (["1\n", "completed"], 1000)
    assert daytona(gateway, {"code": "print(2)"})[1] == 1000
    assert gateway.http("GET", "/ready")[0] == 200


@pytest.mark.parametrize("what", ["fails", "is missing"])
def test_a_start_that_fails_is_tried_again(
    make_gateway: Callable[..., Gateway], tmp_path: Path, what: str
) -> None:
    """So a gateway becomes ready by itself, though no client gets there before."""
    prefix = tmp_path / "prefix"
    prefix.mkdir()
    script = tmp_path / "flaky"
    script.write_text("#!/bin/sh\necho 'no luck today' >&2\nexit 9\n")
    script.chmod(0o700)

    def put_spec() -> None:
        write_spec(tmp_path, "python3", [str(script), "-f", "{connection_file}"], language="python")

    if what == "fails":
        put_spec()
    gateway = make_gateway(f"--prefix={prefix}", env={"JUPYTER_PATH": str(tmp_path)}, ready=False)
    told = "no luck today" if what == "fails" else "no default Python context"
    until("the failure", lambda: told in gateway.stderr)
    assert gateway.http("GET", "/ready")[0] == 503
    script.write_text(f'#!/bin/sh\nexec {" ".join(PYTHON)} "$@"\n')
    put_spec()
    gateway.wait_ready()
    assert daytona(gateway, {"code": "print(2)"})[1] == 1000


CWDS = {
    "/nonexistent/dir": "does not exist",
    "/etc/passwd": "is not a directory",
    "relative": "is not an absolute path",
}


@pytest.mark.parametrize("cwd", CWDS)
def test_cwd_that_is_none(gw: Gateway, cwd: str) -> None:
    status, answer = gw.json("POST", f"{DAYTONA}/context", {"cwd": cwd})
    assert (status, answer["message"]) == (400, f"cwd '{cwd}' {CWDS[cwd]}")  # type: ignore[index]
    status, answer = gw.json("POST", "/v1/contexts", {"cwd": cwd})
    assert (status, answer["error"]) == (400, {"code": "invalid", "message": f"cwd '{cwd}' {CWDS[cwd]}"})  # type: ignore[index]


def test_cwd_that_vanishes(gw: Gateway, tmp_path: Path) -> None:
    """The kernel dies after its folder went: the next run is told why."""
    cwd = tmp_path / "cwd"
    cwd.mkdir()
    with Native(gw) as native:
        context = native.context(cwd=str(cwd))
        assert native.run("import os; print(os.getcwd())", context=context).text() == f"{cwd}\n"
        cwd.rmdir()
        assert native.run("print('still')", context=context).text() == "still\n"
        assert native.run("os._exit(1)", context=context).how == "kernel_died"
        said = native.run("print(1)", context=context)
        assert (said.how, str(cwd) in said.one("done")["why"]) == ("kernel_died", True)
        cwd.mkdir()
        assert native.run("print(1)", context=context).text() == "1\n"


@pytest.mark.parametrize("env", [{"A=B": "1"}, {"": "1"}, {"A": "x\0y"}, {"A": 1}, {"A": None}, ["A"], "A=1"])
def test_bad_environment(gw: Gateway, env: object) -> None:
    """Refused before anything is made: by each API, for a run and for a sandbox."""
    for path, body in (
        ("/v1/executions", {"code": "1", "envs": env}),
        ("/v1/native/sandboxes", {"envs": env}),
        ("/daytona/api/sandbox", {"env": env}),
    ):
        status, answer = gw.json("POST", path, body)
        assert status == 400, (path, answer)
        assert "env" in str(answer) or "\\u0000" in str(answer)
    _, close, reason = daytona(gw, {"code": "1", "envs": env})
    assert close in (1002, 1008) and reason
