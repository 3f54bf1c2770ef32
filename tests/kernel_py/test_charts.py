"""e2b/chart: what every kind of figure yields; needs install-kernels python --with-science."""

import pytest

RICH = {"kernelbridge": {"rich": True}}
START = "import matplotlib.pyplot as plt, numpy as np, pandas as pd, datetime\n"


def bundles(run):
    return [e["content"]["data"] for e in run.of("display_data")]


def chart(kernel, code, meta=RICH):
    """Return the chart of the one figure that `code` leaves open; nothing else may be shown."""
    run = kernel.run(START + code + ";", meta=meta)
    assert run.reply["status"] == "ok" and run.text() == run.text("stderr") == ""
    (shown,) = bundles(run)
    assert shown["image/png"].startswith("iVBORw0KG")
    return shown["e2b/chart"]


AXES = ("x_label", "y_label", "x_unit", "y_unit")
TICKS = ("x_ticks", "x_tick_labels", "x_scale", "y_ticks", "y_tick_labels", "y_scale")


def test_line(kernel):
    code = """
plt.plot([1, 2, 3], [4, np.nan, np.inf]); plt.plot([1, 2], [0, 1], label='named')
plt.title('T'); plt.xlabel('time (s)'); plt.ylabel('size [m]'); plt.grid(True)"""
    got = chart(kernel, code)
    assert set(got) == {"type", "title", "elements", *AXES, *TICKS}
    assert (got["type"], got["title"]) == ("line", "T")
    assert [got[name] for name in AXES] == ["time (s)", "size [m]", "s", "m"]
    assert got["elements"] == [
        {"label": "Line 0", "points": [[1, 4], [2, None], [3, None]]},
        {"label": "named", "points": [[1, 0], [2, 1]]},
    ]
    assert got["x_scale"] == got["y_scale"] == "linear"
    assert len(got["x_ticks"]) == len(got["x_tick_labels"]) > 2
    assert all(isinstance(t, float) for t in got["x_ticks"])


def test_scatter(kernel):
    got = chart(kernel, "plt.scatter([1, 2], [3, np.nan], label='D'); plt.scatter([1], [1])")
    assert got["type"] == "scatter" and set(got) == {"type", "title", "elements", *AXES, *TICKS}
    assert [e["points"] for e in got["elements"]] == [[[1, 3], [None, None]], [[1, 1]]]
    assert got["elements"][0]["label"] == "D"


def test_bar(kernel):
    got = chart(kernel, "plt.bar(['a', 'b'], [1, 2], label='G'); plt.bar(['a', 'b'], [3, np.nan])")
    assert got["type"] == "bar" and set(got) == {"type", "title", "elements", *AXES}
    assert got["elements"] == [
        {"label": "a", "group": "G", "value": 1},
        {"label": "b", "group": "G", "value": 2},
        {"label": "a", "group": "Group 1", "value": 3},
        {"label": "b", "group": "Group 1", "value": None},
    ]


def test_pie(kernel):
    got = chart(kernel, "plt.pie([90, 10], labels=['No', 'No, in blue'], autopct='%1.1f%%')")
    assert got == {
        "type": "pie",
        "title": None,
        "elements": [
            {"label": "No", "angle": 324.0, "radius": 1.0},
            {"label": "No, in blue", "angle": 36.0, "radius": 1.0},
        ],
    }


@pytest.mark.parametrize("labels", ["labels", "tick_labels"])
def test_box_and_whisker(kernel, labels):
    code = f"""
import warnings; warnings.filterwarnings('ignore', "The 'labels'")
data = {{'A': [85, 90, 78, 92, 88], 'B': [95, 89, 76, 91, 84, 87]}}
plt.subplots()[1].boxplot(data.values(), {labels}=data.keys(), patch_artist=True)"""
    got = chart(kernel, code)
    assert got["type"] == "box_and_whisker" and set(got) == {"type", "title", "elements", *AXES}
    first, second = got["elements"]
    assert first == {
        "label": "A", "min": 78, "first_quartile": 85, "median": 88, "third_quartile": 90, "max": 92,
        "outliers": [],
    }  # fmt: skip
    assert second["outliers"] == [76] and second["label"] == "B"


def test_superchart(kernel):
    code = """
figure, axes = plt.subplots(1, 3); figure.suptitle('S')
axes[0].plot([1, 2]); axes[1].scatter([1], [2]); axes[2].imshow(np.eye(2))"""
    got = chart(kernel, code)
    assert set(got) == {"type", "title", "elements"}
    assert (got["type"], got["title"]) == ("superchart", "S")
    assert [c["type"] for c in got["elements"]] == ["line", "scatter", "unknown"]


def test_unknown(kernel):
    code = "plt.gca().add_artist(plt.Circle((0, 0), 1)); plt.title('Circle')"
    assert chart(kernel, code) == {"type": "unknown", "title": "Circle", "elements": []}


def test_blank(kernel):
    assert chart(kernel, "plt.subplots()") == {}
    (shown,) = bundles(kernel.run(START + "plt.subplots();"))
    assert "e2b/chart" not in shown and shown["text/plain"] == "<Figure size 640x480 with 1 Axes>"


DATES = {
    "dates": ("[datetime.date(2024, 1, 1), datetime.date(2024, 1, 2)]", "2024-01-01"),
    "datetimes": (
        "[datetime.datetime(2024, 1, 1, 2), datetime.datetime(2024, 1, 2)]",
        "2024-01-01T02:00:00",
    ),
    "numpy": ("np.array(['2024-01-01', '2024-01-02'], 'datetime64[ns]')", "2024-01-01T00:00:00"),
    "pandas": ("pd.date_range('2024-01-01', periods=2)", "2024-01-01T00:00:00"),
}


