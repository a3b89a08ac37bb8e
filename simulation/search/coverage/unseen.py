"""The unseen mass of a search: the Good-Turing estimate, with an interval.

A search that draws its runs independently samples behaviours from an unknown distribution. The *unseen mass*
is the probability that the next run shows a behaviour that no run before has shown. Good (1953) estimates it by the
share of runs whose behaviour was seen exactly once.

The interval is at 95 %. Its upper end is exact for independent runs: the number of runs in the second half with a
behaviour that the first half had not shown is a binomial draw from the mass that was unseen then, so the bound of
Clopper and Pearson (1934) holds for that mass; and the mass that is unseen now is not greater. The lower end is the
normal approximation of Esty (1983), and never above the mass that those runs prove to have been unseen at their half:
where each run is new, the approximation has no spread.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from math import exp, lgamma, log, log1p, sqrt

from simulation.search.confidence import Z

SIDE = 0.025
"""The probability of an error on each side of the interval."""


@dataclass(frozen=True, slots=True)
class Unseen:
    """An estimate of the probability that the next run shows a new behaviour."""

    estimate: float
    low: float
    high: float


def unseen(behaviours: Sequence[int], error: float = SIDE) -> Unseen | None:
    """Estimate the unseen mass from the behaviours of independent runs, in the order of the runs; None if too few.

    The mass is above the interval with a probability of `error` at most.
    """
    count = len(behaviours)
    if count < 2:
        return None
    frequencies = Counter(Counter(behaviours).values())
    once, twice = frequencies[1], frequencies[2]
    estimate = once / count
    spread = Z * sqrt(max(0.0, once * (1 - estimate) + 2 * twice)) / count
    known = set(behaviours[: count // 2])
    second = behaviours[count // 2 :]
    fresh = sum(behaviour not in known for behaviour in second)
    high = max(estimate, upper_bound(fresh, len(second), error))
    proved = 1 - upper_bound(len(second) - fresh, len(second))
    return Unseen(estimate, max(0.0, min(estimate - spread, proved)), high)


def upper_bound(hits: int, trials: int, error: float = SIDE) -> float:
    """Return the greatest probability for which so few hits have at least a probability of `error`."""
    if hits >= trials:
        return 1.0
    low, high = hits / trials, 1.0
    for _ in range(50):
        middle = (low + high) / 2
        low, high = (middle, high) if _at_most(hits, trials, middle) > error else (low, middle)
    return high


def _at_most(hits: int, trials: int, chance: float) -> float:
    """Return the probability of at most so many hits, summed from the largest term down so that it ends soon."""
    if not 0 < chance < 1:
        return 1.0 if chance <= 0 else 0.0
    odds = log(chance) - log1p(-chance)
    whole = lgamma(trials + 1)
    total = 0.0
    for k in range(hits, -1, -1):
        term = exp(whole - lgamma(k + 1) - lgamma(trials - k + 1) + k * odds + trials * log1p(-chance))
        total += term
        if term < total * 1e-12:
            break
    return total
