"""One execution in the kernel: its variables, its interrupt, its end."""

import asyncio
import os
import signal
import sys
from contextlib import contextmanager

from ipykernel.ipkernel import IPythonKernel as StockKernel
from traitlets import Float, Type

from . import environ
from .capture import CStdio
from .shell import ZMQInteractiveShell


@contextmanager
def _no_debugger():
    """ipykernel.debugger finds no debugpy, whose import costs as much as the rest of the kernel."""
    found = sys.modules.get("debugpy")
    sys.modules["debugpy"] = None
    try:
        yield
    finally:
        del sys.modules["debugpy"]
        if found:
            sys.modules["debugpy"] = found


class IPythonKernel(StockKernel):
    """ipykernel's kernel with per-run variables and an execution that always ends in a reply."""

    shell_class = Type(ZMQInteractiveShell)
    _execute_sleep = Float(0.0).tag(config=True)

    def __init__(self, **kwargs):
        with _no_debugger():
            super().__init__(**kwargs)
        self._pid = os.getpid()
        self._stdio = CStdio()

    async def poll_stopped_queue(self):
        """There is no debugger to poll."""

    async def do_execute(self, code, silent, *args, cell_meta=None, **kwargs):
        """Run one cell; `cell_meta` is the request's metadata, {"kernelbridge": {"env": {...}}}."""
        try:
            with environ.applied(_variables(cell_meta)):
                reply = await super().do_execute(
                    code, silent, *args, cell_meta=cell_meta, **kwargs
                )
        except (Exception, KeyboardInterrupt):
            reply = self._failed()
        self._deafen()
        self._end_fork(reply)
        self._stdio.flush()
        self.iopub_thread.sync()
        return reply

    def _failed(self):
        """Publish the exception at hand and return an execute_reply for it."""
        self.shell.showtraceback()
        etype, value, _tb = sys.exc_info()
        return {
            "status": "error",
            "ename": etype.__name__,
            "evalue": str(value),
            "traceback": self.shell._last_traceback or [],
            "execution_count": self.shell.execution_count - 1,
            "user_expressions": {},
            "payload": [],
        }

    def _deafen(self):
        """The run is over: an interrupt that comes now must not cost its reply."""
        while True:
            try:
                signal.signal(signal.SIGINT, signal.SIG_IGN)
                return
            except KeyboardInterrupt:
                pass
            except ValueError:  # a subshell's thread has no signals
                return

    def _end_fork(self, reply):
        """A child that the code forked, and that came to the end of the cell, ends here."""
        if os.getpid() == self._pid:
            return
        self._stdio.flush()
        os._exit(0 if reply["status"] == "ok" else 1)

    @contextmanager
    def _cancel_on_sigint(self, future):
        """For top-level await: interrupt the cell's own code where it computes, cancel it where it
        waits."""
        with super()._cancel_on_sigint(future):
            cancel = signal.getsignal(signal.SIGINT)

            def on_sigint(signum, frame):
                self.shell.interrupted = True
                if asyncio.current_task() is future:
                    raise KeyboardInterrupt
                cancel(signum, frame)

            signal.signal(signal.SIGINT, on_sigint)
            yield

    def raw_input(self, prompt=""):
        """input(): asks the client, or fails at once as on an empty standard input."""
        if not self._allow_stdin:
            raise EOFError("EOF when reading a line")
        return super().raw_input(prompt)

    def getpass(self, *args, **kwargs):
        if not self._allow_stdin:
            raise EOFError("EOF when reading a line")
        return super().getpass(*args, **kwargs)


def _variables(meta):
    """Return the request's environment variables, {} where it has none."""
    ours = (meta or {}).get("kernelbridge")
    env = ours.get("env") if isinstance(ours, dict) else None
    if env is None:
        return {}
    if not isinstance(env, dict):
        raise ValueError("metadata.kernelbridge.env must be an object")
    return env
