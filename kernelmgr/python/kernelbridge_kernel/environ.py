"""Environment variables of one execution: set before it, restored exactly after it."""

import os
from contextlib import contextmanager

_environ = os.environ  # the code may rebind os.environ; children see this one


@contextmanager
def applied(variables: dict[str, str]):
    """Set `variables` in os.environ, and afterwards give each of these keys its previous value back
    or remove it, whatever the code did to it. Other changes of the code persist.

    Raises ValueError for a name or value that no environment can hold; nothing is changed then.
    """
    check(variables)
    before = {name: _environ.get(name) for name in variables}
    try:
        _environ.update(variables)
        yield
    finally:
        for name, value in before.items():
            if value is None:
                _environ.pop(name, None)
            else:
                _environ[name] = value


def check(variables: dict[str, str]):
    """Raises ValueError for a name or value that no environment can hold."""
    for name, value in variables.items():
        if not isinstance(name, str) or not isinstance(value, str):
            raise ValueError(f"environment variable {name!r}: name and value must be strings")
        if not name or "=" in name or "\0" in name or "\0" in value:
            raise ValueError(f"environment variable {name!r}: not a valid name or value")
        os.fsencode(name), os.fsencode(value)
