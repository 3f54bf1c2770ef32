"""What the SDKs hide: close codes in validation order, exact frames, JSON error bodies, other ways to send the key.

daytona.md sections 1.4 to 1.7, 2 and 3.
"""

from __future__ import annotations

import asyncio
import collections
import contextlib
import datetime
import json
import os
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from harness.gateway import Gateway, until
from rawclient import EXECUTE, FRAME_LIMIT, ask, dial, read
from websockets.exceptions import InvalidStatus

API = "/daytona/api"
BOX = "/daytona/toolbox/default/process/interpreter"


@pytest.fixture
def context(gateway: Gateway) -> Iterator[str]:
    """The id of a context in the default sandbox."""
    status, made = gateway.json("POST", f"{BOX}/context", {})
    assert status == 200, made
    yield made["id"]  # type: ignore[index]
    gateway.http("DELETE", f"{BOX}/context/{made['id']}")  # type: ignore[index]


# ------------------------------------------------------------------ validation

BAD_PAYLOADS: dict[str, Any] = {
    "not JSON": "nonsense",
    "cut JSON": '{"code": "print(1)"',
    "more after the JSON": '{"code": "print(1)"} x',
    "array": [],
    "string": '"print(1)"',
    "number": "5",
    "null": "null",
    "code is a number": {"code": 5},
    "code is a list": {"code": ["print(1)"]},
    "code is null": {"code": None, "timeout": "x"},
    "timeout is a float": {"code": "1", "timeout": 1.5},
    "timeout is a whole float": '{"code": "1", "timeout": 1.0}',
    "timeout is a string": {"code": "1", "timeout": "5"},
    "timeout is true": {"code": "1", "timeout": True},
    "timeout is too large": '{"code": "1", "timeout": 99999999999999999999}',
    "contextId is a number": {"code": "1", "contextId": 7},
    "envs is a list": {"code": "1", "envs": []},
    "env value is a number": {"code": "1", "envs": {"A": 1}},
    "env value is an object": {"code": "1", "envs": {"A": {}}},
    "bad type besides empty code": {"code": "", "timeout": "x"},
    "bad env value besides empty code": {"code": "", "envs": {"A": 1}},
    "bad env value besides negative timeout": {"code": "1", "timeout": -1, "envs": {"A": []}},
    "invalid UTF-8 in a binary frame": b'{"code": "\xff\xfe"',
    "empty frame": "",
}


@pytest.mark.parametrize("name", BAD_PAYLOADS)
async def test_bad_payload(gateway: Gateway, name: str) -> None:
    answer = await ask(gateway, BAD_PAYLOADS[name])
    assert (answer.frames, answer.code, answer.reason) == ([], 1002, "invalid JSON payload")


REFUSED: dict[str, tuple[Any, str]] = {
    "no code": ({}, "code is required"),
    "code is null": ({"code": None}, "code is required"),
    "empty code": ({"code": ""}, "code is required"),
    "code comes before timeout": ({"code": "", "timeout": -1, "contextId": "x"}, "code is required"),
    "negative timeout": ({"code": "1", "timeout": -1}, "timeout must be greater than or equal to 0"),
    "timeout comes before context": (
        {"code": "1", "timeout": -5, "contextId": "x"},
        "timeout must be greater than or equal to 0",
    ),
    "unknown context": ({"code": "1", "contextId": "nowhere"}, "context not found: nowhere"),
    "empty context id": ({"code": "1", "contextId": ""}, "context not found: "),
    "context id with odd letters": ({"code": "1", "contextId": '../"é🦆'}, 'context not found: ../"é🦆'),
}


@pytest.mark.parametrize("name", REFUSED)
async def test_refused(gateway: Gateway, name: str) -> None:
    first, reason = REFUSED[name]
    answer = await ask(gateway, first)
    assert (answer.frames, answer.code, answer.reason) == ([], 1008, reason)


async def test_context_id_with_nul_is_not_cut_there(gateway: Gateway) -> None:
    answer = await ask(gateway, '{"code": "print(1)", "contextId": "default\\u0000x"}')
    assert (answer.frames, answer.code) == ([], 1008)
    assert answer.reason.startswith("context not found: default")


async def test_long_reason_is_cut_on_a_code_point(gateway: Gateway) -> None:
    answer = await ask(gateway, {"code": "1", "contextId": "é" * 500})
    assert answer.code == 1008
    assert answer.reason.startswith("context not found: éé")
    assert len(answer.reason.encode()) <= 123


