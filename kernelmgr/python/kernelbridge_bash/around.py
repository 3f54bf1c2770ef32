"""A run's own variables and directory, put into bash before the run and taken back after it.

What was there is remembered here, not in bash, so that no name shows there.
"""

import re
import shlex

from .process import Bash

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


class Refused(Exception):
    """bash would not take a variable or the directory; the text says which and why."""


class Around:
    """`with Around(bash, env, cwd)`: set each variable and enter the directory; afterwards each
    variable is again what it was (unset, an array, not exported, ...) and so is the directory,
    whatever the code did to them. Raises Refused, and leaves everything as it was then; ValueError
    for what no bash can hold."""

    def __init__(self, bash: Bash, env: dict[str, str], cwd: str | None):
        self._bash = bash
        self._env = env
        self._cwd = cwd
        self._undo: list[str] = []
        for name, value in env.items():
            if not isinstance(value, str) or "\0" in value:
                raise ValueError(f"environment variable {name}: the value must be a string without NUL")
            if not _NAME.fullmatch(name):
                raise ValueError(f"environment variable {name!r}: not a name that bash can hold")

    def __enter__(self):
        if not self._env and self._cwd is None:
            return
        said = self._bash.said
        names = [*self._env, "OLDPWD"] if self._cwd is not None else list(self._env)
        before = self._bash.ask(
            f"\\builtin printf '%s\\0' \"${{PWD-}}\" >&{said}\n"
            + "".join(
                f"\\builtin declare -p {name} >&{said} || :\n\\builtin printf '\\0' >&{said}\n"
                for name in names
            )
        )
        if self._cwd is not None:
            self._undo.append(f"\\builtin cd -- {shlex.quote(before[0])} || :\n")
        for name, was in zip(names, before[1:], strict=True):
            # Not `builtin declare`: only behind the plain word bash reads an array.
            self._undo.append(f"{_unset(name)} || :\n\\builtin eval {shlex.quote(was)} || :\n")
        self._set()

    def _set(self):
        steps = [
            f"{_unset(name)} && \\builtin export {name}={shlex.quote(value)}"
            for name, value in self._env.items()
        ]
        if self._cwd is not None:
            steps.append(f"\\builtin cd -- {shlex.quote(self._cwd)}")
        said = self._bash.said
        told = self._bash.ask(
            "".join(
                f"{{ {step}; }} 2>&{said} && \\builtin printf '\\0\\0' >&{said}"
                f" || \\builtin printf '\\0failed\\0' >&{said}\n"
                for step in steps
            )
        )
        for text, failed in zip(told[::2], told[1::2], strict=True):
            if failed:  # `text` may begin with what `set -x` has to say
                self._restore()
                raise Refused(text.strip().rpartition("\n")[2].removeprefix("bash: "))

    def __exit__(self, *exc):
        if self._undo and exc[0] is None:
            self._restore()

    def _restore(self):
        self._bash.ask("".join(self._undo))


def _unset(name: str) -> str:
    return f"{{ [[ ! -R {name} ]] || \\builtin unset -n {name}; }} && \\builtin unset -v {name}"
