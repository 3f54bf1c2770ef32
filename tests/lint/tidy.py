#!/usr/bin/env python3
"""tidy.py ROOT COMPILE_COMMANDS CACHE: clang-tidy finds no fault with our C files.

Takes about three seconds a file, so what passed is remembered in the folder CACHE, under the digest of
what the compiler sees of the file (its headers included), the checks and the tool.
"""

import hashlib
import json
import os
import shlex
import shutil
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

JOBS = max(2, os.cpu_count() or 2)
FORGET_AFTER_S = 30 * 86400  # of no use
FOREIGN_FLAGS = ("-fsanitize", "-fno-sanitize", "-Wno-maybe")  # of gcc, or of no use here


def sources(root: Path, database: Path) -> list[tuple[Path, str, list[str]]]:
    """File, working folder and compiler flags of each source of ours, once."""
    found = {}
    for entry in json.loads(database.read_text()):
        path = Path(entry["file"]).resolve()
        if root not in path.parents or "build" in path.relative_to(root).parts:
            continue
        words = shlex.split(entry["command"])[1:]
        flags = []
        skip = False
        for word in words:
            if skip:
                skip = False
            elif word in ("-o", "-MT", "-MF"):
                skip = True
            elif word not in ("-c", "-MD", str(entry["file"])) and not word.startswith(FOREIGN_FLAGS):
                flags.append(word)
        found.setdefault(path, (path, entry["directory"], flags))
    return sorted(found.values())


def digest(path: Path, folder: str, flags: list[str], salt: bytes) -> str | None:
    done = subprocess.run(
        ["clang", *flags, "-E", str(path)], cwd=folder, capture_output=True, check=False
    )
    if done.returncode != 0:
        return None
    # Comments can hold NOLINT.
    return hashlib.sha256(salt + done.stdout + path.read_bytes()).hexdigest()


def check(tool: str, path: Path, folder: str, flags: list[str], passed: Path | None) -> str:
    if passed is not None and passed.exists():
        passed.touch()
        return ""
    done = subprocess.run(
        [tool, "--quiet", str(path), "--", *flags], cwd=folder, capture_output=True, text=True,
        check=False,
    )
    if done.returncode != 0:
        return done.stdout + (done.stderr if not done.stdout else "")
    if passed is not None:
        passed.touch()
    return ""


def main(root: Path, database: Path, cache: Path) -> int:
    tool = shutil.which("clang-tidy-14") or shutil.which("clang-tidy")
    if tool is None or shutil.which("clang") is None:
        print("clang-tidy is missing: apt install clang clang-tidy")
        return 1
    cache.mkdir(parents=True, exist_ok=True)
    version = subprocess.run([tool, "--version"], capture_output=True, check=True).stdout
    configs = sorted([root / ".clang-tidy", *root.glob("*/.clang-tidy")])
    salt = version + b"".join(p.read_bytes() for p in configs)

    def one(job: tuple[Path, str, list[str]]) -> str:
        name = digest(*job, salt)
        return check(tool, *job, cache / name if name else None)

    for entry in cache.iterdir():
        if time.time() - entry.stat().st_mtime > FORGET_AFTER_S:
            entry.unlink()
    jobs = sources(root, database)
    with ThreadPoolExecutor(JOBS) as pool:
        faults = [f for f in pool.map(one, jobs) if f]
    print("".join(faults) or f"{len(jobs)} files")
    return 1 if faults or not jobs else 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]).resolve(), Path(sys.argv[2]), Path(sys.argv[3])))
