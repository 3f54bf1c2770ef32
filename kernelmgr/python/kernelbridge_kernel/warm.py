"""What a kernel loads and computes once when its first cells run, done ahead: for who forks kernels."""

import importlib
import linecache
import tempfile

MODULES = (
    "IPython.core.logger",  # every cell
    "IPython.core.magics.execution",  # %time, %%capture and their like
    "IPython.core.magics.osm",  # %cd, %env, %pwd
    "IPython.core.magics.basic",
    "IPython.core.magics.namespace",
    "IPython.core.magics.packaging",  # %pip
    "IPython.core.magics.script",  # %%bash
    "IPython.core.magic_arguments",
    "IPython.core.oinspect",
    "IPython.core.latex_symbols",  # completion
    "IPython.external.pickleshare",
    "jedi",
    "pexpect",  # !command
    "pygments.formatters.html",  # inspection
    "pygments.formatters.terminal256",  # tracebacks
    "pygments.lexers.python",
    "pygments.styles.default",
    "stack_data",
    "timeit",
)


def up():
    """Import them, and run what a cell, a result and a traceback of it pass through. Starts no thread,
    opens no file that stays open, and leaves no trace in what the user's code sees but sys.modules."""
    for name in MODULES:
        importlib.import_module(name)
    _cell()
    _result()
    _traceback()


def settle(shell):
    """The same for one kernel's shell, as far as that costs no memory worth mentioning."""
    import IPython.core.logger  # noqa: F401

    code = shell.transform_cell("1\n")
    shell.check_complete("1")
    compile(shell.compile.ast_parse(code), "<warm>", "exec")
    shell.display_formatter.format(1)
    tempfile.gettempdir()


def _cell():
    """The regular expressions of the tokenizer, and IPython's grammar of cells."""
    from IPython.core.inputtransformer2 import TransformerManager

    manager = TransformerManager()
    for cell in ("1", "1 +", "%time 1", "!true", "%%bash\ntrue", "x?", "def f():\n    return 1\n"):
        manager.transform_cell(cell)
        manager.check_complete(cell)


def _result():
    """Formatters: traitlets' tables of their classes."""
    from kernelbridge_kernel.rich import DisplayFormatter

    class Parent(DisplayFormatter):
        rich = False

    Parent().format([1, "two", {3: 4.0}])


def _traceback():
    """Parsers, colours, and inspect's table of modules, which takes a file look-up for each."""
    from IPython.core.ultratb import AutoFormattedTB, SyntaxTB

    name, code = "<warm>", "def f(x):\n    return 1 / x\n\nf(0)\n"
    linecache.cache[name] = len(code), None, code.splitlines(keepends=True), name
    try:
        exec(compile(code, name, "exec"), {"__name__": "__main__"})
    except ZeroDivisionError as error:
        for theme in ("neutral", "linux", "nocolor"):
            show = AutoFormattedTB(mode="Context", theme_name=theme)
            show.structured_traceback(type(error), error, error.__traceback__)
    finally:
        del linecache.cache[name]
    try:
        compile("1 +", name, "exec")
    except SyntaxError as error:
        SyntaxTB(theme_name="linux").structured_traceback(type(error), error, [])