@pytest.mark.parametrize("kind", DATES)
def test_dates(kernel, kind):
    values, first = DATES[kind]
    got = chart(kernel, f"plt.plot({values}, [1, 2])")
    assert got["x_scale"] == "datetime" and got["y_scale"] == "linear"
    assert got["elements"][0]["points"][0] == [first, 1]
    assert got["x_ticks"][0].endswith("+00:00")


def test_categories(kernel):
    got = chart(kernel, "plt.plot(['A', 'B', 'C'], [1, 2, 3])")
    assert got["x_scale"] == "categorical" and got["x_tick_labels"] == ["A", "B", "C"]
    assert got["elements"][0]["points"] == [["A", 1], ["B", 2], ["C", 3]]


@pytest.mark.parametrize("scale", ["log", "symlog", "logit", "asinh", "function", "functionlog"])
def test_scales(kernel, scale):
    more = ", functions=(np.sqrt, np.square)" if "function" in scale else ""
    got = chart(kernel, f"plt.plot([.1, .5, .9], [.1, .5, .9]); plt.yscale({scale!r}{more})")
    assert got["x_scale"] == "linear" and got["y_scale"] == scale
    assert got["elements"][0]["points"] == [[0.1, 0.1], [0.5, 0.5], [0.9, 0.9]]


def test_from_pandas(kernel):
    got = chart(kernel, "pd.DataFrame({'a': [1, 2], 'b': [2, 1]}).plot()")
    assert got["type"] == "line" and [e["label"] for e in got["elements"]] == ["a", "b"]


def test_in_every_run(kernel):
    got = chart(kernel, "plt.plot([1, 2])", meta=None)
    assert got["elements"] == [{"label": "Line 0", "points": [[0, 1], [1, 2]]}]


def test_many_points_only_in_rich_runs(kernel):
    code = "plt.plot(np.arange(20_000))"
    assert len(chart(kernel, code)["elements"][0]["points"]) == 20_000
    (shown,) = bundles(kernel.run(START + code + ";"))
    assert "image/png" in shown and "e2b/chart" not in shown


def test_as_result_and_where_show_is_called(kernel):
    run = kernel.run(
        START + "figure = plt.figure(); plt.plot([1, 2]); plt.show(); display(figure)\nfigure", meta=RICH
    )
    (result,) = run.of("execute_result")
    for shown in (*bundles(run), result["content"]["data"]):
        assert shown["e2b/chart"]["type"] == "line" and "image/png" in shown
        assert shown["text/plain"] == "<Figure size 640x480 with 1 Axes>"
    assert len(bundles(run)) == 2


def test_what_cannot_be_read_is_shown_without(kernel):
    code = "axes = plt.subplots()[1]; axes.plot([1, 2]); axes.get_title = lambda: 1 / 0"
    assert chart(kernel, code) == {}
    (shown,) = bundles(kernel.run(START + code + ";"))
    assert "image/png" in shown and "e2b/chart" not in shown


def test_where_warnings_are_errors(make_kernel):
    kernel = make_kernel()
    kernel.run(START)
    kernel.run("import warnings; warnings.simplefilter('error')")
    assert kernel.run("before = list(warnings.filters)").reply["status"] == "ok"
    assert chart(kernel, "plt.plot([1, 2])")["type"] == "line"
    assert kernel.run("before == warnings.filters").result == "True"


def test_without_the_package(make_kernel):
    kernel = make_kernel()
    kernel.run("import sys; sys.modules['e2b_charts'] = None")
    (shown,) = bundles(kernel.run(START + "plt.plot([1, 2]);"))
    assert "image/png" in shown and "e2b/chart" not in shown


def test_imported_with_the_first_figure(make_kernel):
    kernel = make_kernel()
    loaded = "[n for n in ('e2b_charts', 'pydantic') if n in __import__('sys').modules]"
    assert kernel.run(f"{START}print(1)\n{loaded}").result == "[]"
    assert kernel.run(f"plt.plot([1, 2])\nplt.show()\n{loaded}").result == "['e2b_charts', 'pydantic']"


THREADS = """
import threading, warnings
from matplotlib.figure import Figure
def show(i):
    figure = Figure()
    figure.subplots().plot([i, i + 1, i])
    display(figure)
before = list(warnings.filters)
threads = [threading.Thread(target=show, args=(i,)) for i in range(8)]
[t.start() for t in threads]; [t.join() for t in threads]
assert warnings.filters == before
"""


def test_from_threads(kernel):
    run = kernel.run(START + "plt.plot([1, 2]); plt.close()\n" + THREADS, meta=RICH)
    assert run.reply["status"] == "ok" and run.text("stderr") == ""
    shown = [b["e2b/chart"]["elements"][0]["points"] for b in bundles(run)]
    assert sorted(shown) == [[[0, i], [1, i + 1], [2, i]] for i in range(8)]


def test_interrupt_while_a_chart_is_made(kernel):
    code = """
axes = plt.subplots()[1]; axes.plot([1, 2])
def wait(*args):
    print('on', flush=True)
    while True: pass
axes.get_xticklabels = wait
plt.show()
"""
    msg_id = kernel.send(START + code, meta=RICH)
    kernel.until_text(msg_id, "on\n")
    kernel.interrupt()
    assert kernel.finish(msg_id).reply["ename"] == "KeyboardInterrupt"
    assert chart(kernel, "plt.close('all'); plt.plot([1, 2])")["type"] == "line"
