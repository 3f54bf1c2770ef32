"""Bare HTTP on E2B's paths, for what the SDKs hide: exact status, bytes, lines."""

from __future__ import annotations

import http.client
import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Self
from urllib.parse import urlsplit

from harness.gateway import DEADLINE_S, Gateway


@dataclass
class Raw:
    """A sandbox made for raw requests, with the tokens that its SDK would use."""

    gateway: Gateway
    id: str
    envd_token: str
    traffic_token: str

    @classmethod
    def create(cls, gateway: Gateway) -> Self:
        body = {"templateID": "code-interpreter-v1", "timeout": 600}
        status, made = gateway.json(
            "POST", "/v2/sandboxes", body, headers={"X-API-KEY": gateway.token}, auth=False
        )
        assert status == 201, made
        return cls(gateway, made["sandboxID"], made["envdAccessToken"], made["trafficAccessToken"])  # type: ignore[index]

    def kill(self) -> None:
        self.gateway.http(
            "DELETE", f"/sandboxes/{self.id}", headers={"X-API-KEY": self.gateway.token}, auth=False
        )

    @property
    def headers(self) -> dict[str, str]:
        """What the SDKs send to the interpreter."""
        return {
            "Content-Type": "application/json",
            "E2b-Sandbox-Id": self.id,
            "E2b-Sandbox-Port": "49999",
            "X-Access-Token": self.envd_token,
            "E2B-Traffic-Access-Token": self.traffic_token,
        }

    def open(
        self,
        method: str,
        path: str,
        body: Any = None,
        headers: dict[str, str | None] | None = None,
        *,
        chunks: list[bytes] | None = None,
    ) -> http.client.HTTPResponse:
        """The answer once its head is there; its connection is `.connection`. A header of None is left out."""
        parts = urlsplit(self.gateway.url)
        connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=DEADLINE_S)
        given = {k: v for k, v in (self.headers | (headers or {})).items() if v is not None}
        data = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
        connection.request(method, path, chunks or data, given, encode_chunked=chunks is not None)
        answer = connection.getresponse()
        answer.connection = connection  # type: ignore[attr-defined]
        return answer

    def ask(
        self, method: str, path: str, body: Any = None, **kwargs: Any
    ) -> tuple[int, dict[str, str], bytes]:
        """Status, headers in lower case, whole body."""
        answer = self.open(method, path, body, **kwargs)
        try:
            return answer.status, {k.lower(): v for k, v in answer.headers.items()}, answer.read()
        finally:
            answer.connection.close()  # type: ignore[attr-defined]

    def execute(self, code: str, **fields: Any) -> list[dict[str, Any]]:
        """All lines of a run, each checked to be one ASCII line of JSON with a type."""
        status, headers, body = self.ask("POST", "/execute", {"code": code} | fields)
        assert status == 200, body
        assert headers["transfer-encoding"] == "chunked"
        return list(parse(body))


def parse(body: bytes) -> Iterator[dict[str, Any]]:
    """The lines of a body."""
    assert body.isascii()
    assert body.endswith(b"\n")
    text = body.decode()
    assert text.splitlines() == text.split("\n")[:-1]  # cut alike by Python's SDK and the JavaScript one
    for line in text.split("\n")[:-1]:
        data = json.loads(line, parse_constant=refuse)
        assert isinstance(data.get("type"), str), line
        yield data


def refuse(token: str) -> None:
    raise AssertionError(f"{token} is no JSON")
