"""The style of the pictures: colours that colour-blind people can distinguish, each with its own line style.

The palette is that of Okabe and Ito (https://jfly.uni-koeln.de/color/). This module does not touch matplotlib's global
state.
"""

from __future__ import annotations

from collections.abc import Sequence
from io import BytesIO
from math import ceil
from typing import TYPE_CHECKING, Any, Literal

from matplotlib.collections import PathCollection
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, MultipleLocator, NullFormatter

from causim.written_files import written_whole
from reports.figures.units import duration, unit_for

if TYPE_CHECKING:
    from pathlib import Path

    from matplotlib.axes import Axes
    from numpy.typing import NDArray

BLACK, ORANGE, SKY, GREEN = "#000000", "#E69F00", "#56B4E9", "#009E73"
BLUE, VERMILION, PURPLE, GREY = "#0072B2", "#D55E00", "#CC79A7", "#6B6B6B"

FATE_LINES: dict[str, dict[str, Any]] = {
    "parked": {"color": SKY, "linestyle": "-", "linewidth": 4.5, "alpha": 0.6},
    "released": {"color": BLUE, "linestyle": (0, (5, 1.5)), "linewidth": 1.6},
    "rescued": {"color": ORANGE, "linestyle": (0, (5, 1.5, 1, 1.5)), "linewidth": 2.0},
    "redelivered": {"color": GREEN, "linestyle": (0, (1, 1)), "linewidth": 2.0},
    "lost": {"color": VERMILION, "linestyle": "-", "linewidth": 2.0},
}
"""One line style for each fate of a follower."""

FATE_MARKERS = {"parked": "o", "released": "s", "rescued": "^", "redelivered": "D", "lost": "X"}
"""One marker for each fate, so that a line of one point is seen and distinguished."""


LEFT, RIGHT, TOP, BOTTOM, BETWEEN = 0.78, 0.36, 0.84, 0.46, 0.94
"""The room around plots and between their columns, in inches: for titles, labels, and ticks of up to eight letters."""

BESIDE, BELOW = 0.6, 0.275
"""Distance of labels from their plot, in inches: at its side and below it."""


HEAD = 0.62
"""Height of a picture's title and subtitle, in inches."""

LETTER, BOLD = 0.6, 1.25
"""Greatest average width of a letter, as a share of its size, and the factor for a bold one."""


LINE = 0.17
"""Height of a line of labels, in inches."""

MAX_LETTERS_LEFT_OUT = 6
"""Labels up to this length are left out, not turned, where they have no room: the reader knows those between."""


PACKED = {"compress_level": 3}
"""The compression of pictures: a higher level takes twice the time, to save a few kilobytes."""


class Picture(Figure):
    """A figure that a notebook shows as it is, without pyplot."""

    def write(self, path: Path) -> None:
        """Write the picture to a file as PNG, whole or not at all. Raises OSError."""
        with written_whole(path) as partial:
            self.savefig(partial, format="png", pil_kwargs=PACKED)

    def _repr_png_(self) -> bytes:
        out = BytesIO()
        self.savefig(out, format="png")
        return out.getvalue()


def picture(
    width: float, height: float, title: str, subtitle: str, *, layout: Literal["constrained"] | None = "constrained"
) -> Picture:
    """Return an empty figure of a size in inches under a title and a line that explains it."""
    figure = Picture(figsize=(width, height), dpi=120, layout=layout, facecolor="white")
    engine = figure.get_layout_engine()
    if isinstance(engine, ConstrainedLayoutEngine):  # it knows of no title that has a place of its own
        engine.set(rect=(0, 0, 1, 1 - HEAD / height))
    figure.suptitle(
        f"{title}\n",
        x=0.01,
        y=1 - 0.042 / height,
        ha="left",
        fontsize=fitting(title, width / BOLD, 13),
        fontweight="bold",
        parse_math=False,
    )
    size = fitting(subtitle, width, 9.5)
    figure.text(0.01, 1 - 0.42 / height, subtitle, ha="left", va="center", fontsize=size, color=GREY, parse_math=False)
    return figure


def fitting(words: str, width: float, size: float) -> float:
    """Return the size of letters, at most so many points, at which words fit into a width in inches."""
    return min(size, 0.97 * width / in_inches(words, 1.0)) if words else size


def in_inches(words: str, size: float) -> float:
    """Return how wide words are at most, in letters of so many points."""
    return len(words) * LETTER * size / 72


