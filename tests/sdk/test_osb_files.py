"""Names, folders and text through OpenSandbox's SDKs: what execd's calls do, inside the sandbox's home only.

Uploads and downloads: test_osb_transfer.py. Bodies that no SDK sends: test_osb_files_raw.py.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from opensandbox.exceptions import SandboxApiException
from opensandbox.models.filesystem import (
    ContentReplaceEntry,
    DirectoryListEntry,
    MoveEntry,
    SearchEntry,
    SetPermissionEntry,
    WriteEntry,
)
from osb_adapter import Box

pytest_plugins = ["osb_fixtures"]


@pytest.fixture
def folder(osb: Box, loop: Any, request: pytest.FixtureRequest) -> Path:
    """A fresh folder in the sandbox's home; cases make files there with plain calls, as code does."""
    made = Path(loop.run(osb.home())) / f"{osb.client.flavour}-{abs(hash(request.node.nodeid)):x}"
    made.mkdir()
    return made


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


async def refusal(call: Awaitable[Any]) -> tuple[int, str]:
    """The status and the text of the exception that the SDK raises."""
    with pytest.raises(SandboxApiException) as caught:
        await call
    return caught.value.status_code, str(caught.value)


# --- folders ------------------------------------------------------------------------------------


async def test_folders_are_made_with_those_above(osb: Box, folder: Path) -> None:
    await osb.files("create_directories", [WriteEntry(path=f"{folder}/a/b/c", mode=700)])
    assert mode(folder / "a/b/c") == 0o700
    assert mode(folder / "a") == 0o755
    await osb.files(
        "create_directories", [WriteEntry(path=f"{folder.name}/a/b/c"), WriteEntry(path=f"{folder}/d")]
    )
    assert mode(folder / "a/b/c") == 0o755
    assert (folder / "d").is_dir()


async def test_a_file_is_no_folder(osb: Box, folder: Path) -> None:
    (folder / "f").write_text("x")
    for path in ("f", "f/below"):
        status, text = await refusal(osb.files("create_directories", [WriteEntry(path=f"{folder}/{path}")]))
        assert status == 400
        assert "is not a folder" in text
    assert (folder / "f").read_text() == "x"


async def test_trees_are_removed(osb: Box, folder: Path) -> None:
    for name in ("t/a/b", "t/c", "u"):
        (folder / name).mkdir(parents=True)
    (folder / "t/a/f").write_text("x")
    (folder / "kept").mkdir()
    (folder / "t/link").symlink_to("../kept")
    await osb.files("delete_directories", [f"{folder}/t", f"{folder}/u", f"{folder}/never-there"])
    assert sorted(os.listdir(folder)) == ["kept"]


async def test_the_home_stays(osb: Box) -> None:
    for path in ("~", ".", await osb.home()):
        status, text = await refusal(osb.files("delete_directories", [path]))
        assert status == 400
        assert "home itself" in text
    assert Path(await osb.home()).is_dir()


# --- describing ---------------------------------------------------------------------------------


async def test_a_file_is_described(osb: Box, folder: Path) -> None:
    (folder / "f").write_bytes(b"12345")
    (folder / "f").chmod(0o640)
    asked = f"{folder.name}/./f"
    answer = await osb.files("get_file_info", [asked])
    assert list(answer) == [asked]
    info = answer[asked]
    assert (info.path, info.entry_type, info.size, info.mode) == (f"{folder}/f", "file", 5, 640)
    assert (info.owner, info.group) == ((folder / "f").owner(), (folder / "f").group())
    for moment in (info.modified_at, info.created_at):
        assert abs(datetime.now(UTC) - moment) < timedelta(hours=1)
    assert info.modified_at.timestamp() == pytest.approx((folder / "f").stat().st_mtime, abs=1e-3)


