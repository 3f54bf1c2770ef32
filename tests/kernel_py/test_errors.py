"""Errors: one message each, IPython's own content, and a plain traceback as CPython prints it."""

import subprocess

import pytest

from .conftest import PREFIX

HEAD = "Traceback (most recent call last):"


def cpython(code: str, tmp_path) -> str:
    """Return what the kernel's Python prints when it runs `code` as a file, its name as <stdin>."""
    path = tmp_path / "cell.py"
    path.write_text(code)
    done = subprocess.run([PREFIX / 'venv/bin/python', path], capture_output=True, text=True, check=False)
    return done.stderr.replace(str(path), "<stdin>")


SAME = {
    "simple": "x = 1\n1/0\n",
    "calls": "def f(a):\n    return g(a)\n\ndef g(a):\n    raise ValueError('bad', a)\n\nf(3)\n",
    "cause": "try:\n    {}['k']\nexcept KeyError as e:\n    raise RuntimeError('no') from e\n",
    "context": "try:\n    {}['k']\nexcept KeyError:\n    [][1]\n",
    "suppressed": "try:\n    {}['k']\nexcept KeyError:\n    raise OSError(2, 'gone') from None\n",
    "deep chain": "e = None\nfor i in range(5):\n    try:\n        raise ValueError(i) from e\n"
    "    except ValueError as x:\n        e = x\nraise e\n",
    "group": "raise ExceptionGroup('many', [ValueError(1), TypeError('two')])\n",
    "group in context": "try:\n    raise ExceptionGroup('g', [KeyError(1)])\n"
    "except ExceptionGroup:\n    raise OSError('after')\n",
    "notes": "e = ValueError('v')\ne.add_note('a note')\nraise e\n",
    "recursion": "def f():\n    f()\nf()\n",
    "library": "import json\njson.loads('{')\n",
    "exec": "exec('1/0')\n",
    "syntax in exec": "exec('1 +')\n",
    "no message": "raise ValueError\n",
    "newlines": "raise ValueError('one\\ntwo')\n",
    "class": "class Own(Exception):\n    pass\nraise Own(1, 2)\n",
    "generator": "def g():\n    yield 1\n    raise KeyError('k')\nlist(g())\n",
    "assertion": "assert 1 == 2, 'no'\n",
    "interrupt": "raise KeyboardInterrupt('by code')\n",
    "base exception": "raise GeneratorExit\n",
    "import": "import no_such_module_at_all\n",
}


@pytest.mark.parametrize("name", SAME)
def test_reads_as_cpython_prints_it(kernel, tmp_path, name):
    code = SAME[name]
    expected = cpython(code, tmp_path)
    got = kernel.run(code)
    if name == "recursion":  # how deep it got differs by the frames below the cell
        assert got.plain["traceback"].startswith(HEAD)
        assert "  [Previous line repeated" in got.plain["traceback"]
        expected = expected.splitlines()[-1] + "\n"
        assert got.plain["traceback"].endswith(expected)
    else:
        assert got.plain["traceback"] == expected
    assert got.text("stderr") == ""
    assert got.reply["status"] == "error"
    assert got.reply["ename"] == got.error["ename"] == got.plain["name"]


SYNTAX = {
    "1 +": ("SyntaxError", "invalid syntax (<string>, line 1)"),
    "x = 1\nif x\n  y": ("SyntaxError", "expected ':' (<string>, line 2)"),
    "if 1:\nx": (
        "IndentationError",
        "expected an indented block after 'if' statement on line 1 (<string>, line 2)",
    ),
    "print('a": ("SyntaxError", "unterminated string literal (detected at line 1) (<string>, line 1)"),
    "def f():\n  x\n\ty": ("TabError", None),
    "return 1": ("SyntaxError", "'return' outside function (<string>, line 1)"),
    "f(": ("SyntaxError", "'(' was never closed (<string>, line 1)"),
    "nonlocal x": ("SyntaxError", "nonlocal declaration not allowed at module level (<string>, line 1)"),
}


@pytest.mark.parametrize("code", SYNTAX)
def test_syntax_error_in_a_cell(kernel, code):
    name, value = SYNTAX[code]
    run = kernel.run(code)
    plain = run.plain
    assert plain["name"] == run.error["ename"] == name
    assert plain["value"] == (value or plain["value"])
    lines = plain["traceback"].splitlines()
    assert lines[0] == HEAD
    assert lines[1].startswith('  File "<string>", line ')
    assert lines[-1] == f"{name}: {plain['value']}"
    assert "ipykernel" not in plain["traceback"]
    assert plain["traceback"].endswith("\n")


def test_null_byte_in_code(kernel):
    run = kernel.run("x = '\0'")
    assert run.reply["status"] == "error"
    assert run.plain["traceback"].startswith(HEAD)
    assert run.plain["traceback"].splitlines()[-1].startswith(f"{run.plain['name']}: ")


def test_too_deeply_nested_code(kernel):
    run = kernel.run("(" * 10000 + ")" * 10000)
    assert run.reply["status"] == "error"
    assert run.plain["traceback"].splitlines()[-1].startswith(f"{run.plain['name']}")


