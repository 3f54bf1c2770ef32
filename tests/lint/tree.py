"""The files of this project, for the lint scripts: what we wrote, not what was installed or built."""

from pathlib import Path

FOLDERS = ("wire", "kernelmgr", "gateway", "tests", "scripts", "configs", "docs", "examples", "cmake")
NOT_OURS = {"node_modules", "__pycache__", "corpus", "data", "build", "vendor"}


def files(root: Path, *suffixes: str) -> list[Path]:
    """Our files below root whose names end in one of suffixes, sorted."""
    found = list(p for p in root.iterdir() if p.is_file() and p.suffix in suffixes)
    for folder in FOLDERS:
        for p in (root / folder).rglob("*"):
            parts = p.relative_to(root).parts
            if p.suffix in suffixes and p.is_file() and not NOT_OURS.intersection(parts):
                found.append(p)
    return sorted(found)
