"""Kernels of six implementations, and programs for each: what test_wire_conformance.py runs."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
PREFIX = Path(os.environ.get("KERNELBRIDGE_PREFIX", ROOT / "build" / "prefix"))
PORTS = ("shell_port", "iopub_port", "stdin_port", "control_port", "hb_port")
STRANGE = "é€\u2028\U0001f600\\\"'$"  # as text; each language has its own way to print it


@dataclass(frozen=True)
class Kernel:
    """A kernel and programs in its language.

    `fails` ends in an error; `how` says what tells of it: "iopub" a message and the reply, "reply" the reply alone.
    `loop` prints `running` and never ends. `asks` prints what it reads from stdin, None: it cannot. `burst` makes
    8,000 messages or lines with 0, 1, 2, ... in order, as display_data where `shows`. `big` prints this many x.
    `waits` makes a kernel wait for a slow reader that would drop at its send mark.
    `interrupted` are the statuses that an interrupted run's reply may have. `deaf`: no answer on control, or no statuses for it.
    """

    name: str  # of its kernelspec; "ipykernel": the stock launcher
    implementation: str
    language: str
    says: str  # prints `hi`
    strange: str  # prints STRANGE
    fails: str
    loop: str
    burst: str
    big: str
    asks: str | None = None
    waits: str | None = None
    how: str = "iopub"
    quiet_fails: str | None = None  # a program whose error only the reply tells
    shows: bool = False
    bytes: int = 20_000_000
    interrupted: tuple[str, ...] = ("error",)
    transports: tuple[str, ...] = ("ipc", "tcp")
    welcome: bool = False
    deaf: bool = False
    silent: tuple[bool, bool] = (False, False)  # a silent run has an execute_input, and counts
    exits: bool = True  # within ten seconds of shutdown_request
    replies: bool = True  # to it


# A stock ipykernel drops what is above its send mark, where its reader gets no processor for a moment.
IPYKERNEL_WAITS = "import zmq\nget_ipython().kernel.iopub_thread.socket.setsockopt(zmq.XPUB_NODROP, 1)"
_PYTHON = {
    "implementation": "ipython",
    "language": "python",
    "says": "print('hi')",
    "strange": f"print({STRANGE!r})",
    "fails": "1/0",
    "loop": "print('running', flush=True)\nwhile True: pass",
    "burst": "from IPython.display import display\nfor i in range(5000): display(i)",
    "big": "print('x' * 20_000_000)",
    "asks": "print('read', input('name? '))",
    "shows": True,
    "welcome": True,
}
_QUOTED = json.dumps(STRANGE, ensure_ascii=False)
KERNELS = (
    Kernel(name="python3", **_PYTHON),
    Kernel(
        name="ipykernel",
        waits=IPYKERNEL_WAITS,
        **_PYTHON,
    ),
    Kernel(
        name="bash",
        implementation="bash_kernel",
        language="bash",
        says="echo hi",
        strange="printf '%s\\n' '" + STRANGE.replace("'", "'\\''") + "'",
        fails="ls /no/such/file",
        loop="echo running; while :; do :; done",
        burst="for ((i = 0; i < 5000; i++)); do echo $i; done",
        big="head -c 20000000 /dev/zero | tr '\\0' x; echo",
        interrupted=("error", "abort", "aborted"),
        welcome=True,
    ),
    Kernel(
        name="javascript",
        implementation="Deno kernel",
        language="typescript",  # also for JavaScript
        says="console.log('hi')",
        strange=f"console.log({_QUOTED})",
        fails="throw new TypeError('boom')",
        quiet_fails="let = ;",
        loop="console.log('running'); while (true) {}",
        burst="for (let i = 0; i < 5000; i++) await Deno.jupyter.display({[Deno.jupyter.$display]: () => ({'text/plain': `${i}`})})",
        big="console.log('x'.repeat(20_000_000))",
        asks="console.log('read', prompt('name? '))",
        shows=True,
        transports=("tcp",),
        deaf=True,
    ),
    Kernel(
        name="r",
        implementation="IRkernel",
        language="R",
        says="cat('hi\\n')",
        strange=f"cat({_QUOTED}, '\\n', sep = '')".replace("\\$", "$"),
        fails="stop('boom')",
        loop="cat('running\\n'); flush.console(); while (TRUE) {}",
        burst="for (i in 0:4999) IRdisplay::publish_mimebundle(list('text/plain' = as.character(i)))",
        big="cat(strrep('x', 20000000), '\\n', sep = '')",
        asks="cat('read', readline('name? '), '\\n')",
        shows=True,
        interrupted=("error", "abort", "aborted"),
        silent=(True, False),
        deaf=True,
    ),
    Kernel(
        name="java",
        implementation="JJava",
        language="Java",
        says='System.out.println("hi");',
        strange=f"System.out.println({_QUOTED});",
        fails='throw new RuntimeException("boom");',
        # one statement: between two, an interrupt is lost
        loop='for (long i = 0;; i++) if (i == 0) System.out.println("running");',
        burst="for (int i = 0; i < 5000; i++) display(i);",
        big='System.out.println("x".repeat(20_000_000));',
        asks='System.out.println("read " + new java.util.Scanner(System.in).nextLine());',
        shows=True,
        transports=("tcp",),
        silent=(True, True),
        exits=False,
    ),
    Kernel(
        name="go",
        implementation="gonb",
        language="go",
        says='%%\nfmt.Println("hi")',
        strange=f"%%\nfmt.Println({_QUOTED})",
        fails='%%\npanic("boom")',
        loop='%%\nfmt.Println("running")\nfor {\n}',
        burst="%%\nfor i := 0; i < 5000; i++ {\n\tfmt.Println(i)\n}",
        big='%%\nfmt.Println(strings.Repeat("x", 20000000))',
        interrupted=("ok", "error", "abort", "aborted"),
        deaf=True,
        replies=False,
    ),
)


def installed(kernel: Kernel) -> bool:
    spec = "python3" if kernel.name == "ipykernel" else kernel.name
    return (PREFIX / "share/jupyter/kernels" / spec / "kernel.json").exists()


class Process:
    """A kernel's process with a connection file of its own in `folder`."""

    def __init__(self, kernel: Kernel, transport: str, folder: Path) -> None:
        folder.mkdir(mode=0o700, parents=True)
        self.file = folder / "k.json"
        self.file.write_text(json.dumps(connection(transport, folder)))
        spec: dict[str, Any] = {"argv": [PREFIX / "venv/bin/python", "-m", "ipykernel_launcher", "-f", "{connection_file}"]}
        if kernel.name != "ipykernel":
            spec = json.loads((PREFIX / f"share/jupyter/kernels/{kernel.name}/kernel.json").read_text())
        self.by_message = spec.get("interrupt_mode") == "message"
        self.log = (folder / "log").open("wb")
        self.popen = subprocess.Popen(
            [str(a).replace("{connection_file}", str(self.file)) for a in spec["argv"]],
            cwd=folder,
            env=os.environ | spec.get("env", {}),
            stdin=subprocess.DEVNULL,
            stdout=self.log,
            stderr=self.log,
            start_new_session=True,
        )

    @property
    def pid(self) -> int:
        return self.popen.pid

    def stop(self) -> None:
        """Kill it and all that it started."""
        try:
            os.killpg(self.popen.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self.popen.wait(10)
        self.log.close()


def connection(transport: str, folder: Path) -> dict[str, object]:
    """A connection file's content: sockets in `folder`, or free ports of the loopback interface."""
    conn: dict[str, object] = {"transport": transport, "key": uuid.uuid4().hex, "signature_scheme": "hmac-sha256"}
    if transport == "ipc":
        return conn | {"ip": str(folder / "k")} | {name: i + 1 for i, name in enumerate(PORTS)}
    bound = [socket.create_server(("127.0.0.1", 0)) for _ in PORTS]
    ports = {name: s.getsockname()[1] for name, s in zip(PORTS, bound, strict=True)}
    for s in bound:
        s.close()
    return conn | {"ip": "127.0.0.1"} | ports
