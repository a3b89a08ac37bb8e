"""Intervals of 95 % around what was measured in samples."""

from __future__ import annotations

from math import sqrt

Z = 1.959964
"""The quantile of the normal distribution for an interval of 95 %."""


def student(freedom: int) -> float:
    """Return the half width of a 95 % interval of a mean in standard errors, after Cornish and Fisher.

    From four degrees of freedom on, it is right to two parts in a hundred; with fewer, the interval is too narrow.

    >>> round(student(7), 2)
    2.36
    """
    first, second = Z**3 + Z, 5 * Z**5 + 16 * Z**3 + 3 * Z
    return Z + first / (4 * freedom) + second / (96 * freedom**2)


def wilson(successes: int, trials: int) -> tuple[float, float]:
    """Return the 95 % interval of a rate after Wilson, which is sound for rates near 0 and 1.

    >>> [round(bound, 4) for bound in wilson(0, 50)]
    [0.0, 0.0713]
    """
    if not trials:
        return 0.0, 1.0
    rate = successes / trials
    spread = 1 + Z**2 / trials
    centre = (rate + Z**2 / (2 * trials)) / spread
    margin = Z * sqrt(rate * (1 - rate) / trials + Z**2 / (4 * trials**2)) / spread
    return max(0.0, centre - margin), min(1.0, centre + margin)
