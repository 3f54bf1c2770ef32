"""What a zygote loads before it forks."""

import importlib
import importlib.util
import os
import sys

from . import prepared, warm
from .app import KernelApp

INLINE = "module://matplotlib_inline.backend_inline"

# Before their libraries are loaded, for these have no thread then: a process with threads cannot be
# forked. A forked kernel has the environment of a spawned one.
_ONE_THREAD = (
    "OPENBLAS_NUM_THREADS",
    "OMP_NUM_THREADS",
    "MKL_NUM_THREADS",
    "BLIS_NUM_THREADS",
    "NUMEXPR_NUM_THREADS",
)


# What the start itself imports late, and what is imported at the first use of the kernel.
_OURS = (
    "IPython.core.completerlib",
    "IPython.core.debugger",
    "bdb",
    "code",
    "faulthandler",
    "ipykernel.debugger",
    "kernelbridge_kernel.streams",
    "pdb",
    "tornado.platform.asyncio",
)


def load(modules: list[str]):
    """Import what a kernel needs, then `modules`. One that is missing or fails is a line on stderr."""
    for name in _OURS:
        importlib.import_module(name)
    warm.up()
    os.environ.update(dict.fromkeys(_ONE_THREAD, "1"), MPLBACKEND=INLINE)
    for name in modules:
        try:
            importlib.import_module(name)
        except Exception as err:
            print(f"zygote: {name} is not preloaded: {err}", file=sys.stderr, flush=True)
    if "matplotlib.pyplot" in sys.modules:
        importlib.import_module(INLINE.removeprefix("module://"))
    prepared.prepare(KernelApp.instance())
