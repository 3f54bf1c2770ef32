"""Rich results in Python: formats, images, tables, charts, JSON: e2b.md sections 3.1 and 4."""

from __future__ import annotations

import base64
import struct
import zlib
from typing import Any

import e2b_code_interpreter as e2b
import pytest
from e2b_adapter import Box, stdout
from e2b_code_interpreter import charts

pytest_plugins = ["e2b_fixtures"]


def png_size(encoded: str) -> tuple[int, int]:
    """Width and height of a base64 PNG whose chunks, checksums and pixels are all sound."""
    data = base64.b64decode(encoded, validate=True)
    assert data[:8] == b"\x89PNG\r\n\x1a\n"
    at, pixels, width, height = 8, b"", 0, 0
    while at < len(data):
        size, kind = struct.unpack(">I4s", data[at : at + 8])
        body = data[at + 8 : at + 8 + size]
        assert struct.unpack(">I", data[at + 8 + size : at + 12 + size])[0] == zlib.crc32(kind + body)
        if kind == b"IHDR":
            width, height = struct.unpack(">II", body[:8])
        pixels += body if kind == b"IDAT" else b""
        at += 12 + size
    assert kind == b"IEND"
    assert len(zlib.decompress(pixels)) >= width * height
    return width, height


async def one(sbx: Box, code: str) -> e2b.Result:
    """The only result of the code, which must not fail."""
    execution = await sbx.run(code)
    assert execution.error is None, execution.error.traceback
    assert len(execution.results) == 1, execution.results
    return execution.results[0]


# ------------------------------------------------------------------ MIME types to fields

FIELDS = {
    "text": ("text/plain", "plain"),
    "html": ("text/html", "<b>b</b>"),
    "markdown": ("text/markdown", "# m"),
    "svg": ("image/svg+xml", "<svg xmlns='http://www.w3.org/2000/svg'/>"),
    "png": ("image/png", "iVBORw0KGgo="),
    "jpeg": ("image/jpeg", "/9j/4AAQ"),
    "pdf": ("application/pdf", "JVBERi0="),
    "latex": ("text/latex", "$x^2$"),
    "json": ("application/json", {"k": [1, None, True, "ü"]}),
    "javascript": ("application/javascript", "alert(1)"),
    "data": ("e2b/data", {"a": [1, 2]}),
}


@pytest.mark.parametrize("field", FIELDS)
async def test_field(sbx: Box, field: str) -> None:
    mime, value = FIELDS[field]
    result = await one(
        sbx, f"from IPython.display import display\ndisplay({{{mime!r}: {value!r}}}, raw=True)"
    )
    assert getattr(result, field) == result[field] == value
    assert list(result.formats()) == [field]
    assert result.extra == {}
    assert result.is_main_result is False


async def test_all_fields_at_once(sbx: Box) -> None:
    bundle = {mime: value for mime, value in FIELDS.values()} | {"x/own": {"deep": [1]}, "text/x-other": "t"}
    result = await one(sbx, f"from IPython.display import display\ndisplay({bundle!r}, raw=True)")
    assert list(result.formats()) == [*FIELDS, "x/own", "text/x-other"]
    assert result.extra == {"x/own": {"deep": [1]}, "text/x-other": "t"}
    for field, (_, value) in FIELDS.items():
        assert result[field] == value


CLASSES = {
    "html": ("HTML('<i>x</i>')", "<i>x</i>"),
    "markdown": ("Markdown('**x**')", "**x**"),
    "svg": ("SVG('<svg xmlns=\"http://www.w3.org/2000/svg\"><g/></svg>')", None),
    "latex": ("Latex('$x$')", "$x$"),
    "javascript": ("Javascript('let x = 1')", "let x = 1"),
    "json": ("JSON({'a': [1, {'b': None}]})", {"a": [1, {"b": None}]}),
}


@pytest.mark.parametrize("field", CLASSES)
async def test_display_classes(sbx: Box, field: str) -> None:
    code, value = CLASSES[field]
    result = await one(sbx, f"from IPython.display import *\n{code}")
    assert result.is_main_result is True
    assert field in result.formats()
    if value is not None:
        assert result[field] == value
    else:
        assert result[field].startswith("<svg")


