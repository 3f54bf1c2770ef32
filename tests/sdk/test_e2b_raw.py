"""What the SDKs hide: exact lines, statuses, bodies, headers: e2b.md section 3."""

from __future__ import annotations

import http.client
import json
import re
import socket
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from e2b_raw import Raw, parse
from harness.gateway import Gateway, until

pytest_plugins = ["e2b_fixtures"]

STAMP = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3,9}(?:\+00:00|Z)")


@pytest.fixture(scope="module")
def raw_sandbox(e2b_gateway: Gateway) -> Iterator[Raw]:
    """A sandbox for this file."""
    made = Raw.create(e2b_gateway)
    made.execute("pass")
    yield made
    made.kill()


@pytest.fixture
def raw(raw_sandbox: Raw) -> Raw:
    return raw_sandbox


# ------------------------------------------------------------------ the lines of a run


def test_lines_of_a_run(raw: Raw) -> None:
    lines = raw.execute("import sys\nprint('out', flush=True)\nprint('err', file=sys.stderr)\n'value'")
    assert [line["type"] for line in lines] == [
        "number_of_executions",
        "stdout",
        "stderr",
        "result",
        "end_of_execution",
    ]
    count, out, err, result, end = lines
    assert count.keys() == {"type", "execution_count"}
    assert out.keys() == {"type", "text", "timestamp"}
    assert (out["text"], err["text"]) == ("out\n", "err\n")
    assert STAMP.fullmatch(out["timestamp"])
    assert result == {"type": "result", "text": "value", "extra": {}, "is_main_result": True}
    assert end == {"type": "end_of_execution"}


def test_lines_of_an_error(raw: Raw) -> None:
    lines = raw.execute("1/0")
    assert [line["type"] for line in lines] == ["number_of_executions", "error", "end_of_execution"]
    assert lines[1].keys() == {"type", "name", "value", "traceback"}
    assert all(isinstance(lines[1][key], str) for key in ("name", "value", "traceback"))


@pytest.mark.parametrize("code", ["", "  \n", "# comment"])
def test_lines_of_nothing(raw: Raw, code: str) -> None:
    assert [line["type"] for line in raw.execute(code)] == ["number_of_executions", "end_of_execution"]


def test_lines_of_a_death(raw: Raw) -> None:
    lines = raw.execute("print('last', flush=True)\nimport os; os._exit(1)")
    assert [line["type"] for line in lines] == ["number_of_executions", "stdout", "error", "end_of_execution"]
    assert lines[2]["name"] == "ContextRestarting"
    assert lines[2]["value"].startswith("Context was restarted")
    assert raw.execute("1 + 1")[1]["text"] == "2"


def test_ascii_only(raw: Raw) -> None:
    text = "é日🦆\u2028\u2029\x85\x0b\x0c\x1c\x00\x7f"
    kind = text.replace("\x00", "")
    lines = raw.execute(
        f"print({text!r})\nfrom IPython.display import display\ndisplay({{{kind!r}: {text!r}}}, raw=True)\n"
        f"raise Exception({text!r})"
    )
    assert lines[1]["text"] == text + "\n"
    assert lines[2]["extra"] == {kind: text}
    assert lines[3]["value"] == text


def test_no_bare_nan(raw: Raw) -> None:
    """parse() refuses NaN and Infinity."""
    lines = raw.execute(
        "from IPython.display import display\nnan, inf = float('nan'), float('inf')\n"
        "display({'x/y': [nan, inf, -inf]}, raw=True)\n[nan]"
    )
    assert [line["type"] for line in lines] == [
        "number_of_executions",
        "result",
        "result",
        "end_of_execution",
    ]
    assert lines[1]["extra"] == {"x/y": [None, None, None]}
    assert lines[2]["json"] == [None]


