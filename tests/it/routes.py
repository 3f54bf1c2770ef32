"""The route table as the C sources have it, so that a new row is tested without being named here."""

from __future__ import annotations

import re
from dataclasses import dataclass

from harness.gateway import ROOT

ROW = re.compile(
    r'\{\s*(?:\.method = )?"(?P<method>[A-Z]+)",\s*(?:\.path = )?(?P<macro>[A-Z]+ )?"(?P<path>/[^"]*)",'
    r"\s*(?:\.access = )?(?P<access>[A-Z_]+)"
)
DEFINE = re.compile(r'#define\s+(\w+)\s+(?:"([^"]*)"|GW_ACCESS_(\w+))\s*(?:/\*.*)?$', re.M)


MACRO = re.compile(r"#define (\w+)\((\w+)\) \\\n((?:.*\\\n)*.*)")


def expanded(text: str) -> str:
    """A source with the rows of its macros of one argument, a string, once for each use."""
    for name, parameter, body in MACRO.findall(text):
        text = text.replace(body, "")
        for argument in re.findall(rf'{name}\("([^"]*)"\)', text):
            joined = re.sub(rf'\b{parameter} "', f'"{argument}', body)
            text += re.sub(rf"\b{parameter}\b", f'"{argument}"', joined)
    return text


@dataclass(frozen=True)
class Route:
    """One row: method or WS, path template, access as in enum gw_access."""

    method: str
    path: str
    access: str

    def __str__(self) -> str:
        return f"{self.method} {self.path}"

    def at(self, **params: str) -> str:
        """Its path with the parameters filled in; "x" for those that are not given."""
        return re.sub(r"\{(\w+?)(\.\.\.)?\}", lambda m: params.get(m[1], "x"), self.path)


def all_routes() -> list[Route]:
    """Every row of every dialect."""
    found = []
    for source in sorted((ROOT / "gateway" / "dialects").glob("*.c")):
        text = expanded(source.read_text())
        names = {name: path or access for name, path, access in DEFINE.findall(text)}
        for row in ROW.finditer(text):
            access = row["access"].removeprefix("GW_ACCESS_")
            prefix = names[row["macro"].strip()] if row["macro"] else ""
            found.append(Route(row["method"], prefix + row["path"], names.get(access, access)))
    return found
