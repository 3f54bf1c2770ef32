"""A WebSocket client for measuring, and the native API on it: blocking, and little else."""

from __future__ import annotations

import base64
import json
import os
import socket
import struct
import time
from typing import Any
from urllib.parse import urlsplit

TEXT, BINARY, CLOSE, PING, PONG = 0x1, 0x2, 0x8, 0x9, 0xA
READ_MAX = 1 << 20


class Closed(Exception):
    """The server ended the connection."""


class WebSocket:
    """Connected when it is made. TimeoutError where nothing comes for `silence_s`."""

    def __init__(self, url: str, headers: dict[str, str] | None = None, silence_s: float = 120) -> None:
        parts = urlsplit(url)
        assert parts.hostname
        self.silence_s = silence_s
        self.socket = socket.create_connection((parts.hostname, parts.port or 80), silence_s)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.buffer = bytearray()
        path = parts.path + (f"?{parts.query}" if parts.query else "")
        lines = [
            f"GET {path} HTTP/1.1",
            f"Host: {parts.netloc}",
            "Upgrade: websocket",
            "Connection: Upgrade",
            f"Sec-WebSocket-Key: {base64.b64encode(os.urandom(16)).decode()}",
            "Sec-WebSocket-Version: 13",
            *(f"{name}: {value}" for name, value in (headers or {}).items()),
            "",
            "",
        ]
        self.socket.sendall("\r\n".join(lines).encode())
        while b"\r\n\r\n" not in self.buffer:
            self._receive()
        head, _, rest = bytes(self.buffer).partition(b"\r\n\r\n")
        if b" 101 " not in head.split(b"\r\n")[0]:
            raise Closed(head.decode(errors="replace"))
        self.buffer = bytearray(rest)

    def fileno(self) -> int:
        return self.socket.fileno()

    def _receive(self) -> None:
        data = self.socket.recv(READ_MAX)
        if not data:
            raise Closed("the connection ended")
        self.buffer += data

    def _need(self, n: int) -> None:
        while len(self.buffer) < n:
            self._receive()

    def send(self, text: str, opcode: int = TEXT) -> None:
        """One message; the mask is zero, which is a mask like any other (RFC 6455, 5.2)."""
        data = text.encode()
        n = len(data)
        head = bytes([0x80 | opcode])
        head += (
            bytes([0x80 | n])
            if n < 126
            else struct.pack("!BH", 0xFE, n)
            if n < 65536
            else struct.pack("!BQ", 0xFF, n)
        )
        self.socket.sendall(head + bytes(4) + data)

    def receive(self) -> bytes:
        """The next message; Closed at a close frame. Pings are answered on the way."""
        message, since = b"", time.monotonic()
        while time.monotonic() - since < self.silence_s:  # pings are no news
            final, opcode, data = self._frame()
            if opcode == CLOSE:
                raise Closed(data[2:].decode(errors="replace"))
            if opcode == PING:
                self.socket.sendall(bytes([0x80 | PONG, 0x80 | len(data)]) + bytes(4) + data)
            elif opcode != PONG:
                message += data
                if final:
                    return message
        raise TimeoutError("nothing but pings")

    def _frame(self) -> tuple[bool, int, bytes]:
        self._need(2)
        head, n = 2, self.buffer[1] & 0x7F
        if n >= 126:
            head = 4 if n == 126 else 10
            self._need(head)
            n = int.from_bytes(self.buffer[2:head], "big")
        self._need(head + n)
        first, data = self.buffer[0], bytes(self.buffer[head : head + n])
        del self.buffer[: head + n]
        return bool(first & 0x80), first & 0x0F, data

    def waiting(self) -> bool:
        """Whether a whole frame is here already."""
        if len(self.buffer) < 2:
            return False
        head, n = 2, self.buffer[1] & 0x7F
        if n >= 126:
            head = 4 if n == 126 else 10
            n = int.from_bytes(self.buffer[2:head], "big") if len(self.buffer) >= head else READ_MAX
        return len(self.buffer) >= head + n

    def close(self) -> None:
        self.socket.close()


class Native(WebSocket):
    """The native API (docs/native-api.md) of a gateway."""

    def __init__(self, url: str, token: str) -> None:
        super().__init__(url + "/v1/ws", {"Authorization": f"Bearer {token}"})
        self._id = 0

    def post(self, op: str, **keys: Any) -> int:
        """Send a request; its id."""
        self._id += 1
        self.send(json.dumps({"id": self._id, "op": op, **keys}))
        return self._id

    def next(self) -> dict[str, Any]:
        return json.loads(self.receive())

    def ask(self, op: str, **keys: Any) -> dict[str, Any]:
        """The answer, which must be a good one; what comes before it is dropped."""
        asked = self.post(op, **keys)
        while (said := self.next()).get("id") != asked:
            pass
        if not said["ok"]:
            raise RuntimeError(f"{op}: {said['error']}")
        return said

    def run(self, code: str, **keys: Any) -> float | None:
        """Run it to its end, which must be a good one; when its first output came (monotonic seconds), if any did."""
        self.post("execute", code=code, **keys)
        first = None
        while True:
            said = self.next()
            if said.get("ok") is False:
                raise RuntimeError(f"execute: {said['error']}")
            if said.get("event") in ("stdout", "stderr", "result") and first is None:
                first = time.monotonic()
            if said.get("event") == "done":
                if said["how"] != "ok":
                    raise RuntimeError(f"{code!r}: {said}")
                return first