def test_keepalive(raw: Raw, tmp_path: Path) -> None:
    """A silent run says so; the code goes on when that was heard."""
    go = tmp_path / "go"
    answer = raw.open(
        "POST",
        "/execute",
        {"code": f"import os, time\nwhile not os.path.exists({str(go)!r}): time.sleep(0.01)\nprint('on')"},
    )
    seen = [json.loads(answer.readline())]
    while seen[-1]["type"] != "keepalive":
        seen.append(json.loads(answer.readline()))
    assert [line["type"] for line in seen] == ["number_of_executions", "keepalive"]
    assert seen[-1] == {"type": "keepalive"}
    go.touch()
    rest = [line for line in parse(answer.read()) if line["type"] != "keepalive"]
    assert [line["type"] for line in rest] == ["stdout", "end_of_execution"]


def test_head_comes_while_the_context_is_busy(raw: Raw, tmp_path: Path) -> None:
    """And the queued run's lines only after the one before it."""
    go = tmp_path / "go"
    first = raw.open(
        "POST",
        "/execute",
        {"code": f"import os, time\nwhile not os.path.exists({str(go)!r}): time.sleep(0.01)"},
    )
    assert json.loads(first.readline())["type"] == "number_of_executions"
    second = raw.open("POST", "/execute", {"code": "print('second')"})
    assert second.status == 200
    go.touch()
    assert [line["type"] for line in parse(first.read())] == ["end_of_execution"]
    assert [line["type"] for line in parse(second.read())] == [
        "number_of_executions",
        "stdout",
        "end_of_execution",
    ]


def test_each_line_is_sent_at_once(raw: Raw, tmp_path: Path) -> None:
    answer = raw.open(
        "POST",
        "/execute",
        {
            "code": "import os, time\nfor i in range(5):\n    print(i, flush=True)\n"
            f"    while not os.path.exists(f'{tmp_path}/{{i}}'): time.sleep(0.005)"
        },
    )
    answer.readline()
    for i in range(5):
        assert json.loads(answer.readline())["text"] == f"{i}\n"
        (tmp_path / str(i)).touch()
    assert json.loads(answer.readline()) == {"type": "end_of_execution"}
    assert answer.readline() == b""


def test_connection_is_kept(raw: Raw) -> None:
    """Two runs on one connection."""
    answer = raw.open("POST", "/execute", {"code": "1"})
    answer.read()
    connection = answer.connection  # type: ignore[attr-defined]
    port = connection.sock.getsockname()[1]
    connection.request("POST", "/execute", json.dumps({"code": "2"}), raw.headers)
    assert json.loads(connection.getresponse().read().split(b"\n")[1])["text"] == "2"
    assert connection.sock.getsockname()[1] == port


def test_answer_of_a_killed_sandbox_is_cut(e2b_gateway: Gateway, raw: Raw) -> None:
    """Its body has no end, which is how the SDKs know that they should ask /health."""
    doomed = Raw.create(e2b_gateway)
    answer = doomed.open("POST", "/execute", {"code": "print('held', flush=True)\nwhile True: pass"})
    answer.readline()
    assert json.loads(answer.readline())["text"] == "held\n"
    doomed.kill()
    with pytest.raises(http.client.IncompleteRead):
        answer.read()
    answer.connection.close()  # type: ignore[attr-defined]


# ------------------------------------------------------------------ clients that leave


@pytest.mark.parametrize("how", ["close", "reset"])
def test_leaving_interrupts(raw: Raw, tmp_path: Path, how: str) -> None:
    mark = tmp_path / "mark"
    code = (
        "import time\ntry:\n    print('held', flush=True)\n    while True: time.sleep(0.01)\n"
        f"except KeyboardInterrupt:\n    open({str(mark)!r}, 'w').close()\n    raise"
    )
    answer = raw.open("POST", "/execute", {"code": code})
    answer.readline()
    assert json.loads(answer.readline())["text"] == "held\n"
    sock = answer.connection.sock  # type: ignore[attr-defined]
    if how == "reset":
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    answer.close()
    sock.close()
    answer.connection.close()  # type: ignore[attr-defined]
    assert raw.execute("1 + 1")[1]["text"] == "2"
    assert mark.exists()


