"""Uploads and downloads as bare HTTP: status and headers, broken forms, clients that leave, files that change."""

from __future__ import annotations

import json
import os
import resource
from collections.abc import Iterator
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
from harness.gateway import Gateway, until
from osb_raw import Raw
from osb_transfer import (
    FORM,
    Connection,
    Part,
    Pattern,
    code,
    download,
    files,
    form,
    meta,
    part,
    unplaced,
    upload,
)

pytest_plugins = ["osb_fixtures"]


@pytest.fixture
def raw(osb_gateway: Gateway) -> Iterator[Raw]:
    """A sandbox of its own: what is in its home is the test's."""
    with Raw(osb_gateway) as made:
        yield made


# --- uploads ---------------------------------------------------------------------------------


def test_an_upload_answers_with_nothing(raw: Raw) -> None:
    answer = upload(raw, meta("f"), ("file", b"data"))
    assert (answer.status_code, answer.content) == (200, b"")


def test_metadata_may_come_first(raw: Raw) -> None:
    names = [f"n{i}" for i in range(100)]
    answer = upload(raw, *(meta(n) for n in names), *(("file", n.encode()) for n in names))
    assert answer.status_code == 200
    assert {n: Path(raw.home, n).read_text() for n in files(raw.home)} == {n: n for n in names}


def test_other_parts_are_skipped(raw: Raw) -> None:
    parts = [("x", b"1"), meta("f"), ("comment", b"path"), ("file", b"data"), ("y", b"")]
    assert upload(raw, *parts).status_code == 200
    assert files(raw.home) == {"f"}


def test_what_metadata_leaves_out(raw: Raw) -> None:
    """No mode is 755 for a new file, and the old one for one that is there; what is null is left out."""
    nothing: list[dict[str, Any]] = [
        {},
        {"mode": None, "owner": None, "group": None},
        {"mode": 0, "owner": ""},
    ]
    for i, more in enumerate(nothing):
        assert upload(raw, meta(f"f{i}", **more), ("file", b"")).status_code == 200
        assert Path(raw.home, f"f{i}").stat().st_mode & 0o7777 == 0o755
        Path(raw.home, f"f{i}").chmod(0o4640)
        assert upload(raw, meta(f"f{i}", **more), ("file", b"")).status_code == 200
        assert Path(raw.home, f"f{i}").stat().st_mode & 0o7777 == 0o640


def test_whose_files_they_are(raw: Raw) -> None:
    """Files belong to whom the gateway runs as, which may be said."""
    own = Path(raw.home)
    for more in (
        {"owner": own.owner(), "group": own.group()},
        {"owner": str(os.geteuid()), "group": str(os.getegid())},
    ):
        assert upload(raw, meta("f", **more), ("file", b"")).status_code == 200
    for more in ({"owner": "daemon"}, {"group": "daemon"}, {"owner": 0}, {"owner": "1"}, {"group": ["root"]}):
        answer = upload(raw, meta("g", **more), ("file", b""))
        assert code(answer) == (400, "INVALID_FILE_METADATA")
        assert next(iter(more)) in answer.json()["message"]
    assert files(raw.home) == {"f"}