async def test_repr_methods(sbx: Box) -> None:
    code = (
        "class Both:\n    def __repr__(self): return 'plain'\n    def _repr_html_(self): return '<b>'\n"
        "    def _repr_jpeg_(self): return b'\\xff\\xd8\\xff'\nBoth()"
    )
    result = await one(sbx, code)
    assert (result.text, result.html) == ("plain", "<b>")
    assert base64.b64decode(result.jpeg) == b"\xff\xd8\xff"


async def test_json_scalars(sbx: Box) -> None:
    """application/json may be any JSON value."""
    for value in ("text", 3, 2.5, [1, [2]], {"deep": {"er": []}}):
        result = await one(
            sbx, f"from IPython.display import display\ndisplay({{'application/json': {value!r}}}, raw=True)"
        )
        assert result.json == value


async def test_updates_and_clears_are_dropped(sbx: Box) -> None:
    code = (
        "from IPython.display import display, clear_output\nh = display('first', display_id=True)\n"
        "h.update('second')\nclear_output()\nprint('end')"
    )
    execution = await sbx.run(code)
    assert [result.text for result in execution.results] == ["first"]
    assert stdout(execution) == "end\n"


# ------------------------------------------------------------------ lists and dicts as JSON

JSONS = {
    "list": ("[1, 'a', None]", [1, "a", None]),
    "dict": ("{'a': {'b': [1.5]}}", {"a": {"b": [1.5]}}),
    "int keys": ("{1: 'x'}", {"1": "x"}),
    "nan": ("[float('nan'), float('inf'), 1.0]", [None, None, 1.0]),
    "numpy": ("import numpy as np\n[np.arange(3), np.float64(0.5)]", [[0, 1, 2], 0.5]),
    "subclass": ("import collections\ncollections.OrderedDict(a=1)", {"a": 1}),
    "unicode": ("['ü🦆\\u2028']", ["ü🦆\u2028"]),
}


@pytest.mark.parametrize("name", JSONS)
async def test_lists_and_dicts_have_json(sbx: Box, name: str) -> None:
    code, value = JSONS[name]
    result = await one(sbx, code)
    assert result.json == value
    assert "json" in result.formats()
    assert result.text


@pytest.mark.parametrize("code", ["[object()]", "a = []; a.append(a); a", "(1, 2)", "{1, 2}", "'text'", "5"])
async def test_what_has_no_json(sbx: Box, code: str) -> None:
    result = await one(sbx, code)
    assert result.json is None
    assert result.text


# ------------------------------------------------------------------ tables

FRAME = (
    "import pandas as pd\n"
    "days = [pd.Timestamp('2026-01-02'), pd.Timestamp('2026-01-03 04:05')]\n"
    "frame = pd.DataFrame({'n': [1.0, float('nan')], 's': ['a', None], 'd': days})\n"
)


async def test_frame(sbx: Box) -> None:
    result = await one(sbx, FRAME + "frame")
    assert result.is_main_result is True
    assert "<table" in result.html
    assert result.data["n"] == [1.0, None]
    assert result.data["s"] == ["a", None]
    assert result.data["d"] == ["2026-01-02T00:00:00", "2026-01-03T04:05:00"]
    assert {"text", "html", "data"} <= set(result.formats())


async def test_displayed_frame(sbx: Box) -> None:
    result = await one(sbx, FRAME + "from IPython.display import display\ndisplay(frame)")
    assert result.is_main_result is False
    assert list(result.data) == ["n", "s", "d"]


async def test_frame_of_odd_values(sbx: Box) -> None:
    """What JSON cannot hold never breaks the stream; the text is there in any case."""
    code = "import pandas as pd, numpy as np\npd.DataFrame({'o': [object()], 'i': [float('inf')], 'c': [1j]})"
    result = await one(sbx, code)
    assert result.text
    assert "<table" in result.html


async def test_empty_frame_and_series(sbx: Box) -> None:
    assert (await one(sbx, "import pandas as pd\npd.DataFrame()")).text.startswith("Empty DataFrame")
    result = await one(sbx, "pd.Series([1, 2])")
    assert result.data is None
    assert "dtype: int64" in result.text


# ------------------------------------------------------------------ images

PLOT = "import matplotlib.pyplot as plt\n"


async def test_shown_figure(sbx: Box) -> None:
    result = await one(sbx, PLOT + "plt.plot([1, 2, 3])\nplt.show()")
    assert png_size(result.png) > (100, 100)
    assert result.is_main_result is False
    assert result.text == "<Figure size 640x480 with 1 Axes>"
    assert {"text", "png", "chart"} <= set(result.formats())


