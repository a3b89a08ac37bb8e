"""Text of strangers on its way to a terminal."""

from __future__ import annotations

import re

_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff\u2028\u2029\u202a-\u202e\u2066-\u2069]")
"""What moves a cursor, sets a colour, turns the direction of writing, or is no character."""


def visible(text: str) -> str:
    """Return a text in which control characters are shown, such as \\x1b, and not sent."""
    return _CONTROL.sub(lambda found: ascii(found[0])[1:-1], text)
