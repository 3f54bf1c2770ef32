"""The protocols that servers of code execution speak, each with the same few verbs, so that all are measured alike."""

from __future__ import annotations

import http.client
import json
import time
import urllib.parse
import uuid
from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import Any

from rig import Gateway, spread, wsrun
from wsock import Closed, Native, WebSocket

SILENCE_S = 15  # a server that says nothing for so long has lost the end of a run


class Protocol(ABC):
    """A client of one server. `context` is what new() returned, None the server's default one."""

    wsrun_way = ""  # for tests/bench/wsrun; "": it does not speak this one

    def __init__(self, url: str, token: str = "") -> None:
        self.url, self.token = url.rstrip("/"), token
        self.connection: http.client.HTTPConnection | None = None

    @abstractmethod
    def new(self) -> str:
        """A new context, whose kernel may be on its way."""

    @abstractmethod
    def delete(self, context: str) -> None: ...

    @abstractmethod
    def outputs(self, code: str, context: str | None = None) -> Iterator[str]:
        """Run it, and what it prints as it comes; ends when the run has. Closed where the connection ends before."""

    def first_ms(self, code: str, context: str | None = None) -> float:
        """From the request to the first output; the run is over when this returns."""
        start, first = time.perf_counter(), 0.0
        for _ in self.outputs(code, context):
            first = first or time.perf_counter()
        return (first - start) * 1e3

    def create_ms(self, code: str) -> float:
        """From asking for a new context to the first output in it."""
        start = time.perf_counter()
        context = self.new()
        made = (time.perf_counter() - start) * 1e3
        try:
            return made + self.first_ms(code, context)
        finally:
            self.delete(context)

    def runs(self, n: int) -> dict[str, float]:
        """{"n", "min_ms", "p50_ms", "p99_ms"} of n runs of `1` as this protocol's clients do it."""
        return wsrun((self.url, self.token), self.wsrun_way, n)

    def headers(self) -> dict[str, str]:
        names = {
            "Authorization": f"Bearer {self.token}",
            "X-Access-Token": self.token,
            "X-EXECD-ACCESS-TOKEN": self.token,
        }
        return names if self.token else {}

    def request(self, method: str, path: str, body: Any = None) -> http.client.HTTPResponse:
        """The answer, which must be a good one, with its body still to be read."""
        parts = urllib.parse.urlsplit(self.url)
        data = None if body is None else json.dumps(body)
        headers = self.headers() | {"Content-Type": "application/json"}
        if self.connection is None:
            self.connection = http.client.HTTPConnection(parts.netloc, timeout=SILENCE_S)
        self.connection.request(method, parts.path + path, data, headers)
        answer = self.connection.getresponse()
        if answer.status >= 300:
            raise RuntimeError(
                f"{method} {path}: {answer.status} {answer.read().decode(errors='replace')[:500]}"
            )
        return answer

    def call(self, method: str, path: str, body: Any = None) -> Any:
        return json.loads(self.request(method, path, body).read() or b"{}")

    def lines(self, path: str, body: Any) -> Iterator[dict[str, Any]]:
        """The objects of a streamed answer, one or none a line."""
        answer = self.request("POST", path, body)
        try:
            while line := answer.readline():
                if line.strip():
                    yield json.loads(line)
        except (http.client.HTTPException, ConnectionError, json.JSONDecodeError) as error:
            self.close()
            raise Closed(str(error)) from None

    def close(self) -> None:
        if self.connection is not None:
            self.connection.close()
        self.connection = None


class NativeApi(Protocol):
    """kernelbridge's own (docs/native-api.md), on one WebSocket."""

    wsrun_way = "native"

    def __init__(self, url: str, token: str = "") -> None:
        super().__init__(url, token)
        self.ws = Native(self.url, token)

    def new(self) -> str:
        return self.ws.ask("create_context")["context"]

    def delete(self, context: str) -> None:
        self.ws.ask("delete_context", context=context)

    def outputs(self, code: str, context: str | None = None) -> Iterator[str]:
        self.ws.post("execute", code=code, **({"context": context} if context else {}))
        while (said := self.ws.next()).get("event") != "done":
            if said.get("ok") is False:
                raise RuntimeError(str(said["error"]))
            if said.get("event") == "stdout":
                yield said["text"]

    def close(self) -> None:
        super().close()
        self.ws.close()


class Daytona(Protocol):
    """Of its daemon; the URL is what stands before /process/interpreter."""

    wsrun_way = "daytona"

    def new(self) -> str:
        return self.call("POST", "/process/interpreter/context", {})["id"]

    def delete(self, context: str) -> None:
        self.call("DELETE", f"/process/interpreter/context/{context}")

    def outputs(self, code: str, context: str | None = None) -> Iterator[str]:
        ws = WebSocket(self.url + "/process/interpreter/execute", self.headers(), SILENCE_S)
        try:
            ws.send(json.dumps({"code": code} | ({"contextId": context} if context else {})))
            while (said := json.loads(ws.receive()))["type"] != "control":
                if said["type"] == "stdout":
                    yield said["text"]
        finally:
            ws.close()


