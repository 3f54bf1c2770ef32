"""Daytona's JavaScript SDK suite (daytona.test.mjs, node's own test runner) against a gateway."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from harness.gateway import Gateway

HERE = Path(__file__).resolve().parent
LEAST_CASES = 30


def test_javascript_sdk(gateway: Gateway) -> None:
    if not shutil.which("node") or not (HERE / "node_modules" / "@daytona" / "sdk").exists():
        pytest.skip("needs node, and `npm ci` in tests/js")
    env = {k: v for k, v in os.environ.items() if not k.startswith("DAYTONA_")}
    done = subprocess.run(
        ["node", "--test", "--test-force-exit", "--test-reporter=tap", "daytona.test.mjs"],
        cwd=HERE,
        env=env | {"KB_URL": gateway.url, "KB_TOKEN": gateway.token},
        capture_output=True,
        text=True,
        timeout=240,
    )
    failed = re.findall(r"^\s*not ok .*(?:\n(?!\s*(?:ok|not ok) ).*)*", done.stdout, re.M)
    assert done.returncode == 0, "\n".join(failed) + done.stderr
    passed = re.search(r"^# pass (\d+)$", done.stdout, re.M)
    assert passed
    assert int(passed[1]) >= LEAST_CASES