async def test_other_kinds_are_described(osb: Box, folder: Path) -> None:
    (folder / "link").symlink_to("/etc/passwd")
    os.mkfifo(folder / "pipe")
    paths = [str(folder), f"{folder}/link", f"{folder}/pipe", "~"]
    answer = await osb.files("get_file_info", paths)
    assert [answer[p].entry_type for p in paths] == ["directory", "symlink", "other", "directory"]
    assert answer["~"].path == await osb.home()
    assert answer[str(folder)].size == 0


async def test_one_missing_file_fails_all(osb: Box, folder: Path) -> None:
    (folder / "f").write_text("x")
    with pytest.raises(SandboxApiException) as caught:
        await osb.files("get_file_info", [f"{folder}/f", f"{folder}/missing"])
    assert (caught.value.status_code, caught.value.error.code) == (404, "FILE_NOT_FOUND")
    assert "missing" in str(caught.value)


async def test_no_paths_no_answer(osb: Box) -> None:
    assert await osb.files("get_file_info", []) == {}
    await osb.files("delete_files", [])
    await osb.files("delete_directories", [])


# --- listing ------------------------------------------------------------------------------------


async def listed(osb: Box, folder: Path, depth: int | None = None) -> list[str]:
    entries = await osb.files("list_directory", DirectoryListEntry(path=str(folder), depth=depth))
    return [str(Path(entry.path).relative_to(folder)) for entry in entries]


async def test_folders_are_listed(osb: Box, folder: Path) -> None:
    (folder / "d/e/f").mkdir(parents=True)
    for name in ("b", ".h", "d/e.x", "d/e/g"):
        (folder / name).write_text("x")
    (folder / "l").symlink_to("d")
    assert await listed(osb, folder) == [".h", "b", "d", "l"]
    assert await listed(osb, folder, 1) == [".h", "b", "d", "l"]
    assert await listed(osb, folder, 2) == [".h", "b", "d", "d/e", "d/e.x", "l"]
    assert await listed(osb, folder, 9) == [".h", "b", "d", "d/e", "d/e/f", "d/e/g", "d/e.x", "l"]
    assert await listed(osb, folder, 0) == []
    assert await listed(osb, folder / "d/e/f") == []


async def test_what_is_no_folder_is_not_listed(osb: Box, folder: Path) -> None:
    (folder / "f").write_text("x")
    (folder / "d").mkdir()
    (folder / "l").symlink_to("d")
    for name, why in (("f", "not a directory"), ("l", "symbolic link")):
        with pytest.raises(SandboxApiException, match=why) as caught:
            await listed(osb, folder / name)
        assert (caught.value.status_code, caught.value.error.code) == (400, "INVALID_REQUEST_BODY")
    with pytest.raises(SandboxApiException) as caught:
        await listed(osb, folder / "missing")
    assert (caught.value.status_code, caught.value.error.code) == (404, "FILE_NOT_FOUND")


PATTERNS = {
    "*.py": ["a.py", "d/b.py", "d/e/c.py"],
    "**": ["a.py", "a.txt", "d/b.py", "d/e/c.py", "d/e/größe 🦜"],
    "?.py": ["a.py", "d/b.py", "d/e/c.py"],
    "[!a].py": ["d/b.py", "d/e/c.py"],
    "{a,b}.*": ["a.py", "a.txt", "d/b.py"],
    "größe*": ["d/e/größe 🦜"],
    "d/*.py": ["d/b.py"],
    "**/*.py": ["a.py", "d/b.py", "d/e/c.py"],
    "d/**/*.py": ["d/b.py", "d/e/c.py"],
    "nothing": [],
}


@pytest.mark.parametrize("pattern", PATTERNS)
async def test_files_are_found(osb: Box, folder: Path, pattern: str) -> None:
    (folder / "d/e").mkdir(parents=True)
    for name in PATTERNS["**"]:
        (folder / name).write_text("x")
    entries = await osb.files("search", SearchEntry(path=str(folder), pattern=pattern))
    assert [str(Path(entry.path).relative_to(folder)) for entry in entries] == PATTERNS[pattern]
    assert all(entry.entry_type == "file" for entry in entries)


