"""Uploads at the edge: bodies in pieces to a real gateway, from bare sockets and from httpx.

The row is OpenSandbox's POST /files/upload (opensandbox.md, 4); what becomes of the files is tested with that
dialect. The fixture `gw` proves after each test that nothing is left of it.
"""

from __future__ import annotations

import http.client
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest
from harness.gateway import Gateway, until
from rawsock import Gone, Sock

UPLOAD = "/sandboxes/default/proxy/44772/files/upload"
NOWHERE = "/sandboxes/nobody/proxy/44772/files/upload"
LARGE = 40_000_000  # bytes: more than sockets hold
BOUNDARY = "xx"
FORM = {"Content-Type": f"multipart/form-data; boundary={BOUNDARY}"}


def form(path: str, content: bytes) -> bytes:
    """The body that uploads one file."""
    metadata = json.dumps({"path": path}).encode()
    return (
        b'--xx\r\nContent-Disposition: form-data; name="metadata"; filename="metadata"\r\n\r\n' + metadata + b"\r\n"
        b'--xx\r\nContent-Disposition: form-data; name="file"; filename="f"\r\n\r\n' + content + b"\r\n--xx--\r\n"
    )


def home(gateway: Gateway) -> Path:
    return gateway.state_dir / "sandboxes" / "default" / "home"


@pytest.fixture
def target(gw: Gateway) -> Iterator[Path]:
    """Where an upload to "up.bin" arrives; gone after the test."""
    path = home(gw) / "up.bin"
    yield path
    path.unlink(missing_ok=True)


@pytest.mark.parametrize("step", [1, 7, 1000])
def test_a_chunked_upload_in_small_packets(gw: Gateway, target: Path, step: int) -> None:
    """However it is cut, the file is the same, and the connection serves the next request."""
    body, content = b"", bytes(range(256)) * 4
    whole = form("up.bin", content)
    for at in range(0, len(whole), 100):
        piece = whole[at : at + 100]
        body += b"%x\r\n%s\r\n" % (len(piece), piece)
    body += b"0\r\n\r\n"
    with Sock(gw) as sock:
        sock.send(sock.head("POST", UPLOAD, FORM | {"Transfer-Encoding": "chunked"}))
        for at in range(0, len(body), step):
            sock.send(body[at : at + step])
        sock.send(sock.head("GET", "/health"))
        assert [sock.answer()[0] for _ in range(2)] == [200, 200]
    assert target.read_bytes() == content


