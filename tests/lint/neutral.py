#!/usr/bin/env python3
"""neutral.py ROOT: wire/ and kernelmgr/ name no language and no kernel.

What differs between kernels is in configs/languages.json, in kernelspecs, or in the kernel-side packages; the C code
of these two folders treats all alike. Comments may name a kernel: as the source of a fact of the protocol.

Prints a line per finding, exits 1 if there is any. Without ROOT's folders it fails too.
"""

import re
import sys
from pathlib import Path

NAMES = (
    "python", "ipython", "ipykernel", "xeus", "xpython", "bash", "zsh", "javascript", "typescript", "deno", "nodejs",
    "tslab", "java", "jjava", "ijava", "jshell", "golang", "gonb", "gophernotes", "irkernel", "rscript", "julia",
    "ijulia", "ruby", "iruby", "rust", "evcxr", "perl", "php", "scala", "almond", "kotlin", "octave", "sqlite",
)  # fmt: skip
NAME = re.compile(rf"(?<![a-z])({'|'.join(NAMES)})\d*(?![a-z])", re.IGNORECASE)
SHORT = re.compile(r'"(go|r|sh|js|ts|py)"', re.IGNORECASE)  # too short to be looked for outside of a whole string
COMMENT_OR_STRING = re.compile(r"/\*.*?\*/|//[^\n]*|\"(?:\\.|[^\"\\\n])*\"|'(?:\\.|[^'\\\n])*'", re.DOTALL)


def without_comments(text: str) -> str:
    """The same lines with nothing where a comment was; what looks like one in a string stays."""
    return COMMENT_OR_STRING.sub(lambda m: "\n" * m[0].count("\n") if m[0][0] == "/" else m[0], text)


def findings(text: str) -> list[tuple[int, str]]:
    """Line and name of each."""
    code = without_comments(text)
    found = [*NAME.finditer(code), *SHORT.finditer(code)]
    return sorted((code.count("\n", 0, m.start()) + 1, m[1]) for m in found)


def main() -> int:
    root = Path(sys.argv[1])
    bad = 0
    for folder in ("wire", "kernelmgr"):
        files = sorted((root / folder).rglob("*.[ch]"))
        if not files:
            print(f"{folder}: no sources")
            bad += 1
        for path in files:
            for line, name in findings(path.read_text()):
                print(f"{path.relative_to(root)}:{line}: names {name}: what differs belongs into a table or a kernelspec")
                bad += 1
    return bad > 0


if __name__ == "__main__":
    sys.exit(main())
