"""The working directory of one execution: entered before it, left exactly after it."""

from contextlib import contextmanager
from os import O_DIRECTORY, O_PATH, chdir, close, fchdir
from os import open as open_fd


@contextmanager
def entered(path: str | None):
    """Work in `path`, and afterwards in the directory of before, wherever the code went and whatever
    it did to that directory's name. None: stay. Raises OSError where `path` cannot be entered."""
    if path is None:
        yield
        return
    before = open_fd(".", O_PATH | O_DIRECTORY)
    try:
        chdir(path)
        yield
    finally:
        try:
            fchdir(before)
        finally:
            close(before)
