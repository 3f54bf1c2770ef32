"""The edge from a bare socket: HTTP/1.1 framing, Host, Origin and tokens, RFC 6455, limits, clients that misbehave.

Each request names what an attacker or a broken client would send; the answers are those of RFC 9112
and RFC 6455. The fixture `gw` proves after each test that nothing is left of it.
"""

from __future__ import annotations

import json
import socket
import subprocess
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from harness.gateway import Gateway, binary, prefix, until
from rawsock import BINARY, CLOSE, PING, PONG, TEXT, Gone, Sock, Ws, frame

EXECUTE = "/daytona/toolbox/default/process/interpreter/execute"
CONTINUATION = 0


def closed(sock: Sock) -> bool:
    """True once the gateway has closed the connection; what it sends before that is dropped."""
    sock.rest()
    return True


def status_of(gateway: Gateway, data: bytes) -> int:
    with Sock(gateway) as sock:
        sock.send(data)
        return sock.answer()[0]


# --- HTTP framing -------------------------------------------------------------------------------


HOST = b"Host: localhost\r\n"
MALFORMED = {
    "tls": (400, b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\r\n\r\n"),
    "no version": (400, b"GET /\r\n\r\n"),
    "http/2": (505, b"PRI * HTTP/2.0\r\n\r\n"),
    "lower-case version": (400, b"GET / http/1.1\r\n" + HOST + b"\r\n"),
    "no host": (400, b"GET /health HTTP/1.1\r\n\r\n"),
    "two hosts": (400, b"GET /health HTTP/1.1\r\n" + HOST + HOST + b"\r\n"),
    "bare LF": (400, b"GET /health HTTP/1.1\nHost: localhost\r\n\r\n"),
    "folded": (400, b"GET /health HTTP/1.1\r\n" + HOST + b"X: a\r\n b\r\n\r\n"),
    "space before colon": (400, b"GET /health HTTP/1.1\r\n" + HOST + b"Content-Length : 1\r\n\r\n"),
    "zero byte": (400, b"GET /health HTTP/1.1\r\n" + HOST + b"X: \0\r\n\r\n"),
    "raw utf-8": (400, "GET /ä HTTP/1.1\r\n".encode() + HOST + b"\r\n"),
    "bad escape": (400, b"GET /%zz HTTP/1.1\r\n" + HOST + b"\r\n"),
    "encoded zero": (400, b"GET /%00 HTTP/1.1\r\n" + HOST + b"\r\n"),
    "dots": (400, b"GET /v1/../metrics HTTP/1.1\r\n" + HOST + b"\r\n"),
    "encoded dots": (400, b"GET /v1/%2e%2e/metrics HTTP/1.1\r\n" + HOST + b"\r\n"),
    "bad query": (400, b"GET /health?a=%f HTTP/1.1\r\n" + HOST + b"\r\n"),
    "both lengths": (
        400,
        b"POST /v1/contexts HTTP/1.1\r\n" + HOST + b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n",
    ),
    "two lengths": (
        400,
        b"POST /v1/contexts HTTP/1.1\r\n" + HOST + b"Content-Length: 3\r\nContent-Length: 4\r\n\r\n",
    ),
    "length list": (400, b"POST /v1/contexts HTTP/1.1\r\n" + HOST + b"Content-Length: 3, 3\r\n\r\n"),
    "negative length": (400, b"POST /v1/contexts HTTP/1.1\r\n" + HOST + b"Content-Length: -1\r\n\r\n"),
    "gzip": (501, b"POST /v1/contexts HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: gzip, chunked\r\n\r\n"),
    "expectation": (417, b"GET /health HTTP/1.1\r\n" + HOST + b"Expect: more\r\n\r\n"),
    "unknown method": (501, b"BREW /health HTTP/1.1\r\n" + HOST + b"\r\n"),
    "long url": (414, b"GET /" + b"a" * 9000 + b" HTTP/1.1\r\n" + HOST + b"\r\n"),
    "long header": (431, b"GET /health HTTP/1.1\r\n" + HOST + b"X: " + b"a" * 30000 + b"\r\n\r\n"),
    "endless header": (431, b"GET /health HTTP/1.1\r\n" + HOST + b"X: " + b"a" * 60000),
    "many headers": (431, b"GET /health HTTP/1.1\r\n" + HOST + b"X: a\r\n" * 200 + b"\r\n"),
}


@pytest.mark.parametrize("case", MALFORMED)
def test_a_malformed_request_is_refused(gw: Gateway, case: str) -> None:
    """The right status, a JSON body, and no byte after it is taken for another request."""
    status, data = MALFORMED[case]
    with Sock(gw) as sock:
        sock.send(data + b"GET /health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        answered, headers, body = sock.answer()
        assert answered == status, body
        assert json.loads(body)["error"]["message"]
        if headers.get("connection") == "close":
            assert sock.rest() == b""


def test_requests_in_one_packet_are_answered_in_order(gw: Gateway) -> None:
    with Sock(gw) as sock:
        sock.send(
            sock.head("GET", "/health")
            + sock.head("GET", "/v1/contexts")
            + sock.head("GET", "/nowhere", {"Connection": "close"})
        )
        assert [sock.answer()[0] for _ in range(3)] == [200, 200, 404]
        assert closed(sock)


def test_a_request_in_single_bytes(gw: Gateway) -> None:
    with Sock(gw) as sock:
        for byte in sock.head("GET", "/health"):
            sock.send(bytes([byte]))
        assert sock.answer()[0] == 200


@pytest.mark.parametrize("chunks", [[27], [1, 26], [1] * 27])
def test_a_chunked_body_is_decoded(gw: Gateway, chunks: list[int]) -> None:
    """The dialect sees the whole body, and the connection serves the next request."""
    body, framed = b'{"language": "klingon_____"}'[:27] + b"}", b""
    for size in [*chunks, 1]:
        piece, body = body[:size], body[size:]
        framed += b"%x;ext=1\r\n%s\r\n" % (len(piece), piece)
    with Sock(gw) as sock:
        sock.send(
            sock.head("POST", "/v1/contexts", {"Transfer-Encoding": "chunked"})
            + framed
            + b"0\r\nTrailer: x\r\n\r\n"
            + sock.head("GET", "/health")
        )
        status, _, answer = sock.answer()
        assert status in (400, 404), answer
        assert sock.answer()[0] == 200


@pytest.mark.parametrize("body", [b"5\nhello", b"z\r\n", b"5\r\nhelloX", b"-1\r\n", b"fffffffffffffffff\r\n"])
def test_a_malformed_chunk_ends_the_connection(gw: Gateway, body: bytes) -> None:
    with Sock(gw) as sock:
        sock.send(sock.head("POST", "/v1/contexts", {"Transfer-Encoding": "chunked"}) + body + b"\r\n0\r\n\r\n")
        assert sock.answer()[0] == 400
        assert closed(sock)


def test_delete_with_a_body(gw: Gateway) -> None:
    with Sock(gw) as sock:
        sock.send(
            sock.head("DELETE", "/v1/contexts/none", {"Content-Length": "30"})
            + b"GET /metrics HTTP/1.1\r\n\r\n".ljust(30)
            + sock.head("GET", "/health")
        )
        assert [sock.answer()[0] for _ in range(2)] == [404, 200]


def test_the_body_of_a_refused_request_is_no_request(gw: Gateway) -> None:
    smuggled = b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n"
    with Sock(gw) as sock:
        sock.send(
            sock.head("POST", "/v1/contexts", {"Content-Length": str(len(smuggled))}, auth=False)
            + smuggled
            + sock.head("GET", "/nowhere")
        )
        assert [sock.answer()[0] for _ in range(2)] == [401, 404]


def test_expect_100_continue(gw: Gateway) -> None:
    """100 comes before the body is sent; a request that is refused anyway gets none."""
    expect = {"Expect": "100-continue", "Content-Length": "2"}
    with Sock(gw) as sock:
        sock.send(sock.head("POST", "/v1/contexts", expect))
        assert sock.line() == b"HTTP/1.1 100 Continue"
        assert sock.line() == b""
        sock.send(b"[]")
        assert sock.answer()[0] == 400
    assert status_of(gw, sock.head("POST", "/v1/contexts", expect, auth=False)) == 401


def test_bodies_have_a_ceiling(make_gateway: Callable[..., Gateway]) -> None:
    """413 for a length and for chunks, also to a client that only reads after it has sent all."""
    gateway = make_gateway("--max_body_bytes=100000")
    with Sock(gateway) as sock:
        sock.send(sock.head("POST", "/v1/contexts", {"Content-Length": "8000000"}))
        sock.send(b" " * 8_000_000)
        status, _, body = sock.answer()
        assert status == 413 and b"too large" in body
        assert closed(sock)
    with Sock(gateway) as sock:
        sock.send(sock.head("POST", "/v1/contexts", {"Transfer-Encoding": "chunked"}))
        sock.send(b"10000\r\n" + b" " * 65536 + b"\r\n" + b"10000\r\n" + b" " * 65536 + b"\r\n")
        assert sock.answer()[0] == 413


def test_keep_alive_and_close(gw: Gateway) -> None:
    with Sock(gw) as sock:
        for _ in range(3):
            sock.send(sock.head("GET", "/health"))
            assert "connection" not in sock.answer()[1]
        sock.send(sock.head("GET", "/health", {"Connection": "close"}))
        assert sock.answer()[1]["connection"] == "close"
        assert closed(sock)
    with Sock(gw) as sock:
        sock.send(b"GET /health HTTP/1.0\r\n\r\n")
        assert sock.answer()[0] == 200
        assert closed(sock)


def test_methods(gw: Gateway) -> None:
    with Sock(gw) as sock:
        sock.send(sock.head("HEAD", "/health") + sock.head("OPTIONS", "/v1/contexts"))
        assert sock.line().endswith(b" 200 OK")
        while line := sock.line():
            name, _, value = line.partition(b": ")
            if name.lower() == b"content-length":
                assert int(value) > 0
        status, headers, _ = sock.answer()
        assert status == 204 and headers["allow"] == "GET, HEAD, POST"
        for method in ("PUT", "PATCH", "DELETE"):
            sock.send(sock.head(method, "/v1/contexts"))
            status, headers, body = sock.answer()
            assert status == 405 and headers["allow"] == "GET, HEAD, POST"
            assert json.loads(body)["error"]["code"] == "method_not_allowed"


def test_errors_are_in_the_words_of_who_owns_the_path(gw: Gateway) -> None:
    """Below /daytona as Daytona's own (daytona.md, 1.4), elsewhere as the native API's."""
    status, _, body = gw.http("GET", "/daytona/api/nowhere")
    assert status == 404 and json.loads(body)["statusCode"] == 404
    status, _, body = gw.http("GET", "/v1/nowhere")
    assert status == 404 and json.loads(body)["error"]["code"] == "not_found"


# --- Host, Origin, tokens -----------------------------------------------------------------------


@pytest.mark.parametrize("host", ["evil.example", "localhost.evil.example", "127.0.0.1.nip.io:80", "10.0.0.1"])
def test_foreign_host_names_are_refused(gw: Gateway, host: str) -> None:
    """DNS rebinding: a page's own name that resolves to loopback."""
    with Sock(gw) as sock:
        sock.send(sock.head("GET", "/v1/contexts", {"Host": host}))
        status, _, body = sock.answer()
        assert status == 403 and f"host not allowed: {host}" in body.decode()
    with Ws(gw) as ws:
        assert ws.upgrade("/v1/ws", {"Host": host}) == 403


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:1", "127.0.0.1", "127.1.2.3:80", "[::1]:80", "a.localhost"])
def test_loopback_host_names_are_fine(gw: Gateway, host: str) -> None:
    with Sock(gw) as sock:
        sock.send(sock.head("GET", "/v1/contexts", {"Host": host}))
        assert sock.answer()[0] == 200


def test_pages_of_other_origins_are_refused(gw: Gateway) -> None:
    """Whatever changes something, and every WebSocket; also the sandboxed iframe's "null"."""
    before = gw.metrics()["kernelbridge_refused_origin_total"]
    for origin in ("https://evil.example", "null", gw.url.replace("http:", "https:"), "http://localhost"):
        with Sock(gw) as sock:
            sock.send(sock.head("POST", "/v1/contexts", {"Origin": origin, "Content-Length": "2"}) + b"{}")
            status, headers, body = sock.answer()
            assert status == 403 and b"origin not allowed" in body
            assert "access-control-allow-origin" not in headers
        with Ws(gw) as ws:
            assert ws.upgrade("/v1/ws", {"Origin": origin}) == 403
    assert gw.metrics()["kernelbridge_refused_origin_total"] == before + 8
    with Sock(gw) as sock:
        sock.send(sock.head("GET", "/health", {"Origin": "https://evil.example"}))
        assert "access-control-allow-origin" not in sock.answer()[1]


def test_our_own_page_may(gw: Gateway) -> None:
    with Sock(gw) as sock:
        sock.send(sock.head("POST", "/v1/contexts", {"Origin": gw.url, "Content-Length": "2"}) + b"[]")
        assert sock.answer()[0] == 400
    with Ws(gw) as ws:
        assert ws.upgrade("/v1/ws", {"Origin": gw.url}) == 101


def test_an_allowed_origin_gets_cors_headers(make_gateway: Callable[..., Gateway]) -> None:
    gateway = make_gateway("--allow_origins=https://ide.example", "--allow_hosts=gw.example")
    asked = {"Origin": "https://ide.example", "Host": "gw.example:8686"}
    with Sock(gateway) as sock:
        preflight = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "authorization"}
        sock.send(sock.head("OPTIONS", "/v1/contexts", asked | preflight, auth=False))
        status, headers, _ = sock.answer()
        assert status == 204
        assert headers["access-control-allow-origin"] == "https://ide.example"
        assert headers["access-control-allow-methods"] == "GET, HEAD, POST"
        assert headers["access-control-allow-headers"] == "authorization"
        sock.send(sock.head("GET", "/v1/contexts", asked))
        status, headers, _ = sock.answer()
        assert status == 200
        assert headers["access-control-allow-origin"] == "https://ide.example" and headers["vary"] == "Origin"
    with Ws(gateway) as ws:
        assert ws.upgrade("/v1/ws", asked) == 101


CARRIERS = {
    "bearer": ({"Authorization": "Bearer {}"}, ""),
    "bearer, any case": ({"authorization": "bEARER  {}"}, ""),
    "token": ({"Authorization": "token {}"}, ""),
    "x-api-key": ({"X-API-KEY": "{}"}, ""),
    "opensandbox": ({"OPEN-SANDBOX-API-KEY": "{}"}, ""),
    "e2b": ({"X-Access-Token": "{}"}, ""),
    "e2b traffic": ({"E2B-Traffic-Access-Token": "{}"}, ""),
    "execd": ({"X-EXECD-ACCESS-TOKEN": "{}"}, ""),
    "daytona preview": ({"X-Daytona-Preview-Token": "{}"}, ""),
    "query": ({}, "?a=b&token={}"),
    "daytona query": ({}, "?DAYTONA_SANDBOX_AUTH_KEY={}"),
    "daytona cookie": ({"Cookie": "a=b; DAYTONA_SANDBOX_AUTH_KEY={}; c=d"}, ""),
    "beside a proxy's": ({"Authorization": "Basic dTpw", "X-API-KEY": "{}"}, ""),
}


@pytest.mark.parametrize("carrier", CARRIERS)
def test_the_token_is_found_wherever_an_sdk_puts_it(gw: Gateway, carrier: str) -> None:
    headers, query = CARRIERS[carrier]
    for token, status in ((gw.token, 200), (gw.token[:-1], 401), (gw.token + "0", 401), ("", 401)):
        with Sock(gw) as sock:
            filled = {name: value.format(token) for name, value in headers.items()}
            sock.send(sock.head("GET", "/v1/contexts" + query.format(token), filled, auth=False))
            answered, got, body = sock.answer()
            assert answered == status, (token, body)
            if status == 401:
                assert got["www-authenticate"] == "Bearer" and gw.token[:8].encode() not in body
        with Ws(gw) as ws:
            wanted = {name: value.format(token) for name, value in headers.items()}
            assert ws.upgrade("/v1/ws" + query.format(token), wanted, auth=False) == (101 if status == 200 else 401)


def test_a_browser_brings_the_token_as_a_subprotocol(gw: Gateway) -> None:
    for token, status in ((gw.token, 101), ("wrong", 401)):
        for offer in (
            "kernelbridge.v1, kernelbridge.token.{}",
            "kernelbridge.token.{}, kernelbridge.v1",
            "other\r\nSec-WebSocket-Protocol: kernelbridge.v1, kernelbridge.token.{}",
            "kernelbridge.token.{}\r\nConnection: keep-alive\r\nSec-WebSocket-Protocol: kernelbridge.v1",
        ):
            with Ws(gw) as ws:
                headers = {"Sec-WebSocket-Protocol": offer.format(token)}
                wanted = {
                    "Connection": "Upgrade",
                    "Upgrade": "websocket",
                    "Sec-WebSocket-Version": "13",
                    "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
                }
                ws.send(ws.head("GET", "/v1/ws", wanted | headers, auth=False))
                answered, got, _ = ws.answer()
                assert answered == status
                assert got.get("sec-websocket-protocol") == ("kernelbridge.v1" if status == 101 else None)


def test_the_offered_daytona_subprotocol_is_echoed(gw: Gateway) -> None:
    """daytona.md, section 3: browsers drop a WebSocket whose offer is not answered."""
    with Ws(gw) as ws:
        wanted = {
            "Connection": "keep-alive, Upgrade",
            "Upgrade": "websocket",
            "Sec-WebSocket-Version": "13",
            "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
            "Sec-WebSocket-Protocol": "other, X-Daytona-SDK-Version~0.216.0",
            "Sec-WebSocket-Extensions": "permessage-deflate; client_max_window_bits",
        }
        ws.send(ws.head("GET", f"{EXECUTE}?DAYTONA_SANDBOX_AUTH_KEY={gw.token}", wanted, auth=False))
        status, headers, _ = ws.answer()
        assert status == 101
        assert headers["sec-websocket-accept"] == "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
        assert headers["sec-websocket-protocol"] == "X-Daytona-SDK-Version~0.216.0"
        assert "sec-websocket-extensions" not in headers


# --- WebSockets ---------------------------------------------------------------------------------


HANDSHAKES = {
    "no key": (400, {"Sec-WebSocket-Key": ""}),
    "short key": (400, {"Sec-WebSocket-Key": "abc"}),
    "old version": (426, {"Sec-WebSocket-Version": "8"}),
    "with a body": (400, {"Transfer-Encoding": "chunked"}),
}


@pytest.mark.parametrize("case", HANDSHAKES)
def test_a_malformed_handshake_is_refused(gw: Gateway, case: str) -> None:
    status, headers = HANDSHAKES[case]
    with Ws(gw) as ws:
        assert ws.upgrade("/v1/ws", headers) == status


def test_upgrades_elsewhere_are_refused(gw: Gateway) -> None:
    for path, auth, status in (("/v1/contexts", True, 404), ("/nowhere", True, 404), ("/v1/ws", False, 401)):
        with Ws(gw) as ws:
            assert ws.upgrade(path, auth=auth) == status
    with Sock(gw) as sock:
        sock.send(sock.head("GET", "/v1/ws"))
        status, headers, _ = sock.answer()
        assert status == 426 and headers["upgrade"] == "websocket"


def bad_op(ws: Ws) -> bool:
    """Read the answer to an op that does not exist: the message came through whole."""
    answer = ws.message()
    return answer["error"]["code"] == "invalid" and answer["id"] == 7


BAD_OP = b'{"id": 7, "op": "none", "x": "\xe2\x82\xac"}'


def test_fragments_with_pings_between_them(gw: Gateway) -> None:
    """A message in three frames, cut inside a character; each ping is answered before the message is complete."""
    with Ws(gw) as ws:
        assert ws.upgrade("/v1/ws") == 101
        ws.send(frame(TEXT, BAD_OP[:33], fin=False) + frame(PING, b"one"))
        assert ws.frame() == (PONG, b"one")
        ws.send(frame(CONTINUATION, b"", fin=False) + frame(PONG, b"nobody asked"))
        ws.send(frame(PING, b""))
        assert ws.frame() == (PONG, b"")
        ws.send(frame(CONTINUATION, BAD_OP[33:]))
        assert bad_op(ws)
        ws.send(frame(TEXT, BAD_OP))
        assert bad_op(ws)


@pytest.mark.parametrize("size", [125, 126, 65535, 65536, 3_000_000])
def test_every_length_of_message(gw: Gateway, size: int) -> None:
    with Ws(gw) as ws:
        assert ws.upgrade("/v1/ws") == 101
        ws.send(frame(TEXT, BAD_OP[:-1].ljust(size - 1) + b"}"))
        assert bad_op(ws)


def test_the_first_message_may_come_with_the_handshake(gw: Gateway) -> None:
    with Ws(gw) as ws:
        wanted = {
            "Connection": "Upgrade",
            "Upgrade": "websocket",
            "Sec-WebSocket-Version": "13",
            "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
        }
        ws.send(ws.head("GET", "/v1/ws", wanted) + frame(TEXT, BAD_OP) + frame(TEXT, BAD_OP))
        assert ws.answer()[0] == 101
        assert bad_op(ws) and bad_op(ws)


BROKEN = {
    "reserved bit": (1002, bytes([0xC1, 0x80, 0, 0, 0, 0])),
    "reserved opcode": (1002, frame(3, b"")),
    "reserved control opcode": (1002, frame(11, b"")),
    "continuation of nothing": (1002, frame(CONTINUATION, b"x")),
    "a message inside a message": (1002, frame(TEXT, b"x", fin=False) + frame(TEXT, b"y")),
    "fragmented ping": (1002, frame(PING, b"x", fin=False)),
    "long ping": (1006, frame(PING, b"x" * 126)),
    "invalid UTF-8": (1007, frame(TEXT, b"\xff")),
    "half a character": (1007, frame(TEXT, b"\xe2\x82")),
    "surrogate": (1007, frame(TEXT, b"\xed\xa0\x80")),
    "overlong": (1007, frame(TEXT, b"\xc0\xaf")),
}


@pytest.mark.parametrize("case", BROKEN)
def test_broken_frames_end_the_connection(gw: Gateway, case: str) -> None:
    """RFC 6455, sections 5 and 8.1; 1006 stands for an end without a close frame."""
    code, data = BROKEN[case]
    with Ws(gw) as ws:
        assert ws.upgrade("/v1/ws") == 101
        ws.send(data)
        assert ws.closing()[0] == code
        assert closed(ws)


def test_messages_have_a_ceiling(make_gateway: Callable[..., Gateway]) -> None:
    """1009 for one long frame, for many fragments, and for a length that never comes."""
    gateway = make_gateway("--max_message_bytes=100000")
    for data in (
        frame(TEXT, b"x" * 100_001),
        frame(TEXT, b"x" * 60_000, fin=False) + frame(CONTINUATION, b"x" * 60_000),
        b"\x81\xff" + (1 << 62).to_bytes(8, "big") + b"\0\0\0\0x",
    ):
        with Ws(gateway) as ws:
            assert ws.upgrade("/v1/ws") == 101
            ws.send(data)
            assert ws.closing() == (1009, "message too large")


@pytest.mark.parametrize("payload", [b"", b"\x03\xe8", b"\x03\xe9bye", b"\x0b\xb8app", b"\x13\x87"])
def test_a_close_is_answered_with_its_code(gw: Gateway, payload: bytes) -> None:
    with Ws(gw) as ws:
        assert ws.upgrade("/v1/ws") == 101
        ws.send(frame(CLOSE, payload))
        opcode, answer = ws.frame()
        assert opcode == CLOSE and answer == payload
        assert closed(ws)


@pytest.mark.parametrize("code", [0, 999, 1004, 1005, 1006, 1015, 2999])
def test_a_close_code_that_may_not_be_sent_is_an_error(gw: Gateway, code: int) -> None:
    with Ws(gw) as ws:
        assert ws.upgrade("/v1/ws") == 101
        ws.send(frame(CLOSE, code.to_bytes(2, "big")))
        assert ws.frame() == (CLOSE, b"\x03\xea")
        assert closed(ws)


def test_what_was_sent_before_our_close_arrives_first(gw: Gateway) -> None:
    """The frames of a run and the close behind them, by the Daytona dialect; then the gateway hangs up."""
    with Ws(gw) as ws:
        assert ws.upgrade(EXECUTE) == 101
        ws.text({"code": "print('a' * 300000)"})
        seen = ""
        while (message := ws.message())["type"] == "stdout":
            seen += message["text"]
        assert seen == "a" * 300_000 + "\n" and message["text"] == "completed"
        assert ws.closing() == (1000, "")
        assert closed(ws)


def test_a_client_that_never_answers_our_close_is_dropped(gw: Gateway) -> None:
    with Ws(gw) as ws:
        assert ws.upgrade(EXECUTE) == 101
        ws.text("no JSON")
        opcode, payload = ws.frame()
        assert opcode == CLOSE and payload[:2] == b"\x03\xea"
        with pytest.raises(Gone):
            ws.frame()


def test_data_after_our_close_is_ignored(gw: Gateway) -> None:
    with Ws(gw) as ws:
        assert ws.upgrade(EXECUTE) == 101
        ws.text("no JSON")
        assert ws.frame()[0] == CLOSE
        ws.send(frame(TEXT, b'{"code": "1"}') + frame(BINARY, b"\0" * 100_000) + frame(CLOSE, b"\x03\xea"))
        assert ws.rest() == b""


# --- time, numbers, and clients that vanish -----------------------------------------------------


def test_the_gateway_pings_and_drops_the_dead(make_gateway: Callable[..., Gateway]) -> None:
    """Who answers stays; who leaves two pings unanswered goes."""
    gateway = make_gateway("--ping_every_ms=1000")
    with Ws(gateway) as alive, Ws(gateway) as dead:
        assert alive.upgrade("/v1/ws") == 101 and dead.upgrade("/v1/ws") == 101
        for _ in range(5):
            opcode, payload = alive.frame()
            assert opcode == PING
            alive.send(frame(PONG, payload))
        assert [dead.frame()[0] for _ in range(2)] == [PING, PING]
        with pytest.raises(Gone):
            dead.frame()
        alive.send(frame(TEXT, BAD_OP))
        assert bad_op(alive)


def test_what_does_not_arrive_in_time(make_gateway: Callable[..., Gateway]) -> None:
    """408 to half a head and half a body; a silent connection and an idle one are just closed."""
    gateway = make_gateway("--idle_timeout_ms=1000")
    socks = [Sock(gateway) for _ in range(5)]
    silent, head, body, chunks, idle = socks
    head.send(b"GET /health HTTP/1.1\r\nHost: loc")
    body.send(body.head("POST", "/v1/contexts", {"Content-Length": "100"}) + b"{")
    chunks.send(chunks.head("POST", "/v1/contexts", {"Transfer-Encoding": "chunked"}) + b"5\r\nab")
    idle.send(idle.head("GET", "/health"))
    assert idle.answer()[0] == 200
    assert [sock.answer()[0] for sock in (head, body, chunks)] == [408] * 3
    assert silent.rest() == b"" and idle.rest() == b""
    for sock in socks:
        sock.socket.close()
    until("only the asker is connected", lambda: gateway.gauge("connections") == 1)


def test_a_running_request_outlives_the_idle_timeout(make_gateway: Callable[..., Gateway]) -> None:
    gateway = make_gateway("--idle_timeout_ms=1000", "--ping_every_ms=1000")
    with Ws(gateway) as ws:
        assert ws.upgrade(EXECUTE) == 101
        ws.text({"code": "import time; time.sleep(4); print('late')"})
        assert ws.message()["text"] == "late\n"


def test_too_many_connections(make_gateway: Callable[..., Gateway]) -> None:
    gateway = make_gateway("--max_connections=5")
    held = []
    for _ in range(5):
        held.append(Sock(gateway))
        held[-1].send(held[-1].head("GET", "/health"))
        assert held[-1].answer()[0] == 200
    with Sock(gateway) as sock:
        status, headers, body = sock.answer()
        assert status == 503 and headers["retry-after"] == "1" and b"too many" in body
        assert closed(sock)
    for sock in held:
        sock.socket.close()
    until("room again", lambda: gateway.http("GET", "/health")[0] == 200)
    assert gateway.metrics()["kernelbridge_connections_refused_total"] >= 1
    assert "too many connections" in gateway.stderr


STEPS = {
    "connected": b"",
    "half a head": b"GET /health HT",
    "half a body": b"POST /v1/contexts HTTP/1.1\r\nHost: localhost\r\nX-API-KEY: {token}\r\nContent-Length: 9\r\n\r\n{",
    "half a chunk": b"POST /v1/contexts HTTP/1.1\r\nHost: localhost\r\nX-API-KEY: {token}\r\n"
    b"Transfer-Encoding: chunked\r\n\r\n9\r\n{",
    "asked": b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nX-API-KEY: {token}\r\n\r\n",
}


@pytest.mark.parametrize("abruptly", [False, True], ids=["fin", "rst"])
@pytest.mark.parametrize("step", STEPS)
def test_a_client_that_vanishes_during_http(gw: Gateway, step: str, abruptly: bool) -> None:
    sock = Sock(gw)
    sock.send(STEPS[step].replace(b"{token}", gw.token.encode()))
    if abruptly:
        sock.reset()
    else:
        sock.socket.close()


@pytest.mark.parametrize("abruptly", [False, True], ids=["fin", "rst"])
@pytest.mark.parametrize("sent", [b"", b"\x81", b"\x81\xfe\x01", frame(TEXT, b"x" * 1000)[:500], frame(TEXT, b"x", fin=False)])
def test_a_client_that_vanishes_during_a_websocket(gw: Gateway, sent: bytes, abruptly: bool) -> None:
    ws = Ws(gw)
    assert ws.upgrade("/v1/ws") == 101
    ws.send(sent)
    if abruptly:
        ws.reset()
    else:
        ws.socket.close()


def test_a_half_closed_client_still_gets_its_answers(gw: Gateway) -> None:
    with Sock(gw) as sock:
        sock.send(sock.head("GET", "/health") + sock.head("GET", "/nowhere"))
        sock.socket.shutdown(socket.SHUT_WR)
        assert [sock.answer()[0] for _ in range(2)] == [200, 404]
        assert closed(sock)


def test_a_port_is_not_shared(gw: Gateway, tmp_path: Path) -> None:
    """Two gateways on one port would each get half of the clients."""
    ran = subprocess.run(
        [binary(), f"--listen={urlsplit(gw.url).netloc}", f"--state_dir={tmp_path}", f"--prefix={prefix()}"],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert ran.returncode == 1 and "address in use" in ran.stderr
