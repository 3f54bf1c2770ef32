"""Variables of one run: set exactly, seen by children, restored exactly."""

import json

import pytest

NASTY = {
    "KB_A": "plain",
    "KB_QUOTES": "it's \"quoted\" `x` $HOME \\n %s {0}",
    "KB_LINES": "one\ntwo\r\n\ttabbed\n",
    "KB_EMOJI": "\U0001f600 \u00e4\u20ac",
    "KB_EMPTY": "",
    "KB \u00e4.odd-name": "1",
    "HOME": "/elsewhere",
}
SHOW = "import os, json; print(json.dumps({k: os.environ.get(k) for k in %r}))"


def meta(env):
    return {"kernelbridge": {"env": env}}


def environ(kernel, names):
    return json.loads(kernel.run(SHOW % list(names), silent=True).text())


def test_set_exactly_and_restored(kernel):
    before = environ(kernel, NASTY)
    assert json.loads(kernel.run(SHOW % list(NASTY), meta=meta(NASTY)).text()) == NASTY
    assert environ(kernel, NASTY) == before
    assert before["HOME"] == str(kernel.home)


def test_children_see_them(kernel):
    code = "import os, subprocess; subprocess.run(['printenv', 'KB_LINES']); os.system('printenv KB_A');"
    assert kernel.run(code, meta=meta(NASTY)).text() == NASTY["KB_LINES"] + "\nplain\n"


def test_changed_keys_are_restored_and_other_changes_persist(kernel):
    kernel.run("import os; os.environ['KB_SET'] = 'before'; os.environ.pop('KB_OTHER', None)")
    code = """
os.environ['KB_SET'] = 'changed'; del os.environ['KB_NEW']
os.environ['KB_OTHER'] = 'kept'; os.environ['KB_ANEW'] = 'x'
"""
    kernel.run(code, meta=meta({"KB_SET": "run", "KB_NEW": "run", "KB_ANEW": "run"}))
    names = ["KB_SET", "KB_NEW", "KB_ANEW", "KB_OTHER"]
    expected = dict(zip(names, ["before", None, None, "kept"], strict=True))
    assert environ(kernel, names) == expected
    kernel.run("del os.environ['KB_SET'], os.environ['KB_OTHER']")


ENDS = {
    "exception": "1/0",
    "syntax error": "1 +",
    "indentation error": "  x\n y",
    "exit": "raise SystemExit",
    "magic error": "%no_such_magic",
    "cell magic": "%%bash\necho $KB_RUN",
    "shell line": "!echo $KB_RUN",
    "rebound": "import os\nold = os.environ\nos.environ = {}\nos.environ = old",
    "cleared": "import os\nsave = dict(os.environ)\nos.environ.clear()\nos.environ.update(save)",
    "empty": "",
    "await": "import asyncio\nawait asyncio.sleep(0)\nraise ValueError",
}


@pytest.mark.parametrize("silent", [False, True])
@pytest.mark.parametrize("end", ENDS)
def test_restored_however_the_run_ends(kernel, end, silent):
    run = kernel.run(ENDS[end], meta=meta({"KB_RUN": "there"}), silent=silent)
    if end in ("cell magic", "shell line"):
        assert run.text().split() == ["there"]
    assert environ(kernel, ["KB_RUN"]) == {"KB_RUN": None}


def test_there_in_every_kind_of_cell(kernel):
    env = meta({"KB_RUN": "there"})
    show = "__import__('os').environ['KB_RUN']"
    for code in (f"print({show})", f"    print({show})", f"%%time\nprint({show})"):
        assert kernel.run(code, meta=env).text().startswith("there\n")
    code = f"import asyncio\nawait asyncio.sleep(0)\nprint({show})"
    assert kernel.run(code, meta=env).text() == "there\n"
    reply = kernel.run("", meta=env, user_expressions={"e": show}).reply
    assert reply["user_expressions"]["e"]["data"]["text/plain"] == "'there'"


def test_line_numbers_stay_true(kernel):
    run = kernel.run("x = 1\n\n1/0", meta=meta(NASTY))
    assert 'File "<stdin>", line 3, in <module>' in run.plain["traceback"]


def test_restored_after_an_interrupt(kernel):
    code = "print('on', flush=True)\nwhile True: pass"
    msg_id = kernel.send(code, meta=meta({"KB_RUN": "there"}))
    kernel.until_text(msg_id, "on\n")
    kernel.interrupt()
    assert kernel.finish(msg_id).reply["ename"] == "KeyboardInterrupt"
    assert environ(kernel, ["KB_RUN"]) == {"KB_RUN": None}


@pytest.mark.parametrize(
    "env", [{"": "x"}, {"A=B": "x"}, {"A\0": "x"}, {"A": "\0"}, {"A": 1}, {"A": None}, ["A"], "A=1"]
)
def test_impossible_variables_are_an_error_of_the_run(kernel, env):
    run = kernel.run("print('ran')", meta=meta(env))
    assert run.reply["status"] == "error"
    assert run.error["ename"] == "ValueError"
    assert "environment variable" in run.plain["value"] or "must be an object" in run.plain["value"]
    assert run.text() == ""


@pytest.mark.parametrize("metadata", [{}, {"kernelbridge": {}}, {"kernelbridge": None}, {"x": 1}])
def test_no_variables_given(kernel, metadata):
    assert kernel.run("1", meta=metadata).result == "1"
