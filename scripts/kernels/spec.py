"""spec.py KEY=VALUE...: stdin is a kernel.json with @KEY@ in its strings; stdout is the real one.

Run by install-kernels. Adds metadata.kernelbridge.installed_by. A @KEY@ that nobody gave is an error.
"""

import json
import re
import sys


def filled(value: object, known: dict[str, str]) -> object:
    """Return `value` with every @KEY@ in its strings replaced; KeyError where one is unknown."""
    if isinstance(value, str):
        return re.sub(r"@([A-Z_]+)@", lambda key: known[key[1]], value)
    if isinstance(value, list):
        return [filled(item, known) for item in value]
    if isinstance(value, dict):
        return {key: filled(item, known) for key, item in value.items()}
    return value


def main() -> None:
    spec = filled(json.load(sys.stdin), dict(arg.split("=", 1) for arg in sys.argv[1:]))
    ours = spec.setdefault("metadata", {}).setdefault("kernelbridge", {})
    ours["installed_by"] = "install-kernels"
    json.dump(spec, sys.stdout, indent=1)


if __name__ == "__main__":
    main()
