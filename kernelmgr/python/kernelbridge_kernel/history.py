"""IPython's history: without its database unless asked for, and without a copy of what was shown."""

import os
from collections import defaultdict
from contextlib import suppress
from pathlib import Path

from IPython.core.history import HistoryManager, HistorySavingThread
from traitlets import Bool


def ipython_folder() -> str:
    """Return where IPython's own files of this user would be."""
    return os.path.normpath(os.path.expanduser(os.environ.get("IPYTHONDIR") or "~/.ipython"))


class _Nothing(list):
    """A list of outputs that stays empty."""

    def append(self, item):
        pass


class History(HistoryManager):
    """`In`, `Out`, `_i1` and `%history` work; no output is kept.

    `enabled` (HistoryManager.enabled=True) keeps all inputs of all sessions in IPython's usual file, or in
    HistoryManager.hist_file. It is opened at the first use, when the user's home is known and no fork of
    the start's is ahead. Each execution then waits for a disk.
    """

    enabled = Bool(False, help="Keep inputs in a database.").tag(config=True)
    _wanted: bool | None = None  # to be opened; None before the options were read

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.outputs = defaultdict(_Nothing)

    def reset(self, *args, **kwargs):
        super().reset(*args, **kwargs)
        self.outputs = defaultdict(_Nothing)

    def init_db(self):
        if self._wanted is None:
            self._wanted, self.enabled = self.enabled, False
            self._usual = self.hist_file == self._get_hist_file_name()
        super().init_db()

    def store_inputs(self, *args, **kwargs):
        self._open()
        super().store_inputs(*args, **kwargs)
        if not self.enabled:
            self.db_input_cache.clear()

    def _run_sql(self, *args, **kwargs):
        self._open()
        return super()._run_sql(*args, **kwargs)

    def _get_hist_file_name(self, profile=None) -> Path:
        return Path(ipython_folder(), "profile_default", "history.sqlite")

    def _open(self):
        if not self._wanted:
            return
        self._wanted, self.enabled = False, True
        if self._usual:
            self.hist_file = self._get_hist_file_name()
            with suppress(OSError):  # IPython says that it cannot be opened, and keeps it in memory
                self.hist_file.parent.mkdir(parents=True, exist_ok=True)
        self.init_db()
        self.new_session()
        if self.hist_file != ":memory:":
            self.save_thread = HistorySavingThread(self)
            self.save_thread.start()
            self.using_thread = True
