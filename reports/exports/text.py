"""Text for other programs: names come from payloads, so they may hold anything that JSON can hold."""

from __future__ import annotations

import json
import math
import re
from typing import Any

_LONE_SURROGATE = re.compile("[\ud800-\udfff]")


def whole(text: str) -> str:
    """Write out what no UTF-8 text can hold: a lone surrogate, which JSON lets into a name."""
    return text if text.isascii() else text.encode("utf-8", "backslashreplace").decode("utf-8")


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
