"""What a zygote loads before it forks, and how a kernel takes it into use."""

import gc
import importlib
import os
import random
import sys
import warnings
from contextlib import suppress

from . import assign, prepared, threads, warm
from .app import KernelApp, NoProfile
from .kernel import hidden_debugger
from .pictures import Pictures
from .shelf import Shelf

INLINE = "module://matplotlib_inline.backend_inline"
_BACKEND = INLINE.removeprefix("module://")

# What the start itself imports late.
_START = (
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


class Preload:
    """The modules of one zygote. `load()` is for the zygote, once; the rest happens in kernels."""

    def load(self, modules: list[str], options: list[str]):
        """Load what a kernel needs and `modules`, then put on the shelf what a spawned kernel would not
        have. A module that is missing or fails is a line on stderr. Kernels that have options (options.py)
        make their shell themselves."""
        with hidden_debugger():
            for name in _START:
                importlib.import_module(name)
        ours = set(sys.modules)
        warm.up()
        tools = set(sys.modules)
        filters = warnings.filters[:]
        with threads.none():
            os.environ.setdefault("MPLBACKEND", INLINE)
            self._import(modules)
        self._theirs = set(sys.modules) - tools
        self._filters = [one for one in warnings.filters if one not in filters]
        self._generators = _generators()
        self._pools = threads.pools()
        _set_filters(filters)
        self._shelf = Shelf(ours, self._took)
        if not options:
            prepared.prepare(KernelApp.instance(), NoProfile(location="/"))

        self._folders = {path: _changed(path) for path in sys.path if path.startswith(sys.prefix)}

    def is_stale(self) -> bool:
        """True if packages were installed or removed since they were loaded."""
        return any(_changed(path) != when for path, when in self._folders.items())

    def _import(self, modules):
        for name in modules:
            try:
                importlib.import_module(name)
            except BaseException as err:
                print(f"zygote: {name} is not preloaded: {err}", file=sys.stderr, flush=True)
        if "matplotlib.pyplot" in sys.modules:
            importlib.import_module(_BACKEND)

    def _took(self, names):
        """Do for these modules what their import would do in this process."""
        if self._theirs and not self._theirs.isdisjoint(names):
            self._theirs = set()
            for renew in self._generators:
                renew()
            threads.restore(self._pools)
            _set_filters([one for one in self._filters if one not in warnings.filters] + warnings.filters)
        for name in assign._PACKAGES.keys() & names:
            with suppress(Exception):
                assign._PACKAGES[name](sys.modules[name])
        if process := "multiprocessing.process" in names and sys.modules["multiprocessing.process"]:
            process.current_process().authkey = os.urandom(32)
        if "matplotlib" in names:
            self._took_matplotlib(sys.modules["matplotlib"])
        if _BACKEND in names:
            sys.modules[_BACKEND]._enable_matplotlib_integration()
        for finder in list(sys.meta_path):
            if isinstance(finder, Pictures):
                finder.imported(names)

    def _took_matplotlib(self, matplotlib):
        matplotlib.get_configdir()
        matplotlib.get_cachedir()
        backend = os.environ.get("MPLBACKEND", INLINE)
        if backend != INLINE:
            matplotlib.rcParams["backend"] = backend


def _changed(path) -> int | None:
    try:
        return os.stat(path).st_mtime_ns
    except OSError:
        return None


def _set_filters(filters):
    warnings.filters[:] = filters
    warnings._filters_mutated()


def _generators() -> list:
    """Return a function for each generator of random numbers that some module made for itself: it gives
    the generator a new seed. (os.fork() does it for `random`'s own.)"""
    found = []
    bits = getattr(sys.modules.get("numpy.random.bit_generator"), "BitGenerator", ())
    for one in gc.get_objects():
        if isinstance(one, bits):
            found.append(lambda one=one: setattr(one, "state", type(one)().state))
        elif isinstance(one, random.Random) and not isinstance(one, random.SystemRandom):
            if one is not random._inst:
                found.append(one.seed)
    return found
