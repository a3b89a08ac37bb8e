"""The picture of a crash-point sweep: which moments of a run survived, by consumer, just before and just after.

Moments are drawn in the order of their time and not to scale: what matters happens within milliseconds, and the
sweeps that follow it every few seconds.
"""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING, Any

from reports.figures.style import BLUE, GREY, ORANGE, PURPLE, VERMILION, empty, legend, picture, tidy
from reports.figures.units import duration

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

    from reports.figures.style import Picture

OUTCOMES: dict[str, dict[str, Any]] = {
    "survived": {"color": BLUE, "marker": "o", "s": 16, "zorder": 2},
    "violated": {"color": VERMILION, "marker": "X", "s": 90, "zorder": 4},
    "unknown": {"color": ORANGE, "marker": "D", "s": 50, "zorder": 3},
    "missed": {"color": PURPLE, "marker": "s", "s": 40, "zorder": 3},
}
"""The style of each outcome: distinguished by its shape as well as by its colour."""

_MOST_NUMBERS = 60
_TICKS = 9
_BESIDE = 0.18


def crashes_figure(frame: pd.DataFrame, title: str) -> Picture:
    """Draw what came of each point.

    The columns of the frame are `point` (its number), `at_us`, `consumer`, `when` and `outcome`.
    """
    consumers = sorted(set(frame["consumer"]), key=lambda name: (len(name), name))
    survived = int((frame["outcome"] == "survived").sum())
    width = min(22.0, max(9.0, 0.02 * len(frame) + 7))
    made = picture(
        width,
        2.6 + 0.75 * max(2, len(consumers)),
        title,
        f"{survived:,} of {len(frame):,} points survived; each is one run of its own",
    )
    plot = made.subplots()
    tidy(plot, "")
    if frame.empty:
        empty(plot, "no point was tried")
        return made
    rows = {name: float(len(consumers) - 1 - place) for place, name in enumerate(consumers)}
    heights = [rows[name] + _beside(when) for name, when in zip(frame["consumer"], frame["when"], strict=True)]
    drawn = frame.assign(height=heights)
    for outcome, style in OUTCOMES.items():
        some = drawn[drawn["outcome"] == outcome]
        if not some.empty:
            plot.scatter(some["point"], some["height"], label=f"{outcome} {len(some):,}", linewidths=0, **style)
    if 0 < len(frame) - survived <= _MOST_NUMBERS:
        _number_what_fell(plot, drawn, 0.12 * len(frame) / (width - 2))
    _rows(plot, rows, sorted(set(frame["when"]), reverse=True))
    _times(plot, frame)
    legend(plot)
    return made


def _beside(when: str) -> float:
    return _BESIDE if when == "before" else -_BESIDE


def _rows(plot: Axes, rows: dict[str, float], whens: list[str]) -> None:
    places = [(row + _beside(when), f"{name}  just {when}") for name, row in rows.items() for when in whens]
    plot.set_yticks([place for place, _ in places], [text for _, text in places])
    plot.set_ylim(-0.6, len(rows) - 0.4)
    for row in rows.values():
        plot.axhline(row - 0.5, color="#CFCFCF", linewidth=0.8, zorder=1)


def _times(plot: Axes, frame: pd.DataFrame) -> None:
    moments = frame.sort_values("point")
    chosen = moments.iloc[:: max(1, len(moments) // _TICKS)]
    plot.set_xticks(list(chosen["point"]), [duration(at / 1e6) for at in chosen["at_us"]])
    plot.set_xlabel("moments of the first run, in the order of their time (not to scale)")
    low, high = int(moments["point"].iloc[0]), int(moments["point"].iloc[-1])
    margin = 0.01 * (high - low) + 0.5
    plot.set_xlim(low - margin, high + margin)


def _number_what_fell(plot: Axes, drawn: pd.DataFrame, room: float) -> None:
    """Put its number beside each point that fell, unless another's is nearer than the room for one, in points.

    The table and the scenario files have the same numbers.
    """
    last: dict[float, float] = {}
    fell = drawn[drawn["outcome"] != "survived"]
    for point, height, when in zip(fell["point"], fell["height"], fell["when"], strict=True):
        if point - last.get(height, -inf) < room:
            continue
        last[height] = point
        above = when == "before"
        plot.annotate(
            str(point),
            (point, height),
            xytext=(0, 6 if above else -6),
            textcoords="offset points",
            ha="center",
            va="bottom" if above else "top",
            rotation=90,
            fontsize=6.5,
            color=GREY,
            bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.2},  # no grid line runs through a number
        )