def test_leaving_the_queue(raw: Raw, tmp_path: Path) -> None:
    go, ran = tmp_path / "go", tmp_path / "ran"
    first = raw.open(
        "POST",
        "/execute",
        {"code": f"import os, time\nwhile not os.path.exists({str(go)!r}): time.sleep(0.01)"},
    )
    first.readline()
    gone = raw.open("POST", "/execute", {"code": f"open({str(ran)!r}, 'w').close()"})
    raw.gateway.wait_gauge("executions_queued", 1)
    gone.connection.sock.close()  # type: ignore[attr-defined]
    gone.close()
    raw.gateway.wait_gauge("executions_queued", 0)
    go.touch()
    assert [line["type"] for line in parse(first.read())] == ["end_of_execution"]
    assert raw.execute("'next'")[1]["text"] == "next"
    assert not ran.exists()


# ------------------------------------------------------------------ requests that are wrong

BAD = {
    "no code": ({}, "missing", ["body", "code"]),
    "null code": ({"code": None}, "string_type", ["body", "code"]),
    "number code": ({"code": 5}, "string_type", ["body", "code"]),
    "list language": ({"code": "1", "language": []}, "string_type", ["body", "language"]),
    "number context": ({"code": "1", "context_id": 7}, "string_type", ["body", "context_id"]),
    "list envs": ({"code": "1", "env_vars": []}, "dict_type", ["body", "env_vars"]),
    "number env": ({"code": "1", "env_vars": {"A": 1}}, "string_type", ["body", "env_vars", "A"]),
    "null env": ({"code": "1", "env_vars": {"A": None}}, "string_type", ["body", "env_vars", "A"]),
    "no object": ([1], "model_attributes_type", ["body"]),
    "no JSON": (b"{nope", "json_invalid", ["body"]),
    "cut JSON": (b'{"code": "1"', "json_invalid", ["body"]),
    "empty": (b"", "missing", ["body"]),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_execute(raw: Raw, name: str) -> None:
    body, kind, loc = BAD[name]
    status, headers, answer = raw.ask("POST", "/execute", body)
    assert status == 422
    assert headers["content-type"].startswith("application/json")
    [detail] = json.loads(answer)["detail"]
    assert {"type", "loc", "msg", "input"} <= detail.keys()
    assert detail["type"] == kind
    assert detail["loc"][: len(loc)] == loc


def test_several_faults(raw: Raw) -> None:
    _, _, answer = raw.ask("POST", "/execute", {"code": 1, "language": 2, "env_vars": {"A": 1, "B": []}})
    assert [detail["loc"] for detail in json.loads(answer)["detail"]] == [
        ["body", "code"],
        ["body", "language"],
        ["body", "env_vars", "A"],
        ["body", "env_vars", "B"],
    ]


@pytest.mark.parametrize("body", [{"language": 5}, {"cwd": []}, [], b"", b"nope"])
def test_bad_context(raw: Raw, body: Any) -> None:
    status, _, answer = raw.ask("POST", "/contexts", body)
    assert status == 422
    assert json.loads(answer)["detail"][0]["loc"][0] == "body"


@pytest.mark.parametrize(
    "fields",
    [
        {"context_id": None, "language": None, "env_vars": None},
        {"unknown": [1]},
        {"language": ""},
        {"context_id": ""},
    ],
)
def test_what_is_as_good_as_absent(raw: Raw, fields: dict[str, Any]) -> None:
    assert raw.execute("40 + 2", **fields)[1]["text"] == "42"


def test_context_and_language(raw: Raw) -> None:
    status, headers, body = raw.ask(
        "POST", "/execute", {"code": "1", "context_id": "x", "language": "python"}
    )
    assert (status, body) == (400, b"Only one of context_id or language can be provided")
    assert headers["content-type"].startswith("text/plain")


def test_unknown_context(raw: Raw) -> None:
    for method, path, body in (
        ("POST", "/execute", {"code": "1", "context_id": "nobody"}),
        ("POST", "/contexts/nobody/restart", None),
        ("DELETE", "/contexts/nobody", None),
    ):
        status, headers, answer = raw.ask(method, path, body)
        assert (status, answer) == (404, b"Context nobody not found")
        assert headers["content-type"].startswith("text/plain")


def test_unknown_language(raw: Raw) -> None:
    status, headers, body = raw.ask("POST", "/execute", {"code": "1", "language": "cobol"})
    assert status == 500
    assert headers["content-type"].startswith("text/plain")
    assert body.startswith(b"Failed to create context: ")
    assert b"cobol" in body


# ------------------------------------------------------------------ contexts and health


def test_context_answers(raw: Raw) -> None:
    status, headers, body = raw.ask("POST", "/contexts", {})
    made = json.loads(body)
    assert status == 200
    assert headers["content-type"].startswith("application/json")
    assert made.keys() == {"id", "language", "cwd"}
    assert json.loads(raw.ask("GET", "/contexts")[2])[-1] == made
    assert raw.ask("POST", f"/contexts/{made['id']}/restart")[::2] == (200, b"null")
    assert raw.ask("DELETE", f"/contexts/{made['id']}")[::2] == (200, b"null")


@pytest.mark.parametrize(
    "body", [{"language": None, "cwd": None}, {"language": "", "cwd": ""}, {"language": " Python "}]
)
def test_context_defaults(raw: Raw, body: Any) -> None:
    made = json.loads(raw.ask("POST", "/contexts", body)[2])
    assert (made["language"], made["cwd"]) == ("python", "/home/user")
    raw.ask("DELETE", f"/contexts/{made['id']}")


def test_health(raw: Raw) -> None:
    status, headers, body = raw.ask("GET", "/health")
    assert (status, json.loads(body)) == (200, "OK")
    assert headers["content-type"].startswith("application/json")
    assert (
        raw.ask(
            "GET",
            "/health",
            headers={"E2b-Sandbox-Id": "gone", "X-Access-Token": None, "E2B-Traffic-Access-Token": None},
        )[0]
        == 502
    )


# ------------------------------------------------------------------ HTTP


@pytest.mark.parametrize("cuts", [1, 7, 100])
def test_chunked_request(raw: Raw, cuts: int) -> None:
    data = json.dumps({"code": "print('🦆')", "env_vars": {"A": "é"}}, ensure_ascii=False).encode()
    chunks = [data[i : i + cuts] for i in range(0, len(data), cuts)]
    status, _, body = raw.ask("POST", "/execute", chunks=chunks, headers={"Transfer-Encoding": "chunked"})
    assert status == 200
    assert [line["text"] for line in parse(body) if line["type"] == "stdout"] == ["🦆\n"]


@pytest.mark.parametrize("change", [str.lower, str.upper, str.title])
def test_header_names_in_any_case(raw: Raw, change: Any) -> None:
    headers: dict[str, str | None] = dict.fromkeys(raw.headers)
    headers |= {change(name): value for name, value in raw.headers.items()}
    status, _, body = raw.ask("GET", "/contexts", headers=headers)
    assert (status, isinstance(json.loads(body), list)) == (200, True)


def test_percent_encoded_path(raw: Raw) -> None:
    made = json.loads(raw.ask("POST", "/contexts", {})[2])
    encoded = "".join(f"%{ord(c):02x}" for c in made["id"])
    assert raw.ask("POST", f"/contexts/{encoded}/restart")[0] == 200
    assert raw.ask("DELETE", f"/contexts/{encoded}?source=ci")[0] == 200


def test_query_is_ignored(raw: Raw) -> None:
    """JavaScript's SDK may add one."""
    status, _, body = raw.ask("POST", "/execute?source=ci", {"code": "5"})
    assert (status, list(parse(body))[1]["text"]) == (200, "5")


def test_content_type_does_not_matter(raw: Raw) -> None:
    status, _, body = raw.ask("POST", "/execute", {"code": "5"}, headers={"Content-Type": None})
    assert (status, list(parse(body))[1]["text"]) == (200, "5")


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("GET", "/execute", "POST"),
        ("PUT", "/execute", "POST"),
        ("PUT", "/contexts", "GET"),
        ("GET", "/contexts/x/restart", "POST"),
        ("PATCH", "/contexts/x", "DELETE"),
    ],
)
def test_wrong_method(raw: Raw, method: str, path: str, allowed: str) -> None:
    status, headers, body = raw.ask(method, path)
    assert status == 405
    assert allowed in headers["allow"]
    assert json.loads(body) == {"detail": "Method Not Allowed"}