FILE: Part = ("file", b"data")
METADATA = "INVALID_FILE_METADATA"
BROKEN: dict[str, tuple[bytes, int, str]] = {
    "nothing": (b"", 400, "INVALID_FILE"),
    "no form": (b"hello", 400, "INVALID_FILE"),
    "no parts": (form([]), 400, METADATA),
    "no metadata": (form([FILE]), 400, METADATA),
    "no file": (form([meta("f")]), 400, "INVALID_FILE_CONTENT"),
    "one file too few": (form([meta("f"), FILE, meta("g")]), 400, "INVALID_FILE"),
    "one file too many": (form([meta("f"), FILE, FILE]), 400, METADATA),
    "metadata behind": (form([FILE, meta("f")]), 400, METADATA),
    "no JSON": (form([("metadata", b"{"), FILE]), 400, METADATA),
    "no object": (form([("metadata", b'["f"]'), FILE]), 400, METADATA),
    "no UTF-8": (form([("metadata", b'{"path": "\xff"}'), FILE]), 400, METADATA),
    "NUL": (form([("metadata", b'{"path": "a\\u0000b"}'), FILE]), 400, METADATA),
    "empty metadata": (form([("metadata", b""), FILE]), 400, METADATA),
    "long metadata": (form([("metadata", b" " * 65537), FILE]), 413, METADATA),
    "no path": (form([("metadata", b"{}"), FILE]), 400, METADATA),
    "empty path": (form([meta(""), FILE]), 400, METADATA),
    "null path": (form([meta(None), FILE]), 400, METADATA),
    "long path": (form([meta("a/" * 3000), FILE]), 400, METADATA),
    "long name": (form([meta("a" * 256), FILE]), 400, METADATA),
    "the home": (form([meta("."), FILE]), 400, METADATA),
    "mode 800": (form([meta("f", mode=800), FILE]), 400, METADATA),
    "mode 1755": (form([meta("f", mode=1755), FILE]), 400, METADATA),
    "mode -1": (form([meta("f", mode=-1), FILE]), 400, METADATA),
    "mode text": (form([meta("f", mode="644"), FILE]), 400, METADATA),
    "mode 1.5": (form([meta("f", mode=1.5), FILE]), 400, METADATA),
    "outside": (form([meta("/etc/kbtest"), FILE]), 403, "FORBIDDEN_PATH"),
    "cut off": (form([meta("f"), FILE])[:-6], 400, "INVALID_FILE"),
    "cut in data": (part(*meta("f")) + part(*FILE)[:-4], 400, "INVALID_FILE"),
    "LF only": (form([meta("f"), FILE]).replace(b"\r", b""), 400, "INVALID_FILE"),
    "no name": (form([meta("f"), FILE]).replace(b'name="file"', b""), 400, "INVALID_FILE"),
    "folded": (form([meta("f"), FILE]).replace(b"form-data; ", b"form-data;\r\n "), 400, "INVALID_FILE"),
    "long headers": (form([meta("f"), ("x" * 20000, b"")]), 413, "INVALID_FILE"),
    "too many parts": (form([("x", b"")] * 2001), 413, "INVALID_FILE"),
    "too much metadata": (form([meta("f")] * 129), 400, METADATA),
}


@pytest.mark.parametrize("why", BROKEN)
def test_a_broken_form(raw: Raw, why: str) -> None:
    body, status, word = BROKEN[why]
    answer = raw.ask("POST", "/files/upload", body, FORM)
    assert code(answer) == (status, word)
    assert files(raw.home) == ({"f"} if why in ("one file too few", "one file too many") else set())
    assert unplaced(raw.home) == []


@pytest.mark.parametrize(
    "content_type",
    [
        "",
        "text/plain",
        "multipart/form-data",
        "multipart/form-data; boundary=",
        "multipart/mixed; boundary=b",
    ],
)
def test_no_form_at_all(raw: Raw, content_type: str) -> None:
    answer = raw.ask("POST", "/files/upload", form([meta("f"), FILE]), {"Content-Type": content_type})
    assert code(answer) == (400, "INVALID_FILE")


def test_a_size_that_is_not_known(raw: Raw) -> None:
    """Chunked, in pieces of every size, cut anywhere."""
    data = Pattern(300_000).read()
    body = form([meta("f"), ("file", data), meta("g"), ("file", b"")])

    def pieces() -> Iterator[bytes]:
        at = 0
        for size in range(1, 2000):
            yield body[at : at + size]
            at += size
        assert at > len(body)

    answer = raw.http.post(
        raw.url + "/files/upload", content=filter(None, pieces()), headers=raw.headers | FORM
    )
    assert answer.status_code == 200
    assert Path(raw.home, "f").read_bytes() == data
    assert Path(raw.home, "g").read_bytes() == b""


def test_a_refusal_does_not_wait_for_the_data(raw: Raw) -> None:
    """The client that wants to send a terabyte to /etc hears at once that it cannot."""
    headers = FORM | {"Content-Length": str(1 << 40)}
    with Connection(raw, "POST", "/files/upload", headers) as client:
        client.send(part(*meta("/etc/kbtest")) + part("file", b"")[:-2] + b"first bytes")
        head, _, body = client.rest().partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 403 ")
    assert json.loads(body)["code"] == "FORBIDDEN_PATH"


def test_a_refusal_is_read_by_a_client_that_still_sends(raw: Raw) -> None:
    def body() -> Iterator[bytes]:
        yield part(*meta("/etc/kbtest")) + part("file", b"")[:-2]
        for _ in range(400):
            yield bytes(65536)

    answer = raw.http.post(raw.url + "/files/upload", content=body(), headers=raw.headers | FORM)
    assert code(answer) == (403, "FORBIDDEN_PATH")
    assert unplaced(raw.home) == []


