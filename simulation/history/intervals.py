"""Spans of time, and clocks that stand still in some of them.

A span is a pair of times in microseconds, `begin <= end`. A list of spans is *merged* when it is sorted and no two of
them touch. This file knows no history.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import accumulate
from typing import TypeVar

Span = tuple[int, int]
_Item = TypeVar("_Item")


def merge(spans: Iterable[Span]) -> list[Span]:
    """Return the union of the spans, sorted and without overlaps; empty ones are left out."""
    merged: list[Span] = []
    for begin, end in sorted(spans):
        if begin >= end:
            continue
        if merged and begin <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(merged[-1][1], end))
        else:
            merged.append((begin, end))
    return merged


def everywhere(lanes: Sequence[Sequence[Span]]) -> list[Span]:
    """Return the time that lies in a span of every lane; each lane must be merged. No lanes, no time."""
    steps = sorted(step for lane in lanes for begin, end in lane for step in ((begin, 1), (end, -1)))
    common: list[Span] = []
    inside, since = 0, 0
    for at, step in steps:
        if inside == len(lanes) and at > since:
            common.append((since, at))
        inside += step
        since = at
    return common


def within(spans: Sequence[Span], begin: int, end: int) -> Sequence[Span]:
    """Return those of some merged spans that overlap the time from `begin` to `end`, uncut."""
    first = bisect_right(spans, begin, key=lambda span: span[1])
    last = bisect_left(spans, end, key=lambda span: span[0])
    return spans[first:last]


class Clock:
    """Measures time, but stands still in some spans."""

    __slots__ = ("_begins", "_still_before", "still")

    def __init__(self, still: Iterable[Span] = ()) -> None:
        self.still = merge(still)
        self._begins = [begin for begin, _ in self.still]
        self._still_before = list(accumulate((end - begin for begin, end in self.still), initial=0))

    def elapsed(self, begin: int, end: int) -> int:
        """Return how much time this clock counts from `begin` to `end`: nothing if that is backwards."""
        return max(0, self._reading(end) - self._reading(begin))

    def _reading(self, at: int) -> int:
        passed = bisect_right(self._begins, at)
        if passed == 0:
            return at
        return at - self._still_before[passed] + max(0, self.still[passed - 1][1] - at)


def between(items: Sequence[_Item], after: int, before: int, place: Callable[[_Item], int]) -> Iterator[_Item]:
    """Yield the items, which are in order of their places, whose place lies between two others."""
    for number in range(bisect_right(items, after, key=place), len(items)):
        if place(items[number]) >= before:
            return
        yield items[number]
