"""Options of a kernel on its command line, as in a kernelspec's argv:

    --HistoryManager.enabled=True          a word that begins with -- and has its value behind =
    --debugger

Those of a zygote (zygote.py) hold for every kernel that it forks. What there is: docs/python-kernel.md.
"""

DEBUGGER = "--debugger"


def split(argv: list[str]) -> tuple[list[str], list[str]]:
    """Return (the options in `argv`, its other words), each in order."""
    options = [word for word in argv if word.startswith("--")]
    return options, [word for word in argv if not word.startswith("--")]


def app_class(argv: list[str]):
    """Return (the application class that `argv` asks for, the words that are left for it to read)."""
    if DEBUGGER not in argv:
        from .app import KernelApp

        return KernelApp, argv
    from .debugged import DebuggedApp

    return DebuggedApp, [word for word in argv if word != DEBUGGER]
