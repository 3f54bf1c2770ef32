"""Programs written for OpenSandbox, as they are: they know nothing but two environment variables."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

from harness.gateway import ROOT, Gateway

pytest_plugins = ["osb_fixtures"]

EXAMPLES = ROOT / "examples"


async def program(gateway: Gateway, cwd: Path, *command: str) -> list[str]:
    """Run a program that must end by itself with status 0; the lines of its stdout."""
    env = {k: v for k, v in os.environ.items() if not k.startswith("OPEN_SANDBOX_")}
    env |= {
        "OPEN_SANDBOX_DOMAIN": gateway.url.removeprefix("http://"),
        "OPEN_SANDBOX_API_KEY": gateway.token,
    }
    process = await asyncio.create_subprocess_exec(
        *command, cwd=cwd, env=env, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    try:
        out, err = await process.communicate()
    except asyncio.CancelledError:
        process.kill()
        raise
    assert process.returncode == 0, err.decode()
    return out.decode().splitlines()


async def test_quick_start(osb_gateway: Gateway, tmp_path: Path) -> None:
    """With versions of four languages; Python's is the one that is asked for."""
    lines = await program(osb_gateway, tmp_path, sys.executable, str(EXAMPLES / "opensandbox_async.py"))
    assert lines[0].startswith("version: 3.11.")
    assert lines[1:] == ["4"]


async def test_quick_start_sync(osb_gateway: Gateway, tmp_path: Path) -> None:
    lines = await program(osb_gateway, tmp_path, sys.executable, str(EXAMPLES / "opensandbox_sync.py"))
    assert lines == ["4"]


async def test_languages(osb_gateway: Gateway, tmp_path: Path) -> None:
    lines = await program(osb_gateway, tmp_path, sys.executable, str(EXAMPLES / "opensandbox_languages.py"))
    assert lines == [
        "default: 42",
        "Calculating sum...",
        "Sum: 30",
        "java: 30",
        "state: ['Alice', 'Bob', 'Charlie', 'Dave']",
        *(f"STDOUT: {i}" for i in range(5)),
        "Running in Python",
        "Running in Go",
    ]