def test_an_upload_may_be_larger_than_a_body(make_gateway: Callable[..., Gateway]) -> None:
    """max_body_bytes bounds what is kept in memory; an upload is not."""
    gateway = make_gateway("--max_body_bytes=100000")
    content = b"0123456789abcdef" * (LARGE // 16)
    files = [("metadata", ("metadata", json.dumps({"path": "large"}))), ("file", ("large", content))]
    answer = httpx.post(gateway.url + UPLOAD, files=files, headers={"X-API-KEY": gateway.token}, timeout=60)
    assert answer.status_code == 200, answer.text
    assert (home(gateway) / "large").read_bytes() == content


def test_expect_100_continue(gw: Gateway, target: Path) -> None:
    """100 when the sandbox is there; the final answer at once when it is not."""
    body = form("up.bin", b"x")
    wanted = FORM | {"Expect": "100-continue", "Content-Length": str(len(body))}
    with Sock(gw) as sock:
        sock.send(sock.head("POST", UPLOAD, wanted))
        assert [sock.line(), sock.line()] == [b"HTTP/1.1 100 Continue", b""]
        sock.send(body)
        assert sock.answer()[0] == 200
    assert target.read_bytes() == b"x"
    with Sock(gw) as sock:
        sock.send(sock.head("POST", NOWHERE, wanted))
        assert sock.answer()[0] == 404
        assert sock.rest() == b""


REFUSED = {
    "no such sandbox": (404, NOWHERE, {}),
    "no form": (400, UPLOAD, {"Content-Type": "text/plain"}),
    "no token": (401, UPLOAD, {"X-API-KEY": "wrong"}),
    "no route": (404, "/sandboxes/default/proxy/44772/files/nowhere", {}),
}


@pytest.mark.parametrize("case", REFUSED)
def test_an_early_refusal_is_heard(gw: Gateway, case: str) -> None:
    """Also by clients that write their whole body before they read: the answer is not lost to a reset."""
    status, path, headers = REFUSED[case]
    body = form("up.bin", b"x" * LARGE)
    sent = FORM | {"X-API-KEY": gw.token} | headers
    answer = httpx.post(gw.url + path, content=body, headers=sent, timeout=60)
    assert answer.status_code == status and answer.json()["message"]
    connection = http.client.HTTPConnection(urlsplit(gw.url).netloc, timeout=60)
    connection.request("POST", path, body=iter([body]), headers=sent, encode_chunked=True)
    got = connection.getresponse()
    assert got.status == status and json.load(got)["message"]
    connection.close()


def test_the_next_request_of_a_pool_is_served(gw: Gateway, target: Path) -> None:
    """A refusal that closes the connection is no trouble to a client that keeps connections."""
    with httpx.Client(base_url=gw.url, headers=FORM | {"X-API-KEY": gw.token}, timeout=60) as client:
        for _ in range(3):
            assert client.post(NOWHERE, content=form("up.bin", b"x" * 300_000)).status_code == 404
            assert client.post(UPLOAD, content=form("up.bin", b"x" * 300_000)).status_code == 200
    assert target.stat().st_size == 300_000


@pytest.mark.parametrize("chunk", [b"z\r\n", b"5\nhello", b"1\r\nabc", b"-1\r\n"])
def test_a_malformed_chunk_ends_the_upload(gw: Gateway, target: Path, chunk: bytes) -> None:
    start = form("up.bin", b"x" * 100)[:150]
    with Sock(gw) as sock:
        sock.send(
            sock.head("POST", UPLOAD, FORM | {"Transfer-Encoding": "chunked"}) + b"96\r\n" + start + b"\r\n" + chunk
        )
        status, headers, body = sock.answer()
        assert status == 400 and headers["connection"] == "close"
        assert json.loads(body)["message"] == "malformed chunked body"
        assert sock.rest() == b""
    assert not target.exists()


STEPS = {"head": 0, "metadata": 120, "file": 300, "all but the end": -3}


@pytest.mark.parametrize("abruptly", [False, True], ids=["fin", "rst"])
@pytest.mark.parametrize("step", STEPS)
def test_a_client_that_vanishes(gw: Gateway, target: Path, step: str, abruptly: bool) -> None:
    """No file, no descriptor and no connection is left."""
    body = form("up.bin", b"x" * 1_000_000)
    sock = Sock(gw)
    sock.send(sock.head("POST", UPLOAD, FORM | {"Content-Length": str(len(body))}) + body[: STEPS[step]])
    if abruptly:
        sock.reset()
    else:
        sock.socket.close()
    until("only the asker is connected", lambda: gw.gauge("connections") == 1)
    assert not target.exists()


def test_a_stalled_upload_is_ended(make_gateway: Callable[..., Gateway]) -> None:
    gateway = make_gateway("--idle_timeout_ms=1000")
    body = form("up.bin", b"x" * 1000)
    with Sock(gateway) as sock:
        sock.send(sock.head("POST", UPLOAD, FORM | {"Content-Length": str(len(body))}) + body[:500])
        assert sock.answer()[0] == 408
        assert sock.rest() == b""
    assert not (home(gateway) / "up.bin").exists()


def test_the_gateway_stops_during_an_upload(make_gateway: Callable[..., Gateway]) -> None:
    """It waits for nobody, and its sanitizers find nothing."""
    gateway = make_gateway()
    body = form("up.bin", b"x" * 1_000_000)
    with Sock(gateway) as sock:
        sock.send(sock.head("POST", UPLOAD, FORM | {"Content-Length": str(len(body))}) + body[:500_000])
        until("both are connected", lambda: gateway.gauge("connections") == 2)
        gateway.stop()
        with pytest.raises(Gone):
            sock.answer()
    assert not (home(gateway) / "up.bin").exists()


def test_request_ids_come_back(gw: Gateway) -> None:
    """Also with what the edge says, and only where they can be shown."""
    for path in (NOWHERE, UPLOAD, "/nowhere", "/health"):
        for name, back in (("4f-b1", "4f-b1"), ("two words", None), ("x" * 129, None)):
            with Sock(gw) as sock:
                sock.send(sock.head("POST", path, {"X-Request-ID": name}))
                assert sock.answer()[1].get("x-request-id") == back
