"""JSON on the wire: valid UTF-8 whatever strings the user's code makes."""

from json.encoder import c_make_encoder, encode_basestring

from jupyter_client.jsonutil import json_clean, json_default

from .jsonable import finite


def _dumps(obj):
    """json.dumps(obj, default=json_default, ensure_ascii=False, allow_nan=False), which spends most of its
    time on small objects before it begins."""
    write = c_make_encoder({}, json_default, encode_basestring, None, ": ", ", ", False, False, False)
    return "".join(write(obj, 0))


def pack(obj) -> bytes:
    """Return `obj` as JSON in UTF-8; a jupyter_client Session's packer.

    Lone surrogates become U+FFFD (jupyter_client itself would fail on some of them and send
    invalid UTF-8 for others), NaN and infinities null, bytes base64.
    """
    if type(obj) is dict and not obj:
        return b"{}"
    try:
        text = _dumps(obj)
    except (TypeError, ValueError):
        text = _dumps(json_clean(finite(obj)))
    return encode(text)


def encode(text: str) -> bytes:
    """Return `text` in UTF-8 with U+FFFD for each lone surrogate."""
    try:
        return text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace").encode()
