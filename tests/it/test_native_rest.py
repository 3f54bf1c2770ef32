"""The REST twins of the native WebSocket; each body is checked against the schema."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from checked import Checked, Rest, fits
from clients import Said, hold
from harness.gateway import Gateway, until
from rawsock import Sock

LOOP = "print('looping', flush=True)\nwhile True: pass"


@pytest.fixture
def rest(gw: Gateway) -> Rest:
    return Rest(gw)


@pytest.fixture
def ctx(rest: Rest) -> str:
    return str(rest.call("POST", "/v1/contexts", "context", {}, status=201)["context"])


class Lines:
    """POST /v1/executions, read line by line."""

    def __init__(self, gateway: Gateway, body: dict[str, Any]) -> None:
        self.sock = Sock(gateway)
        data = json.dumps(fits("#/$defs/rest/$defs/execute", body)).encode()
        self.sock.send(self.sock.head("POST", "/v1/executions", {"Content-Length": str(len(data))}) + data)
        assert self.sock.line().split()[1] == b"200"
        self.headers = {}
        while line := self.sock.line():
            name, _, value = line.decode().partition(": ")
            self.headers[name.lower()] = value
        self._chunks = self.sock.chunks()
        self.said = Said()

    def until(self, kind: str, text: str = "") -> dict[str, Any]:
        """Read to an event of that kind with that text; each chunk is one whole line."""
        for chunk in self._chunks:
            assert chunk.endswith(b"\n") and chunk.count(b"\n") == 1
            event = fits("#/$defs/event", json.loads(chunk))
            self.said.events.append(event)
            if event["event"] == kind and text in event.get("text", ""):
                return dict(event)
        raise AssertionError((kind, self.said.events))


def test_a_stream_of_events(gw: Gateway, ctx: str, tmp_path: Path) -> None:
    go = tmp_path / "go"
    lines = Lines(gw, {"code": hold(go) + "print('later')", "context": ctx})
    assert lines.headers["content-type"] == "application/x-ndjson"
    lines.until("stdout", "held")
    assert lines.headers["x-execution-id"] == lines.said.events[0]["execution"]
    go.touch()
    lines.until("done")
    assert lines.said.how == "ok" and lines.said.text() == "held\nlater\n"
    assert next(lines._chunks, None) is None


def test_one_answer_for_all(rest: Rest, ctx: str) -> None:
    code = (
        "import sys\nfrom IPython.display import display\nprint('out')\nprint('err', file=sys.stderr)\n"
        "h = display('first', display_id='d')\nh.update('second')\n6 * 7"
    )
    got = rest.call("POST", "/v1/executions", "summary", {"code": code, "context": ctx, "wait": True})
    assert (got["how"], got["stdout"], got["stderr"], got["error"]) == ("ok", "out\n", "err\n", None)
    assert [(r["event"], r["bundle"]["text/plain"]) for r in got["results"]] == [("display", "'second'"), ("result", "42")]
    got = rest.call("POST", "/v1/executions", "summary", {"code": "1/0", "context": ctx, "wait": True})
    assert got["how"] == "error" and got["error"]["name"] == "ZeroDivisionError"
    got = rest.call(
        "POST", "/v1/executions", "summary", {"code": "while True: pass", "context": ctx, "wait": True, "timeout_ms": 200}
    )
    assert got["how"] == "timeout"
    big = rest.call("POST", "/v1/executions", "summary", {"code": "print('x' * 9_000_000)", "context": ctx, "wait": True})
    assert big["truncated"] and 8_000_000 < len(big["stdout"]) < 9_000_000


def test_results_have_a_ceiling(rest: Rest, ctx: str) -> None:
    """134 bundles of a megabyte fit into an answer, and an update of one of them no more."""
    code = (
        "from IPython.display import HTML, display\nh = display(HTML('first'), display_id='d')\n"
        "for i in range(150): display(HTML('x' * 1_000_000))\nh.update(HTML('y' * 1_000_000))\n'end'"
    )
    got = rest.call("POST", "/v1/executions", "summary", {"code": code, "context": ctx, "wait": True})
    shown = [r["bundle"].get("text/html") for r in got["results"]]
    assert got["how"] == "ok" and got["truncated"]
    assert shown[0] == "first" and 130 < shown.count("x" * 1_000_000) < 135
    assert got["results"][-1]["bundle"] == {"text/plain": "'end'"}


def test_one_large_result(make_gateway: Callable[..., Gateway]) -> None:
    """More than the 64 MiB that may wait for a client otherwise: as it comes, read later, and in one answer."""
    rest = Rest(make_gateway("--event_log_bytes=100000000"))
    size, body = 70_000_000, {"code": "'a' * 70_000_000"}
    events = rest.events("/v1/executions", body)
    assert Said(events).how == "ok" and len(Said(events).one("result")["bundle"]["text/plain"]) == size + 2
    later = f"/v1/executions/{events[0]['execution']}/events?after=1"
    for _ in range(2):
        assert rest.events(later, method="GET") == events[1:]
    got = rest.call("POST", "/v1/executions", "summary", body | {"wait": True})
    assert got["how"] == "ok" and "truncated" not in got
    assert len(got["results"][0]["bundle"]["text/plain"]) == size + 2


def test_run_now_read_later(gateway: Gateway, tmp_path: Path) -> None:
    rest, go = Rest(gateway), tmp_path / "go"
    body = {"code": hold(go) + "print('later')", "detach": True}
    made = rest.call("POST", "/v1/executions", "execution", body, status=202)
    path = f"/v1/executions/{made['execution']}"

    def held() -> bool:
        return bool(rest.call("GET", path, "execution")["last_seq"] >= 3)

    until("its first output", held)
    assert rest.call("GET", path, "execution")["state"] == "running"
    go.touch()
    said = Said(rest.events(f"{path}/events", method="GET"))
    assert said.how == "ok" and said.text() == "held\nlater\n"
    info = rest.call("GET", path, "execution")
    assert (info["state"], info["how"], info["last_seq"]) == ("done", "ok", len(said.events))
    assert rest.events(f"{path}/events?after=2", method="GET") == said.events[2:]
    assert rest.events(f"{path}/events?after={info['last_seq']}", method="GET") == []
    for after in ("x", "-1", "1.5", "", str(info["last_seq"] + 1), "9" * 30):
        status, message = rest.refused("GET", f"{path}/events?after={after}")
        assert status == 400 and "'after'" in message, after


def test_read_on_after_a_number(gateway: Gateway, tmp_path: Path) -> None:
    """What is printed after `last_seq` was told comes after it, though nobody has read that event."""
    rest, go = Rest(gateway), tmp_path / "go"
    body = {"code": hold(go) + "print('later')", "detach": True}
    made = rest.call("POST", "/v1/executions", "execution", body, status=202)
    path = f"/v1/executions/{made['execution']}"
    known = 0

    def held() -> bool:
        nonlocal known
        known = rest.call("GET", path, "execution")["last_seq"]
        return known >= 3

    until("its first output", held)
    go.touch()
    until("its end", lambda: bool(rest.call("GET", path, "execution")["state"] == "done"))
    assert Said(rest.events(f"{path}/events?after={known}", method="GET")).text() == "later\n"


@pytest.mark.parametrize("how", ["interrupt", "finish"])
def test_a_stream_that_its_client_leaves(gateway: Gateway, how: str, tmp_path: Path) -> None:
    rest, go = Rest(gateway), tmp_path / "go"
    lines = Lines(gateway, {"code": hold(go) + "print('end')", "on_disconnect": how})
    lines.until("stdout", "held")
    lines.sock.reset()
    if how == "finish":
        gateway.wait_gauge("connections", 1)
        go.touch()
    gateway.wait_gauge("executions_running", 0)
    info = rest.call("GET", f"/v1/executions/{lines.said.events[0]['execution']}", "execution")
    assert info["how"] == ("ok" if how == "finish" else "interrupted")


def test_a_client_that_leaves_while_it_waits(gateway: Gateway) -> None:
    with Sock(gateway) as sock:
        body = json.dumps({"code": LOOP, "wait": True}).encode()
        sock.send(sock.head("POST", "/v1/executions", {"Content-Length": str(len(body))}) + body)
        gateway.wait_gauge("executions_running", 1)
        sock.reset()
    gateway.wait_gauge("executions_running", 0)
    assert Rest(gateway).call("POST", "/v1/executions", "summary", {"code": "1", "wait": True})["how"] == "ok"


def test_interrupt_and_input(gw: Gateway, rest: Rest, ctx: str) -> None:
    lines = Lines(gw, {"code": LOOP, "context": ctx})
    lines.until("stdout", "looping")
    execution = lines.said.events[0]["execution"]
    assert rest.call("POST", f"/v1/executions/{execution}/interrupt", "interrupted")["execution"] == execution
    assert lines.until("done")["how"] == "interrupted"
    lines = Lines(gw, {"code": LOOP, "context": ctx})
    lines.until("stdout", "looping")
    rest.call("POST", f"/v1/contexts/{ctx}/interrupt", "interrupted", {"kill_after_ms": 60_000})
    assert lines.until("done")["how"] == "interrupted"
    assert rest.call("POST", f"/v1/contexts/{ctx}/interrupt", "interrupted", {})["execution"] is None
    lines = Lines(gw, {"code": "print(input('? '))", "context": ctx, "stdin": True})
    assert lines.until("input")["prompt"] == "? "
    execution = lines.said.events[0]["execution"]
    rest.call("POST", f"/v1/executions/{execution}/input", "empty", {"value": "by rest"})
    assert lines.until("stdout")["text"] == "by rest\n"
    lines.until("done")


def test_life_of_a_context(rest: Rest, tmp_path: Path) -> None:
    made = rest.call("POST", "/v1/contexts", "context", {"cwd": str(tmp_path), "language": "python"}, status=201)
    path = f"/v1/contexts/{made['context']}"
    assert rest.call("GET", path, "context") == made
    assert made in rest.call("GET", "/v1/contexts", "contexts")["contexts"]
    assert made in rest.call("GET", "/v1/contexts?sandbox=default", "contexts")["contexts"]
    assert rest.call("POST", f"{path}/restart", "context")["state"] == "ready"
    assert rest.call("DELETE", path, "deleted_context")["context"] == made["context"]
    assert rest.refused("GET", path)[0] == rest.refused("DELETE", path)[0] == 404


def test_sandboxes_and_kernelspecs(rest: Rest) -> None:
    made = rest.call("POST", "/v1/native/sandboxes", "sandbox", {"name": "rest-box"}, status=201)
    assert rest.refused("POST", "/v1/native/sandboxes", {"name": "rest-box"})[0] == 409
    assert made in rest.call("GET", "/v1/native/sandboxes", "sandboxes")["sandboxes"]
    rest.call("DELETE", f"/v1/native/sandboxes/{made['sandbox']}", "deleted_sandbox")
    assert rest.refused("DELETE", "/v1/native/sandboxes/default")[0] == 400
    assert "python3" in [s["name"] for s in rest.call("GET", "/v1/kernelspecs", "kernelspecs")["kernelspecs"]]


BAD: list[tuple[str, str, Any, int, str]] = [
    ("POST", "/v1/executions", b"", 400, "'code' is missing"),
    ("POST", "/v1/executions", b"{", 400, "not JSON"),
    ("POST", "/v1/executions", b"\xff\xfe", 400, "not JSON"),
    ("POST", "/v1/executions", [], 400, "must be a JSON object, not an array"),
    ("POST", "/v1/executions", {"code": []}, 400, "'code' must be a string, not an array"),
    ("POST", "/v1/executions", {"code": "1", "op": "execute"}, 400, "unknown key 'op'"),
    ("POST", "/v1/executions", {"code": "1", "wait": True, "detach": True}, 400, "'wait' goes without"),
    ("POST", "/v1/executions", {"code": "1", "wait": True, "stdin": True}, 400, "'wait' goes without"),
    ("POST", "/v1/executions", {"code": "1", "context": "nope"}, 404, "no context 'nope'"),
    ("POST", "/v1/executions", {"code": "1", "language": "nope"}, 404, "nope"),
    ("GET", "/v1/executions/nope", None, 404, "no execution 'nope'"),
    ("GET", "/v1/executions/nope/events", None, 404, "no execution 'nope'"),
    ("POST", "/v1/executions/nope/interrupt", None, 404, "no execution 'nope'"),
    ("POST", "/v1/executions/nope/input", {"value": ""}, 404, "no execution 'nope'"),
    ("POST", "/v1/executions/nope/input", {}, 400, "either 'value' or 'eof'"),
    ("POST", "/v1/contexts", {"cwd": "relative"}, 400, "absolute"),
    ("POST", "/v1/contexts", {"language": 1}, 400, "'language' must be a string, not an integer"),
    ("GET", "/v1/contexts/%00", None, 400, ""),
    ("GET", "/v1/contexts?sandbox=nope", None, 404, "no sandbox 'nope'"),
    ("POST", "/v1/contexts/nope/restart", None, 404, "no context 'nope'"),
    ("POST", "/v1/contexts/nope/restart", {"a": 1}, 400, "unknown key 'a'"),
    ("POST", "/v1/contexts/nope/interrupt", None, 404, "no context 'nope'"),
    ("DELETE", "/v1/native/sandboxes/nope", None, 404, "no sandbox 'nope'"),
    ("PUT", "/v1/contexts", {}, 405, ""),
    ("GET", "/v1/nothing", None, 404, ""),
]


@pytest.mark.parametrize(("method", "path", "body", "status", "words"), BAD, ids=[f"{b[0]} {b[1]} {i}" for i, b in enumerate(BAD)])
def test_bad_requests(rest: Rest, method: str, path: str, body: Any, status: int, words: str) -> None:
    got, message = rest.refused(method, path, body)
    assert got == status and words in message, (got, message)


def test_no_route_without_a_token(gw: Gateway) -> None:
    for method, path in (
        ("GET", "/v1/contexts"),
        ("POST", "/v1/contexts"),
        ("POST", "/v1/executions"),
        ("GET", "/v1/executions/x"),
        ("GET", "/v1/kernelspecs"),
        ("GET", "/v1/native/sandboxes"),
        ("GET", "/v1/ws"),
    ):
        status, _, body = gw.http(method, path, b"{}" if method == "POST" else None, auth=False)
        assert status in (401, 426), (path, status, body)


def test_two_apis_one_execution(rest: Rest, gw: Gateway, ctx: str, tmp_path: Path) -> None:
    go = tmp_path / "go"
    lines = Lines(gw, {"code": hold(go) + "print('both')", "context": ctx})
    lines.until("stdout", "held")
    with Checked(gw) as ws:
        execution = lines.said.events[0]["execution"]
        assert ws.ask("attach", execution=execution)["ok"]
        go.touch()
        assert ws.rest_of(execution).text() == "held\nboth\n"
    lines.until("done")
    assert lines.said.text() == "held\nboth\n"