def test_content_for_other_clients_is_ipythons(kernel):
    run = kernel.run("1/0")
    assert run.error["ename"] == "ZeroDivisionError"
    assert run.error["evalue"] == "division by zero"
    assert any("\x1b[" in line for line in run.error["traceback"])
    assert run.error["traceback"] == run.reply["traceback"]


NO_STR = {
    "str raises": "class E(Exception):\n    def __str__(self): raise ValueError('no')\nraise E",
    "str of another type": "class E(Exception):\n    def __str__(self): return 3\nraise E",
    "str exits": "class E(Exception):\n    def __str__(self): raise SystemExit\nraise E",
    "repr raises too": "class E(Exception):\n"
    "    def __str__(self): 1/0\n    def __repr__(self): 1/0\nraise E",
    "own renderer fails": "class E(Exception):\n    def _render_traceback_(self): 1/0\nraise E",
    "lying traceback": "class E(Exception):\n    __traceback__ = 3\nraise E",
    "weird cause": "class E(Exception):\n    __cause__ = 3\nraise E",
    "str recurses": "class E(Exception):\n    def __str__(self): return str(self)\nraise E",
}


@pytest.mark.parametrize("name", NO_STR)
def test_hostile_exceptions_are_reported(kernel, name):
    run = kernel.run(NO_STR[name])
    assert run.error["ename"] == run.plain["name"] == run.reply["ename"] == "E"
    assert run.reply["status"] == "error"
    assert run.plain["traceback"].startswith(HEAD)


def test_huge_message_is_cut(kernel):
    run = kernel.run("raise ValueError('x' * 5_000_000)")
    for text in (run.plain["value"], run.error["evalue"], run.reply["evalue"]):
        assert (1 << 20) <= len(text) < (1 << 20) + 100
        assert text.endswith("characters cut]")
    assert len(run.plain["traceback"]) < (1 << 20) + 1000
    assert run.plain["traceback"].startswith(HEAD)
    assert run.plain["traceback"].rstrip().endswith("characters cut]")


def test_long_context_chain_is_reported(kernel):
    code = """
def f(n):
    e = None
    for i in range(n):
        new = ValueError(i); new.__context__ = e; e = new
    raise e
f(3000)
"""
    run = kernel.run(code)
    assert run.plain["name"] == "ValueError" and run.plain["value"] == "2999"
    assert run.plain["traceback"].splitlines()[-1] == "ValueError: 2999"


def test_mutual_recursion_is_reported(kernel):
    run = kernel.run("def a(): b()\ndef b(): a()\na()")
    lines = run.plain["traceback"].splitlines()
    assert lines[0] == HEAD and lines[-1].startswith("RecursionError: maximum recursion depth")


def test_usage_error_of_a_magic(kernel):
    run = kernel.run("%no_such_magic")
    assert run.error["ename"] == "UsageError"
    assert run.plain["traceback"].splitlines()[-1].startswith("UsageError: ")
    assert run.text("stderr") == ""


def test_error_inside_a_magic(kernel):
    run = kernel.run("%%time\ndef f(): 1/0\nf()")
    assert run.plain["traceback"].splitlines()[1].startswith('  File "<stdin>", line ')
    for word in ("IPython", "ipykernel", "kernelbridge_kernel", "\x1b"):
        assert word not in run.plain["traceback"]


def test_error_in_top_level_await(kernel):
    code = "import asyncio\nasync def f():\n    await asyncio.sleep(0)\n    1/0\nawait f()"
    expected = [
        HEAD,
        '  File "<stdin>", line 5, in <module>',
        "    await f()",
        '  File "<stdin>", line 4, in f',
        "    1/0",
        "    ~^~",
        "ZeroDivisionError: division by zero",
    ]
    assert kernel.run(code).plain["traceback"].splitlines() == expected


def test_error_while_a_result_is_shown(kernel):
    run = kernel.run("class R:\n    def __repr__(self): raise KeyError('shown')\nR()")
    assert run.reply["status"] == "error"
    assert run.plain["name"] == "KeyError"
    assert '", in __repr__' in run.plain["traceback"].replace("line 2", '"')


def test_frames_of_earlier_cells(kernel):
    kernel.run("def earlier():\n\n    raise ValueError('deep')")
    lines = kernel.run("earlier()").plain["traceback"].splitlines()
    assert lines[1:3] == ['  File "<stdin>", line 1, in <module>', "    earlier()"]
    last = ['  File "<stdin>", line 3, in earlier', "    raise ValueError('deep')", "ValueError: deep"]
    assert lines[-3:] == last


def test_exception_in_a_thread_goes_to_stderr(kernel):
    run = kernel.run("import threading\nt = threading.Thread(target=lambda: 1/0); t.start(); t.join()")
    assert run.reply["status"] == "ok"
    assert "ZeroDivisionError" in run.text("stderr")


def test_the_code_sees_the_last_error(kernel):
    kernel.run("1/0")
    assert kernel.run("import sys; sys.last_type.__name__").result == "'ZeroDivisionError'"


def test_runs_after_an_error(kernel):
    kernel.run("raise ValueError")
    assert kernel.run("2").result == "2"
