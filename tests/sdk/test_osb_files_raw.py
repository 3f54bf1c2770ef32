"""execd's file calls over bare HTTP: what no SDK sends, ceilings, and what happens meanwhile."""

from __future__ import annotations

import json
import os
import socket
import stat
import threading
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

import httpx
import pytest
from harness.gateway import DEADLINE_S, Gateway, until
from osb_raw import Raw

pytest_plugins = ["osb_fixtures"]


@pytest.fixture
def folder(osb_raw: Raw, request: pytest.FixtureRequest) -> Path:
    """A fresh folder in the sandbox's home."""
    made = Path(osb_raw.home) / f"{abs(hash(request.node.nodeid)):x}"
    made.mkdir()
    return made


def no(answer: httpx.Response, status: int, code: str) -> str:
    """Check a refusal's form; its message."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"].startswith("application/json")
    body = answer.json()
    assert set(body) == {"code", "message"}
    assert body["code"] == code
    return body["message"]


def yes(answer: httpx.Response) -> None:
    """Check an answer that says nothing but that it is done."""
    assert (answer.status_code, answer.content) == (200, b"")


def paths(*names: Any) -> str:
    return "&".join(f"path={quote(str(name), safe='')}" for name in names)


# --- bodies -------------------------------------------------------------------------------------

PERMISSIONS = {
    "not-json": (b"{", "error parsing request"),
    "empty": (b"", "error parsing request"),
    "array": ([], "the body is not an object"),
    "null": (None, "error parsing request"),
    "string": (b'"x"', "error parsing request"),
    "item-number": ({"x": 755}, "x: is not an object"),
    "item-null": ({"x": None}, "x: is not an object"),
    "mode-text": ({"x": {"mode": "755"}}, "x: mode"),
    "mode-real": ({"x": {"mode": 755.0}}, "x: mode"),
    "mode-bool": ({"x": {"mode": True}}, "x: mode"),
    "mode-negative": ({"x": {"mode": -7}}, "x: mode"),
    "mode-decimal": ({"x": {"mode": 493}}, "x: mode"),
    "mode-huge": ({"x": {"mode": 10**30}}, "error parsing request"),
    "owner-number": ({"x": {"owner": 0}}, "x: owner is not a string"),
    "group-list": ({"x": {"group": []}}, "x: group is not a string"),
    "owner-other": ({"x": {"owner": "nobody-here"}}, "owner 'nobody-here'"),
    "path-empty": ({"": {"mode": 755}}, "the path is empty"),
    "path-nul": (b'{"x\\u0000y": {}}', "error parsing request"),
    "path-not-utf8": (b'{"\xff": {}}', "error parsing request"),
    "path-surrogate": (b'{"\\ud800": {}}', "error parsing request"),
    "one-bad-of-two": ({"made": {}, "x": {"mode": 9}}, "x: mode"),
}


@pytest.mark.parametrize("call", ["/files/permissions", "/directories"])
@pytest.mark.parametrize("body", PERMISSIONS)
def test_bad_permissions(osb_raw: Raw, call: str, body: str) -> None:
    given, why = PERMISSIONS[body]
    assert why in no(osb_raw.ask("POST", call, given), 400, "INVALID_REQUEST_BODY")
    assert not (Path(osb_raw.home) / "made").exists()


REPLACEMENTS = {
    "not-json": (b"[", "error parsing request"),
    "array": ([{"old": "a", "new": "b"}], "the body is not an object"),
    "item-text": ({"x": "y"}, "x: is not an object"),
    "no-old": ({"x": {"new": "b"}}, "old content must not be empty"),
    "empty-old": ({"x": {"old": "", "new": "b"}}, "old content must not be empty"),
    "old-number": ({"x": {"old": 1, "new": "b"}}, "x: old is not a string"),
    "new-number": ({"x": {"old": "a", "new": 1}}, "x: new is not a string"),
    "old-nul": ({"x": {"old": "a\0", "new": "b"}}, "error parsing request"),
    "path-empty": ({"": {"old": "a", "new": "b"}}, "the path is empty"),
}


@pytest.mark.parametrize("body", REPLACEMENTS)
def test_bad_replacements(osb_raw: Raw, body: str) -> None:
    given, why = REPLACEMENTS[body]
    assert why in no(osb_raw.ask("POST", "/files/replace", given), 400, "INVALID_REQUEST_BODY")


MOVES = {
    "not-json": (b"]", "error parsing request"),
    "object": ({"src": "a", "dest": "b"}, "the body is not an array"),
    "item-text": (["a"], "is not an object"),
    "no-src": ([{"dest": "b"}], "no src"),
    "no-dest": ([{"src": "a"}], "no dest"),
    "empty-dest": ([{"src": "a", "dest": ""}], "no dest"),
    "src-number": ([{"src": 1, "dest": "b"}], "src is not a string"),
    "dest-null": ([{"src": "a", "dest": None}], "no dest"),
    "home": ([{"src": "~", "dest": "b"}], "home itself"),
}


@pytest.mark.parametrize("body", MOVES)
def test_bad_moves(osb_raw: Raw, body: str) -> None:
    given, why = MOVES[body]
    assert why in no(osb_raw.ask("POST", "/files/mv", given), 400, "INVALID_REQUEST_BODY")


def test_too_many_items(osb_raw: Raw) -> None:
    many = {f"f{i}": {} for i in range(10_001)}
    assert "10000" in no(osb_raw.ask("POST", "/directories", many), 500, "RUNTIME_ERROR")
    assert not (Path(osb_raw.home) / "f0").exists()


def test_nothing_asked_nothing_done(osb_raw: Raw) -> None:
    yes(osb_raw.ask("POST", "/files/permissions", {}))
    yes(osb_raw.ask("POST", "/directories", {}))
    yes(osb_raw.ask("POST", "/files/mv", []))
    yes(osb_raw.ask("POST", "/files/replace", {}))
    yes(osb_raw.ask("DELETE", "/files"))
    yes(osb_raw.ask("DELETE", "/directories"))
    assert osb_raw.ask("GET", "/files/info").json() == {}
    assert osb_raw.ask("POST", "/files/replace?verbose=true", {}).json() == {}


def test_fields_that_say_nothing(osb_raw: Raw, folder: Path) -> None:
    """A field that is null, or one that we do not know, is as good as none."""
    (folder / "f").write_text("ab")
    (folder / "f").chmod(0o640)
    ask = {str(folder / "f"): {"mode": None, "owner": None, "group": "", "acl": [1]}}
    yes(osb_raw.ask("POST", "/files/permissions", ask))
    assert stat.S_IMODE((folder / "f").stat().st_mode) == 0o640
    yes(osb_raw.ask("POST", "/files/replace", {str(folder / "f"): {"old": "a", "new": None}}))
    assert (folder / "f").read_text() == "b"


def test_verbose_is_true_or_nothing(osb_raw: Raw, folder: Path) -> None:
    (folder / "f").write_text("aaa")
    ask = {f"{folder}/f": {"old": "a", "new": "a"}}
    for query in ("", "?verbose=", "?verbose=false", "?verbose=1"):
        yes(osb_raw.ask("POST", f"/files/replace{query}", ask))
    answer = osb_raw.ask("POST", "/files/replace?verbose=true", ask)
    assert answer.json() == {f"{folder}/f": {"replacedCount": 3}}


def test_what_was_done_stays_done(osb_raw: Raw, folder: Path) -> None:
    """The first item that fails ends a call, as with execd."""
    (folder / "a").write_text("x")
    ask = [{"src": f"{folder}/{name}", "dest": f"{folder}/new-{name}"} for name in ("a", "missing", "b")]
    assert "missing" in no(osb_raw.ask("POST", "/files/mv", ask), 404, "FILE_NOT_FOUND")
    assert os.listdir(folder) == ["new-a"]


# --- queries ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "call", ["/files/search", "/files/search?path=&pattern=*", "/directories/list", "/directories/list?path="]
)
def test_a_path_is_needed(osb_raw: Raw, call: str) -> None:
    assert "'path'" in no(osb_raw.ask("GET", call), 400, "MISSING_QUERY")


@pytest.mark.parametrize("depth", ["-1", "1.5", "x", "%201", "+1", "0x1", "99999999999"])
def test_bad_depths(osb_raw: Raw, depth: str) -> None:
    answer = osb_raw.ask("GET", f"/directories/list?path=.&depth={depth.replace('+', '%2B')}")
    assert "'depth'" in no(answer, 400, "INVALID_REQUEST_BODY")


def test_a_path_in_a_query(osb_raw: Raw, folder: Path) -> None:
    (folder / "a+b c&d").write_text("x")
    asked = f"{folder.name}/a+b c&d"
    answer = osb_raw.ask("GET", f"/files/info?{paths(asked)}")
    assert answer.json()[asked]["path"] == f"{folder}/a+b c&d"
    for bad in ("path=%ff", "path=a%00b", "path=%zz"):
        assert osb_raw.ask("GET", f"/files/info?{bad}").status_code == 400
    assert "empty" in no(osb_raw.ask("GET", "/files/info?path="), 400, "INVALID_REQUEST_BODY")


def test_many_paths_in_a_query(osb_raw: Raw, folder: Path) -> None:
    names = [f"{folder.name}/{i}" for i in range(100)]
    for i in range(100):
        (folder / str(i)).write_text("x")
    assert list(osb_raw.ask("GET", f"/files/info?{paths(*names)}").json()) == names
    yes(osb_raw.ask("DELETE", f"/files?{paths(*names)}"))
    assert os.listdir(folder) == []


def test_a_search_finds_all_by_default(osb_raw: Raw, folder: Path) -> None:
    (folder / "d").mkdir()
    (folder / "d/f").write_text("x")
    for more in ("", "&pattern=", "&pattern=**"):
        found = osb_raw.ask("GET", f"/files/search?{paths(folder)}{more}").json()
        assert [one["path"] for one in found] == [f"{folder}/d/f"]


def test_what_an_entry_says(osb_raw: Raw, folder: Path) -> None:
    (folder / "f").write_text("x")
    [entry] = osb_raw.ask("GET", f"/directories/list?{paths(folder)}").json()
    assert list(entry) == ["path", "type", "size", "modified_at", "created_at", "owner", "group", "mode"]
    assert osb_raw.ask("GET", f"/files/info?{paths('f')}").status_code == 404


def test_other_methods(osb_raw: Raw) -> None:
    for method, call in (
        ("POST", "/files/info"),
        ("GET", "/files"),
        ("GET", "/files/mv"),
        ("PUT", "/directories"),
    ):
        answer = osb_raw.ask(method, call)
        assert answer.status_code == 405
        assert answer.json()["code"] == "NOT_FOUND"


# --- whose files --------------------------------------------------------------------------------


def test_a_token_opens_its_own_sandbox_only(osb_gateway: Gateway, osb_raw: Raw) -> None:
    with Raw(osb_gateway) as other:
        (Path(other.home) / "f").write_text("x")
        for headers in (osb_raw.headers, {}):
            answer = httpx.get(f"{other.url}/files/info?path=f", headers=headers, timeout=DEADLINE_S)
            assert answer.status_code == 401
        assert no(osb_raw.ask("GET", f"/files/info?{paths(other.home)}"), 403, "FORBIDDEN_PATH")


IDENTITIES = ["0x0/0", "-1/0", "a/b", "00/0", "4294967296/0", "%20/0"]


@pytest.mark.parametrize("identity", IDENTITIES)
def test_identities_that_are_none(osb_raw: Raw, identity: str) -> None:
    answer = osb_raw.ask("GET", f"/v1/filesystem/{identity}/files/info?path=.")
    assert "no other identity" in no(answer, 400, "INVALID_REQUEST_BODY")


def test_only_files_have_an_identity(osb_raw: Raw) -> None:
    us = f"/v1/filesystem/{os.geteuid()}/{os.getegid()}"
    assert osb_raw.ask("GET", f"{us}/files/info?path=.").status_code == 200
    for call in ("/ping", "/metrics", "/v1/filesystem/0/0/files/info"):
        assert osb_raw.ask("GET", us + call).status_code == 404


def test_a_sandbox_that_has_gone(osb_gateway: Gateway) -> None:
    with Raw(osb_gateway) as raw:
        raw.life.kill(raw.id)
        for method, call in (("GET", "/files/info?path=f"), ("DELETE", "/directories?path=f")):
            no(raw.ask(method, call), 404, "SANDBOX_NOT_FOUND")


# --- kinds of files -----------------------------------------------------------------------------


def test_nobody_waits_for_a_pipe(osb_raw: Raw, folder: Path) -> None:
    os.mkfifo(folder / "p")
    ask = {f"{folder}/p": {"old": "a", "new": "b"}}
    assert "is a pipe" in no(osb_raw.ask("POST", "/files/replace", ask), 400, "INVALID_REQUEST_BODY")
    yes(osb_raw.ask("POST", "/files/permissions", {f"{folder}/p": {"mode": 600}}))
    [entry] = osb_raw.ask("GET", f"/files/search?{paths(folder)}").json()
    assert (entry["type"], entry["mode"]) == ("other", 600)
    yes(osb_raw.ask("DELETE", f"/files?{paths(folder / 'p')}"))


def test_devices(osb_raw: Raw, folder: Path) -> None:
    try:
        os.mknod(folder / "zero", stat.S_IFCHR | 0o666, os.makedev(1, 5))
    except PermissionError:
        pytest.skip("only root makes devices")
    ask = {f"{folder}/zero": {"old": "a", "new": "b"}}
    assert "is a device" in no(osb_raw.ask("POST", "/files/replace", ask), 400, "INVALID_REQUEST_BODY")
    assert (
        osb_raw.ask("GET", f"/files/info?{paths(folder / 'zero')}").json()[f"{folder}/zero"]["type"]
        == "other"
    )
    yes(osb_raw.ask("DELETE", f"/directories?{paths(folder)}"))


# --- much ---------------------------------------------------------------------------------------


def test_a_wide_folder(osb_raw: Raw, folder: Path) -> None:
    """It is told whole, and others are served meanwhile."""
    names = [f"{i:06}" for i in range(20_000)]
    for name in names:
        (folder / name).touch()
    answers: list[httpx.Response] = []
    lister = threading.Thread(
        target=lambda: answers.append(osb_raw.ask("GET", f"/directories/list?{paths(folder)}"))
    )
    lister.start()
    with Raw(osb_raw.gateway) as other:
        assert other.ask("GET", "/files/info?path=.").status_code == 200
    lister.join()
    assert [Path(entry["path"]).name for entry in answers[0].json()] == names
    assert len(osb_raw.ask("GET", f"/files/search?{paths(folder)}&pattern=0*9").json()) == 2000
    yes(osb_raw.ask("DELETE", f"/directories?{paths(folder)}"))
    assert not folder.exists()


DIG = """
import os
at = os.open({folder!r}, os.O_RDONLY)
for _ in range(3000):
    os.mkdir("d", dir_fd=at)
    below = os.open("d", os.O_RDONLY, dir_fd=at)
    os.close(at)
    at = below