async def test_figure_left_open_is_shown_at_the_end(sbx: Box) -> None:
    execution = await sbx.run(PLOT + "plt.plot([1, 2, 3])\nprint('drawn')\n'main'")
    assert [result.is_main_result for result in execution.results] == [True, False]
    assert execution.text == "main"
    assert png_size(execution.results[1].png) > (100, 100)
    assert (await sbx.run("1")).results[0].png is None


async def test_two_figures(sbx: Box) -> None:
    execution = await sbx.run(
        PLOT
        + "for i in (1, 2):\n    plt.figure()\n    plt.plot([i, 2])\n    plt.title(f't{i}')\n    plt.show()"
    )
    assert [result.chart.title for result in execution.results] == ["t1", "t2"]


async def test_figure_before_an_error(sbx: Box) -> None:
    execution = await sbx.run(PLOT + "plt.plot([1])\nplt.show()\n1/0")
    assert execution.error is not None
    assert png_size(execution.results[0].png) > (100, 100)


async def test_saved_picture_is_shown(sbx: Box, fresh: Any) -> None:
    code = (
        "from PIL import Image\nImage.new('RGB', (30, 20), 'red').save('red.png')\n"
        "import os; print(os.path.getsize('red.png') > 0)"
    )
    execution = await sbx.run(code, context=fresh)
    assert execution.error is None, execution.error.traceback
    assert stdout(execution) == "True\n"
    [result] = execution.results
    assert png_size(result.png) == (30, 20)
    assert result.is_main_result is False


async def test_picture_as_result(sbx: Box) -> None:
    result = await one(sbx, "from PIL import Image\nImage.new('RGB', (12, 34))")
    assert result.is_main_result is True
    assert png_size(result.png) == (12, 34)


async def test_show_of_a_picture_does_not_fail(sbx: Box) -> None:
    execution = await sbx.run("from PIL import Image\nImage.new('RGB', (5, 5)).show()")
    assert execution.error is None


async def test_picture_saved_to_a_buffer_is_not_shown(sbx: Box) -> None:
    execution = await sbx.run(
        "from PIL import Image\nimport io\nImage.new('RGB', (5, 5)).save(io.BytesIO(), 'PNG')"
    )
    assert (execution.results, execution.error) == ([], None)


# ------------------------------------------------------------------ charts


async def chart(sbx: Box, code: str) -> Any:
    result = await one(sbx, PLOT + code + "\nplt.show()")
    assert png_size(result.png) > (100, 100)
    assert result.chart is not None, "no chart"
    assert result.chart.to_dict()["type"] == result.chart.type
    return result.chart


async def test_line_chart(sbx: Box) -> None:
    got = await chart(
        sbx,
        "plt.plot([0, 1, 2], [0.0, 1.5, 4.0], label='first')\nplt.plot([0, 1], [3, 4])\n"
        "plt.title('Lines')\nplt.xlabel('Time (s)')\nplt.ylabel('Speed [m/s]')\nplt.legend()",
    )
    assert isinstance(got, charts.LineChart)
    assert (got.type, got.title) == (charts.ChartType.LINE, "Lines")
    assert (got.x_label, got.x_unit, got.y_label, got.y_unit) == ("Time (s)", "s", "Speed [m/s]", "m/s")
    assert (got.x_scale, got.y_scale) == (charts.ScaleType.LINEAR, charts.ScaleType.LINEAR)
    assert [element.label for element in got.elements] == ["first", "Line 1"]
    assert got.elements[0].points == [(0, 0.0), (1, 1.5), (2, 4.0)]
    assert len(got.x_ticks) == len(got.x_tick_labels) > 0
    assert all(isinstance(tick, float | int) for tick in got.y_ticks)


async def test_line_chart_of_dates_and_logarithms(sbx: Box) -> None:
    got = await chart(
        sbx,
        "import datetime as d\nplt.plot([d.datetime(2026, 9, 1), d.datetime(2026, 9, 2)], [1, 1000])\n"
        "plt.yscale('log')",
    )
    assert (got.x_scale, got.y_scale) == (charts.ScaleType.DATETIME, charts.ScaleType.LOG)
    assert [x[:10] for x, _ in got.elements[0].points] == ["2026-09-01", "2026-09-02"]