def test_head(raw: Raw) -> None:
    """Nothing behind the head, whatever the status."""
    answer = raw.open("HEAD", "/health")
    assert (answer.status, answer.read()) == (200, b"")
    connection = answer.connection  # type: ignore[attr-defined]
    connection.request("GET", "/contexts", headers=raw.headers)
    assert isinstance(json.loads(connection.getresponse().read()), list)


@pytest.mark.parametrize("path", ["/contexts/x/y/z", "/execute/more", "/sandboxes/x/nothing/there"])
def test_unknown_path(raw: Raw, path: str) -> None:
    status, headers, body = raw.ask("POST", path, {})
    assert status == 404
    assert headers["content-type"].startswith("application/json")
    json.loads(body)


# ------------------------------------------------------------------ sandboxes


def api(
    raw: Raw, method: str, path: str, body: Any = None, key: str | None = None
) -> tuple[int, Any, dict[str, str]]:
    """A request to the sandboxes' API: status, parsed body, headers."""
    headers: dict[str, str | None] = dict.fromkeys(raw.headers)
    headers |= {"X-API-KEY": raw.gateway.token if key is None else key}
    status, answer_headers, answer = raw.ask(method, path, body, headers=headers)
    return status, json.loads(answer) if answer else None, answer_headers


def test_create_answer(raw: Raw) -> None:
    for path in ("/v2/sandboxes", "/sandboxes"):
        status, made, _ = api(
            raw, "POST", path, {"templateID": "t", "metadata": {}, "envVars": {}, "secure": True}
        )
        assert status == 201
        for name in (
            "templateID",
            "sandboxID",
            "clientID",
            "envdVersion",
            "envdAccessToken",
            "trafficAccessToken",
        ):
            assert isinstance(made[name], str), name
            assert made[name], name
        assert api(raw, "DELETE", f"/sandboxes/{made['sandboxID']}")[:2] == (204, None)


