"""Kernelspecs that a test makes, in a folder for JUPYTER_PATH."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from harness.gateway import prefix

PYTHON = [str(prefix() / "venv" / "bin" / "python"), "-P", "-m", "kernelbridge_kernel"]


def write_spec(jupyter_path: Path, name: str, argv: list[str], **more: Any) -> Path:
    """Write kernels/NAME/kernel.json and return its path; `more` are further keys."""
    path = jupyter_path / "kernels" / name / "kernel.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    keys = {"argv": argv, "display_name": name, "language": name, "interrupt_mode": "signal", **more}
    path.write_text(json.dumps(keys))
    return path
