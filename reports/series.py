"""Series over time, computed from an events frame: quantiles, rates, levels. Nothing here is drawn.

Times are seconds since the start of the run, as in the frame.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

ENOUGH = 100
"""How many values a 99th percentile needs before it is more than a grand name for the maximum."""

FATES = ("parked", "released", "rescued", "redelivered", "lost")
"""What can become of a follower, in the order of its life; each is explained in `follower_times`."""


class Mark(NamedTuple):
    """A quantile worth drawing: its name, and its value in seconds."""

    name: str
    value: float


class Level(NamedTuple):
    """A count that changes at given times and stays the same between them."""

    at: Floats
    height: NDArray[np.int64]


def end_of(frame: pd.DataFrame) -> float:
    """Return when the run ended: as its history says or, of a frame that does not know, the last time in it."""
    known = frame.attrs.get("end_s")
    if known is not None:
        return float(known)
    times = frame[[name for name in frame.columns if name.endswith("_s") and name not in ("latency_s", "wait_s")]]
    return float(np.nanmax(times.to_numpy(), initial=0.0)) if len(frame) else 0.0


def waits(frame: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of the followers that were parked and later handled."""
    return frame[frame["parked_s"].notna() & frame["wait_s"].notna()]


def marks(values: Floats) -> list[Mark]:
    """Return the quantiles to mark in a distribution: p50 and p99 or, of fewer than 100 values, the maximum."""
    if not len(values):
        return []
    last = Mark("p99", float(np.quantile(values, 0.99))) if len(values) >= ENOUGH else Mark("max", float(values.max()))
    return [Mark("p50", float(np.quantile(values, 0.5))), last]


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


def follower_times(frame: pd.DataFrame) -> dict[str, Floats]:
    """Return when each follower met its fate, sorted, by FATES.

    A follower is *parked* once, when it is parked first. It is *released* (by its leader), *rescued* (by the sweep)
    or *redelivered* (the broker brought it again in time) when the handling begins that settles it. It is *lost* if
    the run ends before any of this, and is then counted at the time at which it was parked.
    """
    parked = frame[frame["parked_s"].notna()]
    handled = parked[~parked["lost"] & ~parked["dead_lettered"]]
    via = {"released": "released", "rescued": "rescued", "redelivered": "delivered"}
    times = {fate: handled.loc[handled["via"] == how, "started_s"] for fate, how in via.items()}
    times["parked"], times["lost"] = parked["parked_s"], parked.loc[parked["lost"], "parked_s"]
    return {fate: np.sort(times[fate].to_numpy(dtype=np.float64)) for fate in FATES}


def waitlist(frame: pd.DataFrame) -> Level:
    """Return how many followers are parked over time: one more when one is parked, one less when it is settled."""
    parked = frame[frame["parked_s"].notna()]
    settled = parked["started_s"].where(~parked["lost"]).fillna(parked["dead_lettered_s"])
    came = parked["parked_s"].to_numpy(dtype=np.float64)
    left = np.maximum(settled.to_numpy(dtype=np.float64), came)
    left = left[~np.isnan(left)]
    at = np.concatenate([came, left])
    step = np.concatenate([np.ones(len(came), np.int64), -np.ones(len(left), np.int64)])
    order = np.argsort(at, kind="stable")
    return Level(at[order], np.cumsum(step[order]))
