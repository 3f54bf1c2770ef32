#!/usr/bin/env python3
"""headers.py ROOT COMPILE_COMMANDS: each header of ours compiles alone, twice, without a warning.

A header that needs another one first works until somebody sorts the includes.  Flags are those of
the folder's first source file in compile_commands.json.
"""

import json
import shlex
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tree import files

JOBS = 2


def flags_by_folder(database: Path, root: Path) -> dict[Path, list[str]]:
    """Compiler and flags for each folder of ours that has a source file, without input and output."""
    flags: dict[Path, list[str]] = {}
    for entry in json.loads(database.read_text()):
        source = Path(entry["file"])
        if root not in source.parents or source.suffix != ".c":
            continue
        words = shlex.split(entry["command"])
        keep = words[:1]
        for word, after in zip(words[1:], words[2:] + [""]):
            if word == "-isystem":
                keep += [word, after]
            elif word[:2] in ("-I", "-D", "-W", "-s"):
                keep.append(word)
        folder = source.parent
        flags.setdefault(folder, [])
        flags[folder] = max(flags[folder], keep, key=len)  # the most include folders
    return flags


def check(header: Path, root: Path, flags: list[str]) -> str:
    name = header.relative_to(root)
    text = f'#include "{name}"\n#include "{name}"\nstruct lint_headers_unused;\n'
    words = [w for w in flags if not w.startswith("-fsanitize")]
    done = subprocess.run(
        [*words, "-Werror", "-fsyntax-only", "-x", "c", "-"],
        input=text, capture_output=True, text=True, check=False,
    )
    return "" if done.returncode == 0 else f"{name}:\n{done.stderr}"


def main(root: Path, database: Path) -> int:
    flags = flags_by_folder(database, root)
    headers = files(root, ".h")
    jobs = []
    for h in headers:
        folder = h.parent
        while folder not in flags and folder != root:
            folder = folder.parent
        jobs.append((h, flags.get(folder) or max(flags.values(), key=len)))
    with ThreadPoolExecutor(JOBS) as pool:
        faults = [f for f in pool.map(lambda j: check(j[0], root, j[1]), jobs) if f]
    print("\n".join(faults) or f"{len(headers)} headers")
    return 1 if faults or not headers else 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]).resolve(), Path(sys.argv[2])))