@pytest.mark.parametrize("times", [1, 20])
def test_a_client_that_leaves(raw: Raw, times: int) -> None:
    """Nothing is left of the file that was not whole; those before it stay."""
    for _ in range(times):
        with Connection(raw, "POST", "/files/upload", FORM | {"Content-Length": str(1 << 30)}) as client:
            client.send(part(*meta("whole")) + part("file", b"whole") + part(*meta("half")))
            client.send(part("file", b"")[:-2] + Pattern(700_000).read())
            until("a file that is being written", lambda: unplaced(raw.home))
        until("it to go", lambda: not unplaced(raw.home))
        assert files(raw.home) == {"whole"}


def test_a_sandbox_that_is_deleted_meanwhile(osb_gateway: Gateway) -> None:
    with Raw(osb_gateway) as raw:
        folder = Path(raw.home).parent
        with Connection(raw, "POST", "/files/upload", FORM | {"Content-Length": str(1 << 30)}) as client:
            client.send(part(*meta("f")) + part("file", b"")[:-2] + b"first bytes")
            until("a file that is being written", lambda: unplaced(raw.home))
            raw.life.kill(raw.id)
            client.send(b"more bytes")
            head, _, body = client.rest().partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 404 ")
        assert json.loads(body)["code"] == "SANDBOX_NOT_FOUND"
        until("its folder to go", lambda: not folder.exists())


def test_the_largest_file(tmp_path: Path) -> None:
    gateway = Gateway(tmp_path / "state", "--max_upload_bytes=100000").wait_listening()
    with Raw(gateway) as raw:
        assert upload(raw, meta("fits"), ("file", bytes(100_000))).status_code == 200
        answer = upload(raw, meta("fits-not"), ("file", bytes(100_001)))
        assert code(answer) == (413, "INVALID_FILE_CONTENT")
        assert "max_upload_bytes" in answer.json()["message"]
        twice = [meta("a"), ("file", bytes(90_000)), meta("b"), ("file", bytes(90_000))]
        assert upload(raw, *twice).status_code == 200  # of each file, not of all
        assert files(raw.home) == {"fits", "a", "b"}
        assert unplaced(raw.home) == []
    gateway.stop()


def test_no_more_room(tmp_path: Path) -> None:
    """As a full disk, by the limit that the system has for the gateway's files: it fails, and goes on."""
    gateway = Gateway(tmp_path / "state").wait_listening()
    with Raw(gateway) as raw:
        _, most = resource.prlimit(gateway.process.pid, resource.RLIMIT_FSIZE)
        resource.prlimit(gateway.process.pid, resource.RLIMIT_FSIZE, (1 << 20, most))
        answer = upload(raw, meta("small"), FILE, meta("large"), ("file", bytes(2 << 20)), meta("last"), FILE)
        assert code(answer) == (500, "RUNTIME_ERROR")
        assert answer.json()["message"] == "large: File too large"
        assert (files(raw.home), unplaced(raw.home)) == ({"small"}, [])
        resource.prlimit(gateway.process.pid, resource.RLIMIT_FSIZE, (most, most))
        assert upload(raw, meta("large"), ("file", bytes(2 << 20))).status_code == 200
    gateway.stop()


def test_a_gateway_that_stops(tmp_path: Path) -> None:
    """In the middle of an upload and of a download: it ends well, and leaves no half of a file."""
    gateway = Gateway(tmp_path / "state", "--drain_ms=100").wait_listening()
    raw = Raw(gateway)
    with (Path(raw.home) / "large").open("wb") as f:
        f.truncate(256 << 20)
    down = Connection(raw, "GET", "/files/download?path=large", {})
    assert down.socket.recv(4) == b"HTTP"
    up = Connection(raw, "POST", "/files/upload", FORM | {"Content-Length": str(1 << 30)})
    up.send(part(*meta("half")) + part("file", b"")[:-2] + Pattern(2_000_000).read())
    until("a file that is being written", lambda: unplaced(raw.home))
    gateway.stop()
    up.close()
    down.close()
    assert not list((tmp_path / "state").rglob("put.*"))
    assert not list((tmp_path / "state").rglob("half"))


# --- downloads -------------------------------------------------------------------------------


@pytest.fixture
def ten(raw: Raw) -> Raw:
    """A sandbox with the file `ten`, of ten bytes."""
    assert upload(raw, meta("ten"), ("file", b"0123456789")).status_code == 200
    return raw


