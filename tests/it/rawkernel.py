"""A kernel without the gateway: jupyter_client drives one process and tells everything it sent."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from harness.gateway import prefix
from jupyter_client.kernelspec import KernelSpecManager
from jupyter_client.manager import KernelManager

DEADLINE_S = 60
INSTALLED = prefix() / "share" / "jupyter"


@dataclass
class Outcome:
    """What one request led to; `reply` is the execute_reply's content."""

    streams: dict[str, str] = field(default_factory=lambda: {"stdout": "", "stderr": ""})
    others: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    reply: dict[str, Any] = field(default_factory=dict)

    @property
    def stdout(self) -> str:
        return self.streams["stdout"]

    @property
    def stderr(self) -> str:
        return self.streams["stderr"]

    @property
    def errors(self) -> list[dict[str, Any]]:
        return [content for kind, content in self.others if kind == "error"]

    @property
    def shown(self) -> list[dict[str, Any]]:
        return [content for kind, content in self.others if kind in ("execute_result", "display_data")]


class RawKernel:
    """The kernel `name` of one kernelspec folder (`jupyter_path`/kernels/NAME), in directory `cwd`."""

    def __init__(
        self, folder: Path, name: str, jupyter_path: Path = INSTALLED, env: dict[str, str] | None = None
    ) -> None:
        self.cwd = folder / "cwd"
        self.cwd.mkdir(parents=True)
        specs = KernelSpecManager(kernel_dirs=[str(jupyter_path / "kernels")])
        specs.ensure_native_kernel = False
        self.manager = KernelManager(
            kernel_name=name, kernel_spec_manager=specs, connection_file=str(folder / "k.json")
        )
        ours = self.manager.kernel_spec.metadata.get("kernelbridge", {})
        self.manager.transport = ours.get("transport", "ipc")
        self.log = (folder / "log").open("wb")
        full = {**os.environ, "IPYTHONDIR": str(folder / "ipython"), **(env or {})}
        self.manager.start_kernel(cwd=str(self.cwd), env=full, stdout=self.log, stderr=self.log)
        self.client = self.manager.client()
        self.client.start_channels()
        self.client.wait_for_ready(timeout=DEADLINE_S)

    @property
    def pid(self) -> int:
        return self.manager.provisioner.pid

    def send(self, code: str, meta: dict[str, Any] | None = None, **content: Any) -> str:
        """Send an execute_request and return its id; `content` overrides fields of the request."""
        fields = {
            "code": code,
            "silent": False,
            "store_history": False,
            "user_expressions": {},
            "allow_stdin": False,
            "stop_on_error": False,
            **content,
        }
        session = self.client.session
        msg = session.msg("execute_request", fields, metadata={"kernelbridge": meta} if meta else {})
        self.client.shell_channel.send(msg)
        return msg["header"]["msg_id"]

    def finish(
        self,
        request: str,
        ends: str = "",
        on_text: Callable[[str], None] | None = None,
    ) -> Outcome:
        """Read until the request's idle and reply, and until stdout ends with `ends`, which may come
        late. `on_text` is called with stdout so far, whenever there is more of it."""
        out, idle = Outcome(), False
        while not (idle and out.stdout.endswith(ends)):
            msg = self.client.get_iopub_msg(timeout=DEADLINE_S)
            if msg["parent_header"].get("msg_id") != request:
                continue
            kind, content = msg["msg_type"], msg["content"]
            if kind == "stream":
                out.streams[content["name"]] += content["text"]
                if on_text and content["name"] == "stdout":
                    on_text(out.stdout)
            elif kind == "status":
                idle = idle or content["execution_state"] == "idle"
            else:
                out.others.append((kind, content))
        while not out.reply:
            reply = self.client.get_shell_msg(timeout=DEADLINE_S)
            if reply["parent_header"].get("msg_id") == request:
                out.reply = reply["content"]
        return out

    def run(self, code: str, ends: str = "", meta: dict[str, Any] | None = None, **content: Any) -> Outcome:
        return self.finish(self.send(code, meta, **content), ends)

    def interrupted(self, code: str, at: str = "") -> Outcome:
        """Run code, and interrupt it when stdout has `at`, or anything."""
        asked: list[str] = []

        def on_text(text: str) -> None:
            if at in text and not asked:
                asked.append(text)
                self.manager.interrupt_kernel()

        return self.finish(self.send(code), on_text=on_text)

    def close(self) -> None:
        self.client.stop_channels()
        self.manager.shutdown_kernel(now=True)
        self.log.close()
