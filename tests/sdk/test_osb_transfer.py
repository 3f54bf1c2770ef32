"""Uploads and downloads through OpenSandbox's SDKs: what goes in comes out, in part too."""

from __future__ import annotations

import asyncio
import io
import os
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
from opensandbox.exceptions import SandboxApiException
from opensandbox.models.filesystem import WriteEntry
from osb_adapter import Box
from osb_transfer import Pattern, unplaced

pytest_plugins = ["osb_fixtures"]


async def gathered(box: Box, path: str, **kwargs: Any) -> list[bytes]:
    """The chunks of `read_bytes_stream`."""
    stream = await box.files("read_bytes_stream", path, **kwargs)
    if isinstance(stream, AsyncIterator):
        return [chunk async for chunk in stream]
    assert isinstance(stream, Iterator)
    return await asyncio.to_thread(list, stream)


CONTENTS: dict[str, Any] = {
    "text": "Grüße 🦜\n",
    "empty": "",
    "bytes": bytes(range(256)) * 5,
    "no-bytes": b"",
    "line-ends": b"\r\n--opensandbox\r\n\r\n--\r\n-\r\r\n\n",
    "large": Pattern(3_000_000).read(),
    "stream": io.BytesIO(b"from a stream\n"),
    "empty-stream": io.BytesIO(),
}


@pytest.mark.parametrize("kind", CONTENTS)
async def test_what_goes_in_comes_out(osb: Box, kind: str) -> None:
    data = CONTENTS[kind]
    wanted = data.getvalue() if isinstance(data, io.BytesIO) else data
    wanted = wanted.encode() if isinstance(wanted, str) else wanted
    await osb.files("write_file", f"round/{kind}", data)
    assert await osb.files("read_bytes", f"round/{kind}") == wanted
    assert b"".join(await gathered(osb, f"round/{kind}")) == wanted
    assert Path(await osb.home(), "round", kind).read_bytes() == wanted


async def test_encodings(osb: Box) -> None:
    await osb.files("write_file", "latin", "Grüße", encoding="latin-1")
    assert await osb.files("read_bytes", "latin") == b"Gr\xfc\xdfe"
    assert await osb.files("read_file", "latin", encoding="latin-1") == "Grüße"


