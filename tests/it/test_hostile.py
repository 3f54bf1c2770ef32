"""Bad input to every operation: wrong values, broken JSON, unknown ids, garbage; a clear answer, nothing left."""

from __future__ import annotations

import json
import random
import re
from collections.abc import Callable, Iterator
from typing import Any

import jsonschema
import pytest
from clients import DAYTONA, Native, daytona
from harness.gateway import ROOT, Gateway, until
from rawsock import BINARY, TEXT, Ws, frame
from routes import Route, all_routes

SCHEMA = json.loads((ROOT / "docs" / "native-api.schema.json").read_text())
VALID = jsonschema.Draft202012Validator(SCHEMA)
REQUEST = jsonschema.Draft202012Validator(
    SCHEMA | {"$id": "urn:request", "anyOf": [{"$ref": "#/$defs/request"}]}
)

# ------------------------------------------------------------------ native: every key, every wrong value

WRONG: list[Any] = [
    None, True, False, 0, -1, 1.5, 1e300, 2**53 + 1, 2**70, "", "\0", "x\0y", "x" * 5000, "\ud7ff\U0010ffff",
    [], ["x"], {}, {"a": 1}, {"a": "\0"}, {"a=b": "x"}, {"": "x"},
]  # fmt: skip
NONE = "00000000-0000-4000-8000-000000000000"  # an id that nothing has
OPS: dict[str, dict[str, Any]] = {
    "execute": {"code": "1", "context": NONE, "envs": {}, "timeout_ms": 1, "stdin": False, "silent": False,
                "on_disconnect": "finish"},
    "input": {"execution": NONE, "value": "x"},
    "interrupt": {"execution": NONE, "kill_after_ms": 1},
    "attach": {"execution": NONE, "after": 0},
    "detach": {"execution": NONE},
    "create_context": {"language": "no-such", "cwd": "/nonexistent", "sandbox": "no-such"},
    "list_contexts": {"sandbox": "no-such"},
    "delete_context": {"context": NONE},
    "restart_context": {"context": NONE},
    "complete": {"context": NONE, "code": "x", "cursor_pos": 1},
    "inspect": {"context": NONE, "code": "x", "cursor_pos": 1, "detail_level": 0},
    "list_kernelspecs": {},
    "create_sandbox": {"name": "default", "envs": {}, "labels": {}},
    "list_sandboxes": {},
    "delete_sandbox": {"sandbox": "no-such"},
    "ping": {},
}  # fmt: skip


def requests(op: str) -> Iterator[dict[str, Any]]:
    """A request of that op with each key wrong, each missing, and one too many."""
    base = {"id": 1, "op": op, **OPS[op]}
    for key in base:
        yield {k: v for k, v in base.items() if k != key}
        for value in WRONG:
            yield base | {key: value}
    yield base | {"surplus": 1}
    yield base | {"Code": "1"}


@pytest.mark.parametrize("op", OPS)
def test_wrong_values(gw: Gateway, op: str) -> None:
    """What the schema forbids is refused as invalid; every answer is one that the schema knows."""
    with Native(gw) as native:
        sent = list(requests(op))
        for request in sent:
            native.text(request)
        for request in sent:
            while "event" in (answer := native.message()):
                pass
            VALID.validate(answer)
            if not REQUEST.is_valid(request):
                assert not answer["ok"] and answer["error"]["code"] == "invalid", (request, answer)
            # To the schema 1e300 is an integer; 2**70 is more than a parser must take.
            legible = 2**70 not in request.values() and request.get("id") != 1e300
            if legible and REQUEST.is_valid({"id": request.get("id"), "op": "ping"}):
                assert answer["id"] == request["id"]
        assert native.ask("ping")["ok"]


BROKEN = {
    "nothing": "", "blank": " ", "word": "nonsense", "cut": '{"id":1,"op":"ping"', "two": '{"id":1,"op":"ping"}{}',
    "array": "[]", "number": "7", "string": '"x"', "null": "null", "deep": "[" * 100_000,
    "deep objects": '{"a":' * 50_000,
    "single quotes": "{'id':1}", "comment": '{"id":1,/**/"op":"ping"}', "NaN": '{"id":NaN,"op":"ping"}',
    "surrogate": '{"id":"\\ud800","op":"ping"}', "number too large": '{"id":1' + "0" * 400 + ',"op":"ping"}',
    "exponent": '{"id":1,"op":"execute","code":"1","timeout_ms":1e400}', "control": '{"id":"\x01","op":"ping"}',
}  # fmt: skip


