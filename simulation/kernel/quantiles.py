"""Quantiles of durations, computed in one way for the command line, the tables of sweeps, pages and pictures.

Durations are counted, not kept. Rounded to four digits, there are at most nine thousand of them in a decade, for any
number of events, and no quantile is wrong by more than one part in two thousand.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable, Mapping
from itertools import accumulate
from math import floor

DIGITS = 4


def rounded(microseconds: int) -> int:
    """Return a duration rounded to four digits.

    >>> rounded(1234), rounded(12_344), rounded(12_345), rounded(99_999)
    (1234, 12340, 12350, 100000)
    """
    size: int = 10 ** max(0, len(str(microseconds)) - DIGITS)
    return (microseconds + size // 2) // size * size


def counted(durations: Iterable[int]) -> Counter[int]:
    """Return the number of times of each duration, in microseconds, rounded."""
    return Counter(map(rounded, durations))


def quantile(counts: Mapping[int, int], q: float) -> int | None:
    """Return a quantile of durations that were counted, in microseconds; None if there are none.

    Between two of them it lies on a line, as most programs have it: the median of two is their mean.

    >>> quantile({10: 1, 20: 1}, 0.5), quantile({10: 98, 500: 1, 1000: 1}, 0.99)
    (15, 505)
    """
    values = sorted(counts)
    ends = list(accumulate(counts[value] for value in values))
    if not (ends and ends[-1]):
        return None
    place = q * (ends[-1] - 1)
    low = floor(place)
    below, above = (values[bisect_right(ends, rank)] for rank in (low, min(low + 1, ends[-1] - 1)))
    return round(below + (above - below) * (place - low))
