"""Each limit, one over: a clear refusal, and service within it goes on."""

from __future__ import annotations

from collections.abc import Callable

from clients import DAYTONA, Native, daytona, wait_run
from harness.gateway import Gateway, until
from rawsock import Ws


def test_max_contexts(make_gateway: Callable[..., Gateway]) -> None:
    gateway = make_gateway("--max_contexts=2")
    with Native(gateway) as native:
        context = native.context()
        message = "there are 2 contexts, the limit (max_contexts)"
        assert native.ask("create_context")["error"] == {"code": "busy", "message": message}
        status, answer = gateway.json("POST", "/v1/contexts", {})
        assert (status, answer["error"]["message"]) == (429, message)  # type: ignore[index]
        status, answer = gateway.json("POST", f"{DAYTONA}/context", {})
        assert (status, answer["message"]) == (429, message)  # type: ignore[index]
        assert gateway.http("POST", "/daytona/api/sandbox", {"name": "box"})[0] == 200
        path = f"{DAYTONA.replace('default', 'box')}/execute"
        assert daytona(gateway, {"code": "1"}, path)[1:] == (
            1011,
            f"failed to get default context: {message}",
        )
        assert native.ask("delete_context", context=context)["ok"]
        assert daytona(gateway, {"code": "print(1)"}, path)[1] == 1000


def test_values_of_a_request(gateway: Gateway) -> None:
    """Small ones take fifty times their text in memory, so they are counted before they are made."""
    body = {"code": "1", "more": [0] * 70_000}
    for path, wanted in (
        ("/v1/executions", 400),
        ("/execute", 422),
        ("/contexts", 422),
        ("/sandboxes/default/proxy/44772/code", 413),
    ):
        status, _, said = gateway.http("POST", path, body)
        assert status == wanted and b"more than 65536 values" in said, (path, status, said[:200])
    assert daytona(gateway, body)[1:] == (1002, "invalid JSON payload")
    said = wait_run(gateway, "len('" + ",[{" * 70_000 + "')")
    assert said["results"][0]["bundle"]["text/plain"] == "210000"


def test_max_queue(make_gateway: Callable[..., Gateway]) -> None:
    gateway = make_gateway("--max_queue=2")
    with Native(gateway) as native:
        busy = native.start("import time\nprint('on')\nwhile True: time.sleep(0.01)")
        said = native.wait_text(busy, "on")
        queued = native.start("print('queued')")
        refusal = native.ask("execute", code="1")["error"]
        assert refusal["code"] == "busy" and "2 executions" in refusal["message"]
        assert gateway.http("POST", "/v1/executions", {"code": "1"})[0] == 429
        assert daytona(gateway, {"code": "1"})[1:] == (1011, refusal["message"])
        native.ask("interrupt", execution=busy)
        assert native.rest_of(busy, said).how == "interrupted"
        assert native.rest_of(queued).text() == "queued\n"
        assert native.run("print(1)").text() == "1\n"


def test_max_sandboxes(make_gateway: Callable[..., Gateway]) -> None:
    gateway = make_gateway("--max_sandboxes=2")
    assert gateway.http("POST", "/daytona/api/sandbox", {"name": "one"})[0] == 200
    status, answer = gateway.json("POST", "/daytona/api/sandbox", {"name": "two"})
    assert (status, answer["message"]) == (429, "there are 2 sandboxes, the limit (max_sandboxes)")  # type: ignore[index]
    assert gateway.http("POST", "/v1/native/sandboxes", {"name": "two"})[0] == 429
    assert gateway.http("POST", "/v1/native/sandboxes", {"name": "one"})[0] in (409, 429)
    assert gateway.http("DELETE", "/daytona/api/sandbox/one")[0] == 200
    assert gateway.http("POST", "/v1/native/sandboxes", {"name": "two"})[0] == 201


def test_max_connections(make_gateway: Callable[..., Gateway]) -> None:
    gateway = make_gateway("--max_connections=3")
    with Native(gateway) as one, Ws(gateway) as two, Ws(gateway) as three:
        assert one.ask("ping")["ok"]
        assert two.upgrade("/v1/ws") == three.upgrade("/v1/ws") == 101
        with Ws(gateway) as four:
            assert four.upgrade("/v1/ws") == 503
        assert one.run("print(1)").text() == "1\n"
        three.reset()
        until("room for another", lambda: _may_connect(gateway))
    assert gateway.gauge("connections_refused_total") >= 1


def _may_connect(gateway: Gateway) -> bool:
    with Ws(gateway) as ws:
        return ws.upgrade("/v1/ws") == 101


def test_max_message_and_body_bytes(make_gateway: Callable[..., Gateway]) -> None:
    """One byte over: 1009 and 413; at the limit: served."""
    gateway = make_gateway("--max_message_bytes=2000", "--max_body_bytes=2000")

    def sized(size: int, **keys: object) -> str:
        text = '{"code":"print(1)#%s"' + "".join(f',"{k}":{v}' for k, v in keys.items()) + "}"
        return text.replace("%s", "x" * (size - len(text) + 2))

    assert daytona(gateway, sized(2000))[1] == 1000
    assert daytona(gateway, sized(2001))[1:] == (1009, "message too large")
    assert gateway.http("POST", "/v1/executions", sized(2000, wait="true").encode())[0] == 200
    status, answer = gateway.json("POST", "/v1/executions", sized(2001, wait="true").encode())
    assert (status, "too large" in answer["error"]["message"]) == (413, True)  # type: ignore[index]
    assert wait_run(gateway, "print(1)")["stdout"] == "1\n"


def test_executions_that_one_connection_follows(gw: Gateway) -> None:
    """More than that are refused, not lost: those that were accepted all end."""
    with Native(gw) as native:
        ids = [native.post("execute", code="pass") for _ in range(300)]
        answers: dict[int, bool] = {}
        done = 0
        while len(answers) < len(ids) or done < sum(answers.values()):
            message = native.message()
            if "event" in message:
                done += message["event"] == "done"
            else:
                answers[message["id"]] = message["ok"]
                assert message["ok"] or message["error"]["code"] == "busy"
        assert sum(answers.values()) >= 256