ALMOST = ("NaN", "surrogate", "number too large", "exponent")


@pytest.mark.parametrize("name", BROKEN)
def test_broken_json(gw: Gateway, name: str) -> None:
    with Native(gw) as native:
        native.text(BROKEN[name])
        answer = native.message()
        VALID.validate(answer)
        assert (answer["id"], answer["ok"], answer["error"]["code"]) == (None, False, "invalid")
        assert native.ask("ping")["ok"]
    _, close, reason = daytona(gw, BROKEN[name])
    if name in ALMOST:  # Daytona's clients are Python programs, whose json module writes such
        assert close in (1000, 1002, 1008)
        return
    assert (close, reason) == (1002, "invalid JSON payload")
    for path in (
        "/v1/executions",
        "/v1/contexts",
        "/v1/native/sandboxes",
        "/daytona/api/sandbox",
        f"{DAYTONA}/context",
    ):
        if BROKEN[name] == "" and path in ("/v1/contexts", "/v1/native/sandboxes"):
            continue  # no body is {}
        status, headers, body = gw.http("POST", path, BROKEN[name].encode())
        assert status == 400, (path, body)
        answer = json.loads(body)
        assert answer.get("message") or answer["error"]["message"]


def test_large_objects(gw: Gateway) -> None:
    with Native(gw) as native:
        for keys in (
            {"k" * 100_000: 1},
            {str(i): i for i in range(50_000)},
            {"k" * 1_000_000: "v" * 1_000_000},
        ):
            answer = native.ask("ping", **keys)
            assert answer["error"]["code"] == "invalid" and len(answer["error"]["message"]) < 200
    assert daytona(gw, {"code": "print(1)"} | {str(i): i for i in range(50_000)})[1] == 1000


def test_a_key_given_twice(gw: Gateway) -> None:
    """Whatever is made of it, it is one of the two, and answered once."""
    with Native(gw) as native:
        native.text('{"id":1,"id":2,"op":"nonsense","op":"ping"}')
        answer = native.message()
        assert answer["id"] in (1, 2)
        assert native.ask("ping")["ok"]


def test_binary_messages(gw: Gateway) -> None:
    with Native(gw) as native:
        native.send(frame(BINARY, b'{"id":1,"op":"ping"}'))
        assert native.message()["error"]["code"] == "invalid"
        native.send(frame(BINARY, bytes(range(256))))
        assert native.message()["error"]["code"] == "invalid"


# ------------------------------------------------------------------ Daytona's first frame

FIRST: dict[str, tuple[list[Any], tuple[int, ...]]] = {
    "code": ([None, ""], (1008,)),
    "contextId": (["", "nope", "x" * 5000, NONE, "default\0", "../default"], (1008,)),
    "timeout": ([-1, -(2**62)], (1008,)),
    "envs": ([{"a=b": "x"}, {"": "x"}, {"a": "\0"}], (1008,)),
}  # fmt: skip
TYPES: dict[str, list[Any]] = {
    "code": [7, 1.5, True, [], {}],
    "contextId": [7, True, [], {}],
    "timeout": ["5", 1.5, True, [], {}, 2**70],
    "envs": [7, "A=1", True, [], {"A": 1}, {"A": None}, {"A": ["x"]}],
}


@pytest.mark.parametrize("key", FIRST)
def test_daytona_first_frame(gw: Gateway, key: str) -> None:
    for value, codes in [(v, FIRST[key][1]) for v in FIRST[key][0]] + [(v, (1002,)) for v in TYPES[key]]:
        frames, close, reason = daytona(gw, {"code": "print(1)", key: value})
        assert frames == [] and close in codes and reason, (value, close, reason)


# ------------------------------------------------------------------ unknown ids on every route

IDS = (
    "x",
    NONE,
    "%F0%9F%A6%86" * 30,
    "a" * 3000,
    "%27%3B%20drop",
    "%2F%2E%2E",
    "..%2f..",
    "%E2%82",
    "%00",
    "%0d%0aX:%20y",
)


