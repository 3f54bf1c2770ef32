"""What a value is shown as: IPython's representations, and those that E2B's clients know.

| representation | of | in which runs |
|---|---|---|
| e2b/chart | matplotlib's Figure | all |
| e2b/data | pandas' DataFrame: {column: [value]} | rich |
| application/json | list, dict | rich |
| text/plain without a limit to sequences | everything | rich |

A run is rich where its request says so (request.py): others need not pay for what they do not show.
"""

import sys
from math import isfinite

from IPython.core.formatters import BaseFormatter, JSONFormatter, PlainTextFormatter
from IPython.core.formatters import DisplayFormatter as StockDisplayFormatter
from IPython.lib import pretty
from traitlets import Integer, ObjectName, Unicode, default

from .charts import FEW_POINTS, chart_of
from .jsonable import plain


class _Limit(Integer):
    """IPython's limit, which is 0 for none in rich runs unless the user set one."""

    def get(self, obj, cls=None):
        value = super().get(obj, cls)
        return 0 if value == pretty.MAX_SEQ_LENGTH and obj.parent.rich else value


class _Text(PlainTextFormatter):
    max_seq_length = _Limit(pretty.MAX_SEQ_LENGTH).tag(config=True)


class _JSON(JSONFormatter):
    def __call__(self, obj):
        if issubclass(type(obj), list | dict) and self.enabled and self.parent.rich:
            try:
                return plain(obj), {"expanded": True}
            except Exception:  # whatever the user's classes raise: it has no JSON
                pass
        return super().__call__(obj)


class _Data(BaseFormatter):
    format_type = Unicode("e2b/data")
    print_method = ObjectName("_repr_e2b_data_")
    _return_type = (dict, str)

    def __call__(self, obj):
        if not self.parent.rich:
            return None
        if self.enabled and _is(obj, "pandas", "DataFrame"):
            return _columns(obj)
        return super().__call__(obj)


class _Chart(BaseFormatter):
    format_type = Unicode("e2b/chart")
    print_method = ObjectName("_repr_e2b_chart_")
    _return_type = (dict, str)

    def __call__(self, obj):
        if not self.enabled or not _is(obj, "matplotlib.figure", "Figure"):
            return super().__call__(obj)
        if self.parent.rich:
            return chart_of(obj)
        return chart_of(obj, most_points=FEW_POINTS) or None


class DisplayFormatter(StockDisplayFormatter):
    """IPython's, with the representations above."""

    @property
    def rich(self) -> bool:
        """True if the run wants them for which a value is shown now."""
        return self.parent.kernel.rich

    @default("formatters")
    def _formatters_default(self):
        formatters = super()._formatters_default()
        for kind in (_Text, _JSON, _Data, _Chart):
            one = kind(parent=self)
            formatters[one.format_type] = one
        return formatters


def _is(obj, module: str, name: str) -> bool:
    """True if `obj` is of that class, which nobody can have who has not imported its module."""
    kind = getattr(sys.modules.get(module), name, None)
    return isinstance(kind, type) and issubclass(type(obj), kind)


def _columns(frame) -> dict | None:
    """Return {column: [value]}: timestamps ISO 8601, what is missing None, what JSON has not a str."""
    try:
        return {str(name): _values(frame.iloc[:, i]) for i, name in enumerate(frame.columns)}
    except Exception:  # a column type that does not give its values: the frame has no data
        return None


def _values(column) -> list:
    values = column.tolist()
    kind = column.dtype.kind if type(column.dtype).__module__.startswith("numpy") else "O"
    if kind in "iub":
        return values
    if kind == "f":
        return [value if isfinite(value) else None for value in values]
    return plain(values, other=_text)


def _text(value):
    return None if type(value).__name__ == "NAType" else str(value)
