"""Programs written for E2B, as they are: they know nothing but three environment variables."""

from __future__ import annotations

import asyncio
import os
import shutil
import sys
from pathlib import Path

from harness.gateway import ROOT, Gateway

pytest_plugins = ["e2b_fixtures"]

EXAMPLES = ROOT / "examples"
JS = ROOT / "tests" / "js"
HELLO = [f"hello from {language}" for language in ("python", "javascript", "r", "java", "bash")]


async def program(gateway: Gateway, cwd: Path, *command: str) -> list[str]:
    """Run a program that must end by itself with status 0; the lines of its stdout."""
    env = {k: v for k, v in os.environ.items() if not k.startswith("E2B_")}
    env |= {"E2B_API_URL": gateway.url, "E2B_SANDBOX_URL": gateway.url, "E2B_API_KEY": gateway.token}
    process = await asyncio.create_subprocess_exec(
        *command, cwd=cwd, env=env, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    try:
        out, err = await process.communicate()
    except asyncio.CancelledError:
        process.kill()
        raise
    assert process.returncode == 0, err.decode()
    return out.decode().replace("\r\n", "\n").splitlines()


async def test_python_sync(e2b_gateway: Gateway, tmp_path: Path) -> None:
    lines = await program(e2b_gateway, tmp_path, sys.executable, str(EXAMPLES / "e2b_sync.py"))
    assert lines == [
        "error: ZeroDivisionError - division by zero",
        *HELLO,
        "STDOUT: 0",
        "STDOUT: 1",
        "STDOUT: 2",
        "STDERR: Done!",
        "RESULT: Result([0, 1, 4, 9])",
        "text: [0, 1, 4, 9]",
        "formats: [['text', 'json']]",
        "chart: bar Books read [('Ann', 3.0), ('Bob', 5.0)]",
        "in context: 100",
        "in default: NameError",
        "contexts: 6",
        "restarted: NameError",
    ]
    assert (tmp_path / "chart.png").read_bytes().startswith(b"\x89PNG\r\n\x1a\n")


async def test_python_async(e2b_gateway: Gateway, tmp_path: Path) -> None:
    lines = await program(e2b_gateway, tmp_path, sys.executable, str(EXAMPLES / "e2b_async.py"))
    assert sorted(lines[:2]) == ["STDERR: careful", "STDOUT: working"]
    assert lines[2:] == [
        "RESULT: Result(value)",
        "text: value",
        "parallel: ['45', '55']",
        "envs: nobody's $HOME",
        "running: False",
    ]


async def test_javascript(e2b_gateway: Gateway, tmp_path: Path) -> None:
    (tmp_path / "node_modules").symlink_to(JS / "node_modules")
    shutil.copy(EXAMPLES / "e2b_javascript.mjs", tmp_path)
    lines = await program(e2b_gateway, tmp_path, "node", "e2b_javascript.mjs")
    assert lines[:7] == ["text: 2", "error: ZeroDivisionError - division by zero", *HELLO]
    assert sorted(lines[7:9]) == ["STDERR: careful", "STDOUT: working"]
    assert lines[9:] == [
        "RESULT: value",
        "chart: line Squares",
        "in context: 100",
        "in default: NameError",
        "restarted: NameError",
    ]
    assert (tmp_path / "chart.png").read_bytes().startswith(b"\x89PNG\r\n\x1a\n")
