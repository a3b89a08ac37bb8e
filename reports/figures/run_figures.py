"""The two pictures that every run leaves: the latencies of events, and the states of followers.

Each function takes a history, its table of events or its events frame, and returns a matplotlib figure, which is in no
global state; its `savefig` writes a file. Their values are computed in `series.py`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.ticker import FixedFormatter, FixedLocator, MaxNLocator

from reports.figures.series import (
    FATES,
    P99_VALUES,
    edges,
    effects,
    end_of,
    follower_times,
    marks,
    quantile_by_bin,
    rate_by_bin,
    waitlist,
    waits,
)
from reports.figures.style import (
    BLACK,
    BLUE,
    FATE_LINES,
    FATE_MARKERS,
    GREY,
    SKY,
    VERMILION,
    durations_on,
    empty,
    legend,
    picture,
    plots,
    times_on,
    title_on,
)
from reports.figures.timeline import of_run
from reports.figures.units import duration, share, unit_for
from reports.tables.tables import Table, events_table
from simulation.history.history import History

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

    from reports.figures.series import Floats
    from reports.figures.style import Picture
    from reports.figures.timeline import Timeline

RESOLUTION = 1e-6
"""The shortest duration that a history can hold, in seconds. A logarithmic axis draws a wait of nothing here."""


def latency_figure(run: History | Table | pd.DataFrame) -> Picture:
    """Draw how long events took: publish to effect, and waiting to release, as distributions and over time."""
    table = _table(run)
    effective, waited = effects(table), waits(table)
    subtitle = (
        f"{len(effective):,} of {len(table):,} events took effect · "
        f"{len(waited):,} of {int(table.has('parked_s').sum()):,} parked followers were handled"
    )
    figure = picture(11, 7.2, f"Latency of events{_name(table)}", subtitle, layout=None)
    (left, right), (below_left, below_right) = plots(figure, (1, 1), 2, gap=0.775)
    latencies, lasted = effective["latency_s"], waited["wait_s"]
    title_on(left, "Publish to effect")
    _distribution(left, latencies, "events", "from publication to the first effect")
    title_on(below_left, "Publish to effect, over time")
    _over_time(below_left, effective["published_s"], latencies, "publication")
    title_on(right, "Waiting to release")
    _distribution(right, lasted, "parked followers", "from ready (delivered, leader done) to the start of the handling")
    title_on(below_right, "Waiting to release, over time")
    _over_time(below_right, waited["parked_s"], lasted, "parking")
    return figure


def followers_figure(run: History | Table | pd.DataFrame) -> Picture:
    """Draw the states of parked followers over time: their numbers, their rates, and the number of those waiting."""
    table = _table(run)
    met = follower_times(table)
    parked, lost = len(met["parked"]), len(met["lost"])
    subtitle = f"{parked:,} of {len(table):,} events were parked · {lost:,} lost ({share(lost, parked)} of the parked)"
    figure = picture(11, 8.4, f"Followers{_name(table)}", subtitle, layout=None)
    counts, rates, waiting = plots(figure, (3, 2, 2), 1, gap=0.34).flat
    times = of_run(table, end_of(table))
    title_on(counts, "Followers so far")
    title_on(rates, "Rate")
    title_on(waiting, "Waiting: followers that are parked")
    if not parked:
        for axes in (counts, rates, waiting):
            empty(axes, "no event was parked")
        return figure
    _counts(counts, met, times)
    _rates(rates, met, times)
    _waiting(waiting, table, times)
    for axes in (counts, rates, waiting):
        _along(axes, times)
        axes.tick_params(labelbottom=axes is waiting)
        axes.ticklabel_format(axis="y", style="plain", useOffset=False)
        _fold(axes, times)
    return figure


def _table(run: History | Table | pd.DataFrame) -> Table:
    if isinstance(run, History):
        return events_table(run)
    return run if isinstance(run, Table) else Table.of_frame(run)


def _name(table: Table) -> str:
    """Return what the title says of the run, as far as the table knows."""
    known = table.attrs
    if "scenario" not in known:
        return ""
    return f" – {known['scenario']} · {known['engine']} · seed {known['seed']}"


def _distribution(axes: Axes, values: Floats, of: str, label: str) -> None:
    """Draw which share of the values is at or below each duration, and mark the quantiles."""
    if not len(values):
        return empty(axes, f"no {of} were handled")
    ordered = np.sort(np.maximum(values, RESOLUTION))
    axes.ecdf(ordered, color=BLUE, linewidth=1.8)
    if len(ordered) < 20:
        axes.plot(ordered, np.arange(1, len(ordered) + 1) / len(ordered), "o", color=BLUE, markersize=5)
    for mark, style, color in zip(marks(values), ("--", ":"), (BLACK, VERMILION), strict=True):
        words = f"{mark.name} {duration(mark.value)}"
        axes.axvline(max(mark.value, RESOLUTION), linestyle=style, color=color, linewidth=1.5, label=words)
    durations_on(axes, "x", low=float(ordered[0]), high=float(ordered[-1]))
    axes.set_xlabel(label)
    axes.set_ylabel(f"share of {of}")
    axes.yaxis.set_major_formatter(lambda value, _: f"{100 * value:.0f} %")
    axes.set_ylim(-0.02, 1.03)
    return legend(axes)


def _over_time(axes: Axes, at: Floats, values: Floats, of: str) -> None:
    """Draw each value at its time, until the last, and the quantiles over time where there are enough for them."""
    if not len(values):
        return empty(axes, "nothing to show")
    end = float(at.max())
    seen, unit = np.maximum(values, RESOLUTION), unit_for(end)
    size, alpha = (26, 0.9) if len(seen) < P99_VALUES else (7, max(0.12, min(0.6, 300 / len(seen))))
    axes.scatter(at / unit.seconds, seen, s=size, color=SKY, alpha=alpha, linewidths=0, label="event", rasterized=True)
    if len(seen) >= P99_VALUES:
        bins = edges(end, len(seen), each=250)
        for q, name, color, style in ((0.5, "p50", BLACK, "-"), (0.99, "p99", VERMILION, (0, (4, 1)))):
            line = quantile_by_bin(at, seen, bins, q)
            axes.stairs(
                line, bins / unit.seconds, baseline=None, color=color, linestyle=style, linewidth=1.6, label=name
            )
    durations_on(axes, "y", low=float(seen.min()), high=float(seen.max()))
    times_on(axes, end / unit.seconds)
    axes.set_ylabel("duration")
    axes.set_xlabel(f"time of {of} since the start of the run ({unit.sign})")
    return legend(axes)


def _counts(axes: Axes, met: dict[str, Floats], times: Timeline) -> None:
    parked = len(met["parked"])
    for fate in FATES:
        at = met[fate]
        if not len(at) and fate == "redelivered":
            continue
        x, y = np.concatenate([[0.0], at, [times.end]]), np.append(np.arange(len(at) + 1), len(at))
        name = fate if fate == "parked" else f"{fate} ({share(len(at), parked)})"
        axes.step(times.places(x), y, where="post", label=f"{len(at):,} {name}", **FATE_LINES[fate], **_dots(fate, at))
    axes.set_ylabel("followers")
    axes.yaxis.set_major_locator(MaxNLocator(integer=True))
    legend(axes)


def _dots(fate: str, at: Floats) -> dict[str, Any]:
    """Mark about a dozen of a line's steps, so that the lines differ by more than colour and dashes."""
    if not len(at):
        return {}
    return {"marker": FATE_MARKERS[fate], "markersize": 6, "markevery": range(1, len(at) + 1, -(-len(at) // 12))}


def _rates(axes: Axes, met: dict[str, Floats], times: Timeline) -> None:
    unit = times.unit
    steps = len(edges(times.end, len(met["parked"]), each=20, least=12)) - 1
    bins = times.moments(steps)
    for fate in FATES:
        if len(met[fate]):
            rate = rate_by_bin(met[fate], bins)
            axes.stairs(rate * unit.seconds, times.places(bins), baseline=None, **FATE_LINES[fate])
    width = f"{steps} steps" if times.folds else f"steps of {duration(float(bins[1] - bins[0]))}"
    title_on(axes, f"Rate, in {width}")
    axes.set_ylabel(f"followers per {unit.sign}")
    axes.set_ylim(0, 1.08 * axes.get_ylim()[1])


def _waiting(axes: Axes, table: Table, times: Timeline) -> None:
    level = waitlist(table)
    x = times.places(np.concatenate([[0.0], level.at, [times.end]]))
    y = np.concatenate([[0], level.height, level.height[-1:]])
    axes.fill_between(x, y, step="post", color=SKY, alpha=0.5, linewidth=0)
    axes.step(x, y, where="post", color=BLUE, linewidth=1.2)
    axes.set_ylabel("followers")
    axes.set_xlabel("time since the start of the run")
    axes.set_ylim(0, 1.08 * axes.get_ylim()[1])
    axes.yaxis.set_major_locator(MaxNLocator(integer=True))


def _along(axes: Axes, times: Timeline) -> None:
    """Let the time axis of a plot be that of the run."""
    times_on(axes, 1.0)
    ticks = times.ticks()
    axes.xaxis.set_major_locator(FixedLocator([tick.at for tick in ticks]))
    axes.xaxis.set_major_formatter(FixedFormatter([tick.words for tick in ticks]))


def _fold(axes: Axes, times: Timeline) -> None:
    """Mark where the time axis is folded, and say how long each fold lasted."""
    for fold in times.folds:
        begin, end = times.place(fold.begin), times.place(fold.end)
        axes.axvspan(begin, end, facecolor="#F0F0F0", edgecolor=GREY, linestyle=":", zorder=0.5)
        words, where = f"…\n{duration(fold.end - fold.begin)}\n…", axes.get_xaxis_transform()
        axes.text((begin + end) / 2, 0.5, words, transform=where, ha="center", va="center", fontsize=8.5, color=GREY)
