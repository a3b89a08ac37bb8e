"""A time axis on which long idle spans are short.

A follower that is rescued waits for a quarter of an hour, after a few seconds in which everything else happened. To
scale, those seconds are one column of pixels. So a span without entries is folded if it is much longer than all that is
left; the axis marks the fold, and says how long it lasted.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from reports.figures.units import Unit, unit_for

if TYPE_CHECKING:
    from reports.figures.series import Floats
    from reports.tables.tables import Table

FOLD_RATIO = 2.0
"""An idle stretch is folded if it lasts this many times as long as all that is left without it."""

SHORTEST_REST_S = 1e-5
"""Less than this, in seconds, is not left by any fold: a history counts microseconds."""

MAX_FOLDS = 4

FOLDED = 0.07
"""The share of the axis that a fold gets, for any duration."""

MARGIN = 0.03
"""The unfolded part at either end of an idle stretch, as a share of all that is left."""

APART = 0.065
"""Smallest distance between two labels, as a share of the axis."""


@dataclass(frozen=True, slots=True)
class Fold:
    """An idle stretch that is drawn short, in seconds."""

    begin: float
    end: float


@dataclass(frozen=True, slots=True)
class Tick:
    """A place on an axis, and its label."""

    at: float
    words: str


class Timeline:
    """The time from 0 to `end`, in seconds, on an axis from 0 to 1; `happened`: the times of things to see."""

    def __init__(self, end: float, happened: Iterable[float] = ()) -> None:
        self.end = end or 1.0
        self.folds = tuple(_folds(self.end, happened))
        folded = sum(fold.end - fold.begin for fold in self.folds)
        self._kept = self.end - folded
        share = (1.0 - FOLDED * len(self.folds)) / self._kept
        at, places = [0.0], [0.0]
        for fold in self.folds:
            at += [fold.begin, fold.end]
            places.append(places[-1] + share * (fold.begin - at[-3]))
            places.append(places[-1] + FOLDED)
        self._at = np.array([*at, self.end])
        self._places = np.array([*places, 1.0])

    def place(self, at: float) -> float:
        """Return where on the axis a moment lies."""
        return float(self.places(np.array([at]))[0])

    def places(self, at: Floats) -> Floats:
        """Return where on the axis each of many moments lies."""
        return np.asarray(np.interp(at, self._at, self._places), dtype=np.float64)

    def moments(self, steps: int) -> Floats:
        """Divide the axis into equal steps, and return the moments at which they begin and end."""
        return np.asarray(np.interp(np.linspace(0.0, 1.0, steps + 1), self._places, self._at), dtype=np.float64)

    def ticks(self, about: int = 8) -> list[Tick]:
        """Return moments with round numbers, none of them in a fold, with room for their labels."""
        unit = self.unit
        step = nice(self._kept / unit.seconds / about)
        found: list[Tick] = []
        for piece in self._pieces():
            first, last = (math.ceil(piece.begin / unit.seconds / step - 1e-9), piece.end / unit.seconds / step + 1e-9)
            for number in range(first, int(last) + 1):
                value = float(f"{number * step:.12g}")
                tick = Tick(self.place(value * unit.seconds), f"{value:,.12g} {unit.sign}")
                if not found or tick.at - found[-1].at >= APART:
                    found.append(tick)
        return found

    def _pieces(self) -> Iterator[Fold]:
        """Yield what lies before, between and after the folds."""
        stops = [0.0, *(moment for fold in self.folds for moment in (fold.begin, fold.end)), self.end]
        for begin, end in zip(stops[::2], stops[1::2], strict=True):
            yield Fold(begin, end)

    @property
    def unit(self) -> Unit:
        """Return the unit that suits what is left; behind a fold, milliseconds would be numbers of six digits."""
        unit = unit_for(self._kept)
        return max(unit, unit_for(2.0), key=lambda one: one.seconds) if self.folds else unit


def nice(raw: float) -> float:
    """Return the next number from a value up that is 1, 2 or 5 times a power of ten."""
    power = 10.0 ** math.floor(math.log10(raw))
    return next((m * power for m in (1, 2, 5) if m * power >= raw), 10 * power)


def _folds(end: float, happened: Iterable[float]) -> Iterator[Fold]:
    times = sorted({0.0, end, *(min(max(at, 0.0), end) for at in happened)})
    gaps = sorted(((later - earlier, earlier, later) for earlier, later in pairwise(times)), reverse=True)
    left, chosen = end, []
    for gap, earlier, later in gaps[: min(MAX_FOLDS, len(gaps) - 1)]:
        left -= gap
        if left < SHORTEST_REST_S or gap <= FOLD_RATIO * left:
            break
        chosen.append((earlier, later))
    left = end - sum(later - earlier for earlier, later in chosen)
    for earlier, later in sorted(chosen):
        yield Fold(earlier + MARGIN * left, later - MARGIN * left)


def of_run(table: Table, end: float, more: Iterable[float] = ()) -> Timeline:
    """Return the time axis of a run to its end, on which nothing of its table, and no further moment, is folded."""
    names = ("published_s", "parked_s", "started_s", "effect_s")
    times = np.concatenate([table[name][table.has(name)] for name in names])
    return Timeline(end, [*times.tolist(), *more])
