"""What the metadata of an execute_request asks for:

    {"kernelbridge": {"env": {"NAME": "value"}, "cwd": "/absolute", "stdin": "deny", "rich": true}}

Each key may be missing or null. `env` and `cwd` hold for this run only; with `stdin: "deny"` input()
fails at once, and is no empty standard input; `rich` wants the extra representations of rich.py.
"""

from typing import NamedTuple


class Wishes(NamedTuple):
    env: dict[str, str]
    cwd: str | None
    rich: bool


def wishes(meta: dict | None) -> Wishes:
    """Return what `meta` asks for. Raises ValueError where a key holds what it cannot; the names and
    values of variables are checked where they are set."""
    ours = _ours(meta)
    env, cwd = place(ours, "metadata.kernelbridge")
    if ours.get("stdin") not in (None, "deny"):
        raise ValueError('metadata.kernelbridge.stdin must be "deny"')
    if not isinstance(ours.get("rich"), bool | None):
        raise ValueError("metadata.kernelbridge.rich must be true or false")
    return Wishes(env, cwd, is_rich(meta))


def place(fields: dict, where: str) -> tuple[dict[str, str], str | None]:
    """Return `fields`' env, {} if there is none, and cwd. Raises ValueError as wishes()."""
    env, cwd = fields.get("env"), fields.get("cwd")
    if not isinstance(env, dict | None):
        raise ValueError(f"{where}.env must be an object")
    if cwd is not None and not (isinstance(cwd, str) and cwd.startswith("/") and "\0" not in cwd):
        raise ValueError(f"{where}.cwd must be an absolute path")
    return env or {}, cwd


def is_rich(meta: dict | None) -> bool:
    """True if `meta` wants the extra representations."""
    return _ours(meta).get("rich") is True


def denies_stdin(meta: dict | None) -> bool:
    """True if `meta` says that nobody can be asked for input."""
    return _ours(meta).get("stdin") == "deny"


def _ours(meta) -> dict:
    ours = (meta or {}).get("kernelbridge")
    return ours if isinstance(ours, dict) else {}
