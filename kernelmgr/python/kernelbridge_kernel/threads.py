"""Threads of libraries for linear algebra: none in a zygote, in a kernel as many as it would have."""

import ctypes
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager

# A process with threads cannot be forked. Read when the library is loaded.
_LIMITS = (
    "OPENBLAS_NUM_THREADS",
    "GOTO_NUM_THREADS",
    "OMP_NUM_THREADS",
    "MKL_NUM_THREADS",
    "BLIS_NUM_THREADS",
    "NUMEXPR_NUM_THREADS",
)
_OPENBLAS = re.compile(r"/[^/]*openblas[^/]*\.so[^/]*$")
_NAMES = [
    (f"{prefix}openblas_set_num_threads{suffix}", f"{prefix}openblas_get_num_procs{suffix}")
    for prefix in ("", "scipy_")
    for suffix in ("", "64_", "_64")
]


@contextmanager
def none() -> Iterator[None]:
    """Libraries that are loaded meanwhile start no threads."""
    before = {name: os.environ.get(name) for name in _LIMITS}
    os.environ.update(dict.fromkeys(_LIMITS, "1"))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def pools() -> list[tuple]:
    """Return (set number of threads, get number of processors) of each OpenBLAS that is loaded."""
    with open("/proc/self/maps") as maps:
        paths = {line.split(maxsplit=5)[-1].strip() for line in maps if "openblas" in line}
    found = []
    for path in sorted(filter(_OPENBLAS.search, paths)):
        library = ctypes.CDLL(path)
        for setter, getter in _NAMES:
            if hasattr(library, setter) and hasattr(library, getter):
                found.append((library[setter], library[getter]))
                break
    return found


def restore(found: list[tuple]):
    """Give each the threads that it would have if it were loaded now."""
    asked = (os.environ.get(name, "") for name in _LIMITS[:3])
    limit = next((int(text) for text in asked if text.isdecimal() and int(text) > 0), None)
    for set_threads, processors in found:
        set_threads(limit or processors())
