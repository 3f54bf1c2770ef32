"""A gigabyte up and down through OpenSandbox's SDKs, and what the gateway needs for it: memory, not by its size.

The gateway is this module's own, so that nothing else changes its memory. Measured is the kernel's own record of the
largest resident set (VmHWM), set back before each transfer (clear_refs, proc(5)) and so exact: no sample can miss a
peak. Files are not in it: the page cache is the system's. Under AddressSanitizer freed memory is kept a while in a
quarantine of 256 MB, which would be all that is measured: it is cut to 1 MB, and what the checks themselves take
(shadow, red zones) counts as the gateway's.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import re
import socket
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
from harness.gateway import Gateway, until
from osb_adapter import Box, Client
from osb_raw import Raw
from osb_transfer import FORM, Connection, Pattern, meta, part, unplaced

pytest_plugins = ["osb_fixtures"]

MIB = 1 << 20
SIZE = 1024 * MIB
GROWTH = 16 * MIB  # of the gateway, for a file of any size


class Measured:
    """A gateway whose memory is watched."""

    def __init__(self, gateway: Gateway) -> None:
        self.gateway = gateway
        self.proc = Path(f"/proc/{gateway.process.pid}")
        self.before = 0

    def _status(self, key: str) -> int:
        found = re.search(rf"^{key}:\s+(\d+) kB$", (self.proc / "status").read_text(), re.MULTILINE)
        assert found
        return int(found[1]) * 1024

    def start(self) -> None:
        """From now on the largest resident set counts."""
        (self.proc / "clear_refs").write_text("5")
        self.before = self._status("VmRSS")

    def growth(self) -> int:
        return self._status("VmHWM") - self.before

    def queued(self) -> int:
        """Bytes that were sent to a client and not taken by it, of all connections: /proc/net/tcp."""
        port = int(self.gateway.url.rpartition(":")[2])
        rows = [row.split() for row in Path("/proc/net/tcp").read_text().splitlines()[1:]]
        return sum(int(row[4].split(":")[0], 16) for row in rows if int(row[1].split(":")[1], 16) == port)


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Measured]:
    options = os.environ.get("ASAN_OPTIONS", "detect_leaks=1:abort_on_error=0:exitcode=99")
    gateway = Gateway(
        tmp_path_factory.mktemp("large") / "state",
        env={"ASAN_OPTIONS": options + ":quarantine_size_mb=1:thread_local_quarantine_size_kb=64"},
    )
    gateway.wait_ready()
    yield Measured(gateway)
    gateway.stop()


@pytest.fixture(params=["sync", "async"])
def large_osb(request: pytest.FixtureRequest, measured: Measured, loop: Any) -> Iterator[Box]:
    """A sandbox that has done a transfer of each kind: threads are started, buffers were made."""
    client = Client(request.param, measured.gateway)
    made = loop.run(client.create(interpret=False))
    loop.run(made.files("write_file", "small", Pattern(8 * MIB)))
    loop.run(fetch(made, "small"))
    yield made
    loop.run(made.kill())


async def fetch(box: Box, path: str) -> str:
    """The SHA-256 of what `read_bytes_stream` brings."""
    found = hashlib.sha256()
    stream = await box.files("read_bytes_stream", path, chunk_size=256 * 1024)
    if isinstance(stream, AsyncIterator):
        async for chunk in stream:
            found.update(chunk)
    else:
        await asyncio.to_thread(lambda: [found.update(chunk) for chunk in stream])
    return found.hexdigest()


async def test_a_gigabyte(large_osb: Box, measured: Measured, record_property: Any) -> None:
    source = Pattern(SIZE)
    measured.start()
    began = time.monotonic()
    await large_osb.files("write_file", "large", source)
    up_s, up = time.monotonic() - began, measured.growth()

    measured.start()
    began = time.monotonic()
    got = await fetch(large_osb, "large")
    down_s, down = time.monotonic() - began, measured.growth()

    record_property("mib_per_s", (round(SIZE / MIB / up_s), round(SIZE / MIB / down_s)))
    record_property("growth_kib", (up // 1024, down // 1024))
    print(
        f"up {SIZE / MIB / up_s:.0f} MiB/s, {up // 1024} KiB; down {SIZE / MIB / down_s:.0f}, {down // 1024} KiB"
    )
    assert source.left == 0
    assert got == source.hash.hexdigest()
    assert up < GROWTH
    assert down < GROWTH


def test_many_slow_readers(measured: Measured) -> None:
    """Twenty clients ask for 100 MiB each and take nothing: the gateway holds a piece for each."""
    with Raw(measured.gateway) as raw:
        with (Path(raw.home) / "large").open("wb") as f:
            f.truncate(100 * MIB)
        measured.start()
        clients = [Connection(raw, "GET", "/files/download?path=large", {}) for _ in range(20)]
        for client in clients:
            assert client.socket.recv(4) == b"HTTP"
        queued = [-1, -2]

        def still() -> bool:
            queued.append(measured.queued())
            return queued[-1] > 0 and queued[-1] == queued[-2] == queued[-3]

        until("every socket to be full", still)
        assert measured.growth() < GROWTH + 20 * 2 * 256 * 1024
        for client in clients:
            client.close()


def test_many_slow_senders(measured: Measured) -> None:
    """Twenty clients that began a file and stay: what has come is in the file, not in memory."""
    with Raw(measured.gateway) as raw:
        measured.start()
        clients = []
        for i in range(20):
            clients.append(Connection(raw, "POST", "/files/upload", FORM | {"Content-Length": str(SIZE)}))
            clients[-1].send(part(*meta(f"f{i}")) + part("file", b"")[:-2] + Pattern(4 * MIB).read())
        folder = Path(raw.home).parent
        until(
            "all of it to be written",
            lambda: sum(f.stat().st_size for f in folder.iterdir() if f.is_file()) > 20 * 4 * MIB - 20 * 200,
        )
        assert measured.growth() < GROWTH + 20 * 2 * 512 * 1024
        for client in clients:
            client.socket.shutdown(socket.SHUT_RDWR)
            client.close()
        until("nothing to be left", lambda: not unplaced(raw.home))