@pytest.mark.parametrize("route", [r for r in all_routes() if "{" in r.path], ids=str)
def test_unknown_ids(gw: Gateway, route: Route) -> None:
    """A 4xx (501 where nothing is served) whose body says what is unknown; WebSockets are let in and closed with a reason."""
    for unknown in IDS:
        path = route.at(sandbox=unknown, id=unknown, port=unknown, file=unknown)
        if route.method == "WS":
            with Ws(gw) as ws:
                status = ws.upgrade(path)
                assert status in (101, 400), (unknown, status)
                if status == 101:
                    code, reason = ws.closing()
                    assert code == 1008 and "not found" in reason, (unknown, reason)
            continue
        body = {"value": "x"} if route.path.endswith("/input") else {}
        status, _, raw = gw.http(route.method, path, body if route.method == "POST" else None)
        assert status in (400, 404, 405, 414, 501), (unknown, status, raw)
        if route.path.startswith("/playground"):
            continue
        if route.path.startswith("/contexts/"):  # E2B's answers here are text, but for the edge's
            assert b"not found" in raw or json.loads(raw)["detail"], raw
            continue
        answer = json.loads(raw)
        assert answer.get("message") or answer["error"]["message"], raw


# ------------------------------------------------------------------ the log


def test_the_log_tells_of_it(make_gateway: Callable[..., Gateway]) -> None:
    """A line for what a client does wrong, with its connection; many of a kind in a second are counted."""
    gateway = make_gateway("--log_level=debug")

    def logged(line: str) -> None:
        until(line, lambda: re.search(line, gateway.stderr))

    gateway.http("GET", "/v1/contexts", headers={"Authorization": "Bearer x"})
    logged(r"warn +conn=\d+ refused: .*token.* status=401 path=/v1/contexts peer=127\.0\.0\.1 more=\d+")
    gateway.http("POST", "/v1/executions", b"{\n")
    logged(r"info +conn=\d+ answered status=400 path=/v1/executions peer=127\.0\.0\.1 more=\d+")
    gateway.http("GET", "/v1/executions/x%0Afake%1B")
    logged(r"debug conn=\d+ answered status=404 path=/v1/executions/x%0Afake%1B\n")
    with Native(gateway) as native:
        native.text('{"id":1,"op":"\\u001b[31m\\nfake line"}')
        native.message()
    logged("debug native request refused: unknown op '")
    daytona(gateway, "{")
    logged(r"info +ws=\d+ websocket closed code=1002")
    assert "\nfake" not in gateway.stderr and "\x1b" not in gateway.stderr
    assert gateway.token not in gateway.stderr


# ------------------------------------------------------------------ garbage

SEEDS = [
    b'{"id":1,"op":"execute","code":"print(1)","envs":{"A":"b"},"timeout_ms":1000}',
    b'{"code":"print(1)","contextId":null,"envs":{"A":"b"},"timeout":5}',
    b'{"id":"a","op":"create_context","language":"no-such","cwd":"/"}',
    b'40{"token":"x"}',
]


def mutated(rng: random.Random, seed: bytes) -> bytes:
    """A seed with a few bytes changed, cut out or doubled."""
    data = bytearray(seed)
    for _ in range(rng.randint(1, 6)):
        at = rng.randrange(len(data)) if data else 0
        kind = rng.randrange(4)
        if kind == 0:
            data[at : at + 1] = bytes([rng.randrange(256)])
        elif kind == 1:
            del data[at : at + rng.randint(1, 20)]
        elif kind == 2:
            data[at:at] = data[at : at + rng.randint(1, 20)]
        else:
            data[at:at] = rng.choice(
                [b"\0", b"\xff", b'"', b"{", b"}", b"[", b"\\u0000", b"\\ud800", b"9" * 30]
            )
    return bytes(data)


@pytest.mark.parametrize(
    "path", ["/v1/ws", f"{DAYTONA}/execute", "/daytona/api/socket.io/", "raw", "raw head"]
)
def test_garbage(gw: Gateway, path: str) -> None:
    """Two hundred messages that are almost right: the gateway serves on."""
    rng = random.Random(f"seed of {path}")
    for _ in range(200):
        data = mutated(rng, rng.choice(SEEDS))
        with Ws(gw) as ws:
            if path == "raw":
                ws.send(data)
            elif path == "raw head":
                ws.send(
                    mutated(rng, ws.head("POST", "/v1/executions", {"Content-Length": str(len(data))}) + data)
                )
            else:
                assert ws.upgrade(path) == 101
                ws.send(frame(rng.choice([TEXT, BINARY]), data, fin=rng.random() < 0.9))
            if rng.random() < 0.3:
                ws.reset()
    assert gw.http("GET", "/health")[0] == 200
    with Native(gw) as native:
        for context in native.ask("list_contexts")["contexts"]:
            native.ask("interrupt", context=context["context"], kill_after_ms=1000)