ACCEPTED: dict[str, Any] = {
    "nulls": {"code": "print('ok')", "contextId": None, "envs": None, "timeout": None},
    "unknown keys": {"code": "print('ok')", "language": "python", "future": {"a": [1]}},
    "default by name": {"code": "print('ok')", "contextId": "default"},
    "timeout zero": {"code": "print('ok')", "timeout": 0},
    "escapes in JSON": '{"code": "print(\'\\u006f\\u006b\')"}',
    "lone surrogate in the code": '{"code": "print(\'ok\') # \\ud800"}',
    "white space around": ' \n{"code": "print(\'ok\')"}\n ',
}


@pytest.mark.parametrize("name", ACCEPTED)
async def test_accepted(gateway: Gateway, name: str) -> None:
    answer = await ask(gateway, ACCEPTED[name])
    assert (answer.text("stdout"), answer.code, answer.reason) == ("ok\n", 1000, "")


async def test_binary_first_frame(gateway: Gateway) -> None:
    answer = await ask(gateway, json.dumps({"code": "print('ok')"}).encode())
    assert (answer.text("stdout"), answer.code) == ("ok\n", 1000)


async def test_fragmented_first_frame(gateway: Gateway) -> None:
    text = json.dumps({"code": "print('日本ok')"}, ensure_ascii=False)
    async with dial(gateway) as ws:
        await ws.send([text[:5], text[5:20], "", text[20:]])
        answer = await read(ws)
    assert (answer.text("stdout"), answer.code) == ("日本ok\n", 1000)


async def test_ping_between_fragments(gateway: Gateway) -> None:
    """Control frames may stand between the fragments of the first message."""
    text = json.dumps({"code": "print('ok')"})
    pongs: list[Any] = []
    async with dial(gateway) as ws:

        async def pieces():  # type: ignore[no-untyped-def]
            yield text[:5]
            pongs.append(await ws.ping())
            yield text[5:]

        await ws.send(pieces())
        await pongs[0]
        answer = await read(ws)
    assert (answer.text("stdout"), answer.code) == ("ok\n", 1000)


async def test_later_client_frames_are_ignored(gateway: Gateway, tmp_path: Path) -> None:
    go = tmp_path / "go"
    async with dial(gateway) as ws:
        await ws.send(
            json.dumps(
                {
                    "code": f"import os, time\nwhile not os.path.exists({str(go)!r}): time.sleep(0.01)\nprint('ok')"
                }
            )
        )
        await ws.send(json.dumps({"code": "print('second')"}))
        await ws.send("garbage")
        await ws.send(b"\x00\xff")
        await ws.send("x" * 100_000)
        await (await ws.ping())
        go.touch()
        answer = await read(ws)
    assert (answer.text("stdout"), answer.types, answer.code) == ("ok\n", ["stdout", "control"], 1000)


async def test_client_that_never_speaks_holds_nothing_up(gateway: Gateway) -> None:
    """A connection without a first frame: others are served, and it can go at any time."""
    async with dial(gateway) as silent:
        assert (await ask(gateway, {"code": "print('ok')"})).text("stdout") == "ok\n"
        await (await silent.ping())
    async with dial(gateway) as silent:
        silent.transport.abort()
    assert (await ask(gateway, {"code": "print('ok')"})).code == 1000


async def test_two_megabyte_first_frame(gateway: Gateway) -> None:
    answer = await ask(gateway, {"code": "#" + "x" * 2_000_000 + "\nprint('ok')"})
    assert (answer.text("stdout"), answer.code) == ("ok\n", 1000)


# ------------------------------------------------------------------ frames

KEYS = {"type", "text", "name", "value", "traceback"}


async def test_frames_hold_all_five_keys_as_strings(gateway: Gateway) -> None:
    answer = await ask(
        gateway, {"code": "import sys\nprint('o')\nprint('e', file=sys.stderr)\nraise ValueError('v')"}
    )
    assert answer.types == ["stdout", "stderr", "error", "control"]
    for frame in answer.frames:
        assert set(frame) == KEYS
        assert all(isinstance(value, str) for value in frame.values())
    assert (answer.text("stdout"), answer.text("stderr")) == ("o\n", "e\n")
    assert answer.frames[0] | {"text": ""} == {
        "type": "stdout",
        "text": "",
        "name": "",
        "value": "",
        "traceback": "",
    }
    error = answer.frames[-2]
    assert (error["text"], error["name"], error["value"]) == ("", "ValueError", "v")
    assert error["traceback"].startswith("Traceback (most recent call last):\n")
    assert answer.frames[-1] == {
        "type": "control",
        "text": "completed",
        "name": "",
        "value": "",
        "traceback": "",
    }
    assert (answer.code, answer.reason) == (1000, "")


