"""Pictures of a sweep: lines with bands where one value was varied, heat maps where two were.

Each measure gets a picture of its own, and under it a sentence that says what it shows at its ends, so that the
answer can be read off without a ruler.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from textwrap import fill
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.colors import LogNorm, Normalize
from matplotlib.ticker import NullFormatter

from reports.figures.style import BLACK, BLUE, LINE, SKY, durations_on, in_inches, legend, picture, ticks_on, tidy
from reports.figures.units import duration

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

    from reports.figures.style import Picture


@dataclass(frozen=True, slots=True)
class Measure:
    """One column of the table, and its presentation. Scaled to `s`, it is a duration, and written with its own unit."""

    column: str
    title: str
    unit: str
    scale: float = 1.0
    low: str = ""
    high: str = ""

    @property
    def is_duration(self) -> bool:
        """Whether its values are durations."""
        return self.unit == "s"

    def file_in(self, folder: Path) -> Path:
        """Return the file of its picture in a folder of results."""
        return folder / f"{self.column.removesuffix('_us').replace('_', '-')}.png"

    def written(self, value: float) -> str:
        """Write a scaled value, a duration with its unit."""
        return duration(value) if self.is_duration else _round(value)


ALIKE = 0.05
"""Values of a map that differ by no more than this share are shown from zero on."""

MEASURES = (
    Measure("lost_rate", "Lost followers: never handled", "% of followers", 100.0, "lost_low", "lost_high"),
    Measure(
        "rescued_rate", "Rescued followers: found by a sweep", "% of followers", 100.0, "rescued_low", "rescued_high"
    ),
    Measure("parked_rate", "Parked followers", "% of followers", 100.0, "parked_low", "parked_high"),
    Measure("waitlist", "Longest waitlist of a run, mean", "followers", 1.0, "waitlist_low", "waitlist_high"),
    Measure("violated_rate", "Violated runs", "% of runs", 100.0, "violated_low", "violated_high"),
    Measure("latency_p50_us", "Latency, median", "s", 1e-6, "latency_p50_low_us", "latency_p50_high_us"),
    Measure("latency_p99_us", "Latency, 99th percentile", "s", 1e-6, "latency_p99_low_us", "latency_p99_high_us"),
    Measure("duplicate_rate", "Duplicates", "% of events", 100.0, "duplicate_low", "duplicate_high"),
    Measure("commands_per_event", "Redis commands, without idle sweeps", "an event"),
)
WIDE, HIGH = 8.6, 5.8
"""The size of a picture, in inches."""

PLOT_WIDE, PLOT_HIGH = 7.2, 3.6
"""At least so much of it is left to a plot with short labels."""

BAR_LABEL = 0.1
"""Greatest height of a label beside the colours, as a share of them."""

BAR = 1.3
"""Width of the colours beside a map with their numbers, in inches."""

ROUND = [n * 10.0**e for e in range(-6, 0) for n in (1, 2, 5)] + [1, 2, 5, 10, 20, 60, 120, 300, 600, 1800, 3600, 7200]
"""Durations that read well beside a map, in seconds."""


def write_sweep(frame: pd.DataFrame, axes: Sequence[str], folder: Path, title: str) -> list[Path]:
    """Draw every measure that is not empty, and return the files. More than two axes: the first two are drawn.

    Pictures of an earlier sweep in this folder are removed: the table beside them is this one's.
    """
    for measure in MEASURES:
        measure.file_in(folder).unlink(missing_ok=True)
    written = []
    for measure, figure in figures(frame, axes, title):
        figure.write(measure.file_in(folder))
        written.append(measure.file_in(folder))
    return written


def figures(frame: pd.DataFrame, axes: Sequence[str], title: str) -> Iterator[tuple[Measure, Picture]]:
    """Yield each measure that varies or is not zero, with its picture."""
    for measure in MEASURES:
        values = frame[measure.column]
        if values.notna().any() and (values.fillna(0) != 0).any():
            yield measure, figure(frame, axes, measure, title)


def figure(frame: pd.DataFrame, axes: Sequence[str], measure: Measure, title: str) -> Picture:
    """Draw one measure over one axis or two."""
    made = picture(WIDE, HIGH, measure.title, title)
    made.supxlabel(fill(answer(frame, axes, measure), 110), x=0.01, ha="left", fontsize=9.5, parse_math=False)
    plot = made.subplots()
    tidy(plot, "")
    if len(axes) == 1:
        _line(plot, frame, axes[0], measure)
    else:
        _map(made, plot, frame, axes, measure)
    return made


def answer(frame: pd.DataFrame, axes: Sequence[str], measure: Measure) -> str:
    """Return the sentence under a picture: where the measure is least and where it is most."""
    values = frame[measure.column].astype(float) * measure.scale
    if values.isna().all():
        return "nothing was measured"
    numbers = values.to_numpy()
    least, most = int(np.nanargmin(numbers)), int(np.nanargmax(numbers))

    def describe(row: int) -> str:
        where = ", ".join(f"{axis} = {_label(frame[axis].iloc[row])}" for axis in axes)
        return f"{said(row)} at {where}"

    def said(row: int) -> str:
        value = measure.written(float(numbers[row]))
        return value if measure.is_duration else f"{value} {measure.unit}"

    if numbers[least] == numbers[most]:
        return f"The same everywhere: {said(least)}."
    return f"From {describe(least)} to {describe(most)}."


def _round(value: float) -> str:
    return f"{value:.3g}" if abs(value) < 1000 else f"{value:,.0f}"


def _label(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def _line(plot: Axes, frame: pd.DataFrame, axis: str, measure: Measure) -> None:
    places = _places(frame[axis])
    values = np.asarray(frame[measure.column], dtype=float) * measure.scale
    top = float(np.nanmax(values))
    if _has_interval(frame, measure):
        low = np.asarray(frame[measure.low], dtype=float) * measure.scale
        high = np.asarray(frame[measure.high], dtype=float) * measure.scale
        top = float(np.nanmax([top, *high]))
        plot.fill_between(places, low, high, color=SKY, alpha=0.35, linewidth=0, label="95 % interval")
    plot.plot(places, values, "o-", color=BLUE, linewidth=1.8, markersize=5, label=measure.title)
    ticks_on(plot, places, [_label(value) for value in frame[axis]], PLOT_WIDE)
    plot.set_xlabel(axis)
    if measure.is_duration:
        durations_on(plot, "y", low=float(np.nanmin(values)), high=top)
    else:
        plot.set_ylabel(measure.unit)
    if plot.get_yscale() == "linear":
        plot.set_ylim(bottom=0)
    legend(plot)


def _has_interval(frame: pd.DataFrame, measure: Measure) -> bool:
    """Whether the table has an interval of the measure: a single run gives none for a mean, few events none for p99."""
    if not measure.low or measure.low not in frame:
        return False
    return bool((frame[measure.low].notna() & frame[measure.high].notna()).any())


def _places(column: Any) -> Any:
    """Return where values stand on their axis: as far apart as they are if all steps are the same, else side by side.

    Values such as 1, 2, 4, 8, 16 would crowd at one end, and the few at the other would take all the room.
    """
    if all(isinstance(value, int | float) and not isinstance(value, bool) for value in column):
        numbers = np.asarray(column, dtype=float)
        if np.allclose(np.diff(numbers, 2), 0, atol=1e-9):
            return numbers
    return np.arange(len(column), dtype=float)


def _map(made: Picture, plot: Axes, frame: pd.DataFrame, axes: Sequence[str], measure: Measure) -> None:
    rows, columns = list(dict.fromkeys(frame[axes[0]])), list(dict.fromkeys(frame[axes[1]]))

    def laid_out(column: str) -> Any:
        laid = np.full((len(rows), len(columns)), np.nan)
        for _, row in frame.iterrows():
            laid[rows.index(row[axes[0]]), columns.index(row[axes[1]])] = row[column] * measure.scale
        return laid

    grid = laid_out(measure.column)
    shades = _shades(grid, measure)
    image = plot.imshow(grid, origin="lower", aspect="auto", cmap="cividis", norm=shades)
    plot.grid(visible=False)
    names = [_label(value) for value in rows]
    room = PLOT_WIDE - BAR - max(in_inches(name, 9) for name in names)
    ticks_on(plot, range(len(columns)), [_label(value) for value in columns], room)
    every = -(-len(rows) // int(PLOT_HIGH / LINE))
    plot.set_yticks(range(0, len(rows), every), names[::every], parse_math=False)
    plot.set_xlabel(axes[1])
    plot.set_ylabel(axes[0])
    bar = made.colorbar(image, ax=plot)
    if measure.is_duration:
        bar.set_ticks(_round_ticks(shades), minor=False)
        bar.ax.yaxis.set_major_formatter(lambda value, _: duration(value))
        bar.ax.yaxis.set_minor_formatter(NullFormatter())
    else:
        bar.set_label(measure.unit)
    _write(plot, grid, [measure.written(float(value)) for value in grid.flat], shades, (room, 8, 0.0))
    if _has_interval(frame, measure) and len(rows) <= 12:
        ends = zip(laid_out(measure.low).flat, laid_out(measure.high).flat, strict=True)
        words = [_ends(measure, float(low), float(high)) for low, high in ends]
        _write(plot, grid, words, shades, (room, 6.5, 0.16))


def _ends(measure: Measure, low: float, high: float) -> str:
    """Write an interval; nothing if too few events give none."""
    return "" if np.isnan(low) or np.isnan(high) else f"{measure.written(low)} to {measure.written(high)}"


def _round_ticks(shades: Normalize) -> list[float]:
    """Return the durations to label beside a map: round ones that have room for their label, else both ends."""
    kept: list[float] = []
    for tick in ROUND:
        place = float(shades(tick))
        if 0 <= place <= 1 and (not kept or place - float(shades(kept[-1])) >= BAR_LABEL):
            kept.append(tick)
    return kept if len(kept) > 1 else [float(shades.inverse(end)) for end in (0.0, 1.0)]


def _shades(grid: Any, measure: Measure) -> Normalize:
    low, high = float(np.nanmin(grid)), float(np.nanmax(grid))
    if high - low <= high * ALIKE:  # a scale of its own would show chance as contrast, and rates above 100 %
        return Normalize(0.0, 100.0 if measure.unit.startswith("%") else high or 1.0)
    return LogNorm(low, high) if measure.is_duration and low > 0 and high / low > 5 else Normalize(low, high)


def _write(plot: Axes, grid: Any, words: Sequence[str], shades: Normalize, where: tuple[float, float, float]) -> None:
    """Write words into each cell of a map, if all have room in so many inches, at a size, so far below the middle."""
    room, size, below = where
    rows, columns = grid.shape
    if max(in_inches(f"{each} ", size) for each in words) > room / columns or rows * size * 1.4 / 72 > PLOT_HIGH:
        return
    for (y, x), text in zip(np.ndindex(grid.shape), words, strict=True):
        if "nan" not in text:
            color, va = _on(grid[y, x], shades), "top" if below else "center"
            plot.text(x, y - below, text, ha="center", va=va, fontsize=size, color=color)


def _on(value: float, shades: Normalize) -> str:
    """Return the colour of ink that can be read on a shade."""
    return "white" if shades(value) < 0.5 else BLACK
