"""Bare HTTP on OpenSandbox's paths, for what the SDKs hide: exact status, bytes, events."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Self

import httpx
from harness.gateway import DEADLINE_S, Gateway

CREATE = {
    "image": {"uri": "opensandbox/code-interpreter:latest"},
    "entrypoint": ["tail", "-f", "/dev/null"],
    "timeout": 600,
    "resourceLimits": {"cpu": "1", "memory": "2Gi"},
    "secureAccess": False,
}


class Lifecycle:
    """Requests below /v1 with the gateway's token as the SDKs send it."""

    def __init__(self, gateway: Gateway) -> None:
        self.gateway = gateway
        self.http = httpx.Client(base_url=gateway.url, timeout=DEADLINE_S)

    def ask(
        self,
        method: str,
        path: str,
        body: Any = None,
        headers: dict[str, str | None] | None = None,
        **kwargs: Any,
    ) -> httpx.Response:
        """One request; `body` is bytes or something for JSON. A header of None is left out."""
        given = {"OPEN-SANDBOX-API-KEY": self.gateway.token, "Content-Type": "application/json"} | (
            headers or {}
        )
        data = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
        return self.http.request(
            method, path, content=data, headers={k: v for k, v in given.items() if v is not None}, **kwargs
        )

    def create(self, **fields: Any) -> dict[str, Any]:
        answer = self.ask("POST", "/v1/sandboxes", CREATE | fields)
        assert answer.status_code == 202, answer.text
        return answer.json()

    def kill(self, sandbox_id: str) -> int:
        return self.ask("DELETE", f"/v1/sandboxes/{sandbox_id}").status_code

    def close(self) -> None:
        self.http.close()


class Raw:
    """A sandbox made for raw requests to its execd, at the endpoint and with the headers that it was told."""

    def __init__(self, gateway: Gateway, **fields: Any) -> None:
        self.gateway = gateway
        self.life = Lifecycle(gateway)
        self.made = self.life.create(**fields)
        self.id: str = self.made["id"]
        endpoint = self.life.ask("GET", f"/v1/sandboxes/{self.id}/endpoints/44772").json()
        self.headers: dict[str, str] = endpoint["headers"]
        self.url = f"http://{endpoint['endpoint']}"
        self.http = httpx.Client(timeout=DEADLINE_S)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    @property
    def home(self) -> str:
        return self.made["metadata"]["kernelbridge.home"]

    def kill(self) -> None:
        self.life.kill(self.id)
        self.http.close()
        self.life.close()

    def _given(self, headers: dict[str, str | None] | None) -> dict[str, str]:
        merged: dict[str, str | None] = {**self.headers, **(headers or {})}
        return {k: v for k, v in merged.items() if v is not None}

    def ask(
        self,
        method: str,
        path: str,
        body: Any = None,
        headers: dict[str, str | None] | None = None,
        **kwargs: Any,
    ) -> httpx.Response:
        """One request to execd; `body` is bytes or something for JSON. A header of None is left out."""
        data = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
        return self.http.request(
            method, self.url + path, content=data, headers=self._given(headers), **kwargs
        )

    @contextmanager
    def stream(
        self, method: str, path: str, body: Any = None, headers: dict[str, str | None] | None = None
    ) -> Iterator[httpx.Response]:
        """The answer once its head is there; leaving before its end closes the connection."""
        data = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
        with self.http.stream(method, self.url + path, content=data, headers=self._given(headers)) as answer:
            yield answer

    def events(self, path: str, body: Any, **kwargs: Any) -> list[dict[str, Any]]:
        """All events of a run, without pings, each checked to be framed as every SDK needs it."""
        answer = self.ask("POST", path, body, **kwargs)
        assert answer.status_code == 200, answer.text
        assert answer.headers["content-type"].startswith("text/event-stream")
        return [event for event in parse(answer.content) if event["type"] != "ping"]

    def code(
        self, code: str, language: str = "python", context: str | None = None, **kwargs: Any
    ) -> list[dict[str, Any]]:
        """All events of a run of code."""
        where = {"language": language} | ({"id": context} if context else {})
        return self.events("/code", {"code": code, "context": where}, **kwargs)


def parse(body: bytes) -> Iterator[dict[str, Any]]:
    """The events of a body: each one line of bare JSON and an empty line, with type and timestamp."""
    assert body == b"" or body.endswith(b"\n\n")
    text = body.decode()
    assert text.splitlines() == text.split("\n")[:-1]  # cut alike by Python's SDK and the others
    for frame in text.split("\n\n")[:-1]:
        data = json.loads(frame, parse_constant=refuse)
        assert isinstance(data.get("type"), str), frame
        assert type(data.get("timestamp")) is int, frame
        assert all(value is not None for value in data.values()), frame
        yield data


def text(events: list[dict[str, Any]], kind: str) -> str:
    """All that one stream of a run brought."""
    return "".join(event["text"] for event in events if event["type"] == kind)


def refuse(token: str) -> None:
    raise AssertionError(f"{token} is no JSON")