def test_headers(ten: Raw) -> None:
    answer = download(ten, "ten")
    headers = answer.headers
    assert (answer.status_code, answer.content) == (200, b"0123456789")
    assert headers["content-type"] == "application/octet-stream"
    assert headers["content-length"] == "10"
    assert headers["accept-ranges"] == "bytes"
    assert headers["content-disposition"] == 'attachment; filename="ten"'
    changed = Path(ten.home, "ten").stat().st_mtime
    assert parsedate_to_datetime(headers["last-modified"]).timestamp() == int(changed)


def test_head(ten: Raw) -> None:
    whole = download(ten, "ten")
    answer = ten.ask("HEAD", "/files/download", headers={"Range": "bytes=1-2"}, params={"path": "ten"})
    assert (answer.status_code, answer.content) == (200, b"")  # a Range is GET's
    for name in ("content-length", "etag", "last-modified", "content-disposition", "accept-ranges"):
        assert answer.headers[name] == whole.headers[name]
    assert ten.ask("HEAD", "/files/download", params={"path": "no"}).status_code == 404


@pytest.mark.parametrize(
    ("value", "content", "where"),
    [
        ("bytes=0-0", b"0", "0-0"),
        ("bytes=3-", b"3456789", "3-9"),
        ("bytes=-4", b"6789", "6-9"),
        ("bytes=8-20", b"89", "8-9"),
        ("bytes=10-12, 4-5,1-2", b"45", "4-5"),
    ],
)
def test_a_range(ten: Raw, value: str, content: bytes, where: str) -> None:
    answer = download(ten, "ten", {"Range": value})
    assert (answer.status_code, answer.content) == (206, content)
    assert answer.headers["content-range"] == f"bytes {where}/10"
    assert answer.headers["content-length"] == str(len(content))


@pytest.mark.parametrize("value", ["bytes=10-", "bytes=-0", "bytes=99-100"])
def test_a_range_that_is_not_there(ten: Raw, value: str) -> None:
    answer = download(ten, "ten", {"Range": value})
    assert code(answer) == (416, "UNKNOWN")
    assert answer.headers["content-range"] == "bytes */10"


@pytest.mark.parametrize("value", ["bytes=", "bytes=4-2", "bytes=x", "bytes 1-2", "chapters=1-2"])
def test_what_is_no_range_is_ignored(ten: Raw, value: str) -> None:
    answer = download(ten, "ten", {"Range": value})
    assert (answer.status_code, answer.content) == (200, b"0123456789")


def test_conditions(ten: Raw) -> None:
    first = download(ten, "ten").headers
    tag, date = first["etag"], first["last-modified"]
    for headers in (
        {"If-None-Match": tag},
        {"If-None-Match": f'"other", W/{tag}'},
        {"If-None-Match": "*"},
        {"If-Modified-Since": date},
    ):
        answer = download(ten, "ten", headers)
        assert (answer.status_code, answer.content) == (304, b"")
        assert answer.headers["etag"] == tag
    for headers in (
        {"If-None-Match": '"other"'},
        {"If-None-Match": '"other"', "If-Modified-Since": date},
        {"If-Modified-Since": "Thu, 01 Jan 1970 00:00:00 GMT"},
        {"If-Modified-Since": "yesterday"},
    ):
        assert download(ten, "ten", headers).status_code == 200
    part_of = {"Range": "bytes=1-2"}
    assert download(ten, "ten", part_of | {"If-Range": tag}).content == b"12"
    assert download(ten, "ten", part_of | {"If-Range": date}).content == b"12"
    upload(ten, meta("ten"), ("file", b"abcdefghij"))
    assert download(ten, "ten", {"If-None-Match": tag}).content == b"abcdefghij"
    assert download(ten, "ten", part_of | {"If-Range": tag}).content == b"abcdefghij"


@pytest.mark.parametrize(
    ("name", "plain", "encoded"),
    [
        ("größe.txt", "gr____e.txt", "gr%C3%B6%C3%9Fe.txt"),
        ('a"b\\c', "a_b_c", "a%22b%5Cc"),
        ("line\r\nSet-Cookie: x", "line__Set-Cookie: x", "line%0D%0ASet-Cookie%3A%20x"),
        ("50%41", "50_41", "50%2541"),
        ("with space;", "with space;", None),
        ("\x7f" * 255, "_" * 255, "%7F" * 255),
    ],
)
def test_names_in_headers(raw: Raw, name: str, plain: str, encoded: str | None) -> None:
    upload(raw, meta(f"d/{name}"), FILE)
    answer = download(raw, f"d/{name}")
    assert answer.content == b"data"
    wanted = f'attachment; filename="{plain}"' + (f"; filename*=UTF-8''{encoded}" if encoded else "")
    assert answer.headers["content-disposition"] == wanted
    assert "set-cookie" not in answer.headers