async def test_searches_that_cannot_be(osb: Box, folder: Path) -> None:
    with pytest.raises(SandboxApiException, match="nothing closes") as caught:
        await osb.files("search", SearchEntry(path=str(folder), pattern="[a"))
    assert (caught.value.status_code, caught.value.error.code) == (400, "INVALID_REQUEST_BODY")
    with pytest.raises(SandboxApiException) as caught:
        await osb.files("search", SearchEntry(path=f"{folder}/missing", pattern="*"))
    assert (caught.value.status_code, caught.value.error.code) == (404, "FILE_NOT_FOUND")


# --- names --------------------------------------------------------------------------------------


async def test_names_move(osb: Box, folder: Path) -> None:
    (folder / "f").write_text("f")
    (folder / "d").mkdir()
    (folder / "d/g").write_text("g")
    await osb.files(
        "move_files",
        [
            MoveEntry(src=f"{folder}/f", dest=f"{folder}/new/er/f"),
            MoveEntry(src=f"{folder}/d", dest=f"{folder}/new/d"),
        ],
    )
    assert (folder / "new/er/f").read_text() == "f"
    assert (folder / "new/d/g").read_text() == "g"
    assert sorted(os.listdir(folder)) == ["new"]


async def test_a_move_overwrites_nothing(osb: Box, folder: Path) -> None:
    (folder / "f").write_text("f")
    (folder / "g").write_text("g")
    with pytest.raises(SandboxApiException, match="is there already") as caught:
        await osb.files("move_files", [MoveEntry(src=f"{folder}/f", dest=f"{folder}/g")])
    assert (caught.value.status_code, caught.value.error.code) == (500, "RUNTIME_ERROR")
    assert (folder / "f").read_text() == "f"
    assert (folder / "g").read_text() == "g"


async def test_what_is_not_there_does_not_move(osb: Box, folder: Path) -> None:
    with pytest.raises(SandboxApiException) as caught:
        await osb.files("move_files", [MoveEntry(src=f"{folder}/missing", dest=f"{folder}/made/x")])
    assert (caught.value.status_code, caught.value.error.code) == (404, "FILE_NOT_FOUND")
    assert os.listdir(folder) == []


async def test_files_are_deleted(osb: Box, folder: Path) -> None:
    for name in ("f", "g"):
        (folder / name).write_text("x")
    (folder / "d").mkdir()
    (folder / "l").symlink_to("d")
    await osb.files("delete_files", [f"{folder}/f", f"{folder}/missing", f"{folder}/g", f"{folder}/l"])
    assert os.listdir(folder) == ["d"]
    status, text = await refusal(osb.files("delete_files", [f"{folder}/d"]))
    assert status == 400
    assert "is a folder" in text


ODD_NAMES = (
    "größe 🦜.txt",
    " space ",
    "line\nend",
    "quo\"te's\\back",
    "%41+&#?=;",
    "~",
    "...",
    "-rf",
    "*",
    "n" * 255,
    "ü" * 127,
)


@pytest.mark.parametrize("name", ODD_NAMES, ids=lambda name: ascii(name)[:20])
async def test_odd_names(osb: Box, folder: Path, name: str) -> None:
    path = f"{folder}/{name}"
    Path(path).write_text("a")
    assert (await osb.files("get_file_info", [path]))[path].path == path
    assert await listed(osb, folder) == [name]
    await osb.files("set_permissions", [SetPermissionEntry(path=path, mode=600)])
    answer = await osb.files(
        "replace_contents_detailed", [ContentReplaceEntry(path=path, old_content="a", new_content="b")]
    )
    assert [(one.path, one.replaced_count) for one in answer] == [(path, 1)]
    await osb.files("move_files", [MoveEntry(src=path, dest=f"{folder}/other")])
    await osb.files("move_files", [MoveEntry(src=f"{folder}/other", dest=path)])
    assert (mode(Path(path)), Path(path).read_text()) == (0o600, "b")
    await osb.files("delete_files", [path])
    assert os.listdir(folder) == []


