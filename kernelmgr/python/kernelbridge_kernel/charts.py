"""The data of a matplotlib figure: {"type": "line", "title": ..., "elements": [...], ...}.

Made by the package e2b_charts, whose README lists the types; it is imported with the first figure.
"""

import threading
import warnings

from .jsonable import plain

FEW_POINTS = 10_000  # made in less than 0.1 s, and not larger than a few pictures

_turn = threading.Lock()  # warnings.catch_warnings is for one thread at a time


def chart_of(figure, most_points: int | None = None) -> dict:
    """Return the figure's data, numbers finite or None. {} for a blank figure, one that e2b_charts
    cannot read or that has more points than `most_points`, or where the package is missing."""
    try:
        if most_points is not None and _points(figure) > most_points:
            return {}
        with _turn, warnings.catch_warnings():
            warnings.simplefilter("ignore")
            from e2b_charts import chart_figure_to_dict

            return plain(chart_figure_to_dict(figure))
    except Exception:
        return {}


def _points(figure) -> int:
    lines = sum(len(line.get_xdata()) for axes in figure.axes for line in axes.lines)
    return lines + sum(len(c.get_offsets()) for axes in figure.axes for c in axes.collections)
