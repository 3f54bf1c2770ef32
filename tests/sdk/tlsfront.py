"""A small TLS proxy on loopback, as stands in front of a gateway where clients insist on https."""

from __future__ import annotations

import asyncio
import ssl
import subprocess
import threading
from pathlib import Path


def certificate(folder: Path, domain: str) -> tuple[Path, Path]:
    """A certificate of its own for all names below the domain, and its key: two files in folder."""
    cert, key = folder / "cert.pem", folder / "key.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
         "-days", "30", "-keyout", key, "-out", cert, "-subj", f"/CN={domain}",
         "-addext", f"subjectAltName=DNS:*.{domain}"],
        check=True, capture_output=True,
    )  # fmt: skip
    return cert, key


class TlsFront:
    """Passes bytes on to 127.0.0.1:`target`, whatever the name; `hosts` are the names that requests had.

    Each connection is one client's; it stays as long as both ends want it.
    """

    def __init__(self, cert: Path, key: Path) -> None:
        self.certificate = cert
        self.hosts: set[str] = set()
        self.target = 0
        self.port = 0
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(cert, key)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)

    def __enter__(self) -> TlsFront:
        self._thread.start()
        starting = asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=self._context)
        server = asyncio.run_coroutine_threadsafe(starting, self._loop).result(10)
        self.port = server.sockets[0].getsockname()[1]
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(5)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        to_reader, to_writer = await asyncio.open_connection("127.0.0.1", self.target)
        await asyncio.gather(
            self._pass(reader, to_writer, note=True), self._pass(to_reader, writer), return_exceptions=True
        )

    async def _pass(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, note: bool = False
    ) -> None:
        try:
            while data := await reader.read(65536):
                if note:
                    self._note(data)
                writer.write(data)
                await writer.drain()
        finally:
            writer.close()

    def _note(self, data: bytes) -> None:
        for line in data.split(b"\r\n"):
            if line.lower().startswith(b"host:"):
                self.hosts.add(line[5:].strip().decode())