async def test_control_is_last_and_once(gateway: Gateway) -> None:
    for code in ("x = 1", "print(1)", "1/0", "import sys; sys.exit(2)", "x ===", "raise KeyboardInterrupt"):
        answer = await ask(gateway, {"code": code})
        assert answer.types[-1] == "control", code
        assert answer.types.count("control") == 1, code
        assert answer.types.count("error") <= 1, code
        assert (answer.frames[-1]["text"], answer.code, answer.reason) == ("completed", 1000, ""), code


async def test_rich_results_are_extra_frame_types(gateway: Gateway) -> None:
    answer = await ask(
        gateway, {"code": "from IPython.display import display, HTML\ndisplay(HTML('<b>x</b>'))\n6 * 7"}
    )
    assert answer.types == ["display", "result", "control"]
    assert answer.text("stdout") == ""
    assert answer.code == 1000


async def test_timeout_has_no_control_frame(gateway: Gateway, context: str) -> None:
    answer = await ask(
        gateway, {"code": "print('early', flush=True)\nwhile True: pass", "timeout": 1, "contextId": context}
    )
    assert answer.text("stdout") == "early\n"
    assert "control" not in answer.types
    assert answer.code == 4008


async def test_crash_has_no_control_frame(gateway: Gateway, context: str) -> None:
    answer = await ask(
        gateway, {"code": "print('x', flush=True)\nimport os; os._exit(3)", "contextId": context}
    )
    assert "control" not in answer.types
    assert answer.code == 1011
    assert "died" in answer.reason
    assert "exit code 3" in answer.reason
    assert len(answer.reason.encode()) <= 123


BIG = {
    "one line": ("print('a' * 5_000_000)", "a" * 5_000_000 + "\n"),
    "NUL, six bytes each in JSON": ("print('\\x00' * 1_000_000)", "\x00" * 1_000_000 + "\n"),
    "four-byte letters": ("print('🦆' * 1_000_000)", "🦆" * 1_000_000 + "\n"),
    "quotes": ("print('\"' * 2_000_000)", '"' * 2_000_000 + "\n"),
}


@pytest.mark.parametrize("name", BIG)
async def test_no_frame_is_above_one_mebibyte(gateway: Gateway, name: str) -> None:
    code, expected = BIG[name]
    answer = await ask(gateway, {"code": code})
    assert answer.code == 1000
    assert answer.text("stdout") == expected
    assert max(answer.sizes) <= FRAME_LIMIT


async def test_lines_are_coalesced_under_load(gateway: Gateway) -> None:
    """SDKs pay for each frame; 100,000 lines come in far fewer frames."""
    answer = await ask(gateway, {"code": "for i in range(100_000): print(i)"})
    assert answer.text("stdout") == "".join(f"{i}\n" for i in range(100_000))
    assert len(answer.frames) < 20_000


async def test_fifty_megabytes_in_one_line_to_a_reader_that_stalls(
    gateway: Gateway, context: str, tmp_path: Path
) -> None:
    begun = tmp_path / "begun"
    code = f"open({str(begun)!r}, 'w').close()\nprint('0123456789' * 5_000_000)\nNone"
    async with dial(gateway, max_queue=1) as ws:
        await ws.send(json.dumps({"code": code, "contextId": context}))
        while not begun.exists():
            await asyncio.sleep(0.01)
        await asyncio.sleep(3)  # the reader's own slowness, not a wait for something
        answer = await read(ws)
    assert answer.code == 1000
    assert max(answer.sizes) <= FRAME_LIMIT
    text = answer.text("stdout")
    assert len(text) == 50_000_001
    assert text == "0123456789" * 5_000_000 + "\n"


async def test_reader_that_stalls_loses_nothing(gateway: Gateway, context: str, tmp_path: Path) -> None:
    """The client does not read until the code has printed for a while; every line arrives."""
    begun = tmp_path / "begun"
    code = f"for i in range(200_000):\n    print(i, 'x' * 40)\n    if i == 1000: open({str(begun)!r}, 'w').close()"
    async with dial(gateway, max_queue=1) as ws:
        await ws.send(json.dumps({"code": code, "contextId": context}))
        while not begun.exists():
            await asyncio.sleep(0.01)
        await asyncio.sleep(3)  # the reader's own slowness, not a wait for something
        answer = await read(ws)
    assert answer.code == 1000
    assert answer.text("stdout") == "".join(f"{i} {'x' * 40}\n" for i in range(200_000))


# ------------------------------------------------------------------ pings