async def test_names_that_are_no_text(osb: Box, folder: Path) -> None:
    """Such a name is told repaired: nobody can ask for it, but its folder can go."""
    inside = os.fsencode(folder)
    await osb.out(f"import os\nos.makedirs({inside!r} + b'/b\\xffd')")
    await osb.out(f"open({inside!r} + b'/b\\xffd/\\xc3', 'w').close()")
    assert await listed(osb, folder, 2) == ["b�d", "b�d/�"]
    assert len(await osb.files("search", SearchEntry(path=str(folder), pattern="?"))) == 1
    await osb.files("delete_directories", [str(folder)])
    assert not folder.exists()


async def test_names_that_are_too_long(osb: Box, folder: Path) -> None:
    status, text = await refusal(osb.files("get_file_info", [f"{folder}/{'n' * 256}"]))
    assert status == 400
    assert "too long" in text
    status, text = await refusal(osb.files("create_directories", [WriteEntry(path="d/" * 3000)]))
    assert status == 400
    assert "longer than 4095 bytes" in text


# --- permissions --------------------------------------------------------------------------------


async def test_permissions_change(osb: Box, folder: Path) -> None:
    (folder / "f").write_text("x")
    (folder / "d").mkdir()
    (folder / "l").symlink_to("f")
    await osb.files(
        "set_permissions",
        [SetPermissionEntry(path=f"{folder}/l", mode=604), SetPermissionEntry(path=f"{folder}/d", mode=711)],
    )
    assert (mode(folder / "f"), mode(folder / "d")) == (0o604, 0o711)
    await osb.files("set_permissions", [SetPermissionEntry(path=f"{folder}/f")])  # the SDK's default
    assert mode(folder / "f") == 0o755
    await osb.files("set_permissions", [SetPermissionEntry(path=f"{folder}/f", mode=0)])
    assert mode(folder / "f") == 0o755  # 0 is nothing said, as for execd


@pytest.mark.parametrize("bad", [8, 778, 800, 1000, 1777, 4755])
async def test_modes_are_octal(osb: Box, folder: Path, bad: int) -> None:
    (folder / "f").write_text("x")
    before = mode(folder / "f")
    for call, entry in (("set_permissions", SetPermissionEntry), ("create_directories", WriteEntry)):
        with pytest.raises(SandboxApiException, match="octal digits") as caught:
            await osb.files(call, [entry(path=f"{folder}/f", mode=bad)])
        assert (caught.value.status_code, caught.value.error.code) == (400, "INVALID_REQUEST_BODY")
    assert mode(folder / "f") == before


async def test_permissions_of_what_is_missing(osb: Box, folder: Path) -> None:
    for given in (755, 0):
        status, text = await refusal(
            osb.files("set_permissions", [SetPermissionEntry(path=f"{folder}/missing", mode=given)])
        )
        assert status == 404
        assert "FILE_NOT_FOUND" in text
        assert "missing" in text


async def test_files_have_one_owner(osb: Box, folder: Path) -> None:
    (folder / "f").write_text("x")
    owner, group = folder.owner(), folder.group()
    await osb.files(
        "set_permissions",
        [SetPermissionEntry(path=f"{folder}/f", mode=600, owner=owner, group=str(os.getegid()))],
    )
    await osb.files(
        "create_directories", [WriteEntry(path=f"{folder}/d", owner=str(os.geteuid()), group=group)]
    )
    for bad in ({"owner": "somebody"}, {"group": "no-such-group"}, {"owner": "4294967294"}):
        with pytest.raises(SandboxApiException, match="files belong to") as caught:
            await osb.files("set_permissions", [SetPermissionEntry(path=f"{folder}/f", mode=777, **bad)])
        assert caught.value.status_code == 400
        with pytest.raises(SandboxApiException, match="files belong to"):
            await osb.files(
                "create_directories",
                [WriteEntry(path=f"{folder}/good"), WriteEntry(path=f"{folder}/x", **bad)],
            )
    assert mode(folder / "f") == 0o600
    assert sorted(os.listdir(folder)) == ["d", "f"]  # of a refused call, nothing was done


