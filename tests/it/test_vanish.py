"""Clients that vanish at each step, by FIN and by RST, and gateways that do: nothing is left of either."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from clients import DAYTONA, Native, Stream, hold, wait_run
from harness.gateway import Gateway, until
from rawsock import TEXT, Gone, Sock, Ws, frame

LEAVE: dict[str, Callable[[Sock], None]] = {"FIN": lambda s: s.socket.close(), "RST": lambda s: s.reset()}
LOOP = "import time\nprint('on', flush=True)\nwhile True: time.sleep(0.01)"
FLOOD = "while True: print('x' * 1000)"


def post(gateway: Gateway, path: str, body: object) -> Sock:
    sock = Sock(gateway)
    data = json.dumps(body).encode()
    sock.send(sock.head("POST", path, {"Content-Length": str(len(data))}) + data)
    return sock


def native_after_request(gw: Gateway) -> Sock:
    native = Native(gw)
    native.post("execute", code=LOOP)
    return native


def native_mid_output(gw: Gateway) -> Sock:
    native = Native(gw)
    native.wait_text(native.start(FLOOD), "x")
    return native


def native_stalled(gw: Gateway) -> Sock:
    native = Native(gw, receive_buffer=4096)
    native.post("execute", code=FLOOD)
    native.frame()
    until("a full log", lambda: gw.gauge("events_bytes") > 1 << 20)
    return native


def native_queued(gw: Gateway) -> Sock:
    native = Native(gw)
    native.wait_text(native.start(LOOP), "on")
    for _ in range(20):
        native.start("print('never')")
    return native


def native_unread_answers(gw: Gateway) -> Sock:
    native = Native(gw, receive_buffer=4096)
    for _ in range(2000):
        native.post("list_kernelspecs")
    return native


def native_create_context(gw: Gateway) -> Sock:
    native = Native(gw)
    for _ in range(3):
        native.post("create_context")
    gw.wait_gauge("contexts", 4)
    return native


def native_complete(gw: Gateway) -> Sock:
    native = Native(gw)
    native.wait_text(native.start(LOOP), "on")
    for _ in range(20):
        native.post("complete", context="default", code="imp", cursor_pos=3)
    return native


def native_input(gw: Gateway) -> Sock:
    native = Native(gw)
    native.wait_event(native.start("input()", stdin=True), "input")
    return native


def native_half_frame(gw: Gateway) -> Sock:
    native = Native(gw)
    native.send(frame(TEXT, b'{"id":1,"op":"execute","code":"print(1)"}')[:20])
    return native


def native_fragment(gw: Gateway) -> Sock:
    native = Native(gw)
    native.send(frame(TEXT, b'{"id":1,', fin=False))
    return native


def rest_wait(gw: Gateway) -> Sock:
    sock = post(gw, "/v1/executions", {"code": LOOP, "wait": True})
    gw.wait_gauge("executions_running", 1)
    return sock


def rest_stream(gw: Gateway) -> Sock:
    sock = post(gw, "/v1/executions", {"code": FLOOD})
    sock.take(10_000)
    return sock


def rest_create_context(gw: Gateway) -> Sock:
    sock = post(gw, "/v1/contexts", {})
    gw.wait_gauge("contexts", 2)
    return sock


def rest_half_body(gw: Gateway) -> Sock:
    sock = Sock(gw)
    sock.send(sock.head("POST", "/v1/executions", {"Content-Length": "1000"}) + b'{"code":"1"')
    return sock


def rest_half_head(gw: Gateway) -> Sock:
    sock = Sock(gw)
    sock.send(sock.head("POST", "/v1/executions")[:-7])
    return sock


def nothing_sent(gw: Gateway) -> Sock:
    return Sock(gw)


def daytona_upgraded(gw: Gateway) -> Sock:
    ws = Ws(gw)
    assert ws.upgrade(f"{DAYTONA}/execute") == 101
    return ws


def daytona_before_the_upgrade_is_read(gw: Gateway) -> Sock:
    ws = Ws(gw)
    head = {"Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13"}
    key = {"Sec-WebSocket-Key": "AAAAAAAAAAAAAAAAAAAAAA=="}
    ws.send(ws.head("GET", f"{DAYTONA}/execute", head | key) + frame(TEXT, b'{"code":"print(1)"}'))
    return ws


def daytona_before_the_close_is_read(gw: Gateway) -> Sock:
    ws = daytona_upgraded(gw)
    assert isinstance(ws, Ws)
    ws.text({"code": "print(1)"})
    assert ws.message()["text"] == "1\n"
    assert ws.message()["type"] == "control"
    return ws


STEPS = [
    nothing_sent, rest_half_head, rest_half_body, rest_wait, rest_stream, rest_create_context, daytona_upgraded,
    daytona_before_the_upgrade_is_read, daytona_before_the_close_is_read, native_after_request, native_mid_output,
    native_stalled, native_queued, native_unread_answers, native_create_context, native_complete, native_input,
    native_half_frame, native_fragment,
]  # fmt: skip


@pytest.mark.parametrize("how", LEAVE)
@pytest.mark.parametrize("step", STEPS, ids=lambda step: step.__name__)
def test_client_that_vanishes(gw: Gateway, step: Callable[[Gateway], Sock], how: str) -> None:
    """Whatever it left behind ends; `gw` finds nothing of it."""
    LEAVE[how](step(gw))
    gw.wait_at_rest()
    assert wait_run(gw, "print('next')")["stdout"] == "next\n"


@pytest.mark.parametrize("how", LEAVE)
@pytest.mark.parametrize("api", ["daytona", "native"])
def test_runs_that_finish_without_their_client(gw: Gateway, api: str, how: str, tmp_path: Path) -> None:
    """Daytona's always, native ones that say so; the queued run of a gone Daytona client is dropped."""
    go = tmp_path / "go"
    with Native(gw) as control:
        context = control.context()
        if api == "daytona":
            first, second = (daytona_upgraded(gw) for _ in range(2))
            assert isinstance(first, Ws) and isinstance(second, Ws)
            first.text({"code": hold(go) + "finished = 1", "contextId": context})
            assert first.message()["text"] == "held\n"
            second.text({"code": "dropped = 1", "contextId": context})
            gw.wait_gauge("executions_queued", 1)
            LEAVE[how](second)
            gw.wait_gauge("executions_queued", 0)
            LEAVE[how](first)
        else:
            native = Native(gw)
            execution = native.start(hold(go) + "finished = 1", context=context, on_disconnect="finish")
            native.wait_text(execution, "held")
            LEAVE[how](native)
        go.touch()
        assert control.run("print(finished, 'dropped' in globals())", context=context).text() == "1 False\n"


