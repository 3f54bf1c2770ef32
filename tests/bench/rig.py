"""What the benchmarks measure: a gateway, and a kernel of the same kind without one."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import time
import urllib.error
import urllib.request
import uuid
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

ROOT = Path(__file__).resolve().parents[2]
BUILD = Path(os.environ.get("KERNELBRIDGE_BUILD", ROOT / "build" / "release"))
PREFIX = Path(os.environ.get("KERNELBRIDGE_PREFIX", ROOT / "build" / "prefix"))
SPECS = PREFIX / "share/jupyter/kernels"


PORTS = ("shell_port", "iopub_port", "stdin_port", "control_port", "hb_port")


class FloorKernel:
    """A kernel of a kernelspec in the prefix, started without the gateway, by a connection file in folder."""

    def __init__(self, folder: Path, name: str = "python3") -> None:
        self.file = folder / "kernel.json"
        spec = json.loads((SPECS / name / "kernel.json").read_text())
        ours = spec.get("metadata", {}).get("kernelbridge", {})
        self.file.write_text(json.dumps({
            "key": uuid.uuid4().hex, "signature_scheme": "hmac-sha256", "kernel_name": name,
            **(loopback() if ours.get("transport") == "tcp" else sockets(folder))}))
        argv = [a.replace("{connection_file}", str(self.file)) for a in spec["argv"]]
        env = os.environ | spec.get("env", {}) | {"JPY_PARENT_PID": str(os.getpid())}
        self.process = subprocess.Popen(
            argv, cwd=folder, env=env, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def stop(self) -> None:
        self.process.kill()
        self.process.wait()


def sockets(folder: Path) -> dict[str, object]:
    return {"transport": "ipc", "ip": str(folder / "k")} | {name: i + 1 for i, name in enumerate(PORTS)}


def loopback() -> dict[str, object]:
    """Five ports that nobody has just now."""
    bound = [socket.create_server(("127.0.0.1", 0)) for _ in PORTS]
    ports = {name: s.getsockname()[1] for name, s in zip(PORTS, bound, strict=True)}
    for s in bound:
        s.close()
    return {"transport": "tcp", "ip": "127.0.0.1"} | ports


class Gateway:
    """The release binary on a free port, with a state directory of its own; its default kernel is ready."""

    def __init__(self, folder: Path) -> None:
        self.process = subprocess.Popen(
            [BUILD / "kernelbridge", "--listen=127.0.0.1:0", f"--state_dir={folder / 'state'}",
             f"--prefix={PREFIX}", "--log_level=error"],
            stdout=subprocess.PIPE, text=True)
        assert self.process.stdout
        url = self.process.stdout.readline().split("listening on ")[1].strip()
        parts = urlsplit(url)
        self.url, self.port = f"http://{parts.netloc}", parts.port
        self.token = parse_qs(parts.query)["token"][0]
        while True:  # the default kernel starts on its own
            try:
                urllib.request.urlopen(self.url + "/ready").close()
                return
            except urllib.error.HTTPError:
                time.sleep(0.05)

    def call(self, method: str, path: str, body: dict | None = None) -> dict:
        """What the native API answers; urllib.error.HTTPError where it refuses."""
        request = urllib.request.Request(
            self.url + path, None if body is None else json.dumps(body).encode(),
            {"Authorization": f"Bearer {self.token}"}, method=method)
        with urllib.request.urlopen(request) as answer:
            return json.loads(answer.read() or b"{}")

    def post(self, path: str, body: dict) -> dict:
        return self.call("POST", path, body)

    def rss_kib(self) -> int:
        """Resident set of the gateway process (VmRSS of proc(5)), in KiB."""
        return self._status("VmRSS")

    def peak_kib(self) -> int:
        """The most that it ever had resident (VmHWM of proc(5)), in KiB."""
        return self._status("VmHWM")

    def _status(self, key: str) -> int:
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return next(int(line.split()[1]) for line in status.splitlines() if line.startswith(key))

    def cpu_ms(self) -> float:
        """User and system time of the gateway process so far, in ms."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) * 1000 / os.sysconf("SC_CLK_TCK")

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait()


def run_json(*argv: object) -> dict:
    """The JSON object that a program prints; it must exit with 0."""
    done = subprocess.run([str(a) for a in argv], stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(done.stdout)