async def test_an_open_file_is_sent_from_its_start(osb: Box, tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.write_bytes(b"0123456789" * 20_000)
    with source.open("rb") as stream:
        stream.read(17)
        await osb.files("write_file", "opened", stream)
    assert await osb.files("read_bytes", "opened") == source.read_bytes()


async def test_many_files_in_one_call(osb: Box) -> None:
    wanted = {f"many/{i % 7}/{i}.txt": f"{i}\n" * i for i in range(600)}
    await osb.files("write_files", [WriteEntry(path=path, data=data) for path, data in wanted.items()])
    home = Path(await osb.home())
    assert {str(p.relative_to(home)): p.read_text() for p in home.glob("many/*/*")} == wanted


NAMES = (
    "größe 🦜.txt",
    "with space",
    "line\nend",
    'quo"te\\back',
    "semi;colon=1",
    "%41+&#?",
    "-rf",
    "a\ttab",
)


@pytest.mark.parametrize("name", NAMES)
async def test_names(osb: Box, name: str) -> None:
    await osb.files("write_file", f"names/{name}", name)
    assert await osb.files("read_file", f"names/{name}") == name
    assert Path(await osb.home(), "names", name).read_text() == name


async def test_paths(osb: Box) -> None:
    home = await osb.home()
    for path in ("p.txt", "./p.txt", "~/p.txt", f"{home}/p.txt", f"{home}//x/../p.txt"):
        await osb.files("write_file", path, path)
        assert await osb.files("read_file", "p.txt") == path
        assert await osb.files("read_file", path) == path


async def test_code_sees_the_file_and_its_mode(osb: Box) -> None:
    entries = [WriteEntry(path=f"modes/{mode}", data="#!/bin/sh\necho ran", mode=mode) for mode in MODES]
    await osb.files("write_files", entries)
    seen = await osb.out(
        "import os, stat\nfor m in sorted(os.listdir('modes'), key=int):\n"
        "    print(m, oct(stat.S_IMODE(os.stat(f'modes/{m}').st_mode)))"
    )
    assert seen.split("\n")[:-1] == [f"{mode} 0o{mode}" for mode in MODES]
    assert await osb.out("import subprocess; print(subprocess.check_output(['modes/755'], text=True))") == (
        "ran\n\n"
    )


MODES = (400, 600, 644, 755, 777)


async def test_a_program_written_by_code_comes_back(osb: Box) -> None:
    await osb.run("with open('made.bin', 'wb') as f: f.write(bytes(range(256)) * 4096)")
    assert await osb.files("read_bytes", "made.bin") == bytes(range(256)) * 4096


async def test_overwriting(osb: Box) -> None:
    await osb.files("write_file", "over", "a long text that was here before", mode=600)
    await osb.files("write_file", "over", "short", mode=644)
    assert await osb.files("read_file", "over") == "short"
    assert Path(await osb.home(), "over").stat().st_mode & 0o777 == 0o644


async def test_two_uploads_to_one_path(osb: Box) -> None:
    """Each is written whole; one of them is there in the end."""
    sources = [letter.encode() * 2_000_000 for letter in "abcdef"]
    await asyncio.gather(*(osb.files("write_file", "raced", io.BytesIO(data)) for data in sources))
    assert await osb.files("read_bytes", "raced") in sources
    assert unplaced(await osb.home()) == []


async def test_a_reader_keeps_the_file_that_is_replaced(osb: Box) -> None:
    old = Pattern(8_000_000).read()
    await osb.files("write_file", "replaced", old)
    if osb.client.flavour == "sync":
        stream = await osb.files("read_bytes_stream", "replaced")
        got = next(stream)
        await osb.files("write_file", "replaced", "new")
        got += b"".join(await asyncio.to_thread(list, stream))
    else:
        stream = await osb.files("read_bytes_stream", "replaced")
        got = await anext(stream)
        await osb.files("write_file", "replaced", "new")
        got += b"".join([chunk async for chunk in stream])
    assert got == old
    assert await osb.files("read_file", "replaced") == "new"


@pytest.mark.parametrize(
    ("header", "wanted"),
    [
        ("bytes=0-4", b"01234"),
        ("bytes=5-5", b"5"),
        ("bytes=5-", b"56789"),
        ("bytes=-3", b"789"),
        ("bytes=0-99", b"0123456789"),
        ("bytes=2-3,6-7", b"23"),
        ("lines=1-2", b"0123456789"),
    ],
)
async def test_ranges(osb: Box, header: str, wanted: bytes) -> None:
    await osb.files("write_file", "ranged", "0123456789")
    assert await osb.files("read_bytes", "ranged", range_header=header) == wanted
    assert b"".join(await gathered(osb, "ranged", range_header=header)) == wanted


async def test_a_range_behind_the_end(osb: Box) -> None:
    await osb.files("write_file", "ranged", "0123456789")
    with pytest.raises(SandboxApiException) as caught:
        await osb.files("read_bytes", "ranged", range_header="bytes=10-")
    assert caught.value.status_code == 416


LINES = "".join(f"line {i}\n" for i in range(1, 100_001))


@pytest.mark.parametrize(
    ("offset", "limit", "first", "last"),
    [
        (1, 3, 1, 3),
        (2, 1, 2, 2),
        (99_999, None, 99_999, 100_000),
        (99_999, 50, 99_999, 100_000),
        (None, 2, 1, 2),
        (40_000, 30_000, 40_000, 69_999),
        (100_001, 1, 1, 0),
        (1, 0, 1, 0),
        (1, None, 1, 100_000),
    ],
)
async def test_lines(osb: Box, offset: int | None, limit: int | None, first: int, last: int) -> None:
    await osb.files("write_file", "lines.txt", LINES)
    got = await osb.files("read_file", "lines.txt", offset=offset, limit=limit)
    assert got == "".join(f"line {i}\n" for i in range(first, last + 1))
    assert b"".join(await gathered(osb, "lines.txt", offset=offset, limit=limit)) == got.encode()


async def test_the_last_line_needs_no_end(osb: Box) -> None:
    await osb.files("write_file", "open-end", "one\r\n\ntwo\rtwo\nlast")
    assert await osb.files("read_file", "open-end", offset=2, limit=2) == "\ntwo\rtwo\n"
    assert await osb.files("read_file", "open-end", offset=4) == "last"


async def refused(box: Box, call: str, *args: Any, **kwargs: Any) -> int | None:
    with pytest.raises(SandboxApiException) as caught:
        await box.files(call, *args, **kwargs)
    return caught.value.status_code


async def test_what_is_no_file(osb: Box) -> None:
    await osb.run(
        "import os\nos.makedirs('folder', exist_ok=True)\nos.path.exists('pipe') or os.mkfifo('pipe')"
    )
    assert await refused(osb, "read_file", "nothing") == 404
    assert await refused(osb, "read_file", "nothing/below") == 404
    assert await refused(osb, "read_file", "folder") == 400
    assert await refused(osb, "read_file", "pipe") == 400
    assert await refused(osb, "read_file", ".") == 400
    assert await refused(osb, "write_file", "folder", "x") == 400
    assert await refused(osb, "write_file", "~", "x") == 400
    assert await refused(osb, "read_bytes_stream", "nothing") == 404


async def test_paths_out_of_the_sandbox(osb: Box, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("secret")
    await osb.run(
        f"import os\nfor n, t in [('out', {str(tmp_path)!r}), ('link', {str(secret)!r})]:\n"
        "    os.path.lexists(n) and os.remove(n)\n    os.symlink(t, n)"
    )
    for path in (
        "/etc/passwd",
        "../token",
        "a/../../../token",
        str(secret),
        "out/secret",
        "link",
        "/dev/zero",
    ):
        assert await refused(osb, "read_file", path) == 403, path
    for path in ("/etc/kbtest", "../kbtest", str(tmp_path / "new"), "out/new"):
        assert await refused(osb, "write_file", path, "x") == 403, path
    assert sorted(p.name for p in tmp_path.iterdir()) == ["secret"]
    await osb.files("write_file", "link", "mine now")  # the link is replaced, not followed
    assert secret.read_text() == "secret"
    assert await osb.files("read_file", "link") == "mine now"
    assert unplaced(await osb.home()) == []
    await osb.run("os.remove('out')")


async def test_one_bad_file_does_not_take_back_the_others(osb: Box) -> None:
    entries = [WriteEntry(path=path, data=path) for path in ("good-1", "good-2", "/etc/kbtest", "good-3")]
    assert await refused(osb, "write_files", entries) == 403
    home = Path(await osb.home())
    assert (home / "good-1").read_text() + (home / "good-2").read_text() == "good-1good-2"
    assert not (home / "good-3").exists()


async def test_with_the_gateways_own_identity(osb: Box) -> None:
    own = osb.sandbox.files.with_identity(os.geteuid(), os.getegid())
    await osb.client.call(own.write_file, "own", "mine")
    assert await osb.client.call(own.read_file, "own") == "mine"
    other = osb.sandbox.files.with_identity(os.geteuid() + 1, os.getegid())
    with pytest.raises(SandboxApiException) as caught:
        await osb.client.call(other.write_file, "other", "mine")
    assert caught.value.status_code == 400
