"""The lifecycle in bare HTTP: exact statuses, bodies, headers; and the same sandboxes through the other dialects."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from harness.gateway import Gateway, until
from osb_raw import CREATE, Lifecycle, Raw

pytest_plugins = ["osb_fixtures"]

STAMP = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")
MISSING = object()
Make = Callable[..., dict[str, Any]]


@pytest.fixture
def make(osb_life: Lifecycle) -> Iterator[Make]:
    """Factory of sandboxes, which are killed at the end."""
    made: list[str] = []

    def create(**fields: Any) -> dict[str, Any]:
        one = osb_life.create(**fields)
        made.append(one["id"])
        return one

    yield create
    for sandbox_id in made:
        osb_life.kill(sandbox_id)


def error(answer: httpx.Response, status: int, code: str) -> str:
    """The message of an error with that status and code, checked to be worded as the SDKs parse it."""
    assert answer.status_code == status, (answer.status_code, answer.text)
    assert answer.headers["content-type"].startswith("application/json")
    body = answer.json()
    assert set(body) == {"code", "message"}
    assert body["code"] == code, body
    assert body["message"]
    return body["message"]


def no_null(value: Any) -> bool:
    """No optional field is sent as null: the SDKs would read it as a value."""
    if isinstance(value, dict):
        return all(no_null(v) for v in value.values())
    return all(no_null(v) for v in value) if isinstance(value, list) else value is not None


# ------------------------------------------------------------------ create


def test_create_answers_exactly_202(osb_life: Lifecycle) -> None:
    answer = osb_life.ask("POST", "/v1/sandboxes", CREATE | {"metadata": {"a": "b"}})
    assert answer.status_code == 202
    made = answer.json()
    try:
        assert answer.headers["location"] == f"/v1/sandboxes/{made['id']}"
        assert answer.headers["content-type"] == "application/json"
        assert set(made) == {"id", "status", "createdAt", "expiresAt", "entrypoint", "metadata", "image"}
        assert made["status"] == {"state": "Running"}
        assert made["image"] == CREATE["image"]
        assert made["entrypoint"] == CREATE["entrypoint"]
        assert STAMP.fullmatch(made["createdAt"])
        assert STAMP.fullmatch(made["expiresAt"])
        assert set(made["metadata"]) == {"a", "kernelbridge.home", "kernelbridge.not-enforced"}
        assert osb_life.ask("GET", f"/v1/sandboxes/{made['id']}").json() == made
    finally:
        assert osb_life.kill(made["id"]) == 204


def test_the_smallest_create(osb_life: Lifecycle) -> None:
    """What the lifecycle server asks for besides an image is not needed here."""
    answer = osb_life.ask("POST", "/v1/sandboxes", {"image": {"uri": "i"}})
    assert answer.status_code == 202
    made = answer.json()
    assert osb_life.kill(made["id"]) == 204
    assert no_null(made)
    assert "expiresAt" not in made
    assert made["entrypoint"] == ["tail", "-f", "/dev/null"]
    assert set(made["metadata"]) == {"kernelbridge.home"}


def test_nulls_are_absences(make: Make) -> None:
    fields = (
        "timeout",
        "env",
        "metadata",
        "extensions",
        "platform",
        "networkPolicy",
        "volumes",
        "snapshotId",
        "resourceLimits",
        "resourceRequests",
        "credentialProxy",
        "lifecycle",
        "templateId",
        "unheard-of",
    )
    made = make(**dict.fromkeys(fields))
    assert no_null(made)
    assert "expiresAt" not in made
    assert set(made["metadata"]) == {"kernelbridge.home"}


def test_unknown_fields_are_named(make: Make) -> None:
    made = make(resourceLimits={}, futureField={"a": 1}, another=7, off=False, empty=[])
    assert made["metadata"]["kernelbridge.not-enforced"] == "futureField, another"


BAD_FIELDS = [
    ("image", [MISSING, None, "python:3.11", [], {}, {"uri": None}, {"uri": 7}, {"uri": ""}, {"uri": "  "}]),
    ("timeout", [0, -1, 1.5, "60", True, [], {}, 10**12, 2**63 - 1]),
    ("env", ["A=1", [], 7, {"A": 1}, {"A": None}, {"": "x"}, {"A=B": "x"}, {"A": "x\0y"}]),
    (
        "metadata",
        [
            "a",
            [],
            7,
            {"a": 1},
            {"a": None},
            {"a": {}},
            {"kernelbridge.home": "/"},
            {"opensandbox.io/id": "x"},
        ],
    ),
    ("metadata", [{"a": "x" * 70000}]),
    ("entrypoint", ["sleep", {}, 7, [], [1], ["a", None]]),
    ("extensions", ["a", [], 7, {"a": 1}]),
    ("platform", ["linux", [], {}, {"os": "linux"}, {"os": 1, "arch": "amd64"}]),
    ("resourceLimits", ["1", [], 7, {"cpu": 1}]),
    ("resourceRequests", ["1", [], 7, {"cpu": None}]),
    ("networkPolicy", ["deny", [], 7, True]),
    ("credentialProxy", ["on", [], True]),
    ("lifecycle", ["x", [], 7]),
    ("volumes", ["v", {}, 7]),
    ("secureAccess", ["yes", 1, [], {}]),
    ("snapshotId", [7, [], {}]),
    ("templateId", [7, [], {}]),
]


@pytest.mark.parametrize(("field", "values"), BAD_FIELDS, ids=[name for name, _ in BAD_FIELDS])
def test_a_field_of_the_wrong_kind(osb_life: Lifecycle, field: str, values: list[Any]) -> None:
    """400 that names the field, and no sandbox."""
    for value in values:
        body = {k: v for k, v in (CREATE | {field: value}).items() if v is not MISSING}
        answer = osb_life.ask("POST", "/v1/sandboxes", body)
        message = error(answer, 400, "INVALID_REQUEST_BODY")
        assert field in message or "\\u0000" in json.dumps(value), (value, message)


@pytest.mark.parametrize(
    "body", [b"", b"{", b"[]", b"null", b'"x"', b"\xff\xfe", b'{"image": {"uri": "\xff"}}', b"{}{}"]
)
def test_a_body_that_is_no_object(osb_life: Lifecycle, body: bytes) -> None:
    error(osb_life.ask("POST", "/v1/sandboxes", body), 400, "INVALID_REQUEST_BODY")


def test_a_body_that_is_too_large(osb_life: Lifecycle) -> None:
    body = CREATE | {"env": {"A": "x" * (2 << 20)}}
    error(osb_life.ask("POST", "/v1/sandboxes", body), 413, "INVALID_REQUEST_BODY")


def test_what_is_not_served(osb_life: Lifecycle) -> None:
    for more in (
        {"snapshotId": "s"},
        {"image": None, "snapshotId": "s"},
        {"image": None, "templateId": "t"},
        {"extensions": {"poolRef": "p"}},
        {"image": None, "extensions": {"poolRef": "p"}},
    ):
        error(osb_life.ask("POST", "/v1/sandboxes", CREATE | more), 400, "NOT_SUPPORTED")
    for method, path in (
        ("GET", "/v1/snapshots"),
        ("POST", "/v1/sandboxes/default/snapshots"),
        ("GET", "/v1/sandboxes/default/networkpolicy"),
        ("GET", "/v1/sandboxes/default/diagnostics/logs"),
    ):
        assert osb_life.ask(method, path).status_code == 404, path


def test_a_method_that_is_not_served(osb_life: Lifecycle) -> None:
    error(osb_life.ask("PUT", "/v1/sandboxes"), 405, "NOT_FOUND")
    error(osb_life.ask("POST", "/v1/sandboxes/default"), 405, "NOT_FOUND")


# ------------------------------------------------------------------ who may


@pytest.mark.parametrize("key", [None, "", "wrong"])
def test_without_a_good_key(osb_life: Lifecycle, make: Make, key: str | None) -> None:
    made = make()["id"]
    for method, path in (
        ("POST", "/v1/sandboxes"),
        ("GET", "/v1/sandboxes"),
        ("GET", f"/v1/sandboxes/{made}"),
        ("DELETE", f"/v1/sandboxes/{made}"),
        ("POST", f"/v1/sandboxes/{made}/pause"),
        ("GET", f"/v1/sandboxes/{made}/endpoints/44772"),
        ("POST", "/v1/metrics/events"),
        ("GET", f"/sandboxes/{made}/proxy/44772/ping"),
    ):
        answer = osb_life.ask(method, path, {} if method == "POST" else None, {"OPEN-SANDBOX-API-KEY": key})
        error(answer, 401, "INVALID_API_KEY")
    assert osb_life.ask("GET", f"/v1/sandboxes/{made}").status_code == 200


def test_the_token_of_an_endpoint_opens_that_sandbox_s_execd_only(
    osb_gateway: Gateway, osb_life: Lifecycle, osb_raw: Raw, make: Make
) -> None:
    other = make()["id"]
    assert osb_raw.ask("GET", "/ping").status_code == 200
    token = {"OPEN-SANDBOX-API-KEY": None} | osb_raw.headers
    for method, path in (
        ("GET", f"/sandboxes/{other}/proxy/44772/ping"),
        ("POST", f"/sandboxes/{other}/proxy/44772/code"),
        ("GET", f"/v1/sandboxes/{osb_raw.id}"),
        ("GET", f"/v1/sandboxes/{other}"),
        ("DELETE", f"/v1/sandboxes/{osb_raw.id}"),
        ("POST", "/v1/sandboxes"),
        ("GET", "/v1/sandboxes"),
    ):
        answer = osb_life.ask(method, path, headers=token)
        assert answer.status_code == 401, (method, path, answer.text)


def test_the_key_opens_execd_too(osb_life: Lifecycle, make: Make) -> None:
    """With use_server_proxy the SDK sends it there."""
    assert osb_life.ask("GET", f"/sandboxes/{make()['id']}/proxy/44772/ping").status_code == 200


def test_request_ids_come_back(osb_life: Lifecycle, make: Make) -> None:
    mark = {"X-Request-ID": "7f3a-ABC.1"}
    answers = [
        osb_life.ask("GET", "/v1/sandboxes", headers=mark),
        osb_life.ask("GET", "/v1/sandboxes/no-such", headers=mark),
        osb_life.ask("POST", "/v1/sandboxes", b"{", headers=mark),
        osb_life.ask("PUT", "/v1/sandboxes", headers=mark),
        osb_life.ask("GET", "/v1/sandboxes", headers=mark | {"OPEN-SANDBOX-API-KEY": "wrong"}),
        osb_life.ask("DELETE", f"/v1/sandboxes/{make()['id']}", headers=mark),
    ]
    assert [a.status_code for a in answers] == [200, 404, 400, 405, 401, 204]
    assert [a.headers["x-request-id"] for a in answers] == ["7f3a-ABC.1"] * 6


# ------------------------------------------------------------------ the rest of its life


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", ""),
        ("DELETE", ""),
        ("POST", "/pause"),
        ("POST", "/resume"),
        ("POST", "/renew-expiration"),
        ("PATCH", "/metadata"),
        ("GET", "/endpoints/44772"),
        ("GET", "/endpoints/8080"),
    ],
)
def test_a_sandbox_that_nobody_knows(osb_life: Lifecycle, method: str, path: str) -> None:
    answer = osb_life.ask(method, f"/v1/sandboxes/no-such{path}", {} if method in ("POST", "PATCH") else None)
    assert "no-such" in error(answer, 404, "SANDBOX_NOT_FOUND")


def test_execd_of_a_sandbox_that_does_not_run(osb_life: Lifecycle, make: Make) -> None:
    made = make()["id"]
    ping = f"/sandboxes/{made}/proxy/44772/ping"
    assert osb_life.ask("GET", ping).status_code == 200
    assert osb_life.ask("GET", ping).content == b""
    error(osb_life.ask("GET", f"/sandboxes/{made}/proxy/18080/ping"), 404, "NOT_FOUND")
    error(osb_life.ask("GET", f"/sandboxes/{made}/proxy/44772/nothing"), 404, "NOT_FOUND")
    answer = osb_life.ask("POST", f"/v1/sandboxes/{made}/pause")
    assert (answer.status_code, answer.content) == (202, b"")
    error(osb_life.ask("GET", ping), 409, "SANDBOX_PAUSED")
    error(osb_life.ask("GET", f"/v1/sandboxes/{made}/endpoints/44772"), 409, "SANDBOX_PAUSED")
    answer = osb_life.ask("POST", f"/v1/sandboxes/{made}/resume")
    assert (answer.status_code, answer.content) == (202, b"")
    assert osb_life.ask("GET", ping).status_code == 200
    assert osb_life.ask("DELETE", f"/v1/sandboxes/{made}").content == b""
    error(osb_life.ask("GET", ping), 404, "SANDBOX_NOT_FOUND")


@pytest.mark.parametrize(
    ("offset", "zone"), [(0, "+00:00"), (0, "Z"), (5.5, "+05:30"), (-8, "-08:00"), (1, "+0100")]
)
def test_renew_in_any_zone(osb_life: Lifecycle, make: Make, offset: float, zone: str) -> None:
    """As the SDK writes it, with microseconds, and as others do."""
    made = make(timeout=None)["id"]
    want = datetime.now(UTC) + timedelta(hours=2)
    local = (want + timedelta(hours=offset)).strftime("%Y-%m-%dT%H:%M:%S.%f") + zone
    answer = osb_life.ask("POST", f"/v1/sandboxes/{made}/renew-expiration", {"expiresAt": local})
    assert answer.status_code == 200, answer.text
    assert set(answer.json()) == {"expiresAt"}
    told = datetime.fromisoformat(answer.json()["expiresAt"])
    assert abs(told - want) < timedelta(seconds=1)
    assert osb_life.ask("GET", f"/v1/sandboxes/{made}").json()["expiresAt"] == answer.json()["expiresAt"]


@pytest.mark.parametrize(
    "value",
    [None, 7, "", "soon", "2020-01-01T00:00:00Z", "2099-13-01T00:00:00Z", "2099-01-01", "2099-01-01T00:00:00",
     "9999-12-31T23:59:59Z", "1969-12-31T23:59:59Z", {}, []],
)  # fmt: skip
def test_renew_to_no_time(osb_life: Lifecycle, make: Make, value: Any) -> None:
    made = make()
    path = f"/v1/sandboxes/{made['id']}/renew-expiration"
    assert "expiresAt" in error(osb_life.ask("POST", path, {"expiresAt": value}), 400, "INVALID_EXPIRATION")
    error(osb_life.ask("POST", path, {}), 400, "INVALID_EXPIRATION")
    error(osb_life.ask("POST", path, b""), 400, "INVALID_REQUEST_BODY")
    assert osb_life.ask("GET", f"/v1/sandboxes/{made['id']}").json()["expiresAt"] == made["expiresAt"]


@pytest.mark.parametrize(
    "body", [{"a": 1}, {"a": {}}, {"a": []}, {"a": True}, [], "x", None, {"kernelbridge.x": None}]
)
def test_patches_that_are_refused(osb_life: Lifecycle, make: Make, body: Any) -> None:
    """The whole of it: what else it holds is not changed either."""
    made = make(metadata={"a": "1"})
    if isinstance(body, dict):
        body = {"other": "2", **body}
    answer = osb_life.ask("PATCH", f"/v1/sandboxes/{made['id']}/metadata", json.dumps(body).encode())
    error(answer, 400, "INVALID_REQUEST_BODY")
    assert osb_life.ask("GET", f"/v1/sandboxes/{made['id']}").json() == made


def test_metadata_does_not_grow_without_end(osb_life: Lifecycle, make: Make) -> None:
    made = make()["id"]
    codes = [
        osb_life.ask("PATCH", f"/v1/sandboxes/{made}/metadata", {f"k{n}": "x" * 16000}).status_code
        for n in range(6)
    ]
    assert codes == [200] * 4 + [400] * 2


@pytest.mark.parametrize("port", ["0", "65536", "99999999999", "-1", "http", "1e3", "44772x", "%20"])
def test_ports_that_are_none(osb_life: Lifecycle, port: str) -> None:
    error(osb_life.ask("GET", f"/v1/sandboxes/default/endpoints/{port}"), 400, "INVALID_PORT")


@pytest.mark.parametrize("proxied", ["true", "false", "True", None])
def test_endpoints(osb_gateway: Gateway, osb_life: Lifecycle, proxied: str | None) -> None:
    host = osb_gateway.url.removeprefix("http://")
    params = {"use_server_proxy": proxied} if proxied else {}
    for port in (44772, 18080):
        answer = osb_life.ask("GET", f"/v1/sandboxes/default/endpoints/{port}", params=params)
        assert answer.json()["endpoint"] == f"{host}/sandboxes/default/proxy/{port}"
        assert list(answer.json()["headers"]) == ["X-EXECD-ACCESS-TOKEN"]
        assert "open-sandbox-origin" not in answer.headers
    answer = osb_life.ask("GET", "/v1/sandboxes/default/endpoints/65535", params=params)
    assert answer.json() == {"endpoint": f"{host.partition(':')[0]}:65535"}
    answer = osb_life.ask("GET", "/v1/sandboxes/default/endpoints/44772", headers={"Host": "localhost"})
    assert answer.json()["endpoint"] == "localhost/sandboxes/default/proxy/44772"
    answer = osb_life.ask("GET", "/v1/sandboxes/default/endpoints/80", headers={"Host": "[::1]:1"})
    assert answer.json()["endpoint"] == "[::1]:80"


def test_the_egress_sidecar_is_not_served(osb_gateway: Gateway, osb_life: Lifecycle) -> None:
    endpoint = osb_life.ask("GET", "/v1/sandboxes/default/endpoints/18080").json()
    answer = httpx.get(f"http://{endpoint['endpoint']}/policy", headers=endpoint["headers"])
    assert answer.status_code == 404
    assert set(answer.json()) == {"code", "message"}


def test_events_of_sdks(osb_life: Lifecycle) -> None:
    event = {"eventType": "sandbox.create", "createDurationMs": 40, "success": True, "sandboxId": "x"}
    answer = osb_life.ask("POST", "/v1/metrics/events", event)
    assert (answer.status_code, answer.content) == (204, b"")
    error(osb_life.ask("POST", "/v1/metrics/events", b"nonsense"), 400, "INVALID_REQUEST_BODY")
    error(osb_life.ask("POST", "/v1/metrics/events", b'"' + b"x" * 70000 + b'"'), 413, "INVALID_REQUEST_BODY")


# ------------------------------------------------------------------ lists


def listed(life: Lifecycle, **params: Any) -> tuple[list[str], dict[str, Any]]:
    """Ids of a page, and its pagination."""
    answer = life.ask("GET", "/v1/sandboxes", params=params)
    assert answer.status_code == 200, answer.text
    body = answer.json()
    assert set(body) == {"items", "pagination"}
    assert set(body["pagination"]) == {"page", "pageSize", "totalItems", "totalPages", "hasNextPage"}
    assert all(no_null(item) for item in body["items"])
    return [item["id"] for item in body["items"]], body["pagination"]


def test_pages(osb_life: Lifecycle, make: Make) -> None:
    made = [make(metadata={"suite": "pages"})["id"] for _ in range(3)]
    first = {"page": 1, "pageSize": 2, "totalItems": 3, "totalPages": 2, "hasNextPage": True}
    assert listed(osb_life, metadata="suite=pages", pageSize=2) == (made[:0:-1], first)
    ids, pagination = listed(osb_life, metadata="suite=pages", pageSize=2, page=2)
    assert (ids, pagination) == (made[:1], first | {"page": 2, "hasNextPage": False})
    assert listed(osb_life, metadata="suite=pages", pageSize=2, page=9)[0] == []
    assert listed(osb_life, metadata="suite=none")[1] == {
        "page": 1, "pageSize": 20, "totalItems": 0, "totalPages": 0, "hasNextPage": False,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("params", "word"),
    [
        ({"page": "0"}, "page"),
        ({"page": "-1"}, "page"),
        ({"page": "one"}, "page"),
        ({"page": ""}, "page"),
        ({"page": "1.0"}, "page"),
        ({"page": "9" * 30}, "page"),
        ({"pageSize": "0"}, "pageSize"),
        ({"pageSize": "201"}, "pageSize"),
        ({"metadata": "a"}, "metadata"),
        ({"metadata": "a=1&broken"}, "metadata"),
        ({"metadata": "&"}, "metadata"),
    ],
)
def test_lists_that_are_refused(osb_life: Lifecycle, params: dict[str, str], word: str) -> None:
    assert word in error(osb_life.ask("GET", "/v1/sandboxes", params=params), 400, "INVALID_PARAMETER")


def test_filters(osb_life: Lifecycle, make: Make) -> None:
    one = make(metadata={"suite": "filters", "note": "Demo Test"})["id"]
    two = make(metadata={"suite": "filters"})["id"]
    osb_life.ask("POST", f"/v1/sandboxes/{two}/pause")
    for metadata in ("suite=filters&note=Demo Test", "note=Demo%20Test", "note=Demo+Test"):
        assert listed(osb_life, metadata=metadata)[0] == [one]
    assert listed(osb_life, metadata="suite=filters", state=["Running", "Paused"])[0] == [two, one]
    assert listed(osb_life, metadata="suite=filters", state="paused")[0] == [two]
    assert listed(osb_life, metadata="suite=filters", state="Terminated")[0] == []
    assert "default" in listed(osb_life, pageSize=200)[0]


# ------------------------------------------------------------------ the other dialects


def daytona(gateway: Gateway) -> dict[str, Any]:
    _, body = gateway.json("GET", "/daytona/api/sandbox")
    return {item["id"]: item for item in (body["items"] if isinstance(body, dict) else body)}  # type: ignore[index,union-attr]


def e2b(gateway: Gateway) -> dict[str, Any]:
    _, body = gateway.json("GET", "/v2/sandboxes", headers={"X-API-KEY": gateway.token})
    return {item["sandboxID"]: item for item in body}  # type: ignore[union-attr]


def native(gateway: Gateway) -> dict[str, Any]:
    _, body = gateway.json("GET", "/v1/native/sandboxes")
    return {item["sandbox"]: item for item in body["sandboxes"]}  # type: ignore[index]


def test_a_sandbox_is_seen_by_all(osb_gateway: Gateway, osb_life: Lifecycle, make: Make) -> None:
    """Its labels are its own: what this dialect adds to its metadata is not among them."""
    made = make(metadata={"a": "b"}, networkPolicy={"defaultAction": "deny"})
    assert daytona(osb_gateway)[made["id"]]["labels"] == {"a": "b"}
    assert e2b(osb_gateway)[made["id"]]["metadata"] == {"a": "b"}
    assert e2b(osb_gateway)[made["id"]]["endAt"] == made["expiresAt"]
    assert made["id"] in native(osb_gateway)
    osb_life.ask("POST", f"/v1/sandboxes/{made['id']}/pause")
    assert e2b(osb_gateway)[made["id"]]["state"] == "paused"
    status, _, _ = osb_gateway.http("DELETE", f"/sandboxes/{made['id']}")
    assert status == 204
    error(osb_life.ask("GET", f"/v1/sandboxes/{made['id']}"), 404, "SANDBOX_NOT_FOUND")


def made_by_e2b(gateway: Gateway) -> str:
    body = {"templateID": "base", "metadata": {"a": "b"}, "envVars": {"WHO": "e2b"}}
    _, made = gateway.json("POST", "/sandboxes", body)
    return made["sandboxID"]  # type: ignore[index]


def made_by_daytona(gateway: Gateway) -> str:
    _, made = gateway.json("POST", "/daytona/api/sandbox", {"labels": {"a": "b"}, "env": {"WHO": "daytona"}})
    return made["id"]  # type: ignore[index]


def made_by_native(gateway: Gateway) -> str:
    _, made = gateway.json("POST", "/v1/native/sandboxes", {"name": "natively", "envs": {"WHO": "native"}})
    return made["sandbox"]  # type: ignore[index]


@pytest.mark.parametrize("by", [made_by_e2b, made_by_daytona, made_by_native])
def test_any_sandbox_is_listed_and_usable(
    osb_gateway: Gateway, osb_life: Lifecycle, by: Callable[[Gateway], str]
) -> None:
    made = by(osb_gateway)
    try:
        info = osb_life.ask("GET", f"/v1/sandboxes/{made}").json()
        assert info["status"]["state"] == "Running"
        assert no_null(info)
        assert made in listed(osb_life, pageSize=200)[0]
        if by is not made_by_native:  # it has no labels
            assert info["metadata"]["a"] == "b"
            assert listed(osb_life, metadata="a=b")[0] == [made]
        else:
            assert osb_life.ask("GET", "/v1/sandboxes/natively").json() == info
        endpoint = osb_life.ask("GET", f"/v1/sandboxes/{made}/endpoints/44772").json()
        answer = httpx.post(
            f"http://{endpoint['endpoint']}/code",
            headers=endpoint["headers"],
            json={"code": "import os; print(os.environ['WHO'])", "context": {"language": "python"}},
            timeout=60,
        )
        assert by.__name__.removeprefix("made_by_") in answer.text
    finally:
        assert osb_life.kill(made) == 204
    until("its home to go", lambda: not Path(info["metadata"]["kernelbridge.home"]).exists(), 30)


def test_one_that_daytona_stopped(osb_gateway: Gateway, osb_life: Lifecycle) -> None:
    made = made_by_daytona(osb_gateway)
    try:
        osb_gateway.http("POST", f"/daytona/api/sandbox/{made}/stop")
        info = osb_life.ask("GET", f"/v1/sandboxes/{made}").json()
        assert (info["status"]["state"], info["status"]["reason"]) == ("Paused", "STOPPED")
        assert osb_life.ask("POST", f"/v1/sandboxes/{made}/resume").status_code == 202
        assert daytona(osb_gateway)[made]["state"] == "started"
    finally:
        osb_life.kill(made)


def test_one_that_e2b_paused_at_its_end(osb_gateway: Gateway, osb_life: Lifecycle) -> None:
    """It goes on here with as much time as it was given."""
    _, made = osb_gateway.json("POST", "/sandboxes", {"templateID": "t", "timeout": 1, "autoPause": True})
    path = f"/v1/sandboxes/{made['sandboxID']}"  # type: ignore[index]
    try:
        until("its pause", lambda: osb_life.ask("GET", path).json()["status"]["state"] == "Paused")
        assert (
            osb_life.ask(
                "POST", f"{path}/renew-expiration", {"expiresAt": "2099-01-01T00:00:00Z"}
            ).status_code
            == 409
        )
        assert osb_life.ask("POST", f"{path}/resume").status_code == 202
        until("its next pause", lambda: osb_life.ask("GET", path).json()["status"]["state"] == "Paused")
    finally:
        osb_life.kill(made["sandboxID"])  # type: ignore[index]


# ------------------------------------------------------------------ many


def test_fifty_creates_at_once(osb_gateway: Gateway) -> None:
    clients = [Lifecycle(osb_gateway) for _ in range(50)]
    with ThreadPoolExecutor(50) as pool:
        made = list(pool.map(lambda life: life.create(), clients))
        assert len({one["id"] for one in made}) == 50
        assert list(pool.map(lambda life, one: life.kill(one["id"]), clients, made)) == [204] * 50
    for life in clients:
        life.close()
    homes = [Path(one["metadata"]["kernelbridge.home"]) for one in made]
    until("their homes to go", lambda: not any(home.exists() for home in homes), 30)