async def test_scatter_chart(sbx: Box) -> None:
    got = await chart(sbx, "plt.scatter([1, 2], [3.5, 4.5], label='dots')\nplt.xlabel('A')\nplt.title('S')")
    assert isinstance(got, charts.ScatterChart)
    assert got.type == charts.ChartType.SCATTER
    assert (got.title, got.x_label, got.x_unit, got.y_label) == ("S", "A", None, None)
    assert [(element.label, element.points) for element in got.elements] == [("dots", [(1, 3.5), (2, 4.5)])]


async def test_bar_chart(sbx: Box) -> None:
    got = await chart(
        sbx, "plt.bar(['a', 'b', 'c'], [10, 20, 15])\nplt.ylabel('Sales (USD)')\nplt.title('B')"
    )
    assert isinstance(got, charts.BarChart)
    assert got.type == charts.ChartType.BAR
    assert (got.title, got.y_label, got.y_unit) == ("B", "Sales (USD)", "USD")
    assert [(e.label, float(e.value)) for e in got.elements] == [("a", 10), ("b", 20), ("c", 15)]
    assert len({e.group for e in got.elements}) == 1


async def test_grouped_bar_chart(sbx: Box) -> None:
    got = await chart(
        sbx, "plt.bar([0, 1], [1, 2], 0.4, label='x')\nplt.bar([0.4, 1.4], [3, 4], 0.4, label='y')"
    )
    assert [(e.group, float(e.value)) for e in got.elements] == [("x", 1), ("x", 2), ("y", 3), ("y", 4)]


async def test_pie_chart(sbx: Box) -> None:
    got = await chart(sbx, "plt.pie([1, 3], labels=['one', 'three'])\nplt.title('P')")
    assert isinstance(got, charts.PieChart)
    assert (got.type, got.title) == (charts.ChartType.PIE, "P")
    assert [e.label for e in got.elements] == ["one", "three"]
    assert [round(e.angle) for e in got.elements] == [90, 270]
    assert all(e.radius > 0 for e in got.elements)


async def test_box_and_whisker_chart(sbx: Box) -> None:
    got = await chart(
        sbx,
        "plt.boxplot([[1, 2, 3, 4, 5], [2, 4, 6, 8, 9, 10, 30]], patch_artist=True)\n"
        "plt.xticks([1, 2], ['A', 'B'])\nplt.title('W')",
    )
    assert isinstance(got, charts.BoxAndWhiskerChart)
    assert (got.type, got.title) == (charts.ChartType.BOX_AND_WHISKER, "W")
    first, second = got.elements
    assert [first.label, second.label] == ["A", "B"]
    assert (first.min, first.first_quartile, first.median, first.third_quartile, first.max) == (1, 2, 3, 4, 5)
    assert (second.median, second.max, second.outliers, first.outliers) == (8, 10, [30], [])


async def test_superchart(sbx: Box) -> None:
    got = await chart(
        sbx,
        "figure, (left, right) = plt.subplots(1, 2)\nfigure.suptitle('Both')\nleft.plot([1, 2])\nleft.set_title('L')\n"
        "right.bar(['a'], [5])\nright.set_title('R')",
    )
    assert isinstance(got, charts.SuperChart)
    assert (got.type, got.title) == (charts.ChartType.SUPERCHART, "Both")
    assert [(type(e), e.title) for e in got.elements] == [(charts.LineChart, "L"), (charts.BarChart, "R")]


async def test_chart_of_unknown_type(sbx: Box) -> None:
    got = await chart(sbx, "plt.imshow([[1, 2], [3, 4]])\nplt.title('U')")
    assert (got.type, got.title) == (charts.ChartType.UNKNOWN, "U")


async def test_blank_figure_has_no_chart(sbx: Box) -> None:
    """matplotlib has no picture of it either; empty axes have one."""
    result = await one(sbx, PLOT + "plt.figure()\nplt.show()")
    assert (result.text, result.png, result.chart) == ("<Figure size 640x480 with 0 Axes>", None, None)
    result = await one(sbx, PLOT + "plt.subplots()\nplt.show()")
    assert png_size(result.png) > (100, 100)


async def test_chart_with_nan(sbx: Box) -> None:
    """NaN never reaches the wire as a bare token."""
    result = await one(sbx, PLOT + "plt.plot([0, 1, 2], [1, float('nan'), float('inf')])\nplt.show()")
    assert png_size(result.png) > (100, 100)
    if result.chart is not None:
        assert [y for _, y in result.chart.elements[0].points] == [1, None, None]
