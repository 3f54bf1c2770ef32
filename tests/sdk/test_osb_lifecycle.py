"""The lifecycle through OpenSandbox's SDKs: opensandbox.md section (a)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest
from osb_adapter import Box, Client

pytest_plugins = ["osb_fixtures"]

Make = Callable[..., Awaitable[Box]]


async def test_create_and_kill(make_osb: Make) -> None:
    sbx = await make_osb(metadata={"a": "b"})
    info = await sbx.method("get_info")
    assert info.id == sbx.id
    assert info.status.state == "Running"
    await sbx.method("kill")
