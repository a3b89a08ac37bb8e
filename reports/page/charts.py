"""The charts of a page, computed and scaled: what a template needs to write them down as SVG.

Every chart shares one time axis, and one grid of moments at which its values can be read off.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from reports.figures.series import (
    FATES,
    P99_VALUES,
    edges,
    effects,
    follower_times,
    quantile_by_bin,
    rate_by_bin,
    waitlist,
    waits,
)
from reports.figures.timeline import Tick, Timeline, nice
from reports.figures.units import duration

if TYPE_CHECKING:
    from reports.figures.series import Floats
    from reports.run import Likelihood
    from reports.tables.tables import Table

WIDTH, HEIGHT, LEFT, TOP, BOTTOM = 1000.0, 170.0, 66.0, 8.0, 24.0
"""The size of a chart's picture, and the room for its labels, in the picture's own units."""

COLUMNS = 240
"""Number of moments at which a line has a value; between them it keeps its value."""

MOST_DOTS = 400


DECADES = (*(float(f"1e{power}") for power in range(-6, 2)), 60.0, 600.0, 3600.0, 36000.0, 360000.0)
DURATIONS = tuple(
    sorted({*DECADES, *(d * times for d in DECADES for times in (2, 5) if d * times not in (20, 50)), 20.0})
)
"""Durations in seconds that may be written on a logarithmic axis, and those of a long one."""


@dataclass(frozen=True, slots=True)
class Line:
    """A line of a chart: its name, its style, its SVG path, and its values on the grid (`None` where it has none)."""

    name: str
    style: str
    path: str
    values: tuple[float | None, ...]


@dataclass(frozen=True, slots=True)
class Chart:
    """A chart, ready to be written down."""

    title: str
    lines: tuple[Line, ...] = ()
    dots: tuple[tuple[float, float], ...] = ()
    x_ticks: tuple[Tick, ...] = ()
    y_ticks: tuple[Tick, ...] = ()
    unit: str = "count"
    """The notation of its values: `count`, `s` for durations in seconds, or `share` for probabilities."""
    nothing: str = ""
    """The reason for an empty chart; empty if there is something to see."""


@dataclass(slots=True)
class Scale:
    """The value axis of a chart: linear from zero, or logarithmic for durations."""

    low: float
    high: float
    log: bool = False
    ticks: tuple[Tick, ...] = field(default=())

    def y(self, value: float) -> float:
        """Return the height of a value in the picture."""
        low, high, value = (
            (math.log(self.low), math.log(self.high), math.log(max(value, self.low)))
            if self.log
            else (self.low, self.high, value)
        )
        return round(HEIGHT - BOTTOM - (value - low) / ((high - low) or 1) * (HEIGHT - BOTTOM - TOP), 1)


def charts(table: Table, times: Timeline, commands: Sequence[int] = ()) -> tuple[Chart, ...]:
    """Return the charts of a run: latency, waiting, followers, the waitlist and, if traced, commands to Redis.

    `commands` are the moments, in microseconds, at which commands reached Redis.
    """
    return (
        _durations("Publish to effect, by time of publication", effects(table), "published_s", "latency_s", times),
        _durations("Waiting to release, by time of parking", waits(table), "parked_s", "wait_s", times),
        _followers(table, times),
        _waitlist(table, times),
        *([_commands(commands, times)] if commands else []),
    )


def x(at: float, times: Timeline) -> float:
    """Return where a moment, in seconds, lies in the picture."""
    return round(LEFT + times.place(at) * (WIDTH - LEFT), 1)


def grid(times: Timeline) -> Floats:
    """Return the moments at which every line has a value, in seconds."""
    return times.moments(COLUMNS)


def time_ticks(times: Timeline) -> tuple[Tick, ...]:
    """Return the ticks of the time axis, at their places in the picture."""
    return tuple(Tick(round(LEFT + tick.at * (WIDTH - LEFT), 1), tick.words) for tick in times.ticks())


def folds(times: Timeline) -> list[tuple[float, float, str]]:
    """Return the folds of the time axis: left edge, width, and duration in words."""
    return [
        (x(fold.begin, times), round(x(fold.end, times) - x(fold.begin, times), 1), duration(fold.end - fold.begin))
        for fold in times.folds
    ]


def _durations(title: str, rows: Table, when: str, what: str, times: Timeline) -> Chart:
    at, values = rows[when], rows[what]
    if not len(values):
        return Chart(title, nothing="none to show")
    scale = _log_scale(np.maximum(values, 1e-6))
    lines, dots = [], []
    if len(values) >= P99_VALUES:
        bins = edges(float(at.max()), len(values), each=250)
        place = np.searchsorted(bins, grid(times), side="right") - 1
        for q, name in ((0.5, "p50"), (0.99, "p99")):
            by_bin = np.append(quantile_by_bin(at, values, bins, q), np.nan)
            lines.append(_line(name, name, by_bin[np.minimum(place, len(bins) - 1)], scale, times))
    if len(values) <= MOST_DOTS:
        dots = [(x(a, times), scale.y(v)) for a, v in zip(at, values, strict=True)]
    return Chart(title, tuple(lines), tuple(dots), time_ticks(times), scale.ticks, unit="s")


def _followers(table: Table, times: Timeline) -> Chart:
    title, met = "Followers so far", follower_times(table)
    if not len(met["parked"]):
        return Chart(title, nothing="no event was parked")
    scale = _linear_scale(float(len(met["parked"])))
    counts = {fate: np.searchsorted(met[fate], grid(times), side="right").astype(float) for fate in FATES}
    lines = [_line(fate, fate, counts[fate], scale, times) for fate in FATES if len(met[fate]) or fate != "redelivered"]
    return Chart(title, tuple(lines), (), time_ticks(times), scale.ticks)


def _waitlist(table: Table, times: Timeline) -> Chart:
    level, title = waitlist(table), "Followers that are waiting: the most in each step"
    if not len(level.at):
        return Chart(title, nothing="no event was parked")
    moments = grid(times)
    before = np.searchsorted(level.at, moments, side="right")
    after = np.append(before[1:], len(level.at))
    heights = np.append(0, level.height)
    most = np.array([heights[b : max(a, b) + 1].max() for b, a in zip(before, after, strict=True)], dtype=float)
    scale = _linear_scale(float(most.max()))
    return Chart(title, (_line("waiting", "waiting", most, scale, times),), (), time_ticks(times), scale.ticks)


def _commands(commands: Sequence[int], times: Timeline) -> Chart:
    rates = rate_by_bin(np.array(commands, dtype=np.float64) / 1e6, times.moments(COLUMNS // 4))
    per_column = np.append(np.repeat(rates, COLUMNS // len(rates)), rates[-1])
    scale = _linear_scale(float(rates.max()))
    line = _line("commands", "commands", per_column, scale, times)
    return Chart("Commands to Redis per second", (line,), (), time_ticks(times), scale.ticks)


def likelihood_chart(likelihood: Likelihood, times: Timeline) -> Chart:
    """Return how likely the violation was along the run, with its interval; of places at one moment, the last."""
    title = f"How likely {likelihood.invariant} was violated, if everything from then on had been drawn again"
    scale = Scale(0.0, 1.05)
    scale.ticks = tuple(Tick(scale.y(value), f"{value:.0%}") for value in (0.0, 0.25, 0.5, 0.75, 1.0))
    known = np.searchsorted([place.at / 1e6 for place in likelihood.places], grid(times), side="right")
    lines = []
    for name, style in (("share", "share"), ("low", "bound"), ("high", "bound")):
        values = np.array([np.nan, *(getattr(place, name) for place in likelihood.places)])
        lines.append(_line(name, style, values[known], scale, times))
    return Chart(title, tuple(lines), (), time_ticks(times), scale.ticks, unit="share")


def _line(name: str, style: str, values: Floats, scale: Scale, times: Timeline) -> Line:
    rounded = tuple(None if math.isnan(value) else float(f"{value:.4g}") for value in values)
    return Line(name, style, _path(rounded, scale, times), rounded)


def _path(values: Sequence[float | None], scale: Scale, times: Timeline) -> str:
    """Write a line as steps: it keeps each value until the next moment of the grid."""
    parts: list[str] = []
    last: float | None = None
    for value, at in zip(values, grid(times), strict=True):
        if value is not None and (last is None or value != last):
            parts.append(f"{'M' if last is None else 'H'}{x(at, times):g}" + (" " if last is None else "V"))
            parts[-1] += f"{scale.y(value):g}"
        elif value is None and last is not None:
            parts.append(f"H{x(at, times):g}")
        last = value
    if last is not None:
        parts.append(f"H{WIDTH:g}")
    return "".join(parts)


def _linear_scale(high: float) -> Scale:
    scale = Scale(0.0, (high or 1.0) * 1.05)
    values = _round(high or 1.0, about=4)
    whole = [value for value in values if value == int(value)] if high >= 1 else values
    scale.ticks = tuple(Tick(scale.y(value), f"{value:,g}") for value in whole)
    return scale


def _log_scale(values: Floats) -> Scale:
    low, high = float(values.min()) / 1.3, float(values.max()) * 1.3
    scale = Scale(low, high, log=True)
    inside = [value for value in DURATIONS if low <= value <= high]
    if high / low > 500:
        inside = [value for value in inside if value in DECADES]
    scale.ticks = tuple(Tick(scale.y(value), duration(value)) for value in _apart(inside or [high], scale))
    return scale


def _apart(values: list[float], scale: Scale) -> list[float]:
    """Keep values whose labels do not lie over each other."""
    kept: list[float] = []
    for value in values:
        if not kept or scale.y(kept[-1]) - scale.y(value) > 14:
            kept.append(value)
    return kept


def _round(high: float, about: int) -> list[float]:
    """Return about so many round numbers from zero to a value."""
    if high <= 0:
        return [0.0]
    step = nice(high / about)
    return [float(f"{n * step:.12g}") for n in range(int(high / step + 1e-9) + 1)]
