"""One execution in the kernel: its variables and directory, its interrupt, its end."""

import asyncio
import functools
import os
import signal
import sys
import threading
from contextlib import contextmanager

from ipykernel import ipkernel
from ipykernel.ipkernel import IPythonKernel as StockKernel
from jupyter_client.session import DELIM
from traitlets import Float, Type

from . import assign, directory, environ, plaintb, request, warm
from .capture import CStdio
from .compiler import Compiler
from .pictures import Pictures
from .shell import ZMQInteractiveShell
from .streams import Stream

_accepts = functools.cache(lambda function, names: _uncached_accepts(function, names))
_uncached_accepts = ipkernel._accepts_parameters  # takes longer than to run the cell `1`
ipkernel._accepts_parameters = lambda function, names: _accepts(function, tuple(names))

_SETTLE = 0.02  # seconds after kernel_info_reply: who waits for the kernel has sent a request by then


@contextmanager
def hidden_debugger():
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
    compiler_class = Type(Compiler)
    _execute_sleep = Float(0.0).tag(config=True)
    flush_interval = Float(Stream.flush_interval, help="Seconds until unfinished lines are sent.").tag(
        config=True
    )
    debugger_class = None  # where ipykernel names one, traitlets imports it
    hidden_debugger = staticmethod(hidden_debugger)

    def __init__(self, **kwargs):
        with self.hidden_debugger():
            super().__init__(**kwargs)
        self.shell_handlers[assign.REQUEST] = functools.partial(assign.answer, self)
        for stream in (sys.stdout, sys.stderr):
            stream.flush_interval = self.flush_interval
        self._stdio = CStdio()
        self._pictures = Pictures(lambda: self.rich)
        self._settled = False
        self._interrupted = False  # before the code of the request at hand began

    async def poll_stopped_queue(self):
        """There is no debugger to poll."""

    # SIGINT is ignored but for the time in which code runs that it may interrupt, so that it costs
    # no request its reply.
    def pre_handler_hook(self):
        pass

    def post_handler_hook(self):
        pass

    async def shell_channel_thread_main(self, msg):
        """As ipykernel's; but a message is not checked and parsed to find that it names no subshell: the
        main thread does that anyway."""
        if _names_subshell(msg):
            return await super().shell_channel_thread_main(msg)
        async with self.shell_channel_thread.asyncio_lock:
            manager = self.shell_channel_thread.manager
            manager.get_shell_channel_to_subshell_socket(None).send_multipart(msg, copy=False)

    async def kernel_info_request(self, *args):
        await super().kernel_info_request(*args)
        if not self._settled and threading.current_thread() is threading.main_thread():
            self.io_loop.call_later(_SETTLE, self._settle)

    def _settle(self):
        """Once, while nobody waits: what the first cell would else wait for. Leaves nothing behind that
        code could see, or that depends on the directory or the variables."""
        if not self._settled:
            self._settled = True
            warm.settle(self.shell)

    async def execute_request(self, *args):
        """An interrupt that comes between the announcement of the code and its start ends it too."""
        self._interrupted, self._settled = False, True
        _on_sigint(self._note_sigint)
        try:
            await super().execute_request(*args)
        finally:
            _on_sigint(signal.SIG_IGN)

    def _note_sigint(self, signum, frame):
        self._interrupted = True

    async def do_execute(self, code, silent, *args, cell_meta=None, **kwargs):
        """Run one cell; `cell_meta` is the request's metadata, see request.py."""
        try:
            wishes = request.wishes(cell_meta)
            if wishes.rich:
                self._pictures.watch()
            with directory.entered(wishes.cwd), environ.applied(wishes.env):
                reply = await self._run(code, silent, *args, cell_meta=cell_meta, **kwargs)
        except (OSError, ValueError):
            reply = self._failed()
        if self.iopub_thread.forked:
            self.end_child(0)
        self._stdio.flush()
        self.iopub_thread.sync()
        return reply

    async def _run(self, code, *args, **kwargs):
        self.shell.about_to_run = [code, None]
        try:
            try:
                _on_sigint(signal.default_int_handler)
                if self._interrupted:
                    raise KeyboardInterrupt
                return await super().do_execute(code, *args, **kwargs)
            finally:
                _on_sigint(signal.SIG_IGN)
        except (Exception, KeyboardInterrupt):  # an interrupt just before or after the code
            _on_sigint(signal.SIG_IGN)
            return self._failed()

    def do_complete(self, code, cursor_pos):
        with _interruptible():
            return super().do_complete(code, cursor_pos)

    def do_inspect(self, *args, **kwargs):
        with _interruptible():
            return super().do_inspect(*args, **kwargs)

    def _failed(self):
        """Publish the exception at hand and return an execute_reply for it."""
        self.shell.showtraceback()
        etype, value, _tb = sys.exc_info()
        return {
            "status": "error",
            "ename": etype.__name__,
            "evalue": plaintb.value_of(value),
            "traceback": self.shell._last_traceback or [],
            "execution_count": self.shell.execution_count - 1,
            "user_expressions": {},
            "payload": [],
        }

    def end_child(self, status):
        """End this process, a child that the code forked and that came to the end of the cell."""
        self._stdio.flush()
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)

    @contextmanager
    def _cancel_on_sigint(self, future):
        """For top-level await: interrupt code where it computes, cancel the cell where it waits."""
        loop = asyncio.get_running_loop()

        def on_sigint(signum, frame):
            self.shell.interrupted = True
            current = asyncio.current_task()
            if current is not future:
                loop.call_soon_threadsafe(future.cancel)
            if current is not None:
                raise KeyboardInterrupt

        saved = signal.signal(signal.SIGINT, on_sigint)
        try:
            yield
        finally:
            signal.signal(signal.SIGINT, saved)

    @property
    def rich(self) -> bool:
        """True in a run, and in its threads, that wants the representations of rich.py."""
        return request.is_rich(self.get_parent("shell").get("metadata"))

    @property
    def _stdin_denied(self) -> bool:
        return request.denies_stdin(self.get_parent("shell").get("metadata"))

    def _forward_input(self, allow_stdin=False):
        super()._forward_input(allow_stdin and not self._stdin_denied)

    def raw_input(self, prompt=""):
        """input(): asks the client, or shows the prompt and fails as on an empty standard input, or
        where stdin is denied raises StdinNotImplementedError."""
        if not self._allow_stdin and not self._stdin_denied:
            sys.stdout.write(str(prompt))
            raise EOFError("EOF when reading a line")
        return super().raw_input(prompt)

    def getpass(self, *args, **kwargs):
        if not self._allow_stdin and not self._stdin_denied:
            raise EOFError("EOF when reading a line")
        return super().getpass(*args, **kwargs)


def _names_subshell(frames) -> bool:
    """False if the message, which may be malformed, certainly goes to the main shell."""
    for at, frame in enumerate(frames):
        if frame.bytes == DELIM and len(frames) >= at + 6:
            header = frames[at + 2].bytes
            return any(word in header for word in (b"subshell_id", b"comm_", b"\\"))
    return True


def _on_sigint(handler):
    """Set the handler, whatever interrupt comes meanwhile. Threads of subshells have no signals."""
    while threading.current_thread() is threading.main_thread():
        try:
            signal.signal(signal.SIGINT, handler)
            return
        except KeyboardInterrupt:
            if handler is signal.default_int_handler:
                raise


@contextmanager
def _interruptible():
    try:
        _on_sigint(signal.default_int_handler)
        yield
    finally:
        _on_sigint(signal.SIG_IGN)
