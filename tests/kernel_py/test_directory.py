"""The working directory of one run: entered before, left exactly after."""

import os

import pytest

SHOW = "__import__('os').getcwd()"


def meta(cwd, **more):
    return {"kernelbridge": {"cwd": str(cwd), **more}}


def where(kernel):
    return kernel.run(f"print({SHOW})", silent=True).text().rstrip("\n")


@pytest.fixture
def place(tmp_path):
    path = tmp_path / 'it\'s a "place" \U0001f600 $HOME\n%s'
    path.mkdir()
    return path


KINDS = {
    "plain": f"print({SHOW}, end='')",
    "await": f"import asyncio\nawait asyncio.sleep(0)\nprint({SHOW}, end='')",
    "cell magic": f"%%capture out\nprint({SHOW}, end='')",
    "child": "import subprocess; print(subprocess.check_output(['pwd', '-P'], text=True)[:-1], end='')",
    "shell line": '!printf %s "$(pwd -P)"',
}


@pytest.mark.parametrize("kind", KINDS)
def test_entered_and_left_in_every_kind_of_cell(kernel, place, kind):
    run = kernel.run(KINDS[kind], meta=meta(place))
    text = kernel.run("print(out.stdout, end='')").text() if kind == "cell magic" else run.text()
    assert text.replace("\r\n", "\n") == str(place)  # shell lines have a terminal
    assert where(kernel) == str(kernel.cwd)


ENDS = {
    "exception": "1/0",
    "syntax error": "1 +",
    "exit": "raise SystemExit",
    "magic error": "%no_such_magic",
    "chdir": "import os; os.chdir('/')",
    "cd": "%cd -q /",
    "removed": "import os; os.rmdir(os.getcwd())",
    "chdir replaced": "import os; old = os.chdir; os.chdir = os.fchdir = None",
    "await": "import asyncio, os\nawait asyncio.sleep(0)\nos.chdir('/')\nraise ValueError",
    "empty": "",
}


@pytest.mark.parametrize("end", ENDS)
def test_left_however_the_run_ends(kernel, place, end):
    kernel.run(ENDS[end], meta=meta(place))
    kernel.run("import importlib, posix, os; os.chdir, os.fchdir = posix.chdir, posix.fchdir")
    assert where(kernel) == str(kernel.cwd)


def test_left_after_an_interrupt(kernel, place):
    msg_id = kernel.send("print('on', flush=True)\nwhile True: pass", meta=meta(place))
    kernel.until_text(msg_id, "on\n")
    kernel.interrupt()
    assert kernel.finish(msg_id).reply["ename"] == "KeyboardInterrupt"
    assert where(kernel) == str(kernel.cwd)


def test_back_is_where_the_code_was_not_where_the_kernel_started(kernel, place, tmp_path):
    kernel.run(f"import os; os.chdir({str(tmp_path)!r})")
    kernel.run("1/0", meta=meta(place))
    assert where(kernel) == str(tmp_path)
    kernel.run(f"os.chdir({str(kernel.cwd)!r})")
    assert where(kernel) == str(kernel.cwd)


def test_back_also_where_the_directory_was_renamed_or_removed(kernel, place, tmp_path):
    old = tmp_path / "old"
    old.mkdir()
    kernel.run(f"import os; os.chdir({str(old)!r})")
    kernel.run(f"os.rename({str(old)!r}, {str(old)!r} + '2')", meta=meta(place))
    assert where(kernel) == str(old) + "2"
    kernel.run(f"os.rmdir({str(old)!r} + '2')", meta=meta(place))
    run = kernel.run("os.getcwd()")
    assert run.error["ename"] == "FileNotFoundError"
    assert kernel.run(f"print({SHOW}, end='')", meta=meta(place)).text() == str(place)
    kernel.run(f"os.chdir({str(kernel.cwd)!r})")


def test_modules_are_found_there(kernel, place):
    (place / "only_there.py").write_text("value = 11")
    assert kernel.run("import only_there; only_there.value", meta=meta(place)).result == "11"


def test_together_with_variables(kernel, place):
    code = f"import os; print(os.environ['KB_RUN'], {SHOW}, end='')"
    assert kernel.run(code, meta=meta(place, env={"KB_RUN": "x"})).text() == f"x {place}"
    run = kernel.run("print('ran')", meta=meta(place, env={"A=B": "x"}))
    assert run.error["ename"] == "ValueError" and run.text() == ""
    assert where(kernel) == str(kernel.cwd)


def test_a_place_that_cannot_be_entered_is_an_error_of_the_run(kernel, tmp_path):
    (tmp_path / "file").touch()
    for name, ename in (("nowhere", "FileNotFoundError"), ("file", "NotADirectoryError")):
        run = kernel.run("print('ran')", meta=meta(tmp_path / name))
        assert run.reply["status"] == "error" and run.text() == ""
        assert run.error["ename"] == ename and str(tmp_path / name) in run.plain["value"]
        assert run.plain["traceback"].startswith("Traceback (most recent call last):\n")
    assert where(kernel) == str(kernel.cwd)


@pytest.mark.parametrize("cwd", ["", "relative", "~", "/a\0b", 1, True, ["/"], {}])
def test_impossible_places(kernel, cwd):
    run = kernel.run("print('ran')", meta={"kernelbridge": {"cwd": cwd}})
    assert run.error["ename"] == "ValueError" and run.text() == ""
    assert run.plain["value"] == "metadata.kernelbridge.cwd must be an absolute path"


def test_descriptors_do_not_leak(kernel, place):
    def count():
        return len(os.listdir(f"/proc/{kernel.process.pid}/fd"))

    kernel.run("1", meta=meta(place))
    before = count()
    for code in ("1", "1/0", "1 +"):
        kernel.run(code, meta=meta(place))
        kernel.run(code, meta=meta("/nowhere"))
    assert count() == before
