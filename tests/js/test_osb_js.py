"""OpenSandbox's JavaScript SDK suite (osb.test.mjs, node's own test runner) against a gateway."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

from harness.gateway import Gateway

HERE = Path(__file__).resolve().parent
LEAST_CASES = 70


def test_javascript_sdk(gateway: Gateway) -> None:
    contexts, sandboxes = gateway.gauge("contexts"), gateway.gauge("sandboxes")
    env = {k: v for k, v in os.environ.items() if not re.match("OPEN_?SANDBOX_", k)}
    env |= {"KB_URL": gateway.url, "KB_TOKEN": gateway.token}
    done = subprocess.run(
        ["node", "--test", "--test-force-exit", "--test-reporter=tap", "osb.test.mjs"],
        cwd=HERE,
        env=env,
        capture_output=True,
        text=True,
        timeout=240,
    )
    failed = re.findall(r"^\s*not ok .*(?:\n(?!\s*(?:ok|not ok) ).*)*", done.stdout, re.M)
    assert done.returncode == 0, "\n".join(failed) + done.stderr
    passed = re.search(r"^# pass (\d+)$", done.stdout, re.M)
    assert passed
    assert int(passed[1]) >= LEAST_CASES
    gateway.wait_at_rest(contexts)
    gateway.wait_gauge("sandboxes", sandboxes)
