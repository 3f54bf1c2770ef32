"""A bare WebSocket client of the execute endpoint, for what the SDKs hide: exact frames, close code, reason."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

from harness.gateway import Gateway
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

EXECUTE = "/daytona/toolbox/{}/process/interpreter/execute"
FRAME_LIMIT = 1 << 20


@dataclass
class Answer:
    """All that one execution said."""

    frames: list[dict[str, Any]] = field(default_factory=list)
    sizes: list[int] = field(default_factory=list)
    code: int | None = None
    reason: str = ""

    @property
    def types(self) -> list[str]:
        """The frames' types in order; neighbours of one stream count once, since text may be cut anywhere."""
        out: list[str] = []
        for frame in self.frames:
            if not (out and out[-1] == frame["type"] and frame["type"] in ("stdout", "stderr")):
                out.append(frame["type"])
        return out

    def text(self, kind: str) -> str:
        return "".join(frame["text"] for frame in self.frames if frame["type"] == kind)


def dial(
    gateway: Gateway, path: str = EXECUTE.format("default"), *, auth: bool = True, **kwargs: Any
) -> connect:
    """A connection to `path`, with the gateway's token unless `auth` is false."""
    headers = dict(kwargs.pop("headers", {}))
    if auth:
        headers["Authorization"] = f"Bearer {gateway.token}"
    kwargs.setdefault("compression", None)
    return connect(
        gateway.url.replace("http", "ws", 1) + path,
        additional_headers=headers,
        max_size=None,
        ping_interval=None,
        proxy=None,
        **kwargs,
    )


async def read(ws: ClientConnection) -> Answer:
    """Read to the close frame."""
    answer = Answer()
    try:
        while True:
            raw = await ws.recv(decode=False)
            answer.sizes.append(len(raw))
            answer.frames.append(json.loads(raw))
    except ConnectionClosed as closed:
        if closed.rcvd:
            answer.code, answer.reason = closed.rcvd.code, closed.rcvd.reason
    return answer


async def ask(gateway: Gateway, first: Any, path: str = EXECUTE.format("default"), **kwargs: Any) -> Answer:
    """Send one first frame (str and bytes as they are, else as JSON) and read to the close."""
    async with dial(gateway, path, **kwargs) as ws:
        try:
            await ws.send(first if isinstance(first, str | bytes) else json.dumps(first))
        except ConnectionClosed:
            pass  # refused before the first frame: read() tells code and reason
        return await read(ws)
