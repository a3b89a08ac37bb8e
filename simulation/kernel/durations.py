"""Durations as people write them ("250ms", "15m", "1h30m") and as the simulation counts them: in microseconds."""

from __future__ import annotations

import re

_UNITS = {"us": 1, "µs": 1, "ms": 1_000, "s": 1_000_000, "m": 60_000_000, "h": 3_600_000_000, "d": 86_400_000_000}
_PART = re.compile(r"(\d+(?:\.\d+)?)\s*(us|µs|ms|s|m|h|d)")
PATTERN = rf"(0|({_PART.pattern})+)"
"""The pattern of a duration, without blanks around it."""
ACCEPTED = 'a duration such as "250ms", "1.5s", "15m" or "1h30m" (units: us, ms, s, m, h, d)'


MAX_DURATION = 1_000 * 366 * 86_400_000_000
"""A thousand years, in microseconds: a longer duration is a slip, and sums of durations must stay within 64 bits."""


def parse_duration(text: object) -> int:
    """Return the microseconds of a duration in text. Raises ValueError with the accepted forms."""
    if isinstance(text, bool) or not isinstance(text, str | int) or (isinstance(text, int) and text != 0):
        raise ValueError(f"{repr(text)[:60]} has no unit; give {ACCEPTED}")
    if text in (0, "0"):
        return 0
    compact = str(text).strip()
    position = total = 0
    while part := _PART.match(compact, position):  # at each place once: a text of a million digits is read, too
        position = part.end()
        value = float(part[1]) * _UNITS[part[2]]
        if value > MAX_DURATION or total > MAX_DURATION:
            raise ValueError(f"{str(text)[:60]!r} is longer than a thousand years")
        total += round(value)
    if not compact or position != len(compact):
        raise ValueError(f"{repr(text)[:60]} is not {ACCEPTED}")
    return total


def format_duration(microseconds: int) -> str:
    """Return a duration in text that parse_duration reads back to the same number.

    >>> format_duration(90_000_000), format_duration(250_000), format_duration(0)
    ('1m30s', '250ms', '0s')
    """
    if microseconds == 0:
        return "0s"
    parts = []
    for unit, size in (("h", 3_600_000_000), ("m", 60_000_000), ("s", 1_000_000), ("ms", 1_000), ("us", 1)):
        count, microseconds = divmod(microseconds, size)
        if count:
            parts.append(f"{count}{unit}")
    return "".join(parts)


def in_words(microseconds: float) -> str:
    """Return a duration for people, rounded to three digits in the unit that suits it.

    >>> in_words(38_200), in_words(900_000_000), in_words(412)
    ('38.2 ms', '900 s', '412 µs')
    """
    for unit, size in (("s", 1_000_000), ("ms", 1_000)):
        if microseconds >= size:
            return f"{float(f'{microseconds / size:.3g}'):g} {unit}"
    return f"{microseconds:g} µs"
