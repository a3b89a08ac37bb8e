"""No words of any picture are cut off, lie over other words, or over a plot: measured as matplotlib draws them."""

from __future__ import annotations

from collections.abc import Callable

import pandas as pd
import pytest
from boxes import faults
from toy_history import toy

from reports.figures.fault_point_figure import crashes_figure
from reports.figures.run_figures import followers_figure, latency_figure
from reports.figures.spacetime_figure import spacetime_figure
from reports.figures.sweep_figures import MEASURES, Measure, figure
from simulation.history.entries import Header
from simulation.history.history import History
from simulation.invariants import judge

NAME = "a-scenario-with-a-long-name · prefect@0.2.8 · 20,000 seeds each"
LONG = "a-very-long-name-of-a-scenario-as-people-give-them · prefect@0.2.8 · crash at every moment · seed 123456789"
MAPS = {"1 x 1": (1, 1), "5 x 3": (5, 3), "12 x 12": (12, 12), "40 x 40": (40, 40), "2 x 60": (2, 60)}
LABELS: dict[str, Callable[[int], object]] = {
    "numbers": lambda n: n / 20,
    "durations": lambda n: f"{n}m",
    "tables": lambda n: f"{{'uniform': ['1ms', '{n}ms']}}",
}


def table(measure: Measure, rows: list[dict[str, object]]) -> pd.DataFrame:
    """Return a table in which the measure grows over a few decades."""
    frame = pd.DataFrame(rows)
    values = [7 * 1.5 ** (n % 40) / (1 if measure.is_duration else 1e6) for n in range(len(rows))]
    ends = {measure.low: [v / 3 for v in values], measure.high: [v * 3 for v in values]} if measure.low else {}
    return frame.assign(**{measure.column: values}, **ends)


@pytest.mark.parametrize("measure", [MEASURES[1], MEASURES[6], MEASURES[8]], ids=lambda measure: measure.column)
@pytest.mark.parametrize("count", [1, 5, 13, 60])
@pytest.mark.parametrize("label", LABELS)
def test_lines(measure: Measure, count: int, label: str) -> None:
    frame = table(measure, [{"consumers.handler_time": LABELS[label](n)} for n in range(count)])
    assert not list(faults(figure(frame, ["consumers.handler_time"], measure, NAME)))


@pytest.mark.parametrize("measure", [MEASURES[0], MEASURES[6]], ids=lambda measure: measure.column)
@pytest.mark.parametrize("size", MAPS)
@pytest.mark.parametrize("label", LABELS)
def test_maps(measure: Measure, size: str, label: str) -> None:
    rows, columns = MAPS[size]
    cells = [
        {"broker.delay": LABELS[label](y), "policy.lease": LABELS[label](x)}
        for y in range(rows)
        for x in range(columns)
    ]
    frame = table(measure, cells)
    assert not list(faults(figure(frame, ["broker.delay", "policy.lease"], measure, NAME)))


@pytest.mark.parametrize("points", [0, 1, 36, 400, 3000])
@pytest.mark.parametrize("outcome", ["survived", "violated", "mixed"])
@pytest.mark.parametrize("title", ["late-leader · native", LONG], ids=["short", "long"])
def test_crash_points(points: int, outcome: str, title: str) -> None:
    words = ("survived", "violated", "unknown", "missed") if outcome == "mixed" else (outcome,)
    columns = ["point", "at_us", "consumer", "when", "outcome"]
    rows = [
        (n, 977 * n, f"c{n % 5 + 1}", ("before", "after")[n % 2], "violated" if 10 < n < 40 else words[n % len(words)])
        for n in range(1, points + 1)
    ]
    assert not list(faults(crashes_figure(pd.DataFrame(rows, columns=columns), title)))


def chain() -> History:
    """A follower that waits for a quarter of an hour."""
    history = History(Header(LONG[:40], 123_456_789, "prefect@0.2.8"))
    history.append(0, "published", "the-leader-of-all", id="a")
    history.append(0, "published", "its-only-follower", id="b", follows="the-leader-of-all")
    history.append(2_000, "delivered", "its-only-follower", "consumer-1", attempt=1)
    history.append(3_000, "parked", "its-only-follower", "consumer-1")
    history.append(4_000, "delivered", "the-leader-of-all", "consumer-2", attempt=1)
    history.append(5_000, "started", "the-leader-of-all", "consumer-2", via="delivered", handling="1")
    history.append(6_000, "ended", "the-leader-of-all", "consumer-2", outcome="ok", handling="1")
    history.append(900_000_000, "started", "its-only-follower", "consumer-1", via="rescued", handling="2")
    history.append(900_001_000, "ended", "its-only-follower", "consumer-1", outcome="ok", handling="2")
    return history


HISTORIES: dict[str, Callable[[], History]] = {
    "nothing": lambda: History(Header("empty")),
    "a chain": chain,
    "dense": lambda: toy(40),
    "many": lambda: toy(300, 12, fail=0.2),
}


@pytest.mark.parametrize("name", HISTORIES)
@pytest.mark.parametrize("draw", [latency_figure, followers_figure, spacetime_figure])
def test_runs(draw: Callable[..., object], name: str) -> None:
    history = HISTORIES[name]()
    drawn = draw(history, judge(history).violations) if draw is spacetime_figure else draw(history)
    assert not list(faults(drawn))  # type: ignore[arg-type]
