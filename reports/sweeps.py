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

from reports.style import BLACK, BLUE, SKY, picture, tidy

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

    from reports.style import Picture


@dataclass(frozen=True, slots=True)
class Measure:
    """One column of the table, and how it reads."""

    column: str
    title: str
    unit: str
    scale: float = 1.0
    low: str = ""
    high: str = ""


MEASURES = (
    Measure("lost_rate", "Lost followers", "% of followers", 100.0, "lost_low", "lost_high"),
    Measure("rescued_rate", "Followers rescued by the sweep", "% of followers", 100.0),
    Measure("violated_rate", "Violated runs", "% of runs", 100.0, "violated_low", "violated_high"),
    Measure("latency_p50_us", "Latency, median", "ms", 0.001, "latency_p50_low_us", "latency_p50_high_us"),
    Measure("latency_p99_us", "Latency, 99th percentile", "ms", 0.001, "latency_p99_low_us", "latency_p99_high_us"),
    Measure("duplicate_rate", "Duplicates", "% of events", 100.0),
    Measure("commands_per_event", "Redis commands", "an event"),
)


def write_sweep(frame: pd.DataFrame, axes: Sequence[str], folder: Path, title: str) -> list[Path]:
    """Draw every measure that is not empty, and return the files. More than two axes: the first two are drawn."""
    written = []
    for measure, figure in figures(frame, axes, title):
        path = folder / f"{measure.column.removesuffix('_us').replace('_', '-')}.png"
        figure.savefig(path)
        written.append(path)
    return written


def figures(frame: pd.DataFrame, axes: Sequence[str], title: str) -> Iterator[tuple[Measure, Picture]]:
    """Yield each measure that varies or is not zero, with its picture."""
    for measure in MEASURES:
        values = frame[measure.column]
        if values.notna().any() and (values.fillna(0) != 0).any():
            yield measure, figure(frame, axes, measure, title)


def figure(frame: pd.DataFrame, axes: Sequence[str], measure: Measure, title: str) -> Picture:
    """Draw one measure over one axis or two."""
    made = picture(8.6, 5.8, measure.title, title)
    made.supxlabel(fill(answer(frame, axes, measure), 110), x=0.01, ha="left", fontsize=9.5)
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

    def told(row: int) -> str:
        where = ", ".join(f"{axis} = {frame[axis].iloc[row]!s}" for axis in axes)
        return f"{_round(float(numbers[row]))} {measure.unit} at {where}"

    if numbers[least] == numbers[most]:
        return f"The same everywhere: {_round(float(numbers[least]))} {measure.unit}."
    return f"From {told(least)} to {told(most)}."


def _round(value: float) -> str:
    return f"{value:.3g}" if abs(value) < 1000 else f"{value:,.0f}"


def _line(plot: Axes, frame: pd.DataFrame, axis: str, measure: Measure) -> None:
    numeric = _numeric(frame[axis])
    places = np.asarray(frame[axis], dtype=float) if numeric else np.arange(len(frame), dtype=float)
    values = np.asarray(frame[measure.column], dtype=float) * measure.scale
    if measure.low:
        low = np.asarray(frame[measure.low], dtype=float) * measure.scale
        high = np.asarray(frame[measure.high], dtype=float) * measure.scale
        plot.fill_between(places, low, high, color=SKY, alpha=0.35, linewidth=0, label="95 % interval")
    plot.plot(places, values, "o-", color=BLUE, linewidth=1.8, markersize=5, label=measure.title.lower())
    if not numeric:
        plot.set_xticks(places, [str(value) for value in frame[axis]])
    plot.set_xlabel(axis)
    plot.set_ylabel(measure.unit)
    plot.set_ylim(bottom=0)
    plot.legend(frameon=False, fontsize=9)


def _numeric(column: Any) -> bool:
    return all(isinstance(value, int | float) and not isinstance(value, bool) for value in column)


def _map(made: Picture, plot: Axes, frame: pd.DataFrame, axes: Sequence[str], measure: Measure) -> None:
    rows, columns = list(dict.fromkeys(frame[axes[0]])), list(dict.fromkeys(frame[axes[1]]))
    grid = np.full((len(rows), len(columns)), np.nan)
    for _, row in frame.iterrows():
        grid[rows.index(row[axes[0]]), columns.index(row[axes[1]])] = row[measure.column] * measure.scale
    image = plot.imshow(grid, origin="lower", aspect="auto", cmap="cividis")
    plot.grid(visible=False)
    plot.set_xticks(range(len(columns)), [str(value) for value in columns])
    plot.set_yticks(range(len(rows)), [str(value) for value in rows])
    plot.set_xlabel(axes[1])
    plot.set_ylabel(axes[0])
    made.colorbar(image, ax=plot, label=measure.unit)
    if grid.size <= 120:
        _write_values(plot, grid)


def _write_values(plot: Axes, grid: Any) -> None:
    middle = np.nanmin(grid) + (np.nanmax(grid) - np.nanmin(grid)) / 2
    for (y, x), value in np.ndenumerate(grid):
        if not np.isnan(value):
            plot.text(
                x, y, _round(value), ha="center", va="center", fontsize=8, color="white" if value < middle else BLACK
            )