async def test_pings_are_answered_while_silent_and_while_queued(
    gateway: Gateway, context: str, tmp_path: Path
) -> None:
    go = tmp_path / "go"
    hold = f"import os, time\nprint('held')\nwhile not os.path.exists({str(go)!r}): time.sleep(0.01)"
    async with dial(gateway) as running, dial(gateway) as queued:
        await running.send(json.dumps({"code": hold, "contextId": context}))
        assert json.loads(await running.recv())["text"].startswith("held")
        await queued.send(json.dumps({"code": "print('next')", "contextId": context}))
        await asyncio.to_thread(gateway.wait_gauge, "executions_queued", 1)
        for payload in (b"", b"one", b"x" * 125):
            await (await running.ping(payload))
            await (await queued.ping(payload))
        go.touch()
        assert (await read(running)).code == 1000
        assert (await read(queued)).text("stdout") == "next\n"


# ------------------------------------------------------------------ upgrade


async def test_offered_subprotocol_is_echoed(gateway: Gateway) -> None:
    offered = "X-Daytona-SDK-Version~0.216.0"
    path = f"{EXECUTE.format('default')}?DAYTONA_SANDBOX_AUTH_KEY={gateway.token}"
    async with dial(gateway, path, auth=False, subprotocols=[offered]) as ws:
        assert ws.subprotocol == offered
        await ws.send(json.dumps({"code": "print('browser')"}))
        answer = await read(ws)
    assert (answer.text("stdout"), answer.code) == ("browser\n", 1000)


async def test_subprotocol_among_others_and_with_empty_version(gateway: Gateway) -> None:
    for offered in (["X-Daytona-SDK-Version~"], ["other", "X-Daytona-SDK-Version~1.2.3-rc.1"]):
        async with dial(gateway, subprotocols=offered) as ws:
            assert ws.subprotocol == offered[-1]
            await ws.send(json.dumps({"code": "print(1)"}))
            assert (await read(ws)).code == 1000


async def test_compression_offer_does_no_harm(gateway: Gateway) -> None:
    assert (await ask(gateway, {"code": "print('x' * 100000)"}, compression="deflate")).text(
        "stdout"
    ) == "x" * 100_000 + "\n"


async def test_key_in_each_accepted_place(gateway: Gateway) -> None:
    _, link = gateway.json("GET", f"{API}/sandbox/default/ports/2280/preview-url")
    preview = link["token"]  # type: ignore[index]
    first = {"code": "print('in')"}
    path = EXECUTE.format("default")
    for token in (gateway.token, preview):
        for kwargs in (
            {"headers": {"Authorization": f"Bearer {token}"}},
            {"headers": {"X-Daytona-Preview-Token": token}},
            {"path": f"{path}?DAYTONA_SANDBOX_AUTH_KEY={token}"},
        ):
            answer = await ask(gateway, first, **({"path": path} | kwargs), auth=False)
            assert answer.text("stdout") == "in\n", kwargs


@pytest.mark.parametrize(
    "headers, query",
    [
        ({}, ""),
        ({"Authorization": "Bearer wrong"}, ""),
        ({"Authorization": "Bearer "}, ""),
        ({"Authorization": "wrong"}, ""),
        ({"X-Daytona-Preview-Token": "wrong"}, ""),
        ({}, "?DAYTONA_SANDBOX_AUTH_KEY=wrong"),
        ({}, "?DAYTONA_SANDBOX_AUTH_KEY="),
    ],
)
async def test_upgrade_without_the_key(gateway: Gateway, headers: dict[str, str], query: str) -> None:
    with pytest.raises(InvalidStatus) as caught:
        await ask(gateway, {"code": "1"}, EXECUTE.format("default") + query, auth=False, headers=headers)
    assert caught.value.response.status_code == 401


async def test_upgrade_in_an_unknown_sandbox(gateway: Gateway) -> None:
    """An HTTP status, or 101 and a close with a reason: never a run."""
    try:
        answer = await ask(gateway, {"code": "print(1)"}, EXECUTE.format("no-such-box"))
    except InvalidStatus as refused:
        assert refused.response.status_code == 404
    else:
        assert answer.frames == []
        assert answer.code == 1008
        assert "no-such-box" in answer.reason


