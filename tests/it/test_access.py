"""Who may do what: every route of the table, walked with every token that is not good for it."""

from __future__ import annotations

import json
from typing import Any

import pytest
from clients import DAYTONA
from harness.gateway import Gateway
from rawsock import Ws
from routes import Route, all_routes

ROUTES = all_routes()


def ask(gateway: Gateway, route: Route, headers: dict[str, str], **params: str) -> tuple[int, bytes]:
    """Status and body of one request to that route, without the gateway's token."""
    with Ws(gateway) as ws:
        if route.method == "WS":
            return ws.upgrade(route.at(**params), headers, auth=False), b""
        fields = headers | ({"Content-Length": "2"} if route.method == "POST" else {})
        body = b"{}" if route.method == "POST" else b""
        ws.send(ws.head(route.method, route.at(**params), fields, auth=False) + body)
        status, _, data = ws.answer()
        return status, data


def first_line(gateway: Gateway, route: Route, headers: dict[str, str], **params: str) -> int:
    """The status of such a request without a body, whose answer may have no end."""
    with Ws(gateway) as ws:
        if route.method == "WS":
            return ws.upgrade(route.at(**params), headers, auth=False)
        ws.send(ws.head(route.method, route.at(**params), headers, auth=False))
        return int(ws.line().split()[1])


def message(body: bytes) -> str:
    """The text of an error body, in whichever dialect's shape."""
    answer: Any = json.loads(body)
    return str(answer.get("message") or answer.get("detail") or answer["error"]["message"])


def test_the_table_was_read() -> None:
    """The sources are read by a pattern: it must see all rows of all dialects, and know their access."""
    assert len(ROUTES) >= 60
    assert {route.access for route in ROUTES} == {"PUBLIC", "USER", "LATE", "SANDBOX"}
    public = [str(route) for route in ROUTES if route.access == "PUBLIC"]
    assert public == ["GET /health", "GET /ready", "GET /", "GET /playground/{file}"]


BAD: dict[str, dict[str, str]] = {
    "none": {},
    "wrong": {"Authorization": "Bearer 0123456789abcdef"},
    "empty": {"Authorization": "Bearer "},
    "no scheme": {"Authorization": "TOKEN"},
    "basic": {"Authorization": "Basic TOKEN"},
    "cut": {"Authorization": "Bearer TOKE"},
    "longer": {"Authorization": "Bearer TOKENx"},
    "wrong key": {"X-API-KEY": "nonsense"},
    "forged sandbox token": {"X-Daytona-Preview-Token": "kb1.default." + "0" * 64},
}


@pytest.mark.parametrize("route", ROUTES, ids=str)
def test_no_route_without_a_good_token(gw: Gateway, route: Route) -> None:
    """401 and a body that says so, and for public rows never that; a late row gives nothing away."""
    refused = gw.gauge("refused_auth_total")
    for name, headers in BAD.items():
        sent = {k: v.replace("TOKEN", gw.token).replace("TOKE", gw.token[:-1]) for k, v in headers.items()}
        status, body = ask(gw, route, sent, sandbox="default")
        if route.access == "PUBLIC":
            assert status in (200, 404, 503), name
        elif route.access == "LATE":
            assert status == 101, name
        else:
            assert status == 401, (name, status, body)
            if route.method != "WS":
                assert "token" in message(body), body
    counted = gw.gauge("refused_auth_total") - refused
    assert counted == (len(BAD) if route.access in ("USER", "SANDBOX") else 0)


def preview_token(gateway: Gateway, sandbox: str) -> str:
    status, answer = gateway.json("GET", f"/daytona/api/sandbox/{sandbox}/ports/2280/preview-url")
    assert status == 200
    return str(answer["token"])  # type: ignore[index]


