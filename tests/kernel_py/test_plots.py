"""Figures are shown as in a stock kernel; needs install-kernels python --with-science."""

import base64

import pytest

from .conftest import Run

PLOT = "import matplotlib.pyplot as plt\nplt.plot([1, 3, 2]);"


def pngs(run):
    data = [e["content"]["data"].get("image/png") for e in run.of("display_data")]
    return [base64.b64decode(d) for d in data if d]


def test_figure_left_open_is_shown(kernel):
    run = kernel.run("print('a')\n" + PLOT + "\nprint('b')")
    (png,) = pngs(run)
    assert png.startswith(b"\x89PNG")
    assert run.text() == "a\nb\n"
    assert pngs(kernel.run("1")) == []


def test_figure_shown_where_show_is_called(kernel):
    run = kernel.run("print('a')\n" + PLOT + "\nplt.show()\nprint('b')")
    (shown,) = run.of("display_data")
    where = run.events.index(shown)
    assert Run(run.events[:where]).text() == "a\n" and Run(run.events[where:]).text() == "b\n"
    assert len(pngs(run)) == 1


@pytest.mark.parametrize("code", [PLOT + "\n'main'", PLOT + "\nfrom IPython.display import HTML\nHTML('x')"])
def test_figures_left_open_come_after_the_result(kernel, code):
    run = kernel.run(code)
    (result,), (shown,) = run.of("execute_result"), run.of("display_data")
    assert run.events.index(result) < run.events.index(shown)
    assert shown["content"]["data"]["text/plain"] == "<Figure size 640x480 with 1 Axes>"


def test_every_figure_once_and_also_after_an_error(kernel):
    code = PLOT + "\nplt.figure(); plt.plot([1, 2])\n1/0"
    run = kernel.run(code)
    assert run.error["ename"] == "ZeroDivisionError" and len(pngs(run)) == 2
    assert pngs(kernel.run("1")) == []


def test_a_backend_of_the_environment_is_kept(make_kernel):
    kernel = make_kernel(env={"MPLBACKEND": "Agg"})
    run = kernel.run(PLOT + "\nprint(plt.get_backend())")
    assert run.text() == "Agg\n" and pngs(run) == []


def test_backend_is_set_but_not_imported(make_kernel):
    kernel = make_kernel()
    code = "import os, sys; print(os.environ['MPLBACKEND'], 'matplotlib' in sys.modules)"
    assert kernel.run(code).text() == "module://matplotlib_inline.backend_inline False\n"


def test_data_frame_has_html(kernel):
    run = kernel.run("import pandas as pd; pd.DataFrame({'a': [1]})")
    (event,) = run.of("execute_result")
    assert "text/html" in event["content"]["data"]
