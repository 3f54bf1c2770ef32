"""Packages of which the kernel needs single modules, without running the rest at every start."""

import importlib.util
import sys
from types import ModuleType


class _Deferred(ModuleType):
    """A package whose __init__ runs when somebody asks for a name that it does not have yet."""

    def _load(self):
        self.__class__ = ModuleType
        self.__spec__.loader.exec_module(self)

    def __getattr__(self, name):
        self._load()
        return getattr(self, name)

    def __dir__(self):
        self._load()
        return dir(self)


def defer(name: str):
    """Make `import name.module` import that module only; `name` itself is completed on first use."""
    if name not in sys.modules:
        spec = importlib.util.find_spec(name)
        module = importlib.util.module_from_spec(spec)
        module.__class__ = _Deferred
        sys.modules[name] = module


def defer_jupyter_client():
    """ipykernel needs its sessions and connection files, not its managers of kernels."""
    defer("jupyter_client")
    import jupyter_client.connect

    jupyter_client.write_connection_file = jupyter_client.connect.write_connection_file