# --- text ---------------------------------------------------------------------------------------


async def test_text_is_replaced(osb: Box, folder: Path) -> None:
    (folder / "f").write_text("größe a größe\n")
    (folder / "f").chmod(0o604)
    (folder / "g").write_text("none of it")
    answer = await osb.files(
        "replace_contents_detailed",
        [
            ContentReplaceEntry(path=f"{folder}/f", old_content="größe", new_content="🦜"),
            ContentReplaceEntry(path=f"{folder.name}/g", old_content="größe", new_content="🦜"),
        ],
    )
    assert {one.path: one.replaced_count for one in answer} == {f"{folder}/f": 2, f"{folder.name}/g": 0}
    assert ((folder / "f").read_text(), mode(folder / "f")) == ("🦜 a 🦜\n", 0o604)
    await osb.files(
        "replace_contents", [ContentReplaceEntry(path=f"{folder}/f", old_content="\n", new_content="")]
    )
    assert (folder / "f").read_text() == "🦜 a 🦜"


async def test_text_that_cannot_be_replaced(osb: Box, folder: Path) -> None:
    (folder / "f").write_text("x")
    with pytest.raises(SandboxApiException, match="old content must not be empty") as caught:
        await osb.files(
            "replace_contents", [ContentReplaceEntry(path=f"{folder}/f", old_content="", new_content="y")]
        )
    assert (caught.value.status_code, caught.value.error.code) == (400, "INVALID_REQUEST_BODY")
    for path, status in ((f"{folder}/missing", 404), (str(folder), 400)):
        got, _ = await refusal(
            osb.files("replace_contents", [ContentReplaceEntry(path=path, old_content="x", new_content="y")])
        )
        assert got == status
    assert (folder / "f").read_text() == "x"


async def test_a_linked_file_is_replaced_in_place(osb: Box, folder: Path) -> None:
    (folder / "d").mkdir()
    (folder / "d/f").write_text("old")
    (folder / "rel").symlink_to("d/f")
    (folder / "abs").symlink_to(folder / "rel")  # as code makes them with its cwd
    await osb.files(
        "replace_contents", [ContentReplaceEntry(path=f"{folder}/abs", old_content="old", new_content="new")]
    )
    assert (folder / "d/f").read_text() == "new"
    assert (folder / "abs").is_symlink()
    assert (folder / "rel").is_symlink()


# --- what leaves the sandbox --------------------------------------------------------------------

CALLS: dict[str, Callable[[Box, str], Awaitable[Any]]] = {
    "info": lambda osb, path: osb.files("get_file_info", [path]),
    "delete": lambda osb, path: osb.files("delete_files", [path]),
    "delete tree": lambda osb, path: osb.files("delete_directories", [path]),
    "make": lambda osb, path: osb.files("create_directories", [WriteEntry(path=path)]),
    "list": lambda osb, path: osb.files("list_directory", DirectoryListEntry(path=path)),
    "search": lambda osb, path: osb.files("search", SearchEntry(path=path, pattern="*")),
    "chmod": lambda osb, path: osb.files("set_permissions", [SetPermissionEntry(path=path, mode=777)]),
    "move from": lambda osb, path: osb.files("move_files", [MoveEntry(src=path, dest="stolen")]),
    "move to": lambda osb, path: osb.files("move_files", [MoveEntry(src="first", dest=path)]),
    "replace": lambda osb, path: osb.files(
        "replace_contents", [ContentReplaceEntry(path=path, old_content="s", new_content="t")]
    ),
}


