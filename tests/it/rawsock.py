"""A bare socket that speaks HTTP and WebSocket as badly as a test wants; nothing is read unless asked."""

from __future__ import annotations

import base64
import json
import os
import socket
import struct
from typing import Any, Self
from urllib.parse import urlsplit

from harness.gateway import DEADLINE_S, Gateway

TEXT, BINARY, CLOSE, PING, PONG = 1, 2, 8, 9, 10


class Gone(Exception):
    """The gateway closed the connection."""


class Sock:
    """One TCP connection to a gateway; reads block for at most the tests' deadline."""

    def __init__(self, gateway: Gateway, receive_buffer: int = 0) -> None:
        parts = urlsplit(gateway.url)
        self.host, self.token = parts.netloc, gateway.token
        self.socket = socket.socket()
        if receive_buffer:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.socket.settimeout(DEADLINE_S)
        self.socket.connect((parts.hostname, parts.port))
        self.data = b""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    def reset(self) -> None:
        """Leave by RST instead of FIN."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()

    def send(self, data: bytes) -> None:
        self.socket.sendall(data)

    def more(self) -> None:
        """Read what is there; Gone at the end of the stream."""
        try:
            data = self.socket.recv(1 << 18)
        except (ConnectionResetError, BrokenPipeError) as error:
            raise Gone(str(error)) from None
        if not data:
            raise Gone("end of stream")
        self.data += data

    def take(self, count: int) -> bytes:
        while len(self.data) < count:
            self.more()
        head, self.data = self.data[:count], self.data[count:]
        return head

    def line(self) -> bytes:
        """One line without its end."""
        while b"\n" not in self.data:
            self.more()
        head, _, self.data = self.data.partition(b"\n")
        return head.rstrip(b"\r")

    def rest(self) -> bytes:
        """Everything to the end of the stream."""
        try:
            while True:
                self.more()
        except Gone:
            return self.data

    def head(
        self, method: str, path: str, headers: dict[str, str] | None = None, *, auth: bool = True
    ) -> bytes:
        """The bytes of a request's head, with Host and the token unless `headers` says otherwise."""
        fields = {"Host": self.host} | ({"Authorization": f"Bearer {self.token}"} if auth else {})
        fields |= headers or {}
        lines = [f"{method} {path} HTTP/1.1", *(f"{k}: {v}" for k, v in fields.items())]
        return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")

    def answer(self) -> tuple[int, dict[str, str], bytes]:
        """Status, headers (lower case), body of one HTTP answer."""
        status = int(self.line().split()[1])
        headers: dict[str, str] = {}
        while line := self.line():
            name, _, value = line.decode("latin-1").partition(":")
            headers[name.lower()] = value.strip()
        if headers.get("transfer-encoding") == "chunked":
            return status, headers, b"".join(self.chunks())
        return status, headers, self.take(int(headers.get("content-length", "0")))

    def chunks(self) -> Any:
        """The pieces of a chunked body, as they come."""
        while size := int(self.line(), 16):
            yield self.take(size)
            self.take(2)
        self.line()


def frame(opcode: int, payload: bytes, *, fin: bool = True, mask: bool = True) -> bytes:
    """One WebSocket frame from a client (RFC 6455, section 5.2)."""
    size, bit = len(payload), 0x80 if mask else 0
    head = bytes([(0x80 if fin else 0) | opcode])
    if size < 126:
        head += bytes([bit | size])
    elif size < 1 << 16:
        head += bytes([bit | 126]) + struct.pack(">H", size)
    else:
        head += bytes([bit | 127]) + struct.pack(">Q", size)
    return head + (b"\0\0\0\0" if mask else b"") + payload


class Ws(Sock):
    """One WebSocket; `message` answers pings, `frame` does not."""

    def upgrade(self, path: str, headers: dict[str, str] | None = None, *, auth: bool = True) -> int:
        """Ask for the upgrade and return the status; 101 means that it is one."""
        wanted = {
            "Connection": "Upgrade",
            "Upgrade": "websocket",
            "Sec-WebSocket-Version": "13",
            "Sec-WebSocket-Key": base64.b64encode(os.urandom(16)).decode(),
        }
        self.send(self.head("GET", path, wanted | (headers or {}), auth=auth))
        return self.answer()[0]

    def text(self, message: Any) -> None:
        """Send one text message; what is no str is sent as JSON."""
        payload = message if isinstance(message, str) else json.dumps(message)
        self.send(frame(TEXT, payload.encode()))

    def frame(self) -> tuple[int, bytes]:
        """The next frame: opcode and payload; the gateway never fragments."""
        first, second = self.take(2)
        assert first & 0x80 and not second & 0x80, (first, second)
        size = second
        if size == 126:
            (size,) = struct.unpack(">H", self.take(2))
        elif size == 127:
            (size,) = struct.unpack(">Q", self.take(8))
        return first & 0x0F, self.take(size)

    def message(self) -> Any:
        """The next text message, parsed; AssertionError when a close frame comes instead."""
        while True:
            opcode, payload = self.frame()
            if opcode == TEXT:
                return json.loads(payload)
            assert opcode == PING, (opcode, payload)
            self.send(frame(PONG, payload))

    def closing(self) -> tuple[int, str]:
        """Read to the close frame, answer it, and return code and reason; (1006, "") without one."""
        try:
            while True:
                opcode, payload = self.frame()
                if opcode == CLOSE:
                    self.send(frame(CLOSE, payload[:2]))
                    return int.from_bytes(payload[:2], "big"), payload[2:].decode()
        except Gone:
            return 1006, ""
