"""Kernels in no table of ours work by name, unconfigured: xeus-python (C++) and Calysto Scheme (metakernel).

They are installed from PyPI into an environment of their own below build/kernels/, by the first run.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import atrest
import pytest
from clients import Native
from harness.gateway import ROOT, Gateway, until
from languages import Error
from tongue import check_error, kernels

PINS = Path(__file__).with_name("foreign-requirements.txt")


@dataclass(frozen=True)
class Foreign:
    """What its kernel.json is called, and code for it."""

    name: str
    language: str  # as kernel.json says
    say: str  # prints `hi`
    keep: str  # state := 41
    value: str  # the state + 1
    error: Error
    syntax: Error
    loop: str  # prints `on`, then for ever
    survives: bool  # a SIGINT
    env: str  # prints the variable KB_NEW; "": the table cannot set it


FOREIGN = (
    Foreign(
        name="xpython",
        language="python",
        say="print('hi', end='')",
        keep="x = 41",
        value="x + 1",
        error=Error("raise ValueError('boom')", "<class 'ValueError'>", "^boom$", "boom"),
        syntax=Error("x = (", "<class 'SyntaxError'>", "incomplete input"),
        loop="print('on', flush=True)\nwhile True: pass",
        survives=False,
        env="import os\nprint(os.environ.get('KB_NEW', 'unset'), end='')",
    ),
    Foreign(
        name="calysto_scheme",
        language="scheme",
        say='(display "hi")',
        keep="(define x 41)",
        value="(+ x 1)",
        error=Error("(car 5)", "RunTimeError", "non-pair 5", "car called"),
        syntax=Error("(display", "ReadError", "unexpected end of input"),
        loop='(display "on") (define (f) (f)) (f)',
        survives=True,
        env="",
    ),
)


@pytest.fixture(scope="session")
def environment() -> Path:
    """A virtual environment with the kernels, made anew when the pins change."""
    folder = ROOT / "build" / "kernels" / "foreign"
    done = folder / "complete"
    if not done.exists() or done.read_text() != PINS.read_text():
        subprocess.run([sys.executable, "-m", "venv", "--clear", folder], check=True)
        pip = [folder / "bin" / "python", "-m", "pip", "install", "--quiet", "-r", PINS]
        subprocess.run(pip, check=True)
        done.write_text(PINS.read_text())
    return folder


@pytest.fixture(scope="module")
def gateway(environment: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """A gateway that finds their kernelspecs in JUPYTER_PATH, as they came but for the path of their Python."""
    path = tmp_path_factory.mktemp("jupyter")
    for foreign in FOREIGN:
        shutil.copytree(environment / "share/jupyter/kernels" / foreign.name, path / "kernels" / foreign.name)
        file = path / "kernels" / foreign.name / "kernel.json"
        spec = json.loads(file.read_text())
        assert "kernelbridge" not in spec.get("metadata", {}) and spec["language"] == foreign.language
        spec["argv"][0] = str(environment / "bin" / "python")
        file.write_text(json.dumps(spec))
    running = Gateway(
        tmp_path_factory.mktemp("foreign") / "state",
        "--interrupt_grace_ms=1000",
        "--pool_python=0",  # kernels are told apart by when they came
        atrest.QUIET,
        env={"JUPYTER_PATH": str(path)},
    ).wait_ready()
    yield running
    running.stop()


@pytest.fixture(params=FOREIGN, ids=lambda foreign: foreign.name)
def foreign(request: pytest.FixtureRequest, gateway: Gateway) -> Iterator[Foreign]:
    """One of them; the gateway is at rest before and after."""
    before = atrest.baseline(gateway)
    yield request.param
    atrest.check(gateway, before)


def test_it_is_listed(foreign: Foreign, gateway: Gateway) -> None:
    with Native(gateway) as ws:
        listed = {spec["name"]: spec for spec in ws.ask("list_kernelspecs")["kernelspecs"]}
    assert listed[foreign.name]["language"] == foreign.language


def test_output_state_value_and_errors(foreign: Foreign, gateway: Gateway) -> None:
    with Native(gateway) as ws:
        context = ws.context(language=foreign.name)
        assert ws.run(foreign.say, context=context).text() == "hi"
        assert ws.run(foreign.keep, context=context).how == "ok"
        said = ws.run(foreign.value, context=context)
        assert (said.how, said.one("result")["bundle"]["text/plain"]) == ("ok", "42")
        for error in (foreign.error, foreign.syntax):
            check_error(ws.run(error.code, context=context), error)
        said = ws.run(foreign.value, context=context)
        assert said.one("started")["count"] == 6
        assert ws.ask("delete_context", context=context)["ok"]


@pytest.mark.parametrize("how", ["interrupted", "timeout"])
def test_stopped_as_its_kernel_json_says(foreign: Foreign, gateway: Gateway, how: str) -> None:
    """By SIGINT, which xeus-python does not survive: the context has a fresh kernel then."""
    with Native(gateway) as ws:
        context = ws.context(language=foreign.name)
        ws.run(foreign.keep, context=context)
        execution = ws.start(foreign.loop, context=context, timeout_ms=3000 if how == "timeout" else 0)
        said = ws.wait_text(execution, "on")
        if how == "interrupted":
            assert ws.ask("interrupt", execution=execution)["ok"]
        assert ws.rest_of(execution, said).how == how
        assert ("kernel died" in said.one("done").get("why", "")) != foreign.survives
        said = ws.run(foreign.value, context=context)
        assert said.how == ("ok" if foreign.survives else "error")


def test_restart_and_death(foreign: Foreign, gateway: Gateway) -> None:
    alone = kernels(gateway)
    with Native(gateway) as ws:
        context = ws.context(language=foreign.name)
        ws.run(foreign.keep, context=context)
        assert ws.ask("restart_context", context=context)["ok"]
        assert ws.run(foreign.value, context=context).how == "error"
        execution = ws.start(foreign.loop, context=context)
        said = ws.wait_text(execution, "on")
        until("the old kernel's end", lambda: len(kernels(gateway) - alone) == 1)
        (pid,) = kernels(gateway) - alone
        os.kill(pid, 9)
        assert ws.rest_of(execution, said).how == "kernel_died"
        assert ws.run(foreign.say, context=context).text() == "hi"


def test_variables_of_one_run(foreign: Foreign, gateway: Gateway) -> None:
    """The table knows Python, whoever's kernel it is; of a language that it does not know it says so."""
    value = 'it\'s "quoted"\n$HOME \\ 😀'
    with Native(gateway) as ws:
        context = ws.context(language=foreign.name, envs={"KB_OWN": "1"})
        said = ws.run(foreign.env or foreign.say, context=context, envs={"KB_NEW": value})
        if foreign.env:
            assert (said.how, said.text()) == ("ok", value)
            assert ws.run(foreign.env, context=context).text() == "unset"
        else:
            assert (said.how, said.text(), said.one("error")["name"]) == ("error", "", "NotSupported")
            assert f"'{foreign.name}' is not in the language table" in said.one("error")["value"]
        assert ws.run(foreign.say, context=context).text() == "hi"