async def test_preview_token_opens_only_its_sandbox(gateway: Gateway) -> None:
    _, one = gateway.json("POST", f"{API}/sandbox", {})
    _, two = gateway.json("POST", f"{API}/sandbox", {})
    try:
        _, link = gateway.json("GET", f"{API}/sandbox/{one['id']}/ports/2280/preview-url")  # type: ignore[index]
        headers = {"X-Daytona-Preview-Token": link["token"]}  # type: ignore[index]
        answer = await ask(
            gateway, {"code": "print('mine')"}, EXECUTE.format(one["id"]), auth=False, headers=headers
        )  # type: ignore[index]
        assert answer.text("stdout") == "mine\n"
        with pytest.raises(InvalidStatus) as caught:
            await ask(gateway, {"code": "1"}, EXECUTE.format(two["id"]), auth=False, headers=headers)  # type: ignore[index]
        assert caught.value.response.status_code in (401, 403)
    finally:
        for made in (one, two):
            gateway.http("DELETE", f"{API}/sandbox/{made['id']}")  # type: ignore[index]


async def test_ruby_path_at_the_root(gateway: Gateway) -> None:
    """Ruby keeps scheme and host of the preview URL, and puts the sandbox's token in a header."""
    _, box = gateway.json("POST", f"{API}/sandbox", {})
    try:
        status, link = gateway.json("GET", f"{API}/sandbox/{box['id']}/ports/2280/preview-url")  # type: ignore[index]
        assert status == 200
        assert link["sandboxId"] == box["id"]  # type: ignore[index]
        assert link["url"].startswith("http://")  # type: ignore[index]
        headers = {"X-Daytona-Preview-Token": link["token"]}  # type: ignore[index]
        code = {"code": "import os; where = os.getcwd(); print(where)"}
        for auth in (True, False):
            root = await ask(gateway, code, "/process/interpreter/execute", auth=auth, headers=headers)
            toolbox = await ask(gateway, code, EXECUTE.format(box["id"]))  # type: ignore[index]
            assert root.code == 1000
            assert root.text("stdout") == toolbox.text("stdout")
            default = await ask(gateway, code)
            assert root.text("stdout") != default.text("stdout")
    finally:
        gateway.http("DELETE", f"{API}/sandbox/{box['id']}")  # type: ignore[index]


async def test_root_path_without_a_token(gateway: Gateway) -> None:
    with pytest.raises(InvalidStatus) as caught:
        await ask(gateway, {"code": "1"}, "/process/interpreter/execute", auth=False)
    assert caught.value.response.status_code == 401


# ------------------------------------------------------------------ REST


def check_error(
    gateway: Gateway, status: int, headers: dict[str, str], raw: bytes, expected: int, path: str
) -> dict[str, Any]:
    """Section 1.4: the error body, all of it."""
    assert status == expected, raw
    assert headers.get("content-type", headers.get("Content-Type", "")).startswith("application/json")
    body: dict[str, Any] = json.loads(raw)
    assert body["statusCode"] == expected
    assert isinstance(body["message"], str)
    assert body["message"]
    words = {
        400: "Bad Request",
        401: "Unauthorized",
        404: "Not Found",
        405: "Method Not Allowed",
        409: "Conflict",
    }
    assert body["error"] == words[expected]
    assert body["path"].partition("?")[0] == path
    assert isinstance(body["code"], str)
    assert body["code"] == body["code"].upper()
    assert isinstance(body["source"], str)
    assert body["source"]
    datetime.datetime.fromisoformat(body["timestamp"].replace("Z", "+00:00"))
    return body


