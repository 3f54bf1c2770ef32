"""Python values as JSON has them. Bare NaN and Infinity are no JSON: clients' parsers fail on them."""

import dataclasses
import json
import math
import sys
from collections.abc import Callable
from datetime import date, datetime, time
from enum import Enum
from numbers import Real
from uuid import UUID


def _refuse(value):
    raise TypeError(f"{type(value).__name__} has no form in JSON")


def plain(obj, other: Callable = _refuse):
    """Return a copy of `obj` made of dict, list, str, int, float, bool and None alone.

    As orjson does it: NaN and infinities are None, dates and times ISO 8601, numpy's arrays and
    numbers lists and numbers, enumerators their values, dataclasses objects; keys become strings.
    `other(value)` gives what stands for anything else, integers of more than 64 bits among it.
    Raises TypeError where nothing does, ValueError or RecursionError for what contains itself.
    """

    def default(value):
        return _scalar(value, other)

    def whole(digits):
        value = int(digits)
        return value if -(1 << 63) <= value < 1 << 64 else other(value)

    try:
        text = json.dumps(obj, default=default)
    except TypeError:  # perhaps a key that JSON cannot have
        text = json.dumps(_named(obj, default), default=default)
    return json.loads(text, parse_constant=lambda name: None, parse_int=whole)


def finite(obj):
    """Return `obj` with None for each NaN and infinity in its dicts, lists and tuples."""
    if isinstance(obj, dict):
        return {key: finite(value) for key, value in obj.items()}
    if isinstance(obj, list | tuple):
        return [finite(value) for value in obj]
    if isinstance(obj, Real) and not isinstance(obj, int) and not math.isfinite(obj):
        return None
    return obj


def _scalar(value, other):
    numpy = sys.modules.get("numpy")
    if numpy and isinstance(value, numpy.generic | numpy.ndarray):
        array = numpy.asarray(value)
        return (array.astype(str) if array.dtype.kind == "M" else array).tolist()
    if isinstance(value, datetime) and value != value:  # pandas.NaT
        return None
    if isinstance(value, date | time):
        return value.isoformat()
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, UUID):
        return str(value)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
    return other(value)


def _named(obj, default):
    """Return `obj` with keys that JSON can have, or that it makes strings of itself."""
    if isinstance(obj, dict):
        return {_name(key, default): _named(value, default) for key, value in obj.items()}
    if isinstance(obj, list | tuple):
        return [_named(value, default) for value in obj]
    return obj


def _name(key, default):
    return key if isinstance(key, str | int | float | None) else default(key)