def ticks_on(axes: Axes, places: Sequence[float], labels: Sequence[str], room: float) -> None:
    """Label places along the bottom of a plot that is so many inches wide.

    Long labels that have no room beside each other stand upright; where there is still no room, some are left out.
    """
    widest, longest = max(in_inches(f"{label}  ", 9) for label in labels), max(map(len, labels))
    upright = widest > room / len(labels) and longest > MAX_LETTERS_LEFT_OUT
    step = max(1, ceil(len(labels) * (LINE if upright else widest) / room))
    axes.set_xticks(places[::step], labels[::step], rotation=90 if upright else 0, parse_math=False)


def plots(figure: Picture, ratios: Sequence[float], columns: int, gap: float) -> NDArray[Any]:
    """Return the plots of a picture without a layout: rows of so relative heights, with a gap of so many inches.

    All positions are known, so nothing has to be measured: matplotlib's own layout draws a picture twice.
    """
    width, height = figure.get_size_inches()
    wide = (width - LEFT - RIGHT - (columns - 1) * BETWEEN) / columns
    tall = (height - TOP - BOTTOM - (len(ratios) - 1) * gap) / len(ratios)
    places = {
        "left": LEFT / width,
        "right": 1 - RIGHT / width,
        "top": 1 - TOP / height,
        "bottom": BOTTOM / height,
        "wspace": BETWEEN / wide,
        "hspace": gap / tall,
        "height_ratios": ratios,
    }
    made: NDArray[Any] = figure.subplots(len(ratios), columns, gridspec_kw=places)
    for axes in made.flat:
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(visible=True, color="#E3E3E3", linewidth=0.7)
        axes.set_axisbelow(True)
        axes.tick_params(labelsize=9)
        axes.yaxis.set_label_coords(-BESIDE / wide, 0.5)
        axes.xaxis.set_label_coords(0.5, -BELOW / (axes.get_position().height * height))
    return made


def title_on(axes: Axes, title: str) -> None:
    """Write what a plot shows above it, where its ticks are known not to be."""
    axes.set_title(title, loc="left", fontsize=10.5, y=1.0)


def tidy(axes: Axes, title: str) -> None:
    """Give a plot its title and a light grid, and take away the lines that say nothing."""
    title_on(axes, title)
    axes.grid(visible=True, color="#E3E3E3", linewidth=0.7)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(labelsize=9)


def empty(axes: Axes, words: str) -> None:
    """Say in words that a plot has nothing to show, where its lines would be."""
    axes.text(0.5, 0.5, words, transform=axes.transAxes, ha="center", va="center", fontsize=11, color=GREY)
    axes.set_xticks([])
    axes.set_yticks([])
    axes.grid(visible=False)


def durations_on(axes: Axes, which: Literal["x", "y"], *, low: float, high: float) -> None:
    """Label an axis of seconds with durations (`10 ms`, `1 s`); logarithmic where the values span a decade or two."""
    axis = axes.xaxis if which == "x" else axes.yaxis
    if low > 0 and high / low > 30:
        axes.set(**{f"{which}scale": "log"})
        axis.set_major_locator(LogLocator(subs=(1.0,) if high / low > 1e3 else (1.0, 3.0)))
        axis.set_minor_formatter(NullFormatter())
    elif high >= 120:  # sixty is no round number to matplotlib
        unit = unit_for(high).seconds
        step = next((step for step in (1, 2, 5, 10, 15, 20, 30) if high / unit / step <= 8), 60)
        axis.set_major_locator(MultipleLocator(step * unit))
    else:  # a quarter of a power of ten would need more digits than are written
        axis.set_major_locator(MaxNLocator(7, steps=[1, 2, 5, 10]))
    axis.set_major_formatter(FuncFormatter(lambda value, _: duration(value)))


def times_on(axes: Axes, end: float) -> None:
    """Let a time axis show the whole run, in its unit, with a little air so that nothing hides in the frame."""
    axes.set_xlim(-0.01 * (end or 1), 1.01 * (end or 1))


def legend(axes: Axes) -> None:
    """Put the legend beside the title, where it hides no line."""
    shown = axes.legend(
        loc="lower right", bbox_to_anchor=(1.0, 0.995), ncols=5, fontsize=9, frameon=False, columnspacing=1.2
    )
    for handle in shown.legend_handles:
        if handle is not None:
            handle.set_alpha(1)
        if isinstance(handle, PathCollection):
            handle.set_sizes([24])