REST_ERRORS: dict[str, tuple[str, str, Any, int, str]] = {
    "unknown sandbox": ("GET", f"{API}/sandbox/no-such", None, 404, "no-such"),
    "delete unknown sandbox": ("DELETE", f"{API}/sandbox/no-such", None, 404, "no-such"),
    "start unknown sandbox": ("POST", f"{API}/sandbox/no-such/start", None, 404, "no-such"),
    "stop unknown sandbox": ("POST", f"{API}/sandbox/no-such/stop", None, 404, "no-such"),
    "preview of unknown sandbox": ("GET", f"{API}/sandbox/no-such/ports/1/preview-url", None, 404, "no-such"),
    "toolbox of unknown sandbox": ("GET", f"{API}/sandbox/no-such/toolbox-proxy-url", None, 404, "no-such"),
    "create with bad JSON": ("POST", f"{API}/sandbox", b"{", 400, ""),
    "create with an array": ("POST", f"{API}/sandbox", b"[]", 400, ""),
    "create with bad env": ("POST", f"{API}/sandbox", {"env": {"A": 1}}, 400, ""),
    "create with bad labels": ("POST", f"{API}/sandbox", {"labels": []}, 400, ""),
    "create with bad name": ("POST", f"{API}/sandbox", {"name": 5}, 400, ""),
    "contexts of unknown sandbox": (
        "GET",
        "/daytona/toolbox/no-such/process/interpreter/context",
        None,
        404,
        "no-such",
    ),
    "context in unknown sandbox": (
        "POST",
        "/daytona/toolbox/no-such/process/interpreter/context",
        {},
        404,
        "no-such",
    ),
    "context with bad JSON": ("POST", f"{BOX}/context", b"{nope", 400, ""),
    "context with an empty body": ("POST", f"{BOX}/context", b"", 400, ""),
    "context with an array": ("POST", f"{BOX}/context", b"[]", 400, ""),
    "context with cwd of wrong type": ("POST", f"{BOX}/context", {"cwd": 5}, 400, ""),
    "context with language of wrong type": ("POST", f"{BOX}/context", {"language": 5}, 400, ""),
    "context in another language": ("POST", f"{BOX}/context", {"language": "javascript"}, 400, "javascript"),
    "context in a missing cwd": ("POST", f"{BOX}/context", {"cwd": "/no/such/dir"}, 400, "/no/such/dir"),
    "delete default": ("DELETE", f"{BOX}/context/default", None, 400, "default"),
    "delete unknown context": ("DELETE", f"{BOX}/context/nowhere", None, 404, "nowhere"),
    "plain GET of execute": ("GET", f"{BOX}/execute", None, 400, ""),
    "POST to execute": ("POST", f"{BOX}/execute", {"code": "1"}, 404, ""),
    "unknown path of the toolbox": (
        "GET",
        "/daytona/toolbox/default/process/interpreter/nothing",
        None,
        404,
        "",
    ),
    "unknown path of the API": ("GET", f"{API}/no/such/thing", None, 404, ""),
}


@pytest.mark.parametrize("name", REST_ERRORS)
def test_rest_error(gateway: Gateway, name: str) -> None:
    method, path, body, expected, named = REST_ERRORS[name]
    status, headers, raw = gateway.http(method, path, body)
    error = check_error(gateway, status, headers, raw, expected, path)
    assert named in error["message"]


NEEDS_KEY = {
    "get": ("GET", f"{API}/sandbox/default"),
    "get of an unknown sandbox": ("GET", f"{API}/sandbox/no-such"),
    "list": ("GET", f"{API}/sandbox"),
    "create": ("POST", f"{API}/sandbox"),
    "delete": ("DELETE", f"{API}/sandbox/default"),
    "start": ("POST", f"{API}/sandbox/default/start"),
    "stop": ("POST", f"{API}/sandbox/default/stop"),
    "preview": ("GET", f"{API}/sandbox/default/ports/2280/preview-url"),
    "toolbox url": ("GET", f"{API}/sandbox/default/toolbox-proxy-url"),
    "contexts": ("GET", f"{BOX}/context"),
    "make context": ("POST", f"{BOX}/context"),
    "delete context": ("DELETE", f"{BOX}/context/default"),
    "execute": ("GET", f"{BOX}/execute"),
}


@pytest.mark.parametrize("name", NEEDS_KEY)
def test_no_key_is_401(gateway: Gateway, name: str) -> None:
    method, path = NEEDS_KEY[name]
    body = {} if method == "POST" else None
    for headers in ({}, {"Authorization": "Bearer wrong"}, {"Authorization": f"Bearer {gateway.token}x"}):
        status, answered, raw = gateway.http(method, path, body, headers, auth=False)
        check_error(gateway, status, answered, raw, 401, path)


REQUIRED = {
    "id": str, "organizationId": str, "name": str, "user": str, "env": dict, "labels": dict, "public": bool,
    "networkBlockAll": bool, "target": str, "cpu": int, "gpu": int, "memory": int, "disk": int, "toolboxProxyUrl": str,
    "state": str,
}  # fmt: skip


def check_sandbox(sandbox: Any) -> None:
    for key, kind in REQUIRED.items():
        assert type(sandbox[key]) is kind, key
    assert not sandbox["toolboxProxyUrl"].endswith("/")


