"""The space-time diagram as a picture, for notebooks and papers: what the page draws, without anything to click on.

A run has milliseconds in which everything happens and minutes in which nothing does. Long gaps are drawn short, in
grey, with their length written on them, so that both can be seen at once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import median
from typing import TYPE_CHECKING, Literal

from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.patheffects import withStroke

from reports.figures.style import BLACK, BLUE, GREEN, GREY, ORANGE, SKY, VERMILION, in_inches, picture
from reports.figures.units import duration
from reports.page.marks import BROKER, Mark
from reports.page.spacetime import layout

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from reports.figures.style import Picture
    from reports.page.spacetime import Diagram
    from simulation.history.history import History
    from simulation.invariants import Violation

MAX_MARKS = 150
"""Number of marks drawn if there is no violation to choose by."""

LONG_GAP, SHORTENED_GAP = 8.0, 3.0
"""A gap of so many usual ones is drawn as long as so many."""

WAIT_ROW = 0.34
"""Distance between followers that wait at the same time, in lanes."""

NAME_ROWS = 4
"""Number of rows for the names of published events."""

GAP_AT = 0.97
"""Height of the lengths of shortened gaps, in lanes: above all names."""

PLOT_WIDE, LABEL_HIGH = 10.4, 0.2
"""Smallest width of the plot, in inches; height of a label, in lanes."""

ARROWS: dict[str, tuple[str, Literal["-", "--"]]] = {
    "delivery": (BLACK, "-"),
    "parked": (SKY, "--"),
    "released": (BLUE, "-"),
    "rescued": (ORANGE, "-"),
}
SIGNS = {"refused": ("o", GREY), "rejected": ("x", GREY), "crashed": ("X", VERMILION), "dead-lettered": ("P", BLACK)}
BARS = {"handling ok": GREEN, "handling failed": ORANGE, "handling unknown": VERMILION, "handling open": GREY}
BANDS = {"down": "consumer down", "paused": "consumer paused", "unreachable": "Redis out of reach"}
DRAWN = {"published", "waiting", *ARROWS, *SIGNS, *BARS, *BANDS}


def spacetime_figure(history: History, violations: Sequence[Violation] = ()) -> Picture:
    """Draw the first violation: its events, their consumers and times. Without one, draw the beginning of the run."""
    diagram = layout(history, violations[:1])
    marks = _chosen(diagram)
    lanes = sorted({lane for mark in marks for lane in (mark.lane, mark.to)} | {BROKER})
    header = history.header
    subtitle = violations[0].because if violations else "how the run begins"
    title = f"{header.scenario} · {header.engine} · seed {header.seed}"
    depth = len(lanes) + WAIT_ROW * max((mark.row for mark in marks if mark.kind == "waiting"), default=0)
    made = picture(11.5, 2.2 + 0.75 * depth, title, subtitle)
    axes = made.subplots()
    times = sorted({moment for mark in marks for moment in (mark.at, mark.until)})
    scale = Scale(times)
    marks = _staggered(marks, scale)
    labels = _Labels(axes, (scale(times[-1]) if times else 0.0) or 1.0)
    _Drawing(axes, diagram, scale, {lane: -place for place, lane in enumerate(lanes)}, labels).draw(marks)
    _frame(axes, diagram, scale, lanes, labels)
    axes.set_ylim(0.35 - depth, 1.2)
    made.legend(handles=_keys(marks, bool(violations)), loc="outside lower left", ncols=8, fontsize=8.5, frameon=False)
    return made


class Scale:
    """The places of moments on the time axis, with long gaps shortened."""

    def __init__(self, times: Sequence[int]) -> None:
        gaps = [later - earlier for earlier, later in pairwise(times)]
        usual = median(gaps) if gaps else 1.0
        self.times = times
        self.shortened: list[tuple[float, float, int]] = []
        """Each shortened gap: its begin and end on the axis, and its duration in microseconds."""
        self._places = dict.fromkeys(times[:1], 0.0)
        place = 0.0
        for later, gap in zip(times[1:], gaps, strict=True):
            before = place
            if gap > LONG_GAP * usual:
                place += SHORTENED_GAP
                self.shortened.append((before, place, gap))
            else:
                place += max(0.3, gap / usual)
            self._places[later] = place

    def __call__(self, moment: int) -> float:
        """Return the place of one of the times that the scale was made for."""
        return self._places[moment]


def _chosen(diagram: Diagram) -> list[Mark]:
    """Return the marks about the violation, as far as its story goes; without one, the first of all."""
    drawn = [mark for mark in diagram.marks if mark.kind in DRAWN]
    if not diagram.foci:
        return drawn[:MAX_MARKS]
    focus = diagram.foci[0]
    return [mark for mark in drawn if mark.event in focus.events and mark.at <= focus.end]


def _staggered(marks: Sequence[Mark], scale: Scale) -> list[Mark]:
    """Put the names of events published at nearly the same time into rows above each other."""
    room = (scale(scale.times[-1]) if scale.times else 0.0) / 12
    found, ends = [], [-room] * NAME_ROWS
    for mark in marks:
        if mark.kind == "published":
            row = next((row for row, end in enumerate(ends) if scale(mark.at) - end >= room), 0)
            ends[row] = scale(mark.at)
            found.append(mark._replace(row=row))
        else:
            found.append(mark)
    return found


class _Labels:
    """Writes words beside marks, and leaves those out that would lie over others."""

    def __init__(self, axes: Axes, width: float) -> None:
        self._axes = axes
        self._inch = 1.08 * width / PLOT_WIDE
        self._taken: list[tuple[float, float, float]] = []
        """The room that words take: left and right end on the time axis, and height of the lower edge."""

    def write(self, x: float, y: float, words: str, color: str = BLACK) -> None:
        """Write words above a place, if there is room."""
        half = in_inches(words, 8.5) / 2 * self._inch
        left, right = x - half, x + half
        if any(left < end and begin < right and abs(y - other) < LABEL_HIGH for begin, end, other in self._taken):
            return
        self._taken.append((left, right, y))
        shown = self._axes.text(x, y, words, ha="center", va="bottom", fontsize=8.5, color=color, parse_math=False)
        shown.set(zorder=6, path_effects=[withStroke(linewidth=3, foreground="white")])  # an arrow may pass below them


def _frame(axes: Axes, diagram: Diagram, scale: Scale, lanes: Sequence[int], labels: _Labels) -> None:
    axes.set_yticks([-place for place in range(len(lanes))], [diagram.lanes[lane].name for lane in lanes])
    axes.grid(visible=True, axis="y", color="#E3E3E3", linewidth=0.7)
    axes.set_axisbelow(True)
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.tick_params(axis="y", length=0)
    for begin, end, gap in scale.shortened:
        axes.axvspan(begin + 0.1 * (end - begin), end - 0.1 * (end - begin), color="#F0F0F0", linewidth=0, zorder=0)
        labels.write((begin + end) / 2, GAP_AT, duration(gap / 1e6), GREY)
    ticks = _apart(scale, scale.times)
    axes.set_xticks([scale(time) for time in ticks], [_seconds(time) for time in ticks], fontsize=8)
    axes.set_xlabel("time since the start of the run", fontsize=9)


def _seconds(time: int) -> str:
    return f"{time / 1e6:,.4f}".rstrip("0").rstrip(".") + " s"


def _apart(scale: Scale, times: Sequence[int]) -> list[int]:
    """Return as many of the times as have room for their labels."""
    if not times:
        return []
    room = (scale(times[-1]) or 1.0) / 11
    kept = [times[0]]
    for time in times[1:]:
        if scale(time) - scale(kept[-1]) >= room:
            kept.append(time)
    return kept


@dataclass(frozen=True, slots=True)
class _Drawing:
    axes: Axes
    diagram: Diagram
    scale: Scale
    heights: dict[int, int]
    labels: _Labels

    def draw(self, marks: Sequence[Mark]) -> None:
        witness = self.diagram.foci[0].marks if self.diagram.foci else ()
        proofs = {self.diagram.marks[place].entries for place in witness}
        for mark in marks:
            self._draw(mark, bool(mark.entries) and mark.entries in proofs)

    def _draw(self, mark: Mark, proof: bool) -> None:
        begin, end, height = self.scale(mark.at), self.scale(mark.until), self.heights[mark.lane]
        edge, thick = (VERMILION, 2.2) if proof else (BLACK, 0.8)
        name = self.diagram.events[mark.event][0] if mark.event >= 0 else ""
        match mark.kind:
            case "published":
                self.axes.plot(begin, height, "o", color=BLACK, markersize=4.5, zorder=3)
                self._say(begin, height + 0.13 + 0.2 * mark.row, name)
            case "waiting":
                below = height - WAIT_ROW * mark.row
                self.axes.plot([begin, end], [below, below], color=SKY, linewidth=4, alpha=0.7, zorder=2)
                words = f"{name} waits for {duration((mark.until - mark.at) / 1e6)}"
                self._say((begin + end) / 2, below - 0.28, words)
            case kind if kind in ARROWS:
                color, style = ARROWS[kind]
                self._arrow(begin, end, mark, VERMILION if proof else color, style)
                if kind == "delivery":
                    self._say(end, self.heights[mark.to] - 0.38, name)
            case kind if kind in BARS:
                self.axes.barh(
                    height, end - begin, 0.34, begin, color=BARS[kind], edgecolor=edge, linewidth=thick, zorder=4
                )
                self._say((begin + end) / 2, height + 0.22, name)
            case kind if kind in SIGNS:
                sign, color = SIGNS[kind]
                self.axes.plot(begin, height, sign, color=color, markersize=7, zorder=5)
            case _:
                self.axes.barh(height, end - begin, 0.6, begin, color=GREY, alpha=0.25, zorder=1)

    def _arrow(self, begin: float, end: float, mark: Mark, color: str, style: str) -> None:
        self.axes.annotate(
            "",
            (end, self.heights[mark.to]),
            (begin, self.heights[mark.lane]),
            arrowprops={"arrowstyle": "-|>", "color": color, "linestyle": style, "linewidth": 1.3, "shrinkA": 1},
            zorder=3,
        )

    def _say(self, x: float, y: float, words: str) -> None:
        self.labels.write(x, y, words)


def _keys(marks: Sequence[Mark], proved: bool) -> list[Line2D | Patch]:
    """Explain what was drawn, and only that."""
    there = {mark.kind for mark in marks}
    keys: list[Line2D | Patch] = []
    for kind, (color, style) in ARROWS.items():
        if kind in there:
            keys.append(Line2D([], [], color=color, linestyle=style, label=kind))
    for kind, color in BARS.items():
        if kind in there:
            keys.append(Patch(facecolor=color, edgecolor=BLACK, label=kind.replace(" ok", "")))
    for kind, (sign, color) in SIGNS.items():
        if kind in there:
            keys.append(Line2D([], [], color=color, marker=sign, linestyle="", label=kind))
    if "waiting" in there:
        keys.append(Line2D([], [], color=SKY, linewidth=4, alpha=0.7, label="waiting"))
    if proved:
        keys.append(Line2D([], [], color=VERMILION, linewidth=2.2, label="what proves it"))
    return keys
