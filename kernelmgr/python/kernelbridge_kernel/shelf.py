"""Packages that are loaded before a fork and out of sight until somebody imports them.

sys.modules of a forked kernel is what it is in a spawned one, so that a file of the user's with the name
of such a package is found first, and a package that was installed anew since then is loaded anew. An
import of one puts all its modules, and the packages that it needs, into sys.modules.
"""

import os
import sys
from collections.abc import Callable
from importlib.machinery import PathFinder
from types import BuiltinFunctionType, FunctionType, ModuleType


class Shelf:
    """A finder for sys.meta_path. `took(names)` is called after modules were taken from the shelf."""

    def __init__(self, before: set[str], took: Callable[[set[str]], None]):
        """Put on it every package and module that is not in `before` and that Python finds by path: no
        part of a package that stays."""
        self._packages: dict[str, dict[str, ModuleType]] = {}
        self._took = took
        seen = {_top(name) for name in before}
        for name, module in list(sys.modules.items()):
            top = _top(name)
            if top not in seen and _found_by_path(sys.modules[top] if top in sys.modules else None):
                self._packages.setdefault(top, {})[name] = module
        self._needs = {top: self._needs_of(top) for top in self._packages}
        self._files = {top: _stat(self._origin(top)) for top in self._packages}
        for modules in self._packages.values():
            for name in modules:
                del sys.modules[name]
        sys.meta_path.insert(0, self)

    def _needs_of(self, top) -> set[str]:
        """Return the other packages to which names in this one's modules refer."""
        found = set()
        for module in self._packages[top].values():
            for value in list(vars(module).values()):
                if isinstance(value, ModuleType):
                    found.add(_top(value.__name__))
                elif isinstance(value, type | FunctionType | BuiltinFunctionType):
                    found.add(_top(value.__module__ or ""))
        return (found & self._packages.keys()) - {top}

    def find_spec(self, name, path=None, target=None):
        """Return the spec that Python would find, with a loader that takes the package from the shelf."""
        modules = self._packages.get(name)
        if modules is None:
            return None
        spec = PathFinder.find_spec(name, path)
        if spec is None or spec.origin != self._origin(name):
            return None  # another of that name
        for top in self._with_needs(name):
            if top in self._packages and _stat(self._origin(top)) != self._files[top]:
                self._drop(top)
        if name not in self._packages:
            return None
        spec.loader = _Loader(self, spec.loader)
        return spec

    def _origin(self, top):
        return self._packages[top][top].__spec__.origin

    def module(self, name: str) -> ModuleType | None:
        """Return the package `name` if it is on the shelf."""
        modules = self._packages.get(name)
        return modules and modules[name]

    def take(self, name: str):
        """Put a package and those that it needs into sys.modules."""
        taken = set()
        for top in self._with_needs(name):
            del self._needs[top]
            for part, module in self._packages.pop(top).items():
                if sys.modules.setdefault(part, module) is module:
                    taken.add(part)
        self._took(taken)

    def _with_needs(self, name) -> set[str]:
        """Return `name` and all packages on the shelf that it needs."""
        found, todo = set(), {name}
        while todo:
            top = todo.pop()
            found.add(top)
            todo |= (self._needs[top] & self._needs.keys()) - found
        return found

    def _drop(self, top):
        """A package whose file has changed is not what is installed: it goes, and all that needs it."""
        self._packages.pop(top, None)
        if self._needs.pop(top, None) is not None:
            for other in [other for other, needs in self._needs.items() if top in needs]:
                self._drop(other)


class _Loader:
    """The package's own loader, but that the package is there already."""

    def __init__(self, shelf, real):
        self._shelf = shelf
        self._real = real

    def __getattr__(self, name):
        return getattr(self._real, name)

    def create_module(self, spec):
        module = self._shelf.module(spec.name)
        self._own = module and (module.__spec__, module.__loader__)
        return module or self._real.create_module(spec)

    def exec_module(self, module):
        if not self._own:  # it was taken since the spec was found
            return self._real.exec_module(module)
        module.__spec__, module.__loader__ = self._own
        self._shelf.take(module.__name__)


def _top(name: str) -> str:
    return name.partition(".")[0]


def _found_by_path(module) -> bool:
    spec = getattr(module, "__spec__", None)
    return spec is not None and spec.origin not in ("built-in", "frozen")


def _stat(path):
    try:
        stat = os.stat(path)
    except (OSError, TypeError):  # a namespace package has no file
        return None
    return stat.st_ino, stat.st_mtime_ns, stat.st_size