def test_a_token_of_one_sandbox_opens_nothing_else(gw: Gateway) -> None:
    for name in ("mine", "theirs"):
        assert gw.http("POST", "/daytona/api/sandbox", {"name": name})[0] == 200
    _, mine = gw.json("GET", "/daytona/api/sandbox/mine")
    token = {"Authorization": f"Bearer {preview_token(gw, 'mine')}"}
    box = mine["id"]  # type: ignore[index]
    for route in ROUTES:
        if route.access == "PUBLIC" or route.access == "LATE":
            continue
        for other in ("theirs", "default", "x"):
            if "{sandbox}" in route.path or route.access == "USER":
                assert ask(gw, route, token, sandbox=other)[0] in (401, 403), (route, other)
        # Its own: every answer but a refusal; those that end the sandbox are left out.
        if route.method in ("GET", "WS") and ("{sandbox}" in route.path or route.access == "SANDBOX"):
            port = "44772" if "/proxy/" in route.path else "2280"
            let_in = (101, 200, 400, 404, 501) if "{id}" in route.path else (101, 200, 400, 501)
            assert first_line(gw, route, token, sandbox=box, port=port) in let_in, route


@pytest.mark.parametrize("sandbox", ["default", "mine"])
def test_contexts_of_other_sandboxes_are_out_of_reach(gw: Gateway, sandbox: str) -> None:
    """By path or by token, a context is found in its own sandbox only."""
    assert gw.http("POST", "/daytona/api/sandbox", {"name": "mine"})[0] == 200
    _, theirs = gw.json("POST", "/daytona/api/sandbox", {"name": "theirs"})
    _, made = gw.json("POST", f"/daytona/toolbox/{theirs['id']}/process/interpreter/context", {})  # type: ignore[index]
    context = made["id"]  # type: ignore[index]
    path = f"/daytona/toolbox/{sandbox}/process/interpreter"
    assert gw.json("GET", f"{path}/context")[1] == {"contexts": []}
    assert gw.http("DELETE", f"{path}/context/{context}")[0] == 404
    root = {"X-Daytona-Preview-Token": preview_token(gw, sandbox)}
    assert gw.http("DELETE", f"/process/interpreter/context/{context}", headers=root, auth=False)[0] == 404
    with Ws(gw) as ws:
        assert ws.upgrade(f"{path}/execute") == 101
        ws.text({"code": "1", "contextId": context})
        assert ws.closing() == (1008, f"context not found: {context}")
    with Ws(gw) as ws:
        assert ws.upgrade("/process/interpreter/execute", root, auth=False) == 101
        ws.text({"code": "1", "contextId": context})
        assert ws.closing() == (1008, f"context not found: {context}")


def test_late_rows_do_nothing_before_the_token(gw: Gateway) -> None:
    """Socket.IO: a bad or missing key is told so; whatever else comes is ignored."""
    for first in ('40{"token":"nonsense"}', "40", "40{", '40{"token":7}', "40[]", '40{"token":null}'):
        with Ws(gw) as ws:
            assert ws.upgrade("/daytona/api/socket.io/?EIO=4&transport=websocket", auth=False) == 101
            assert ws.frame()[1].startswith(b"0{")
            ws.text('42["sandbox.create",{}]')
            ws.text(first)
            assert ws.frame() == (1, b'44{"message":"Unauthorized"}'), first
            ws.text("1")
            assert ws.closing()[0] == 1000


FOREIGN = ("https://evil.example", "null", "http://127.0.0.1:1", "http://localhost.evil.example")


@pytest.mark.parametrize("route", [r for r in ROUTES if r.method != "GET"], ids=str)
def test_no_page_elsewhere_reaches_a_route(gw: Gateway, route: Route) -> None:
    """Even with a good token, which a browser may hold: 403 for what changes things and for WebSockets."""
    good = {"Authorization": f"Bearer {gw.token}"}
    for origin in FOREIGN:
        assert ask(gw, route, good | {"Origin": origin}, sandbox="default")[0] == 403, origin
    assert ask(gw, route, good | {"Host": "evil.example"}, sandbox="default")[0] == 403


def test_another_page_cannot_read(gw: Gateway) -> None:
    """GET is answered, but without the header that would let the page see it."""
    with Ws(gw) as ws:
        ws.send(ws.head("GET", "/v1/contexts", {"Origin": "https://evil.example"}))
        status, headers, _ = ws.answer()
        assert status == 200 and "access-control-allow-origin" not in headers
        ws.send(ws.head("GET", f"{DAYTONA}/context", {"Host": "evil.example"}))
        assert ws.answer()[0] == 403
