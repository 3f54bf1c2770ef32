"""The programs of README and docs/sdks.md, cut out of them and run as they stand, but for the address and the token."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest
from harness.gateway import ROOT, Gateway
from test_daytona_examples import JS, program

ADDRESS = "http://127.0.0.1:8686"


def blocks(document: str, language: str) -> list[str]:
    """The fenced code blocks of a document in `language`, in order."""
    text = (ROOT / document).read_text()
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.M | re.S)


def for_gateway(code: str, gateway: Gateway) -> str:
    assert ADDRESS in code and "TOKEN" in code
    return code.replace(ADDRESS, gateway.url).replace("TOKEN", gateway.token)


@pytest.mark.parametrize("sdk", ["daytona", "e2b_code_interpreter", "opensandbox"])
async def test_side_by_side(gateway: Gateway, tmp_path: Path, sdk: str) -> None:
    (code,) = [block for block in blocks("README.md", "python") if f"from {sdk} import" in block]
    path = tmp_path / "program.py"
    path.write_text(for_gateway(code, gateway))
    out = await program(gateway, tmp_path, sys.executable, str(path))
    assert out.split() == ["42", "/tmp"]


async def test_javascript(gateway: Gateway, tmp_path: Path) -> None:
    (code,) = blocks("docs/sdks.md", "ts")
    (tmp_path / "node_modules").symlink_to(JS / "node_modules")
    (tmp_path / "program.mjs").write_text(for_gateway(code, gateway))
    out = await program(gateway, tmp_path, "node", "program.mjs")
    assert out.split() == ["42", "42", "42"]