os.close(at)
"""


def test_a_deep_tree(osb_raw: Raw, folder: Path) -> None:
    """Code makes a tree that no path reaches: a search says so, and it can be removed."""
    osb_raw.code(DIG.format(folder=str(folder)))
    assert "bytes of a path" in no(osb_raw.ask("GET", f"/files/search?{paths(folder)}"), 500, "RUNTIME_ERROR")
    assert len(osb_raw.ask("GET", f"/directories/list?{paths(folder)}&depth=100").json()) == 100
    yes(osb_raw.ask("DELETE", f"/directories?{paths(folder)}"))
    assert not folder.exists()


def test_a_large_text(osb_raw: Raw, folder: Path) -> None:
    line = b"0123456789abcdef" * 64 + b"\n"
    (folder / "f").write_bytes(line * 20_000)
    answer = osb_raw.ask(
        "POST", "/files/replace?verbose=true", {f"{folder}/f": {"old": "f\n", "new": "\n\n"}}
    )
    assert answer.json() == {f"{folder}/f": {"replacedCount": 20_000}}
    assert (folder / "f").read_bytes() == (line[:-2] + b"\n\n") * 20_000


def test_a_pattern_that_takes_for_ever(osb_raw: Raw, folder: Path) -> None:
    deep = folder / "/".join(["a" * 50] * 20)
    deep.mkdir(parents=True)
    for i in range(100):
        (deep / f"{'a' * 100}{i}").write_text("x")
    pattern = "**/" + "*a" * 20 + "/**/" + "*a" * 20 + "/**/" + "*a" * 20 + "b"
    answer = osb_raw.ask("GET", f"/files/search?{paths(folder)}&pattern={quote(pattern)}")
    assert answer.json() == []
    braces = "{a,b}" * 9
    answer = osb_raw.ask("GET", f"/files/search?{paths(folder)}&pattern={quote(braces)}")
    assert "256 forms" in no(answer, 500, "RUNTIME_ERROR")


# --- meanwhile ----------------------------------------------------------------------------------


def test_a_reader_sees_all_or_nothing_of_a_change(osb_raw: Raw, folder: Path) -> None:
    a, b = "a" * 2_000_000, "b" * 2_000_000
    (folder / "f").write_text(a)
    over = threading.Event()
    seen: set[str] = set()

    def read() -> None:
        while not over.is_set():
            text = (folder / "f").read_text()
            seen.add(text if text in (a, b) else f"{len(text)} bytes: {text[:10]}...{text[-10:]}")

    reader = threading.Thread(target=read)
    reader.start()
    try:
        for i in range(100):
            if i >= 10 and len(seen) > 1:
                break
            old, new = (a, b) if i % 2 == 0 else (b, a)
            yes(osb_raw.ask("POST", "/files/replace", {f"{folder}/f": {"old": old, "new": new}}))
    finally:
        over.set()
        reader.join()
    assert seen == {a, b}


def test_a_client_that_leaves(osb_raw: Raw, folder: Path) -> None:
    """What was begun is done all the same, and the gateway does not mind."""
    for i in range(2000):
        (folder / str(i)).write_text("x")
    split = urlsplit(osb_raw.url)
    head = "".join(f"{name}: {value}\r\n" for name, value in osb_raw.headers.items())
    request = (
        f"DELETE {split.path}/directories?{paths(folder)} HTTP/1.1\r\nHost: {split.netloc}\r\n{head}\r\n"
    )
    with socket.create_connection((split.hostname, split.port), timeout=DEADLINE_S) as sock:
        sock.sendall(request.encode())
        until("it to begin", lambda: not folder.exists() or len(os.listdir(folder)) < 2000)
    until("the tree is gone", lambda: not folder.exists())
    assert osb_raw.ask("GET", "/files/info?path=.").status_code == 200


def test_a_sandbox_that_goes_meanwhile(osb_gateway: Gateway) -> None:
    """Its files are removed once the last call that works on them has ended."""
    with Raw(osb_gateway) as raw:
        home = Path(raw.home)
        for i in range(10_000):
            (home / f"{i}").write_text("x")
        statuses: list[int] = []

        def search() -> None:
            statuses.append(raw.ask("GET", "/files/search?path=.").status_code)

        searchers = [threading.Thread(target=search) for _ in range(4)]
        for one in searchers:
            one.start()
        assert raw.life.kill(raw.id) == 204
        for one in searchers:
            one.join()
        assert set(statuses) <= {200, 404}
        until("its folder is gone", lambda: not home.exists())


def test_a_gateway_that_stops_meanwhile(tmp_path: Path) -> None:
    """It ends well, and does not wait for what nobody will hear."""
    gateway = Gateway(tmp_path / "state")
    gateway.wait_ready()
    raw = Raw(gateway)
    for i in range(20_000):
        (Path(raw.home) / f"{i}").touch()
    split = urlsplit(raw.url)
    head = "".join(f"{name}: {value}\r\n" for name, value in raw.headers.items())
    request = f"GET {split.path}/directories/list?path=. HTTP/1.1\r\nHost: {split.netloc}\r\n{head}\r\n"
    socks = [socket.create_connection((split.hostname, split.port)) for _ in range(6)]
    for sock in socks:
        sock.sendall(request.encode())
    gateway.stop()
    for sock in socks:
        sock.close()


def test_a_list_longer_than_an_answer_says_so(osb_raw: Raw, folder: Path) -> None:
    deep = folder / "/".join(["x" * 250] * 3)
    deep.mkdir(parents=True)
    at = os.open(deep, os.O_RDONLY)
    for i in range(70000):  # each takes a kilobyte of the answer
        os.close(os.open(f"{'n' * 200}{i}", os.O_CREAT, dir_fd=at))
    os.close(at)
    answer = osb_raw.ask("GET", f"/directories/list?{paths(folder.name)}&depth=9")
    assert "bytes of an answer" in no(answer, 500, "RUNTIME_ERROR")
    yes(osb_raw.ask("DELETE", f"/directories?{paths(folder.name)}"))


def test_many_calls_at_once(osb_raw: Raw, folder: Path) -> None:
    failures: list[str] = []

    def work(me: int) -> None:
        with httpx.Client(base_url=osb_raw.url, headers=osb_raw.headers, timeout=DEADLINE_S) as http:
            for i in range(20):
                name = f"{folder.name}/{me}/{i}"
                steps = [
                    http.post("/directories", content=json.dumps({name: {"mode": 700}})),
                    http.post("/files/mv", content=json.dumps([{"src": name, "dest": f"{name}-moved"}])),
                    http.get(f"/directories/list?{paths(f'{folder.name}/{me}')}"),
                    http.request("DELETE", f"/directories?{paths(f'{name}-moved')}"),
                ]
                failures.extend(step.text for step in steps if step.status_code != 200)

    workers = [threading.Thread(target=work, args=(i,)) for i in range(8)]
    for one in workers:
        one.start()
    for one in workers:
        one.join()
    assert failures == []
    assert sorted(os.listdir(folder)) == [str(i) for i in range(8)]
    assert not any(os.listdir(folder / str(i)) for i in range(8))
