"""The examples of the SDKs' own documentation, as whole programs that know nothing but two environment variables."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import sys
from pathlib import Path

import pytest
from harness.gateway import ROOT, Gateway

EXAMPLES = ROOT / "examples"
JS = ROOT / "tests" / "js"


async def program(gateway: Gateway, cwd: Path, *command: str) -> str:
    """Run a program that must end by itself with status 0; its stdout."""
    env = {k: v for k, v in os.environ.items() if not k.startswith("DAYTONA_")}
    env |= {"DAYTONA_API_URL": gateway.api_url, "DAYTONA_API_KEY": gateway.token, "PYTHONUNBUFFERED": "1"}
    process = await asyncio.create_subprocess_exec(
        *command, cwd=cwd, env=env, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    try:
        out, err = await process.communicate()
    except asyncio.CancelledError:
        process.kill()
        raise
    assert process.returncode == 0, err.decode()
    return out.decode()


def after_streams(text: str) -> list[str]:
    """The lines behind the streamed ones."""
    return [line for line in text.splitlines() if not line.startswith("STD")]


CONTEXT = re.compile(r"Context [0-9a-f-]{36}: python at /.+")


def check_tail(lines: list[str]) -> None:
    assert lines[:3] == ["in ctx: 100", "ERROR: NameError: name 'x' is not defined", "in default: NameError"]
    assert CONTEXT.fullmatch(lines[3])
    assert len(lines) == 4


async def test_python_sync(gateway: Gateway, tmp_path: Path) -> None:
    text = await program(gateway, tmp_path, sys.executable, str(EXAMPLES / "daytona_sync.py"))
    assert text.startswith("".join(f"STDOUT: {i}\n" for i in range(5)) + "STDERR: Counting done!\n")
    check_tail(after_streams(text))


async def test_python_async(gateway: Gateway, tmp_path: Path) -> None:
    text = await program(gateway, tmp_path, sys.executable, str(EXAMPLES / "daytona_async.py"))
    streamed = text.partition("\nin ctx")[0]
    assert streamed.replace("STDOUT: ", "").replace("STDERR: ", "") == "0\n1\n2\n3\n4\nDone!"
    check_tail(text[text.index("in ctx") :].splitlines())


async def test_javascript(gateway: Gateway, tmp_path: Path) -> None:
    if not shutil.which("node") or not (JS / "node_modules").exists():
        pytest.skip("needs node and tests/js/node_modules (npm ci)")
    (tmp_path / "node_modules").symlink_to(JS / "node_modules")
    shutil.copy(EXAMPLES / "daytona_typescript.mjs", tmp_path)
    text = await program(gateway, tmp_path, "node", "daytona_typescript.mjs")
    assert text.startswith("".join(f"STDOUT: {i}\n" for i in range(5)) + "STDERR: Counting done!\n")
    check_tail(after_streams(text))
