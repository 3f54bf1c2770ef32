"""An exception as CPython itself prints it, without a trace of IPython."""

import codeop
import os
import traceback

import ipykernel
import IPython
import traitlets

LIMIT = 1 << 20  # most characters of a value or of a traceback
NAME_LIMIT = 1 << 10

_OURS = (
    *(
        os.path.dirname(os.path.abspath(module)) + os.sep
        for module in (IPython.__file__, ipykernel.__file__, traitlets.__file__, __file__)
    ),
    codeop.__file__,  # by which IPython compiles
)
_HEAD = "Traceback (most recent call last):\n"


def cut(text: str, limit: int = LIMIT) -> str:
    """Return `text`, or its beginning and a note of how much is missing."""
    if len(text) <= limit:
        return text
    return f"{text[:limit]}... [{len(text) - limit} characters cut]"


def cut_middle(text: str, limit: int = LIMIT) -> str:
    """Return `text`, or its beginning and end around a note of how much is missing."""
    if len(text) <= limit:
        return text
    half = limit // 2
    note = f"\n... [{len(text) - 2 * half} characters cut] ...\n"
    return text[:half] + note + text[-half:]


def name_of(etype: type) -> str:
    """Return the bare class name."""
    return cut(str(etype.__name__), NAME_LIMIT)


def value_of(value: BaseException) -> str:
    """Return str(value), also where that raises or is not a string at all."""
    try:
        return cut(str(value))
    except BaseException as err:
        if isinstance(err, KeyboardInterrupt):
            raise
        return f"<exception {type(value).__name__} has no str()>"


def describe(etype, value, tb, cell_names) -> dict[str, str]:
    """Return {"name", "value", "traceback"} of an exception, all plain text.

    `cell_names` holds the file names under which cells were compiled; their frames read
    `File "<stdin>", line N, in <module>`. A syntax error in a cell itself reads as one in `<string>`,
    its value `message (<string>, line N)`. The traceback begins with `Traceback (most recent call
    last):` and its last line is `name: value`, or `name` where there is no value.
    """
    name = name_of(etype)
    text = value_of(value)
    report = traceback.TracebackException(etype, value, tb, compact=True)
    outside = _outside(report.stack, cell_names)
    if outside and isinstance(value, KeyboardInterrupt | SyntaxError):
        report.stack.clear()
    _clean(report, cell_names)
    if outside and isinstance(value, SyntaxError) and (report.filename or "<").startswith("<"):
        text = cut(f"{value.msg} (<string>, line {value.lineno})")
        report.filename = "<string>"
        body = _syntax(report, name, text)
    else:
        body = "".join(report.format())
        if not body.startswith((_HEAD, "  + ", "  | ")):  # groups begin in another way
            body = _HEAD + body
    body = body.replace("\nIPython.core.error.", "\n")  # CPython writes a class's module before it
    return {"name": name, "value": text, "traceback": cut_middle(body)}


def _syntax(report, name, text) -> str:
    lines = list(report.format_exception_only())[:-1]
    return _HEAD + "".join(lines) + f"{name}: {text}\n"


def _outside(stack, cell_names) -> bool:
    """True if no frame is a cell's: a cell that does not compile, or an interrupt between two
    statements, which hits IPython or something below it."""
    return not any(frame.filename in cell_names for frame in stack)


def _clean(report, cell_names):
    """Rewrite `report` and everything it is chained to or made of, in place, without recursion."""
    todo, seen = [report], set()
    while todo:
        part = todo.pop()
        if part is None or id(part) in seen:
            continue
        seen.add(id(part))
        part.stack[:] = [frame for frame in part.stack if not frame.filename.startswith(_OURS)]
        for frame in part.stack:
            if frame.filename in cell_names:
                frame.filename = "<stdin>"
                if frame.name.startswith("<cell line:"):
                    frame.name = "<module>"
        if getattr(part, "filename", None) in cell_names:  # only those of syntax errors have one
            part.filename = "<string>"
        if isinstance(part._str, str):
            part._str = cut(part._str)
        todo += [part.__cause__, part.__context__, *(part.exceptions or ())]
