#!/usr/bin/env python3
"""source.py ROOT: what a file of ours may hold.

- lengths: files, functions, lines, the two documents that are read first
- functions that are never called: unbounded copies, hidden state, no error from a bad number
- nothing unfinished, no white space at the end of a line, a newline at the end of a file

Prints a line per finding, exits 1 if there is any.
"""

import re
import sys
from pathlib import Path

from tree import files

MAX_FILE = {".c": 600, ".h": 200, ".py": 600, ".mjs": 600, ".js": 600, ".sh": 300}
MAX_TEST_FILE = 900  # many small cases; each is read alone
MAX_FUNCTION = 80
MAX_LINE = {".c": 100, ".h": 100}
MAX_DOCUMENT = {"README.md": 150, "ARCHITECTURE.md": 300}

BANNED = {
    "strcpy|strcat|strncpy|stpcpy": "no room is known: snprintf or struct buf",
    "sprintf|vsprintf|gets": "no room is known: snprintf or buf_printf",
    "atoi|atol|atoll|atof": "a bad number is no error: strtol with a check",
    "strtok|localtime|gmtime|asctime|ctime|strsignal|rand|srand": "hidden state: the _r form, or libsodium",
    "strerror": "hidden state: strerrordesc_np()",
    "system|popen|vfork|alloca|setjmp|longjmp": "not in this program",
}
COMMENT_OR_STRING = re.compile(
    r"/\*.*?\*/|//[^\n]*|\"(?:\\.|[^\"\\\n])*\"|'(?:\\.|[^'\\\n])*'", re.DOTALL
)


def blank(match: re.Match[str]) -> str:
    """The same number of lines, and nothing in them."""
    return "\n" * match.group().count("\n")


def banned(text: str) -> list[tuple[int, str]]:
    code = COMMENT_OR_STRING.sub(blank, text)
    found = []
    for names, why in BANNED.items():
        for m in re.finditer(rf"\b({names})\s*\(", code):
            found.append((code.count("\n", 0, m.start()) + 1, f"{m.group(1)}(): {why}"))
    return found


def long_functions(text: str) -> list[tuple[int, str]]:
    """A function is what stands between a { and a } in the first column."""
    found = []
    start = 0
    for n, line in enumerate(text.split("\n"), 1):
        if line == "{":
            start = n
        elif line == "}" and start:
            if n - start - 1 > MAX_FUNCTION:
                found.append((start, f"function of {n - start - 1} lines, at most {MAX_FUNCTION}"))
            start = 0
    return found


def form(path: Path, text: str) -> list[tuple[int, str]]:
    found = []
    lines = text.split("\n")
    width = MAX_LINE.get(path.suffix)
    for n, line in enumerate(lines, 1):
        if line.rstrip() != line:
            found.append((n, "white space at the end of the line"))
        table = "clang-format off" in text  # hand-aligned ones are read as tables
        if width and not table and len(line.expandtabs(8)) > width:
            found.append((n, f"{len(line.expandtabs(8))} columns, at most {width}"))
        if re.search(r"\b(TO" + r"DO|FIX" + r"ME|X{3})\b", line):
            found.append((n, "unfinished: do it, or open an issue"))
    if lines[-1] != "" or (len(lines) > 1 and lines[-2] == ""):
        found.append((len(lines), "exactly one newline at the end"))
    limit = MAX_DOCUMENT.get(path.name, MAX_FILE.get(path.suffix))
    if limit == 600 and "tests" in path.parts:
        limit = MAX_TEST_FILE
    if limit and len(lines) - 1 > limit:
        found.append((len(lines) - 1, f"{len(lines) - 1} lines, at most {limit}"))
    return found


def main(root: Path) -> int:
    suffixes = (".c", ".h", ".py", ".sh", ".mjs", ".js", ".css", ".html", ".md", ".cfg", ".cmake", ".txt")
    count = 0
    for path in files(root, *suffixes):
        text = path.read_text(encoding="utf-8")
        found = form(path, text)
        if path.suffix in (".c", ".h"):
            found += banned(text)
            found += long_functions(text)
        for n, what in sorted(found):
            print(f"{path.relative_to(root)}:{n}: {what}")
            count += 1
    return 1 if count else 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]).resolve()))