def test_sandbox_errors_are_json(raw: Raw) -> None:
    """code and message, whatever is wrong: the SDKs parse every error."""
    cases = [
        (404, api(raw, "GET", "/sandboxes/nobody")),
        (404, api(raw, "DELETE", "/sandboxes/nobody")),
        (404, api(raw, "POST", "/sandboxes/nobody/timeout", {"timeout": 5})),
        (404, api(raw, "POST", "/v2/sandboxes/nobody/connect", {})),
        (400, api(raw, "POST", "/v2/sandboxes", b"nope")),
        (400, api(raw, "POST", "/v2/sandboxes", {"templateID": "t", "timeout": "soon"})),
        (400, api(raw, "POST", "/v2/sandboxes", {"templateID": "t", "envVars": {"A": 1}})),
        (400, api(raw, "POST", f"/sandboxes/{raw.id}/timeout", {"timeout": -1})),
        (401, api(raw, "GET", "/v2/sandboxes", key="wrong")),
        (401, api(raw, "POST", "/v2/sandboxes", {"templateID": "t"}, key="wrong")),
    ]
    for expected, (status, body, headers) in cases:
        assert status == expected, body
        assert headers["content-type"].startswith("application/json")
        assert body["code"] == expected
        assert isinstance(body["message"], str)
        assert body["message"]


