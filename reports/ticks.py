"""The ticks of a plot, drawn all at once.

matplotlib makes five artists of every tick and measures them again and again, which is much of the time of a small
picture. Here its locators and formatters still say where ticks are and what is written there, but the lines of a grid
are one artist, and so are its marks; only words remain one by one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from matplotlib.collections import LineCollection
from matplotlib.lines import Line2D
from matplotlib.markers import TICKDOWN, TICKLEFT
from matplotlib.ticker import NullLocator, ScalarFormatter

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from numpy.typing import NDArray

MAJOR, MINOR = (3.5, 0.8), (2.0, 0.6)
"""How long and how wide marks are, in points."""

APART = 7.0
"""How far from the plot words are, in points."""


def draw_ticks(axes: Axes, *, words_below: bool = True) -> None:
    """Draw a plot's grid, ticks and their words, at the limits that it has now; nothing may move them any more."""
    limits = axes.get_xlim(), axes.get_ylim()
    _draw(axes, along_x=True, told=words_below)
    _draw(axes, along_x=False, told=True)
    axes.set(xlim=limits[0], ylim=limits[1])


def _draw(axes: Axes, *, along_x: bool, told: bool) -> None:
    axis = axes.xaxis if along_x else axes.yaxis
    places, words = _written(axes, along_x=along_x)
    minor = _seen(axes, axis.get_minorticklocs(), along_x=along_x)
    axis.set_major_locator(NullLocator())
    axis.set_minor_locator(NullLocator())
    across = axes.get_xaxis_transform() if along_x else axes.get_yaxis_transform()
    ends = [[(at, 0.0), (at, 1.0)] if along_x else [(0.0, at), (1.0, at)] for at in places]
    axes.add_artist(LineCollection(ends, colors="#E3E3E3", linewidths=0.7, transform=across, zorder=0.5))
    for at, (length, width) in ((places, MAJOR), (minor, MINOR)):
        zeros = np.zeros(len(at))
        marks = Line2D(*((at, zeros) if along_x else (zeros, at)), linestyle="", color="black", clip_on=False)
        marks.set(marker=TICKDOWN if along_x else TICKLEFT, markersize=length, markeredgewidth=width, transform=across)
        axes.add_artist(marks)
    if told:
        beside, va, ha = (axes.get_xaxis_text1_transform if along_x else axes.get_yaxis_text1_transform)(APART)
        for at, word in zip(places, words, strict=True):
            x, y = (at, 0.0) if along_x else (0.0, at)
            axes.text(x, y, word, transform=beside, va=va, ha=ha, fontsize=9)


def _written(axes: Axes, *, along_x: bool) -> tuple[NDArray[np.float64], list[str]]:
    """Return where the major ticks are that can be seen, and what is written there."""
    axis = axes.xaxis if along_x else axes.yaxis
    locations, formatter = axis.get_majorticklocs(), axis.get_major_formatter()
    if isinstance(formatter, ScalarFormatter):  # a power of ten or an offset would stand apart from the words
        formatter.set_scientific(False)
        formatter.set_useOffset(False)
    words = dict(zip(locations.tolist(), formatter.format_ticks(locations.tolist()), strict=True))
    seen = _seen(axes, locations, along_x=along_x)
    return seen, [words[at] for at in seen.tolist()]


def _seen(axes: Axes, locations: NDArray[np.float64], *, along_x: bool) -> NDArray[np.float64]:
    """Return those of the locations that lie in the plot, or on its edge but for rounding."""
    low, high = sorted(axes.get_xlim() if along_x else axes.get_ylim())
    little = 1e-10 * (high - low)
    return locations[(locations >= low - little) & (locations <= high + little)]
