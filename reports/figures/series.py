"""Series over time, computed from a table of events: quantiles, rates, levels. Nothing here is drawn.

Times are seconds since the start of the run, as in the table.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from simulation.kernel.quantiles import counted, quantile

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from reports.tables.tables import Table

    Floats = NDArray[np.float64]

P99_VALUES = 100
"""Number of values that a 99th percentile needs; of fewer values, the maximum is marked instead."""

FATES = ("parked", "released", "rescued", "redelivered", "lost")
"""The states of a follower, in the order of its life; each is explained in `follower_times`."""


class Mark(NamedTuple):
    """A quantile worth drawing: its name, and its value in seconds."""

    name: str
    value: float


class Level(NamedTuple):
    """A count that changes at given times and stays the same between them."""

    at: Floats
    height: NDArray[np.int64]


def end_of(table: Table) -> float:
    """Return when the run ended: as its history says or, of a table that does not know, the last time in it."""
    known = table.attrs.get("end_s")
    if known is not None:
        return float(known)
    times = [name for name in table.columns if name.endswith("_s") and name not in ("latency_s", "wait_s")]
    return max(float(np.nanmax(table[name], initial=0.0)) for name in times)


def effects(table: Table) -> Table:
    """Return the rows of the events that took effect and whose publication is known."""
    return table.where(table.has("latency_s"))


def waits(table: Table) -> Table:
    """Return the rows of the followers that were parked and later handled."""
    return table.where(table.has("parked_s") & table.has("wait_s"))


def marks(values: Floats) -> list[Mark]:
    """Return the quantiles to mark in a distribution: p50 and p99 or, of fewer than 100 values, the maximum."""
    if not len(values):
        return []
    counts = counted(np.rint(values * 1e6).astype(np.int64).tolist())
    last = Mark("p99", _quantile_s(counts, 0.99)) if len(values) >= P99_VALUES else Mark("max", float(values.max()))
    return [Mark("p50", _quantile_s(counts, 0.5)), last]


def _quantile_s(counts: Mapping[int, int], q: float) -> float:
    """Return a quantile in seconds, as the command line has it."""
    return (quantile(counts, q) or 0) / 1e6


def edges(end: float, count: int, *, each: int, least: int = 1) -> Floats:
    """Divide the time to `end` into equal bins, each for `each` of `count` things: at least `least`, at most 60."""
    return np.linspace(0.0, end or 1.0, min(60, max(least, count // each)) + 1)


def quantile_by_bin(at: Floats, values: Floats, bins: Floats, q: float) -> Floats:
    """Return a quantile of the values in each bin of time; `NaN` for a bin without any."""
    place = np.clip(np.searchsorted(bins, at, side="right") - 1, 0, len(bins) - 2)
    order = np.argsort(place, kind="stable")
    groups = np.split(values[order], np.searchsorted(place[order], np.arange(1, len(bins) - 1)))
    return np.array([np.quantile(group, q) if len(group) else np.nan for group in groups])


def rate_by_bin(at: Floats, bins: Floats) -> Floats:
    """Return how many of the times fall into each bin, per second."""
    counts, _ = np.histogram(at, bins)
    return counts / np.diff(bins)


def follower_times(table: Table) -> dict[str, Floats]:
    """Return the times in seconds at which followers reached each state of FATES, sorted, by state.

    A follower is *parked* once, when it is parked first. It is *released* (by its leader), *rescued* (by the sweep)
    or *redelivered* (the broker brought it again in time) when the handling begins that settles it. It is *lost* if
    the run ends before any of this, and is then counted at the time at which it was parked.
    """
    parked = table.where(table.has("parked_s"))
    handled = parked.where(~parked["lost"] & ~parked["dead_lettered"])
    via = {"released": "released", "rescued": "rescued", "redelivered": "delivered"}
    times = {fate: handled["started_s"][handled["via"] == how] for fate, how in via.items()}
    times["parked"], times["lost"] = parked["parked_s"], parked["parked_s"][parked["lost"]]
    return {fate: np.sort(times[fate]) for fate in FATES}


def waitlist(table: Table) -> Level:
    """Return how many followers are parked over time: one more when one is parked, one less when it is settled."""
    parked = table.where(table.has("parked_s"))
    started = np.where(parked["lost"], np.nan, parked["started_s"])
    settled = np.where(np.isnan(started), parked["dead_lettered_s"], started)
    came = parked["parked_s"]
    left = np.maximum(settled, came)
    left = left[~np.isnan(left)]
    at = np.concatenate([came, left])
    step = np.concatenate([np.ones(len(came), np.int64), -np.ones(len(left), np.int64)])
    order = np.argsort(at, kind="stable")
    return Level(at[order], np.cumsum(step[order]))