def test_lines_have_no_length(ten: Raw) -> None:
    answer = download(ten, "ten", offset=1, limit=1)
    assert answer.content == b"0123456789"
    assert "content-length" not in answer.headers
    assert answer.headers["accept-ranges"] == "none"


@pytest.mark.parametrize(
    "query",
    [
        {"offset": "0"},
        {"offset": "-1"},
        {"offset": "x"},
        {"limit": "-1"},
        {"limit": "1.5"},
        {"limit": "9" * 30},
    ],
)
def test_what_is_no_line_number(ten: Raw, query: dict[str, str]) -> None:
    assert code(download(ten, "ten", **query)) == (400, "INVALID_REQUEST_BODY")


def test_lines_and_bytes_exclude_each_other(ten: Raw) -> None:
    assert code(download(ten, "ten", {"Range": "bytes=0-1"}, offset=1)) == (400, "INVALID_REQUEST_BODY")


def test_no_such_thing(raw: Raw) -> None:
    assert code(raw.ask("GET", "/files/download")) == (400, "MISSING_QUERY")
    assert code(download(raw, "")) == (400, "MISSING_QUERY")
    assert code(download(raw, "none")) == (404, "FILE_NOT_FOUND")
    assert code(download(raw, ".")) == (400, "INVALID_FILE")
    assert code(download(raw, "/dev/zero")) == (403, "FORBIDDEN_PATH")


def test_a_file_that_shrinks_is_cut_off(raw: Raw) -> None:
    path = Path(raw.home, "shrinks")
    with path.open("wb") as f:
        f.truncate(64 << 20)
    with Connection(raw, "GET", "/files/download?path=shrinks", {}) as client:
        start = client.socket.recv(4096)
        os.truncate(path, 1000)
        got = start + client.rest()
    head, _, body = got.partition(b"\r\n\r\n")
    assert b"Content-Length: 67108864\r\n" in head
    assert 1000 <= len(body) < 64 << 20  # 1000 where nothing was read of the long file


def test_a_file_that_grows_is_sent_as_it_was(raw: Raw) -> None:
    path = Path(raw.home, "grows")
    with path.open("wb") as f:
        f.truncate(64 << 20)
    with raw.stream("GET", "/files/download?path=grows") as answer:
        chunks = answer.iter_bytes()
        got = len(next(chunks))
        with path.open("ab") as f:
            f.write(b"more")
        assert got + sum(len(chunk) for chunk in chunks) == 64 << 20


def test_a_client_that_does_not_read(osb_gateway: Gateway) -> None:
    """A download ends with its client, or with what the sandbox had when it was asked for."""
    with Raw(osb_gateway) as raw:
        path = Path(raw.home, "large")
        with path.open("wb") as f:
            f.truncate(256 << 20)
        proc = Path(f"/proc/{osb_gateway.process.pid}/fd")

        def is_open() -> bool:
            for link in proc.iterdir():
                try:
                    if os.readlink(link).startswith(str(path)):
                        return True
                except FileNotFoundError:
                    continue
            return False

        with Connection(raw, "GET", "/files/download?path=large", {}) as client:
            client.socket.recv(1)
            assert is_open()
        until("it to be closed", lambda: not is_open())


def test_a_sandbox_that_goes_is_read_to_the_end(osb_gateway: Gateway) -> None:
    with Raw(osb_gateway) as raw:
        data = Pattern(20_000_000).read()
        upload(raw, meta("f"), ("file", data))
        with raw.stream("GET", "/files/download?path=f") as answer:
            chunks = answer.iter_bytes()
            got = next(chunks)
            raw.life.kill(raw.id)
            until("its folder to go", lambda: not Path(raw.home).exists())
            assert got + b"".join(chunks) == data


def test_tokens(raw: Raw, osb_raw: Raw) -> None:
    """One sandbox's token opens no other's files."""
    for path, method in (("/files/download?path=f", "GET"), ("/files/upload", "POST")):
        for headers in ({}, osb_raw.headers):
            answer = httpx.request(method, raw.url + path, headers=headers)
            assert answer.status_code == 401