def test_older_paths(raw: Raw) -> None:
    """SDKs before August 2026 use /sandboxes for all."""
    assert api(raw, "POST", f"/sandboxes/{raw.id}/connect", {"timeout": 900})[0] == 200
    status, listed, _ = api(raw, "GET", "/sandboxes")
    assert status == 200
    assert raw.id in [one["sandboxID"] for one in listed]
    assert api(raw, "POST", f"/sandboxes/{raw.id}/timeout", {"timeout": 900})[:2] == (204, None)


def test_dates_are_rfc_3339(raw: Raw) -> None:
    _, info, _ = api(raw, "GET", f"/sandboxes/{raw.id}")
    for name in ("startedAt", "endAt"):
        assert STAMP.fullmatch(info[name]), info[name]
    assert info["state"] == "running"


# ------------------------------------------------------------------ access


def test_no_token(raw: Raw) -> None:
    bare: dict[str, str | None] = {"X-Access-Token": None, "E2B-Traffic-Access-Token": None}
    for method, path, body in (
        ("POST", "/execute", {"code": "1"}),
        ("GET", "/contexts", None),
        ("POST", "/contexts", {}),
    ):
        assert raw.ask(method, path, body, headers=bare)[0] == 401


def test_one_token_is_enough(raw: Raw) -> None:
    """The traffic token goes with every request, the other one with /execute only."""
    assert raw.ask("GET", "/contexts", headers={"X-Access-Token": None})[0] == 200
    assert raw.ask("POST", "/execute", {"code": "1"}, headers={"X-Access-Token": None})[0] == 200


def test_tokens_of_a_killed_sandbox(e2b_gateway: Gateway, raw: Raw) -> None:
    gone = Raw.create(e2b_gateway)
    gone.kill()
    stolen: dict[str, str | None] = {
        "X-Access-Token": gone.envd_token,
        "E2B-Traffic-Access-Token": gone.traffic_token,
    }
    assert raw.ask("GET", "/contexts", headers=stolen)[0] in (401, 403)
    assert gone.ask("GET", "/contexts")[0] in (401, 502)


def test_a_sandbox_token_does_not_open_the_api(raw: Raw) -> None:
    assert api(raw, "GET", "/v2/sandboxes", key=raw.traffic_token)[0] in (401, 403)
    assert api(raw, "DELETE", f"/sandboxes/{raw.id}", key=raw.envd_token)[0] in (401, 403)
    assert raw.ask("GET", "/health")[0] == 200


def test_wrong_tokens(raw: Raw) -> None:
    wrong: dict[str, str | None] = {"X-Access-Token": "wrong", "E2B-Traffic-Access-Token": "wrong too"}
    assert raw.ask("POST", "/execute", {"code": "1"}, headers=wrong)[0] == 401
    assert raw.ask("DELETE", "/contexts/x", headers=wrong)[0] == 401


def test_slow_reader_gets_everything(raw: Raw) -> None:
    """The client reads nothing until the run had to wait for it; then all is there."""
    answer = raw.open("POST", "/execute", {"code": "for i in range(60_000): print(i, 'x' * 100)"})
    until("a run that is held back by its reader", lambda: raw.gateway.gauge("events_bytes") > 0)
    lines = list(parse(answer.read()))
    text = "".join(line["text"] for line in lines if line["type"] == "stdout")
    assert text == "".join(f"{i} {'x' * 100}\n" for i in range(60_000))
    assert lines[-1]["type"] == "end_of_execution"
