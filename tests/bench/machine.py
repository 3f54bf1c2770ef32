"""What the numbers were measured on and with, in words."""

from __future__ import annotations

import datetime
import json
import os
import platform
import subprocess
from pathlib import Path

from rig import BUILD, PREFIX, ROOT, SDK_PYTHON


def model() -> str:
    """Processors and Linux's version in a line."""
    cpus = os.cpu_count()
    name = next(
        (
            line.split(":")[1].strip()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if line.startswith("model name")
        ),
        platform.machine(),
    )
    return f"{cpus} x {name}, Linux {platform.release().split('-')[0]}"


def memory_gib() -> float:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / (1 << 30)


def commit() -> str:
    """Of the source tree; "" where it is not under git."""
    done = subprocess.run(
        ["git", "-C", ROOT, "describe", "--always", "--dirty", "--abbrev=12"],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    return done.stdout.strip()


def packages(python: Path, *names: str) -> dict[str, str]:
    """Their versions in that Python's environment, those that are there."""
    code = (
        "import importlib.metadata as m, json, sys\n"
        "have = {d.metadata['Name'].lower().replace('_', '-'): d.version for d in m.distributions()}\n"
        "print(json.dumps({n: have[n] for n in sys.argv[1:] if n in have}))"
    )
    if not python.exists():
        return {}
    done = subprocess.run([python, "-P", "-c", code, *names], stdout=subprocess.PIPE, text=True)
    return json.loads(done.stdout or "{}")


def about(peers: Path) -> dict:
    """Machine, versions, date and load; peers is the Python of the servers that are measured beside ours."""
    kernel = PREFIX / "venv/bin/python"
    python = subprocess.run([kernel, "-V"], stdout=subprocess.PIPE, text=True).stdout.strip()
    version = subprocess.run(
        [BUILD / "kernelbridge", "--version"], stdout=subprocess.PIPE, text=True
    ).stdout.strip()
    return {
        "machine": f"{model()}, {memory_gib():.0f} GiB",
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "load": os.getloadavg()[0],
        "gateway": version,
        "commit": commit(),
        "python": python,
        "kernel": packages(
            kernel, "ipykernel", "ipython", "pyzmq", "tornado", "numpy", "pandas", "matplotlib"
        ),
        "sdks": packages(
            SDK_PYTHON, "daytona", "e2b-code-interpreter", "opensandbox", "opensandbox-code-interpreter"
        ),
        "peers": packages(peers, "jupyter-kernel-gateway", "jupyter-server", "ipykernel"),
    }
