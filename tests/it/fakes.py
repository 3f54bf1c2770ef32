"""Kernelspecs of tests/fake/fake_kernel, whose code is a script (see the comment at its top)."""

from __future__ import annotations

import os
from pathlib import Path

import psutil
from harness.gateway import Gateway, binary
from specs import write_spec


def fake_binary() -> Path:
    """Built beside the gateway, from the same tree."""
    path = binary().parent / "tests" / "fake" / "fake_kernel"
    assert path.exists(), f"{path} is not built: ninja fake_kernel"
    return path


def write_fakes(jupyter_path: Path, slow: Path) -> None:
    """The kernelspecs fake, fake-slow, ...; slow ones answer when the file `slow` exists."""
    starts = {
        "fake": {},
        "fake-slow": {"FAKE_START": f"slow:{slow}"},
        "fake-silent": {"FAKE_START": "silent"},
        "fake-exit": {"FAKE_START": "exit:5"},
        "fake-mute": {"FAKE_START": "mute"},
        "fake-oldpub": {"FAKE_START": "oldpub"},
        "fake-ignore": {"FAKE_SHUTDOWN": "ignore"},
        "fake-deaf": {"FAKE_SHUTDOWN": "deaf"},
        "fake-deaf-slow": {"FAKE_SHUTDOWN": "deaf", "FAKE_START": f"slow:{slow}"},
        "fake-message": {},
    }
    for name, env in starts.items():
        mode = "message" if name == "fake-message" else "signal"
        waits = {"kernelbridge": {"waits": name != "fake-oldpub", "env": True}}
        argv = [str(fake_binary()), "-f", "{connection_file}"]
        write_spec(jupyter_path, name, argv, env=env, interrupt_mode=mode, metadata=waits)


def fakes(gateway: Gateway) -> list[int]:
    """The pids of its living fake kernels, oldest first."""
    children = psutil.Process(gateway.process.pid).children()
    found = []
    for child in children:
        try:
            if os.readlink(f"/proc/{child.pid}/exe") == str(fake_binary()):
                found.append((child.create_time(), child.pid))
        except (OSError, psutil.Error):
            continue
    return [pid for _, pid in sorted(found)]
