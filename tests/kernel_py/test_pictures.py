"""Pillow's pictures in rich runs; needs install-kernels python --with-science."""

import base64

import pytest

RICH = {"kernelbridge": {"rich": True}}
MAKE = "from PIL import Image\nimage = Image.new({mode!r}, (3, 2))\n"


def pngs(run):
    data = [e["content"]["data"].get("image/png") for e in run.of("display_data")]
    return [base64.b64decode(d) for d in data if d]


@pytest.fixture(scope="module")
def kernel(shared):
    yield shared
    assert shared.run("6 * 7").result == "42"


@pytest.mark.parametrize("name", ["x.png", "x.jpg", "x.webp"])
def test_saving_displays(kernel, name):
    run = kernel.run(MAKE.format(mode="RGB") + f"image.save({name!r})\nprint('saved')", meta=RICH)
    (png,) = pngs(run)
    assert png.startswith(b"\x89PNG") and run.text() == "saved\n"
    assert (kernel.cwd / name).exists()


@pytest.mark.parametrize(
    "call", ["save('y', 'PNG')", "save(fp='y', format='PNG')", "save('y.png', optimize=True)"]
)
def test_however_it_is_called(kernel, call):
    assert len(pngs(kernel.run(MAKE.format(mode="RGBA") + f"image.{call}", meta=RICH))) == 1


@pytest.mark.parametrize("target", ["io.BytesIO()", "pathlib.Path('z.png')", "open('z.png', 'wb')"])
def test_other_targets_do_not_display(kernel, target):
    code = f"import io, pathlib\n{MAKE.format(mode='RGB')}image.save({target}, 'PNG')"
    run = kernel.run(code, meta=RICH)
    assert run.reply["status"] == "ok" and pngs(run) == []


def test_a_save_that_fails_fails(kernel):
    run = kernel.run(MAKE.format(mode="RGB") + "image.save('/nowhere/x.png')", meta=RICH)
    assert run.error["ename"] == "FileNotFoundError"


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "L", "P", "1", "CMYK", "F", "I;16", "YCbCr"])
def test_show_displays_once_and_opens_nothing(make_kernel, tmp_path, mode):
    tools = tmp_path / "tools"
    tools.mkdir()
    for tool in ("xdg-open", "display", "gm", "eog", "xv"):
        (tools / tool).write_text(f"#!/bin/sh\ntouch {tools}/opened\n")
        (tools / tool).chmod(0o755)
    kernel = make_kernel(env={"PATH": f"{tools}:/usr/bin:/bin"})
    run = kernel.run(MAKE.format(mode=mode) + "image.show()\nimage.show(title='t')", meta=RICH)
    assert run.reply["status"] == "ok" and run.text("stderr") == ""
    assert len(pngs(run)) == 2
    assert not (tools / "opened").exists()


def test_a_picture_as_result(kernel):
    (event,) = kernel.run(MAKE.format(mode="RGBA") + "image", meta=RICH).of("execute_result")
    assert base64.b64decode(event["content"]["data"]["image/png"]).startswith(b"\x89PNG")


def test_only_in_rich_runs(make_kernel):
    kernel = make_kernel()
    many = MAKE.format(mode="RGB") + "for i in range(100): image.save(f'{i}.png')"
    assert pngs(kernel.run(many)) == []
    save = "image.save('x.png')"
    assert len(pngs(kernel.run(save, meta=RICH))) == 1  # imported before the first rich run
    assert pngs(kernel.run(save)) == []
    assert len(pngs(kernel.run("import threading as t; x = t.Thread(target=image.save, args=('x.png',)); x.start(); x.join()", meta=RICH))) == 1  # fmt: skip


def test_pillow_is_itself_but_for_that(make_kernel):
    kernel = make_kernel()
    kernel.run("1", meta=RICH)
    code = """
import sys, inspect
print('PIL' in sys.modules)
import PIL.Image
print(type(PIL.Image.__loader__).__name__, PIL.Image.__spec__.loader is PIL.Image.__loader__)
print(PIL.Image.Image.save.__name__, inspect.signature(PIL.Image.Image.save))
print([f for f in sys.meta_path if type(f).__name__ == 'Pictures'])
"""
    lines = kernel.run(code, meta=RICH).text().splitlines()
    assert lines[0] == "False" and lines[1] == "SourceFileLoader True"
    assert lines[2].startswith("save (self, fp") and lines[3] == "[]"
    plain = make_kernel().run("import inspect, PIL.Image\nprint(PIL.Image.Image.save.__name__, inspect.signature(PIL.Image.Image.save))")  # fmt: skip
    assert plain.text().splitlines() == [lines[2]]


def test_changed_once(kernel):
    reload = "import importlib, PIL.Image\n"
    kernel.run(reload + MAKE.format(mode="RGB"), meta=RICH)
    kernel.run("1", meta=RICH)
    assert len(pngs(kernel.run("image.save('x.png')", meta=RICH))) == 1


def test_a_figure_saved_to_a_path_is_displayed_as_its_picture(kernel):
    """matplotlib saves PNG through Pillow."""
    code = "import matplotlib.pyplot as plt\nfig = plt.figure(); plt.plot([1, 2])\nfig.savefig('f.png')\nplt.close()"
    assert len(pngs(kernel.run(code, meta=RICH))) == 1
    assert pngs(kernel.run(code)) == []


def test_pillow_that_is_missing_stays_missing(make_kernel):
    kernel = make_kernel()
    run = kernel.run("import sys; sys.modules['PIL'] = None\nimport PIL.Image", meta=RICH)
    assert run.error["ename"] == "ModuleNotFoundError"
    assert kernel.run("1", meta=RICH).result == "1"
