"""The interactive shell: how errors are shown, and what `exit` does."""

import os
import sys
import traceback
from asyncio import CancelledError
from contextlib import contextmanager

from ipykernel import zmqshell
from ipykernel.jsonutil import json_clean
from IPython.core import interactiveshell
from IPython.core.autocall import ZMQExitAutocall
from IPython.core.error import UsageError
from traitlets import default, observe

from . import plaintb
from .history import History, ipython_folder
from .rich import DisplayFormatter


class Exiter(ZMQExitAutocall):
    """`exit` and `quit`: raise SystemExit, as in a program. The kernel lives on."""

    def __call__(self, code=None, keep_kernel=False):
        raise SystemExit(code)


def _warn(message, *args, **kwargs):
    """IPython's warnings but for its advice on leaving, which SystemExit would print."""
    if not str(message).startswith("To exit:"):
        _ipython_warn(message, *args, **kwargs)


_ipython_warn = interactiveshell.warn
interactiveshell.warn = _warn


def _has_group(value) -> bool:
    """True if `value` is an exception group or was raised while one was handled."""
    seen = set()
    while value is not None and id(value) not in seen:
        if isinstance(value, BaseExceptionGroup):
            return True
        seen.add(id(value))
        value = value.__context__
    return False


class ZMQInteractiveShell(zmqshell.ZMQInteractiveShell):
    """ipykernel's shell, under the name by which libraries know that they are in a notebook.

    Every error is published exactly once, with its plain traceback in the message's metadata.
    """

    @default("exiter")
    def _default_exiter(self):
        return Exiter(self)

    def init_environment(self):
        """No pagers; colours are left to who asks for them."""
        for name, value in (("TERM", "xterm-color"), ("PAGER", "cat"), ("GIT_PAGER", "cat")):
            os.environ.setdefault(name, value)

    def init_ipython_dir(self, ipython_dir):
        """Where IPython would make it: it is not made."""
        self.ipython_dir = ipython_dir or ipython_folder()

    @observe("ipython_dir")
    def _ipython_dir_changed(self, change):
        pass

    def init_history(self):
        self.history_manager = History(shell=self, parent=self)
        self.configurables.append(self.history_manager)

    def init_display_formatter(self):
        self.display_formatter = DisplayFormatter(parent=self)
        self.configurables.append(self.display_formatter)

    @contextmanager
    def _tee(self, channel):
        """IPython would keep a copy of everything that is printed."""
        yield

    def _format_exception_for_storage(self, *args, **kwargs):
        return {}

    # -- running ----------------------------------------------------------------------------------

    interrupted = False  # the running top-level await was cancelled by SIGINT

    about_to_run: list | None = None  # [a cell, its transformed form once there is one]

    def transform_cell(self, raw_cell):
        """ipykernel asks twice for each cell, and runs nothing in between: it is done once."""
        cell = self.about_to_run
        if cell is None or cell[0] is not raw_cell:
            return super().transform_cell(raw_cell)
        if cell[1] is None:
            cell[1] = super().transform_cell(raw_cell)
        return cell[1]

    def run_cell(self, *args, **kwargs):
        return self._presentable(super().run_cell(*args, **kwargs))

    async def run_cell_async(self, *args, **kwargs):
        self.interrupted, self.about_to_run = False, None
        return self._presentable(await super().run_cell_async(*args, **kwargs))

    def _presentable(self, result):
        """Make str() of the result's errors safe and short: the execute_reply is made of it."""
        for field in ("error_before_exec", "error_in_exec"):
            value = getattr(result, field)
            if value is None:
                continue
            etype = self._shown_type(value)
            text = plaintb.value_of(value)
            if etype is not type(value) or not _same_str(value, text):
                setattr(result, field, type(plaintb.name_of(etype), (Exception,), {})(text))
        return result

    def _shown_type(self, value):
        return KeyboardInterrupt if self._is_interrupt(value) else type(value)

    def _is_interrupt(self, value):
        return self.interrupted and isinstance(value, CancelledError)

    # -- showing ------------------------------------------------------------------------------------

    def showtraceback(self, exc_tuple=None, *args, **kwargs):
        """Publish the exception, whatever it takes: IPython's own formatting fails on some."""
        etype, value, tb = exc_tuple or sys.exc_info()
        if value is None:
            return super().showtraceback(exc_tuple, *args, **kwargs)
        if self.kernel.iopub_thread.forked:
            self._end_child(etype, value, tb)
        if self._is_interrupt(value):
            etype, value = KeyboardInterrupt, KeyboardInterrupt().with_traceback(tb)
            exc_tuple = etype, value, tb
        if etype is UsageError or _has_group(value):
            self._get_exc_info((etype, value, tb))
            return self._show_plain(etype, value, tb)
        self._guarded(super().showtraceback, (etype, value, tb), exc_tuple, *args, **kwargs)

    def showsyntaxerror(self, *args, **kwargs):
        self._guarded(super().showsyntaxerror, sys.exc_info(), *args, **kwargs)

    def _guarded(self, show, exc, *args, **kwargs):
        """Call `show`; where it published nothing, publish the plain form."""
        before, self._published = getattr(self, "_published", False), False
        try:
            show(*args, **kwargs)
        except BaseException:
            if self._published:
                raise
        finally:
            done, self._published = self._published, before or self._published
        if not done:
            self._show_plain(*exc)

    def _show_plain(self, etype, value, tb):
        plain = self._describe(etype, value, tb)
        self._publish_error(plain["name"], plain["value"], plain["traceback"].splitlines(), plain)

    def _showtraceback(self, etype, evalue, stb):
        """Overridden to add the metadata. `stb` is IPython's own list of lines."""
        exc = etype, evalue, evalue.__traceback__
        stb = [plaintb.cut_middle(line) for line in stb]
        self._publish_error(etype.__name__, plaintb.value_of(evalue), stb, self._describe(*exc))

    def _end_child(self, etype, value, tb):
        """An uncaught exception in a child that the code forked ends it as it ends a program."""
        status = value.code if isinstance(value, SystemExit) else 1
        if not isinstance(value, SystemExit):
            sys.stderr.write(self._describe(etype, value, tb)["traceback"])
        elif not isinstance(status, int | None):
            print(status, file=sys.stderr)
            status = 1
        self.kernel.end_child(status or 0)

    def _describe(self, etype, value, tb):
        try:
            return plaintb.describe(etype, value, tb, self.compile._filename_map)
        except Exception:  # an exception class that fails in ways not foreseen
            name, text = plaintb.name_of(etype), plaintb.value_of(value)
            body = f"Traceback (most recent call last):\n{name}: {text}\n"
            return {"name": name, "value": text, "traceback": body}

    def _publish_error(self, name, value, stb, plain):
        self._published = True
        self._last_traceback = stb
        dh = self.displayhook
        if getattr(dh, "msg", None) is not None:  # raised while a result was formatted
            self._last_traceback_during_displayhook = True
        dh.session.send(
            dh.pub_socket,
            "error",
            json_clean({"ename": name, "evalue": value, "traceback": stb}),
            dh.parent_header,
            ident=dh.topic.replace(b"execute_result", b"error") if dh.topic else None,
            metadata={"kernelbridge": plain},
        )

    def excepthook(self, etype, value, tb):
        """sys.excepthook while a cell runs: called by the code itself, it prints."""
        traceback.print_exception(etype, value, tb)


def _same_str(value, text) -> bool:
    try:
        return str(value) == text
    except BaseException:
        return False
