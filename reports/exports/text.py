"""Text for other programs: names come from payloads, so they may hold anything that JSON can hold."""

from __future__ import annotations

import json
import math
import re
from typing import Any

_CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff\u2028-\u202e\u2066-\u2069]|\r(?!\n)")
"""Characters that move a cursor, set a colour or turn the direction of writing, and halves of characters."""
_LONE_SURROGATE = re.compile("[\ud800-\udfff]")


def whole(text: str) -> str:
    """Write out what no UTF-8 text can hold: a lone surrogate, which JSON lets into a name."""
    return text if text.isascii() else text.encode("utf-8", "backslashreplace").decode("utf-8")


def shown(text: str) -> str:
    """Write out control characters but for tabs and ends of lines: what is exported may be printed."""
    return text if text.isprintable() else _CONTROL.sub(lambda found: ascii(found[0])[1:-1], text)


def compact(value: Any) -> str:
    """Return a value as JSON on one line, fit for UTF-8; the same value always gives the same text.

    A value that Python reads from a history but JSON has no word for, such as NaN, becomes a string.
    """
    try:
        text = _encode(value)
    except ValueError:
        text = _encode(_finite(value))
    return text if text.isascii() else _LONE_SURROGATE.sub(lambda found: rf"\\u{ord(found[0]):04x}", text)


_encode = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode


def _finite(value: Any) -> Any:
    match value:
        case float():
            return value if math.isfinite(value) else str(value)
        case list() | tuple():
            return [_finite(item) for item in value]
        case dict():
            return {name: _finite(item) for name, item in value.items()}
        case _:
            return value


def one_line(text: str) -> str:
    """Write out every character that might end a line or is not to be seen."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
