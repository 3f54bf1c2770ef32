"""IPython's history without its database and without a copy of everything that was shown."""

from collections import defaultdict

from IPython.core.history import HistoryManager


class _Nothing(list):
    """A list of outputs that stays empty."""

    def append(self, item):
        pass


class History(HistoryManager):
    """`In`, `Out`, `_i1` and `%history` work; no file is opened, no output is kept."""

    enabled = False

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.outputs = defaultdict(_Nothing)

    def reset(self, *args, **kwargs):
        super().reset(*args, **kwargs)
        self.outputs = defaultdict(_Nothing)

    def store_inputs(self, *args, **kwargs):
        super().store_inputs(*args, **kwargs)
        self.db_input_cache.clear()