def test_sandbox_json_has_every_required_field(gateway: Gateway) -> None:
    status, made = gateway.json(
        "POST", f"{API}/sandbox", {"labels": {"a": "b"}, "env": {"K": "V"}, "target": "local"}
    )
    assert status in (200, 201)
    check_sandbox(made)
    assert (made["labels"]["a"], made["env"], made["target"]) == ("b", {"K": "V"}, "local")  # type: ignore[index]
    path = f"{API}/sandbox/{made['id']}"  # type: ignore[index]
    try:
        status, got = gateway.json("GET", path)
        assert status == 200
        check_sandbox(got)
        status, listed = gateway.json("GET", f"{API}/sandbox")
        assert status == 200
        assert listed["nextCursor"] is None  # type: ignore[index]
        for item in listed["items"]:  # type: ignore[index]
            check_sandbox(item)
        status, url = gateway.json("GET", f"{path}/toolbox-proxy-url")
        assert (status, url) == (200, {"url": made["toolboxProxyUrl"]})  # type: ignore[index]
        status, stopped = gateway.json("POST", f"{path}/stop")
        assert (status, stopped["state"] in ("stopped", "stopping")) == (200, True)  # type: ignore[index]
        status, started = gateway.json("POST", f"{path}/start")
        assert (status, started["state"]) == (200, "started")  # type: ignore[index]
    finally:
        status, gone = gateway.json("DELETE", path)
    assert status == 200
    assert gone["state"] in ("destroyed", "destroying")  # type: ignore[index]
    check_sandbox(gone)


def test_context_json(gateway: Gateway) -> None:
    for body in ({}, {"cwd": "", "language": "python"}, {"cwd": None, "language": None}):
        status, made = gateway.json("POST", f"{BOX}/context", body)
        assert status == 200, made
        try:
            assert set(made) >= {"id", "cwd", "createdAt", "active", "language"}  # type: ignore[arg-type]
            uuid.UUID(made["id"])  # type: ignore[index]
            assert made["active"] is True  # type: ignore[index]
            assert made["language"] == "python"  # type: ignore[index]
            assert made["cwd"].startswith("/")  # type: ignore[index]
            assert made["createdAt"].endswith("Z")  # type: ignore[index]
            status, listed = gateway.json("GET", f"{BOX}/context")
            assert status == 200
            assert made in listed["contexts"]  # type: ignore[index]
        finally:
            status, gone = gateway.json("DELETE", f"{BOX}/context/{made['id']}")  # type: ignore[index]
        assert (status, gone) == (200, {"message": "Context deleted successfully"})


def test_empty_context_list_is_a_list(gateway: Gateway) -> None:
    _, made = gateway.json("POST", f"{API}/sandbox", {})
    path = f"/daytona/toolbox/{made['id']}/process/interpreter/context"  # type: ignore[index]
    assert gateway.json("GET", path) == (200, {"contexts": []})
    gateway.http("DELETE", f"{API}/sandbox/{made['id']}")  # type: ignore[index]


# ------------------------------------------------------------------ Socket.IO

SOCKET_IO = f"{API}/socket.io/?source=sdk-typescript&sdkVersion=0.216.0&transport=websocket&EIO=4"


async def test_socket_io_good_token(gateway: Gateway) -> None:
    async with dial(gateway, SOCKET_IO, auth=False) as ws:
        first = await ws.recv()
        assert first[0] == "0"
        opened = json.loads(first[1:])
        assert opened["sid"]
        assert opened["upgrades"] == []
        assert opened["pingInterval"] > 0
        assert opened["pingTimeout"] > 0
        await ws.send("40" + json.dumps({"token": gateway.token}))
        second = await ws.recv()
        assert second[:2] == "40"
        assert json.loads(second[2:])["sid"]
        await ws.send("41")


async def test_socket_io_bad_token(gateway: Gateway) -> None:
    for hello in ('40{"token":"wrong"}', "40{}", "40", '40{"token":5}', "40nonsense"):
        async with dial(gateway, SOCKET_IO, auth=False) as ws:
            assert (await ws.recv())[0] == "0"
            await ws.send(hello)
            refusal = await ws.recv()
            assert refusal[:2] == "44", hello
            assert json.loads(refusal[2:])["message"] == "Unauthorized"


async def test_socket_io_goodbye(gateway: Gateway) -> None:
    """`1` closes; a client that vanishes at any step leaves nothing behind."""
    async with dial(gateway, SOCKET_IO, auth=False) as ws:
        await ws.recv()
        await ws.send("40" + json.dumps({"token": gateway.token}))
        await ws.recv()
        await ws.send("1")
        await read(ws)
    async with dial(gateway, SOCKET_IO, auth=False) as ws:
        ws.transport.abort()
    async with dial(gateway, SOCKET_IO, auth=False) as ws:
        await ws.recv()
        ws.transport.abort()


async def test_socket_io_garbage(gateway: Gateway) -> None:
    for frame in ("garbage", b"\x00\xff", "9", "42[]", "4", ""):
        async with dial(gateway, SOCKET_IO, auth=False) as ws:
            await ws.recv()
            await ws.send(frame)
            await ws.send("40" + json.dumps({"token": gateway.token}))
            ws.transport.abort()
    assert (await ask(gateway, {"code": "print('ok')"})).code == 1000


