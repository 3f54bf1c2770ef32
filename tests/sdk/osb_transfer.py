"""What the suites of uploads and downloads share: forms, streams of any size, a look at what is left.

Facts: RFC 7578, the SDKs' adapters/filesystem_adapter.py, execd's API (/files/upload, /files/download).
"""

from __future__ import annotations

import hashlib
import io
import json
import random
import socket
from collections.abc import Iterable
from contextlib import closing
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlsplit

import httpx
from osb_raw import Raw

BOUNDARY = "-the+boundary-"
FORM = {"Content-Type": f"multipart/form-data; boundary={BOUNDARY}"}

Part = tuple[str, bytes]


def part(name: str, data: bytes) -> bytes:
    head = f'Content-Disposition: form-data; name="{name}"; filename="{name}"\r\n\r\n'
    return f"--{BOUNDARY}\r\n{head}".encode() + data + b"\r\n"


def form(parts: Iterable[Part]) -> bytes:
    """The body of an upload."""
    return b"".join(part(name, data) for name, data in parts) + f"--{BOUNDARY}--\r\n".encode()


def meta(path: Any, **more: Any) -> Part:
    return "metadata", json.dumps({"path": path} | more).encode()


def upload(raw: Raw, *parts: Part) -> httpx.Response:
    return raw.ask("POST", "/files/upload", form(parts), FORM)


def download(raw: Raw, path: str, headers: dict[str, str] | None = None, **query: Any) -> httpx.Response:
    return raw.ask("GET", "/files/download", headers=headers, params={"path": path} | query)


def code(answer: httpx.Response) -> tuple[int, str]:
    """Status and code of an error, which has a message."""
    body = answer.json()
    assert set(body) == {"code", "message"}
    assert body["message"]
    return answer.status_code, body["code"]


def unplaced(home: str | Path) -> list[str]:
    """Files of uploads that are not in their place yet."""
    return [path.name for path in Path(home).parent.iterdir() if path.is_file()]


def files(home: str | Path) -> set[str]:
    return {str(path.relative_to(home)) for path in Path(home).rglob("*") if path.is_file()}


class Connection:
    """A connection of our own, to send half a request or to read none of an answer."""

    def __init__(self, raw: Raw, method: str, path: str, headers: dict[str, str]) -> None:
        parts = urlsplit(raw.url)
        self.socket = socket.create_connection((parts.hostname, parts.port), timeout=60)
        given = {"Host": parts.netloc} | raw.headers | headers
        lines = [f"{method} {parts.path}{path} HTTP/1.1", *(f"{k}: {v}" for k, v in given.items()), "", ""]
        self.send("\r\n".join(lines).encode())

    def send(self, data: bytes) -> None:
        self.socket.sendall(data)

    def rest(self) -> bytes:
        """All that comes until the gateway closes."""
        return b"".join(iter(lambda: self.socket.recv(65536), b""))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        closing(self.socket).__exit__()


class Pattern(io.RawIOBase):
    """`size` bytes that nobody holds: a block of random ones, over and over, of a length that divides nothing."""

    BLOCK = random.Random(1).randbytes((1 << 20) - 3)

    def __init__(self, size: int) -> None:
        self.left = size
        self.at = 0
        self.hash = hashlib.sha256()

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        if size < 0:
            return b"".join(iter(lambda: self.read(1 << 20), b""))
        piece = self.BLOCK[self.at : self.at + min(size, self.left)]
        self.at = (self.at + len(piece)) % len(self.BLOCK)
        self.left -= len(piece)
        self.hash.update(piece)
        return piece
