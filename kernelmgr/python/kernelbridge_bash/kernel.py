"""One execution in bash: its variables and directory, its interrupt, its reply."""

import os
import signal
import sys
from functools import partial

from bash_kernel.kernel import BashKernel as StockKernel
from kernelbridge_kernel import request
from traitlets import Float

from .around import Around, Refused
from .pictures import COMMANDS
from .process import Bash, Ended


class BashKernel(StockKernel):
    """bash_kernel's kernel over process.Bash. A status other than 0 is an error {"ename": "",
    "evalue": "STATUS", "traceback": []}, as bash_kernel has it."""

    _execute_sleep = Float(0.0).tag(config=True)
    # One bash runs one thing at a time.
    control_msg_types = [name for name in StockKernel.control_msg_types if "subshell" not in name]

    @property
    def language_info(self):
        return {**StockKernel.language_info, "version": self.language_version}

    @property
    def kernel_info(self):
        return {**super().kernel_info, "supported_features": []}

    bashwrapper = None

    def _start_bash(self):
        """Not yet: begin() does it, when the process is as the user's code is to find it."""

    def begin(self):
        """Start bash in this process's directory, with its environment."""
        for name, value in (("TERM", "xterm-color"), ("PAGER", "cat"), ("GIT_PAGER", "cat")):
            os.environ.setdefault(name, value)
        # A signal just before the wait for bash: its handler here runs only when something wakes it.
        self._wake, woken = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        signal.set_wakeup_fd(woken, warn_on_full_buffer=False)
        # Before bash starts: one that finds SIGINT ignored, as a shell's background jobs do, can never
        # be interrupted.
        signal.signal(signal.SIGINT, self._on_sigint)
        self._start()

    def _start(self):
        self.bashwrapper = Bash(stdout=1, stderr=2, wake=self._wake)  # bash_kernel's name for it
        self.bashwrapper.ask(COMMANDS)

    def _on_sigint(self, signum, frame):
        if self.bashwrapper is not None:
            self.bashwrapper.interrupt()

    # The handler stays as it is: an interrupt that comes between two runs does nothing.
    def pre_handler_hook(self):
        pass

    def post_handler_hook(self):
        pass

    async def execute_request(self, stream, ident, parent):
        """An interrupt that comes between the announcement of the code and its start ends it too."""
        self.bashwrapper.interrupted = False
        for output in (sys.stdout, sys.stderr):
            output.set_parent(parent)  # until the next cell: also that of background jobs
        await super().execute_request(stream, ident, parent)

    async def do_execute(self, code, silent, *args, cell_meta=None, **kwargs):
        """Run one cell; `cell_meta` is the request's metadata, see kernelbridge_kernel.request."""
        try:
            wishes = request.wishes(cell_meta)
            with Around(self.bashwrapper, wishes.env, wishes.cwd):
                status = self.bashwrapper.run(code)
        except (Refused, ValueError) as err:
            return self._failed("bash", str(err))
        except Ended as err:
            status = self._begin_again(err.status)
        self.iopub_thread.sync()
        return self._failed("", str(status)) if status else self._reply("ok")

    def _begin_again(self, status: int) -> int:
        """bash has ended, as its code wanted. Returns its status as a shell would tell it."""
        self.iopub_thread.sync()
        how = f"exit {status}" if status >= 0 else signal.Signals(-status).name
        sys.stderr.write(f"bash ended ({how}): a new one, without its variables, takes its place\n")
        self._replace()
        return status if status >= 0 else 128 - status

    def _replace(self):
        self.bashwrapper.forget()
        self._start()

    def show(self, content: dict):
        """Publish a display_data message, or an update of one that was shown under its display_id.
        Called by whichever thread reads the output."""
        pub, name = self.iopub_thread, content.get("transient", {}).get("display_id")
        kind = "update_display_data" if name in self._known_display_ids else "display_data"
        self._known_display_ids |= {name} if name is not None else set()
        msg = self.session.msg(kind, content, parent=sys.stderr.current_parent)
        frames = self.session.serialize(msg, ident=self._topic(kind))
        pub.put_behind(partial(pub._really_send, frames))

    def _failed(self, name: str, value: str) -> dict:
        """Publish an error and return the execute_reply for it."""
        self.iopub_thread.sync()
        error = {"ename": name, "evalue": value, "traceback": []}
        self.send_response(self.iopub_socket, "error", error)
        return self._reply("error", **error)

    def _reply(self, status: str, **more) -> dict:
        return {
            "status": status,
            "execution_count": self.execution_count,
            "payload": [],
            "user_expressions": {},
            **more,
        }

    def do_complete(self, code, cursor_pos):
        """bash_kernel's completion; nothing where there is no text or bash ends over it."""
        try:
            if code[:cursor_pos]:
                return super().do_complete(code, cursor_pos)
        except Ended:
            self._replace()
        here = {"cursor_start": cursor_pos, "cursor_end": cursor_pos}
        return {"status": "ok", "matches": [], "metadata": {}, **here}

    async def do_shutdown(self, restart):
        self.bashwrapper.close()
        return {"status": "ok", "restart": restart}
