"""Runs through each API of the gateway, read only as fast as a test asks: Daytona's and the native one."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from harness.gateway import Gateway
from rawsock import CLOSE, TEXT, Gone, Ws, frame

DAYTONA = "/daytona/toolbox/default/process/interpreter"


def hold(go: Path) -> str:
    """Code that prints `held` and goes on when the file `go` exists."""
    return (
        f"import os, time\nprint('held', flush=True)\n"
        f"while not os.path.exists({str(go)!r}): time.sleep(0.01)\n"
    )


MIDDLE = ("accepted", "started", "stdout", "stderr", "input")


@dataclass
class Said:
    """What one run said."""

    events: list[dict[str, Any]] = field(default_factory=list)

    def text(self, kind: str = "stdout") -> str:
        return "".join(e["text"] for e in self.events if e["event"] == kind)

    def one(self, kind: str) -> dict[str, Any]:
        found = [e for e in self.events if e["event"] == kind]
        assert len(found) == 1, (kind, self.events)
        return found[0]

    @property
    def how(self) -> str:
        """How it ended; ACCEPTED was first, DONE last, each once, numbers without a gap."""
        kinds = [e["event"] for e in self.events]
        assert kinds.count("accepted") == kinds.count("done") == 1, kinds
        assert kinds[0] == "accepted" and kinds[-1] == "done", kinds
        assert [e["seq"] for e in self.events] == list(range(1, len(kinds) + 1)), kinds
        return str(self.events[-1]["how"])


class Native(Ws):
    """A connection to /v1/ws."""

    def __init__(self, gateway: Gateway, receive_buffer: int = 0) -> None:
        super().__init__(gateway, receive_buffer)
        self._ids = itertools.count(1)
        self._events: dict[str, list[dict[str, Any]]] = {}
        assert self.upgrade("/v1/ws") == 101

    def post(self, op: str, **keys: Any) -> int:
        """Send a request and return its id."""
        number = next(self._ids)
        self.text({"id": number, "op": op, **keys})
        return number

    def ask(self, op: str, **keys: Any) -> dict[str, Any]:
        """Send a request and return its answer; events that come meanwhile are kept for `event`."""
        number = self.post(op, **keys)
        while True:
            message = self.message()
            if "event" in message:
                self._events.setdefault(message["execution"], []).append(message)
            elif message["id"] == number:
                return dict(message)

    def start(self, code: str, **keys: Any) -> str:
        """Queue code and return the execution's id."""
        answer = self.ask("execute", code=code, **keys)
        assert answer["ok"], answer
        return str(answer["execution"])

    def event(self, execution: str) -> dict[str, Any]:
        """The next event of that execution; those of others are kept."""
        while not self._events.get(execution):
            message = self.message()
            if "event" in message:
                self._events.setdefault(message["execution"], []).append(message)
        return self._events[execution].pop(0)

    def wait_text(self, execution: str, text: str, said: Said | None = None) -> Said:
        """Read until its stdout has brought `text`; returns what came."""
        said = said or Said()
        while text not in said.text():
            said.events.append(self.event(execution))
            assert said.events[-1]["event"] != "done", said.events
        return said

    def wait_event(self, execution: str, kind: str, said: Said | None = None) -> Said:
        """Read until an event of that kind has come."""
        said = said or Said()
        while not said.events or said.events[-1]["event"] != kind:
            said.events.append(self.event(execution))
            assert said.events[-1]["event"] in (kind, *MIDDLE), said.events
        return said

    def rest_of(self, execution: str, said: Said | None = None) -> Said:
        """Read to DONE."""
        said = said or Said()
        while not said.events or said.events[-1]["event"] != "done":
            said.events.append(self.event(execution))
        return said

    def run(self, code: str, **keys: Any) -> Said:
        return self.rest_of(self.start(code, **keys))

    def context(self, **keys: Any) -> str:
        answer = self.ask("create_context", **keys)
        assert answer["ok"], answer
        return str(answer["context"])


class Stream:
    """A run whose output is read later: native WebSocket, native NDJSON, or Daytona's WebSocket."""

    KINDS = ("daytona", "native", "ndjson")

    def __init__(self, gateway: Gateway, kind: str, code: str, context: str) -> None:
        self.kind = kind
        self.sock = Ws(gateway, receive_buffer=4096)
        if kind == "daytona":
            assert self.sock.upgrade(f"{DAYTONA}/execute") == 101
            self.sock.text({"code": code, "contextId": context, "timeout": 0})
        elif kind == "native":
            assert self.sock.upgrade("/v1/ws") == 101
            self.sock.text({"id": 1, "op": "execute", "code": code, "context": context})
        else:
            body = json.dumps({"code": code, "context": context}).encode()
            head = {"Content-Length": str(len(body))}
            self.sock.send(self.sock.head("POST", "/v1/executions", head) + body)

    def texts(self) -> Iterator[str]:
        """The text of stdout, piece by piece, to the end; the end is checked."""
        if self.kind == "ndjson":
            yield from self._ndjson()
            return
        while True:
            opcode, payload = self.sock.frame()
            if opcode == CLOSE:
                assert self.kind == "daytona" and payload == b"\x03\xe8", payload
                self.sock.send(frame(CLOSE, payload))
                return
            if opcode != TEXT:
                continue
            message = json.loads(payload)
            if message.get("type", message.get("event")) == "stdout":
                yield message["text"]
            elif message.get("event") == "done":
                assert message["how"] == "ok", message
                return

    def _ndjson(self) -> Iterator[str]:
        while self.sock.line():
            pass
        left = b""
        for chunk in self.sock.chunks():
            *lines, left = (left + chunk).split(b"\n")
            for event in map(json.loads, lines):
                if event["event"] == "stdout":
                    yield event["text"]
                assert event["event"] != "done" or event["how"] == "ok", event
        assert not left

    def close(self) -> None:
        self.sock.socket.close()


def daytona(
    gateway: Gateway, first: Any, path: str = f"{DAYTONA}/execute"
) -> tuple[list[dict[str, Any]], int, str]:
    """One execute exchange: its frames, close code and reason."""
    frames: list[dict[str, Any]] = []
    with Ws(gateway) as ws:
        assert ws.upgrade(path) == 101
        ws.text(first)
        try:
            while True:
                opcode, payload = ws.frame()
                if opcode == TEXT:
                    frames.append(json.loads(payload))
                elif opcode == CLOSE:
                    ws.send(frame(CLOSE, payload[:2]))
                    return frames, int.from_bytes(payload[:2], "big"), payload[2:].decode()
        except Gone:
            return frames, 1006, ""


def wait_run(gateway: Gateway, code: str, **keys: Any) -> dict[str, Any]:
    """Run code over REST and return the summary."""
    status, answer = gateway.json("POST", "/v1/executions", {"code": code, "wait": True, **keys})
    assert status == 200, (status, answer)
    assert isinstance(answer, dict)
    return answer
