"""wire/ against real kernels of both generations: ipykernel 6 (PUB) and 7 (XPUB, welcome messages).

The kernels are stock ones, each in a virtual environment of its own below build/kernels/, which is
made by the first run. wire_probe is the client; see the head of wire_probe.c for what it prints.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from wirekernels import IPYKERNEL_WAITS, PORTS, ROOT

VERSIONS = ("6.29.5", "7.4.0")
Step = Callable[..., dict[str, Any]]


def probe_program() -> Path:
    """wire_probe of $KERNELBRIDGE_BIN's build, else of the dev or release build."""
    builds = [ROOT / "build" / preset for preset in ("dev", "release")]
    if named := os.environ.get("KERNELBRIDGE_BIN"):
        builds.insert(0, Path(named).resolve().parent)
    for build in builds:
        path = build / "tests" / "it" / "wire_probe"
        if path.exists():
            return path
    raise FileNotFoundError("no wire_probe: build the project with tests")


@pytest.fixture(scope="session", params=VERSIONS)
def python(request: pytest.FixtureRequest) -> Path:
    """The Python of an environment with that ipykernel."""
    folder = ROOT / "build" / "kernels" / f"ipykernel-{request.param}"
    python = folder / "bin" / "python"
    done = folder / "complete"
    if not done.exists():
        subprocess.run([sys.executable, "-m", "venv", "--clear", folder], check=True)
        pip = [python, "-m", "pip", "install", "--quiet", f"ipykernel=={request.param}"]
        subprocess.run(pip, check=True)
        done.touch()
    return python


@pytest.fixture
def step(python: Path, tmp_path: Path) -> Iterator[Step]:
    """Run one step on a fresh kernel: step("print(1)", input=..., ...) or step(type=..., content=...)."""
    tmp_path.chmod(0o700)
    file = tmp_path / "k.json"
    conn: dict[str, object] = {"transport": "ipc", "ip": str(tmp_path / "k"), "key": "it-is-secret"}
    conn |= {"signature_scheme": "hmac-sha256"} | {name: i + 1 for i, name in enumerate(PORTS)}
    file.write_text(json.dumps(conn))
    kernel = subprocess.Popen(
        [python, "-m", "ipykernel_launcher", "-f", file],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    probe = subprocess.Popen(
        [probe_program(), file], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )

    def run(code: str = "", **more: object) -> dict[str, Any]:
        content = {
            "code": code, "silent": False, "store_history": True, "user_expressions": {},
            "allow_stdin": "input" in more, "stop_on_error": True,
        }  # fmt: skip
        assert probe.stdin and probe.stdout
        print(json.dumps({"type": "execute_request", "content": content} | more), file=probe.stdin)
        probe.stdin.flush()
        return json.loads(probe.stdout.readline())

    yield run
    assert probe.stdin
    probe.stdin.close()
    assert probe.wait(10) == 0
    kernel.kill()
    kernel.wait(10)


def text(result: dict[str, Any], name: str = "stdout") -> str:
    """All that was printed to one stream."""
    streams = [content for kind, content in result["messages"] if kind == "stream"]
    return "".join(content["text"] for content in streams if content["name"] == name)


def kinds(result: dict[str, Any]) -> list[str]:
    """The types of the messages, statuses as their state."""
    return [c.get("execution_state", kind) for kind, c in result["messages"]]


def test_first_question(step: Step, python: Path) -> None:
    result = step(type="kernel_info_request", content={})
    assert result["status"] == 0 and result["live"] and result["dropped"] == 0
    assert result["reply"]["language_info"]["name"] == "python"
    assert kinds(result) == ["busy", "idle"]
    stray = [kind for kind, *_ in result["stray"]]
    assert "iopub_welcome" not in stray or "ipykernel-7" in str(python)
    assert stray or "ipykernel-6" in str(python)  # the welcome, or a message that was before it


def test_result_and_streams(step: Step) -> None:
    result = step("import sys; print('out'); print('err', file=sys.stderr); 6*7")
    assert result["status"] == 0
    assert (text(result), text(result, "stderr")) == ("out\n", "err\n")
    (value,) = [c for kind, c in result["messages"] if kind == "execute_result"]
    assert value["data"] == {"text/plain": "42"} and value["execution_count"] == 1
    assert kinds(result)[0] == "busy" and kinds(result)[-1] == "idle"
    assert result["reply"]["status"] == "ok"


def test_strange_text(step: Step) -> None:
    """A lone surrogate that stands for a byte arrives as that byte, which is not UTF-8."""
    result = step(r"print('a\udc80b\0c', chr(0x1f600))")
    assert text(result) == "a\ufffdb\0c \U0001f600\n"
    assert result["dropped"] == 0


def test_error(step: Step) -> None:
    result = step("1/0")
    assert result["status"] == 0 and result["reply"]["status"] == "error"
    (error,) = [c for kind, c in result["messages"] if kind == "error"]
    assert error["ename"] == "ZeroDivisionError" and isinstance(error["traceback"], list)


def test_input(step: Step) -> None:
    result = step("'hello ' + input('name? ')", input="J\u00fcrg \U0001f600")
    (value,) = [c for kind, c in result["messages"] if kind == "execute_result"]
    assert value["data"]["text/plain"] == "'hello J\u00fcrg \U0001f600'"
    (asked,) = [c for kind, c in result["messages"] if kind == "input_request"]
    assert asked == {"prompt": "name? ", "password": False}
    refused = step("input()")
    assert refused["reply"]["ename"] == "StdinNotImplementedError"


def test_interrupt_on_control(step: Step) -> None:
    code = "import time\nprint('running', flush=True)\ntime.sleep(100)"
    result = step(code, after="running", send="interrupt_request")
    assert result["status"] == 0 and result["reply"]["ename"] == "KeyboardInterrupt"
    assert step("1")["reply"]["status"] == "ok"


def test_unknown_request(step: Step) -> None:
    """The kernel goes idle and never replies."""
    assert step(type="no_such_request", content={})["status"] == -74
    assert step("1")["reply"]["status"] == "ok"


@pytest.mark.parametrize("pause_ms", [0, 3000])
def test_nothing_is_lost(step: Step, pause_ms: int) -> None:
    step(IPYKERNEL_WAITS)
    code = "from IPython.display import display\nfor i in range(8000): display(i)"
    result = step(code, pause_ms=pause_ms)
    shown = [
        int(c["data"]["text/plain"]) for kind, c in result["messages"] if kind == "display_data"
    ]
    assert shown == list(range(8000))
    assert (result["status"], result["dropped"]) == (0, 0)


def test_one_huge_message(step: Step) -> None:
    result = step("print('x' * 50_000_000)", pause_ms=1000)
    assert len(text(result)) == 50_000_001


def test_output_after_idle_is_stray(step: Step) -> None:
    code = "import threading; threading.Timer(0.3, lambda: print('late', flush=True)).start()"
    first = step(code)
    assert first["status"] == 0
    later = step("import time; time.sleep(1)")
    late = [parent for kind, parent, content in later["stray"] if kind == "stream" and content["text"] == "late\n"]
    assert late == [first["id"]] or text(later) == "late\n"  # ipykernel 6 gives it the newest parent
