"""Races of a run: pairs of steps that conflict and that nothing but the schedule has put in this order.

One step *happens before* another if it caused it, stands before it in its lane, or conflicts with it and came first;
and so on, transitively. A race is a conflict that no third step orders. To try the other order, something must be taken
at the state before the first of the two: one of the steps with which the second can begin there (Abdulla et al., 2014).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from simulation.kernel.dependence import EVERYTHING, Touched
from simulation.search.explore.footprints import conflict
from simulation.world.scheduling import Step


@dataclass(slots=True)
class Taken:
    """A step of a run, as it was taken."""

    step: Step
    touched: Touched
    node: int
    """The place in the path of the choice that took it; -1 if there was nothing else that could happen."""


def reversals(run: Sequence[Taken]) -> Iterator[tuple[int, tuple[str, ...]]]:
    """Yield for each race the choice before its first step, and labels of steps, one of which must be tried there."""
    before = _order(run)
    for second, taken in enumerate(run):
        if taken.step.kind == "time":
            continue
        for first in _racing(run, before, second):
            if run[first].node >= 0:
                yield run[first].node, tuple(_beginnings(run, before, first, second))


def _order(run: Sequence[Taken]) -> list[int]:
    """Return for each step, as a set of bits, the steps that happen before it."""
    before: list[int] = []
    for place, taken in enumerate(run):
        found = 0
        for earlier in range(place - 1, -1, -1):
            if found >> earlier & 1:
                continue
            if _depends(run[earlier], taken):
                found |= before[earlier] | 1 << earlier
            if EVERYTHING in run[earlier].touched:
                break  # it conflicts with all that came before it
        before.append(found)
    return before


def _depends(earlier: Taken, later: Taken) -> bool:
    return _is_bound(earlier, later) or conflict(earlier.touched, later.touched)


def _is_bound(earlier: Taken, later: Taken) -> bool:
    return later.step.cause == earlier.step.label or later.step.lane == earlier.step.lane


def _racing(run: Sequence[Taken], before: Sequence[int], second: int) -> Iterator[int]:
    later = run[second]
    behind = 0
    """Everything that happens before some step which itself happens before the second."""
    for first in range(second - 1, -1, -1):
        if not before[second] >> first & 1:
            continue
        if not behind >> first & 1 and not _is_bound(run[first], later):
            yield first
        behind |= before[first]


def _beginnings(run: Sequence[Taken], before: Sequence[int], first: int, second: int) -> Iterator[str]:
    """Yield the steps with which the second can begin if the first is not taken yet."""
    members = [k for k in range(first + 1, second) if not before[k] >> first & 1] + [second]
    mask = 0
    for k in members:
        if not before[k] & mask:
            yield run[k].step.label
        mask |= 1 << k