class E2b(Protocol):
    """Of its code interpreter; the URL is what stands before /execute."""

    wsrun_way = "e2b"

    def new(self) -> str:
        return self.call("POST", "/contexts", {})["id"]

    def delete(self, context: str) -> None:
        self.call("DELETE", f"/contexts/{context}")

    def outputs(self, code: str, context: str | None = None) -> Iterator[str]:
        for said in self.lines("/execute", {"code": code} | ({"context_id": context} if context else {})):
            if said["type"] == "stdout":
                yield said["text"]


class OpenSandbox(Protocol):
    """Of its execd; the URL is what stands before /code."""

    wsrun_way = "opensandbox"

    def new(self) -> str:
        return self.call("POST", "/code/context", {"language": "python"})["id"]

    def delete(self, context: str) -> None:
        self.call("DELETE", f"/code/contexts/{context}")

    def outputs(self, code: str, context: str | None = None) -> Iterator[str]:
        where = {"language": "python"} | ({"id": context} if context else {})
        for said in self.lines("/code", {"code": code, "context": where}):
            if said["type"] == "stdout":
                yield said["text"]


class Jupyter(Protocol):
    """Of a Jupyter server: kernels by REST, one WebSocket for each, which is kept."""

    def __init__(self, url: str, token: str = "") -> None:
        super().__init__(url, token)
        self.sockets: dict[str, WebSocket] = {}
        self.session = uuid.uuid4().hex

    def headers(self) -> dict[str, str]:
        return {"Authorization": f"token {self.token}"} if self.token else {}

    def new(self) -> str:
        return self.call("POST", "/api/kernels", {"name": "python3"})["id"]

    def delete(self, context: str) -> None:
        if context in self.sockets:
            self.sockets.pop(context).close()
        self.request("DELETE", f"/api/kernels/{context}").read()

    def messages(self, code: str, context: str | None) -> Iterator[dict[str, Any]]:
        """Of one execute_request, until its reply and idle are both there."""
        kernel = context or self.default()
        if kernel not in self.sockets:
            path = f"/api/kernels/{kernel}/channels?session_id={self.session}"
            self.sockets[kernel] = WebSocket(self.url + path, self.headers(), SILENCE_S)
        ws, asked = self.sockets[kernel], uuid.uuid4().hex
        header = {
            "msg_id": asked,
            "msg_type": "execute_request",
            "username": "",
            "session": self.session,
            "date": "",
            "version": "5.3",
        }
        content = {
            "code": code,
            "silent": False,
            "store_history": True,
            "user_expressions": {},
            "allow_stdin": False,
            "stop_on_error": True,
        }
        ws.send(
            json.dumps(
                {
                    "header": header,
                    "parent_header": {},
                    "metadata": {},
                    "content": content,
                    "channel": "shell",
                }
            )
        )
        left = {"execute_reply", "idle"}
        while left:
            said = json.loads(ws.receive())
            if said["parent_header"].get("msg_id") == asked:
                yield said
                left -= {said["msg_type"], said["content"].get("execution_state")}

    def default(self) -> str:
        if not self.sockets:
            kernel = self.new()
            for _ in self.messages("pass", kernel):
                pass
        return next(iter(self.sockets))

    def outputs(self, code: str, context: str | None = None) -> Iterator[str]:
        for said in self.messages(code, context):
            if said["msg_type"] == "stream" and said["content"]["name"] == "stdout":
                yield said["content"]["text"]

    def runs(self, n: int) -> dict[str, float]:
        self.default()
        took = []
        for _ in range(n + 5):
            start = time.perf_counter()
            for _ in self.messages("1", None):
                pass
            took.append((time.perf_counter() - start) * 1e3)
        return spread(took[5:])

    def close(self) -> None:
        super().close()
        for kernel in list(self.sockets):
            self.delete(kernel)
        super().close()


PROTOCOLS: dict[str, type[Protocol]] = {
    "native": NativeApi,
    "daytona": Daytona,
    "e2b": E2b,
    "opensandbox": OpenSandbox,
    "jupyter": Jupyter,
}
PATHS = {
    "native": "",
    "daytona": "/daytona/toolbox/default",
    "e2b": "",
    "opensandbox": "/sandboxes/default/proxy/44772",
}


def on(gateway: Gateway, name: str) -> Protocol:
    """A client of that protocol for a kernelbridge, in the default sandbox."""
    return PROTOCOLS[name](gateway.url + PATHS[name], gateway.token)
