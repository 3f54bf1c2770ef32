"""embed.py BINARY PATCH: patch the script of Deno's Jupyter kernel inside Deno's own executable.

The script lies there as plain text and is read when a kernel starts, so one of the same length can take
its place: comments make room for what the patch adds. Does nothing where that was done before. Exit
status 1, with one line and the file unchanged, where the script is not the one the patch is made for.
"""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

FIRST = (
    b"// Copyright 2018-2026 the Deno authors. MIT license.\n"
    b"// deno-lint-ignore-file\n\n/**\n * Jupyter ZMQ kernel"
)
LAST = b"internals.startJupyterKernel = startJupyterKernel;\n"
DONE = b"function iopubSender()"


def patched(script: bytes, patch: Path) -> bytes:
    """Return the script after the patch; OSError or CalledProcessError where it does not apply."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "40_jupyter.js")
        file.write_bytes(script)
        command = ["patch", "--quiet", "--fuzz=0", "--input", str(patch.resolve()), str(file)]
        subprocess.run(command, check=True, stdout=sys.stderr)
        return file.read_bytes()


def fitted(script: bytes, length: int) -> bytes:
    """Return the script without comments that have a line of their own, padded to `length` bytes."""
    lines = script.splitlines(keepends=True)
    script = b"".join(line for line in lines if not line.lstrip().startswith(b"//"))
    if len(script) > length:
        raise ValueError("the patched script is longer than the one it replaces")
    return script + b"\n" * (length - len(script))


def main() -> int:
    binary, patch = Path(sys.argv[1]), Path(sys.argv[2])
    data = binary.read_bytes()
    if DONE in data:
        return 0
    try:
        start = data.index(FIRST)
        end = data.index(LAST, start) + len(LAST)
        new = fitted(patched(data[start:end], patch), end - start)
    except (OSError, ValueError, subprocess.CalledProcessError) as err:
        print(f"{binary}: not the Deno that {patch.name} is made for: {err}", file=sys.stderr)
        return 1
    fresh = binary.with_name(binary.name + ".new")  # a kernel may be running the old one
    fresh.write_bytes(data[:start] + new + data[end:])
    fresh.chmod(binary.stat().st_mode)
    os.replace(fresh, binary)
    return 0


if __name__ == "__main__":
    sys.exit(main())