# ------------------------------------------------------------------ nothing is left


async def test_gauges_come_back_to_rest(gateway: Gateway, context: str) -> None:
    """Every way to end a run ends it in the books too."""
    rest = gateway.gauge("contexts")
    total = gateway.gauge("executions_total")
    runs = [
        "print(1)",
        "1/0",
        "import sys; sys.exit()",
        "x ===",
        "import os; os._exit(1)",
        "print('a' * 3_000_000)",
    ]
    for code in runs:
        await ask(gateway, {"code": code, "contextId": context})
    await ask(gateway, {"code": "while True: pass", "contextId": context, "timeout": 1})
    await asyncio.to_thread(gateway.wait_at_rest, rest)
    assert gateway.gauge("executions_total") == total + len(runs) + 1


async def test_gateway_with_one_context_leaves_nothing(make_gateway: Any) -> None:
    """SIGTERM with a run in flight, a run queued and a silent client: exit 0, no process, no file (checked on stop)."""
    own: Gateway = make_gateway()
    async with dial(own) as running, dial(own) as queued, dial(own) as silent:
        await running.send(
            json.dumps({"code": "import time\nprint('held', flush=True)\ntime.sleep(1000)", "timeout": 2})
        )
        assert json.loads(await running.recv())["type"] == "stdout"
        await queued.send(json.dumps({"code": "print(1)"}))
        await asyncio.to_thread(own.wait_gauge, "executions_queued", 1)
        stopped = asyncio.ensure_future(asyncio.to_thread(own.stop))
        await asyncio.gather(read(running), read(queued), read(silent))
        await stopped


async def test_two_gateways_on_one_machine(gateway: Gateway, make_gateway: Any) -> None:
    """Neither knows the other's token or state."""
    other: Gateway = make_gateway()
    assert other.token != gateway.token
    await ask(gateway, {"code": "whose = 'first'"})
    await ask(other, {"code": "whose = 'second'"})
    assert (await ask(gateway, {"code": "print(whose)"})).text("stdout") == "first\n"
    assert (await ask(other, {"code": "print(whose)"})).text("stdout") == "second\n"
    with pytest.raises(InvalidStatus):
        await ask(other, {"code": "1"}, auth=False, headers={"Authorization": f"Bearer {gateway.token}"})


CHANNELS = 5  # of one kernel


async def test_a_hundred_contexts_leave_nothing(make_gateway: Any) -> None:
    """Created, used and deleted: no process, descriptor or file stays (the rest is checked on stop)."""
    own: Gateway = make_gateway("--pool_python=0")
    pid = own.process.pid

    def held() -> dict[str, list[str]]:
        """Descriptors (sockets and such without their numbers), processes, files."""
        names = []
        for fd in os.listdir(f"/proc/{pid}/fd"):
            with contextlib.suppress(FileNotFoundError):
                names.append(os.readlink(f"/proc/{pid}/fd/{fd}").partition("[")[0])
        return {
            "fds": sorted(names),
            "processes": sorted(own.descendants().values()),
            "files": sorted(own.run_files()),
        }

    async def one(number: int) -> None:
        _, made = await asyncio.to_thread(own.json, "POST", f"{BOX}/context", {})
        answer = await ask(own, {"code": f"print({number})", "contextId": made["id"]})  # type: ignore[index]
        assert answer.text("stdout") == f"{number}\n"
        status, _ = await asyncio.to_thread(own.json, "DELETE", f"{BOX}/context/{made['id']}")  # type: ignore[index]
        assert status == 200

    await ask(own, {"code": "print(1)"})
    await one(0)
    await asyncio.to_thread(own.wait_gauge, "kernels", 1)
    before = held()
    for start in range(0, 100, 5):
        await asyncio.gather(*(one(number) for number in range(start, start + 5)))
    await asyncio.to_thread(own.wait_at_rest, 1)
    await asyncio.to_thread(own.wait_gauge, "kernels", 1)

    def more() -> dict[str, collections.Counter[str]]:
        """What is there now and was not. The kernel that stays opens some channels when they are first
        used, two descriptors each: a few do not count, a hundred contexts would leave a hundred."""
        now = held()
        new = {kind: collections.Counter(now[kind]) - collections.Counter(before[kind]) for kind in now}
        if new["fds"].total() <= 2 * CHANNELS:
            new["fds"].clear()
        return new

    try:
        await asyncio.to_thread(until, "", lambda: not any(more().values()), 20)
    except AssertionError:
        raise AssertionError(f"left: {more()}") from None