def test_attach_after_the_connection_was_lost(make_gateway: Callable[..., Gateway], tmp_path: Path) -> None:
    """The second connection gets what the first did not see, once, and then the rest."""
    gateway = make_gateway()
    go = tmp_path / "go"
    native = Native(gateway)
    code = f"print('one')\n{hold(go)}print('two')"
    execution = native.start(code, on_disconnect="finish")
    said = native.wait_text(execution, "held")
    native.reset()
    with Native(gateway) as again:
        answer = again.ask("attach", execution=execution, after=said.events[-1]["seq"])
        assert answer["ok"] and answer["state"] == "running"
        go.touch()
        said = again.rest_of(execution, said)
        assert (said.how, said.text()) == ("ok", "one\nheld\ntwo\n")
        assert again.ask("attach", execution=execution)["how"] == "ok"
        assert again.rest_of(execution).text() == "one\nheld\ntwo\n"


def test_half_open_connections(gw: Gateway) -> None:
    """A hundred that send nothing, or half of something, cost a descriptor each and nothing else."""
    halves = [
        b"",
        b"G",
        b"GET / HTTP/1.1\r\n",
        b"POST /v1/executions HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\n{",
    ]
    socks = []
    for half, _ in zip(itertools.cycle(halves), range(100), strict=False):
        sock = Sock(gw)
        sock.send(half)
        socks.append(sock)
    gw.wait_gauge("connections", 101)
    assert wait_run(gw, "print('served')")["stdout"] == "served\n"
    for sock in socks:
        sock.socket.close()


def test_stalled_streams_of_many_clients(gw: Gateway) -> None:
    """Ten readers of one context, nine stalled and gone: the tenth gets everything."""
    with Native(gw) as native:
        contexts = [native.context() for _ in range(2)]
        streams = [
            Stream(gw, "ndjson", f"print('x' * 100_000); print({i})", contexts[i % 2]) for i in range(10)
        ]
        gw.wait_at_rest()
        for stream in streams[:-1]:
            stream.close()
        assert "".join(streams[-1].texts()).endswith("x\n9\n")
        streams[-1].close()


def test_the_gateway_that_goes_first(start_gateway: Callable[..., Gateway]) -> None:
    """A client sees the end of the stream, not silence."""
    gateway = start_gateway().wait_ready()
    with Native(gateway) as native:
        native.wait_text(native.start(LOOP), "on")
        gateway.process.kill()
        with pytest.raises(Gone):
            while True:
                native.message()
    gateway.process.wait()
    until("no kernel", lambda: not gateway.descendants(), 30)