@pytest.mark.parametrize("call", CALLS)
async def test_nothing_leaves_the_sandbox(osb: Box, folder: Path, tmp_path: Path, call: str) -> None:
    """By .., by absolute paths, by links to folders and files, by /proc: refused, and nothing is touched."""
    home = Path(await osb.home())
    (tmp_path / "secret").mkdir()
    (tmp_path / "secret/f").write_text("s")
    (tmp_path / "secret/f").chmod(0o600)
    (folder / "out").symlink_to(tmp_path / "secret")
    (folder / "up").symlink_to("../../..")
    (folder / "root").symlink_to(f"/proc/self/root{tmp_path}/secret")
    (folder / "chain").symlink_to("out")
    paths = [
        f"{tmp_path}/secret/f",
        os.path.relpath(tmp_path / "secret/f", home),
        f"{folder}/../../../secret",
        "~/../../x",
        "/etc/passwd",
        f"{home}x/f",
        f"{folder}/out/f",
        f"{folder}/root/f",
        f"{folder}/chain/f",
        f"{folder}/up/token",
    ]
    for path in paths:
        status, text = await refusal(CALLS[call](osb, path))
        assert status == 403, path
        assert "FORBIDDEN_PATH" in text
    assert (tmp_path / "secret/f").read_text() == "s"
    assert mode(tmp_path / "secret/f") == 0o600
    assert os.listdir(tmp_path / "secret") == ["f"]
    assert (home / "first").exists()


async def test_the_refusal_names_the_home(osb: Box) -> None:
    status, text = await refusal(osb.files("get_file_info", ["/workspace/f"]))
    assert status == 403
    assert await osb.home() in text


async def test_code_and_client_see_the_same_files(osb: Box, folder: Path) -> None:
    """What code prints as a path the client can ask for; a relative one means the same to both."""
    name = f"{folder.name}/made"
    code = f"import os\nopen({name!r}, 'w').write('by code')\nprint(os.path.abspath({name!r}), end='')"
    made = await osb.out(code)
    assert (await osb.files("get_file_info", [made]))[made].size == len("by code")
    await osb.files("move_files", [MoveEntry(src=made, dest=f"~/{folder.name}/moved")])
    assert await osb.out(f"print(open({folder.name + '/moved'!r}).read(), end='')") == "by code"


# --- as a user ----------------------------------------------------------------------------------


async def test_files_as_the_one_user(osb: Box, folder: Path) -> None:
    files = osb.sandbox.files.with_identity(os.geteuid(), os.getegid())
    call = osb.client.call
    await call(files.write_file, f"{folder}/f", "text")
    assert await call(files.read_file, f"{folder}/f") == "text"
    await call(files.create_directories, [WriteEntry(path=f"{folder}/d")])
    await call(files.move_files, [MoveEntry(src=f"{folder}/f", dest=f"{folder}/d/f")])
    await call(files.set_permissions, [SetPermissionEntry(path=f"{folder}/d/f", mode=600)])
    assert (await call(files.get_file_info, [f"{folder}/d/f"]))[f"{folder}/d/f"].mode == 600
    assert len(await call(files.list_directory, DirectoryListEntry(path=str(folder), depth=2))) == 2
    assert len(await call(files.search, SearchEntry(path=str(folder), pattern="f"))) == 1
    await call(files.delete_files, [f"{folder}/d/f"])
    await call(files.delete_directories, [f"{folder}/d"])
    assert os.listdir(folder) == []


async def test_files_as_nobody_else(osb: Box, folder: Path) -> None:
    (folder / "f").write_text("x")
    for uid, gid in ((os.geteuid() + 1, os.getegid()), (os.geteuid(), os.getegid() + 1)):
        files = osb.sandbox.files.with_identity(uid, gid)
        call = osb.client.call
        status, text = await refusal(call(files.get_file_info, [f"{folder}/f"]))
        assert status == 400
        assert "no other identity" in text
        status, _ = await refusal(call(files.read_file, f"{folder}/f"))
        assert status == 400
        status, _ = await refusal(call(files.write_file, f"{folder}/f", "y"))
        assert status == 400
    assert (folder / "f").read_text() == "x"
