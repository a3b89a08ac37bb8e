"""Seconds in words and on axes: the unit that suits a span, and the text of a duration.

This file has no data and draws nothing.
"""

from __future__ import annotations

import math
from typing import NamedTuple


class Unit(NamedTuple):
    """A unit of time: its sign, and its length in seconds."""

    sign: str
    seconds: float


UNITS = (Unit("h", 3600.0), Unit("min", 60.0), Unit("s", 1.0), Unit("ms", 1e-3), Unit("µs", 1e-6))
"""From the longest to the shortest; the shortest is the resolution of a history."""


def unit_for(span: float) -> Unit:
    """Return the unit in which an axis over a span of seconds has numbers that read well: about 2 to 200."""
    return next((unit for unit in UNITS if span >= 2 * unit.seconds), UNITS[-1])


def duration(seconds: float) -> str:
    """Write a duration with its unit and about three significant digits: `38 ms`, `1.25 s`, `15 min`.

    A duration that is not known is written as a dash.
    """
    if not math.isfinite(seconds):
        return "–"
    if seconds == 0:
        return "0 s"
    unit = next((u for u in UNITS if abs(seconds) >= 0.9995 * u.seconds), UNITS[-1])
    if unit.sign in ("h", "min") and abs(seconds) < 2 * unit.seconds:
        unit = UNITS[UNITS.index(unit) + 1]
    return f"{_digits(seconds / unit.seconds)} {unit.sign}"


def _digits(value: float) -> str:
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.3g}"


def share(part: int, whole: int) -> str:
    """Write a share as a percentage: `2 of 200` is `1.00 %`; of nothing, a dash."""
    return f"{100 * part / whole:.2f} %" if whole else "–"
