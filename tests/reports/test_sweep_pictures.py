"""Pictures of sweeps and the static space-time picture: what is written on them, and where things stand."""

from collections import Counter

import numpy as np
import pandas as pd
import pytest

from reports.figures.spacetime_figure import LONG_GAP, SHORTENED_GAP, Scale
from reports.figures.sweep_figures import MEASURES, _shades, answer, figure
from simulation import loads
from simulation.search.summary import Tally
from simulation.search.sweep.grid import cells, row

SCENARIO = 'name = "x"\n[workload]\nkind = "chains"\n'
P99 = next(measure for measure in MEASURES if measure.column == "latency_p99_us")


def frame(axis: str, values: list[object], micros: list[float]) -> pd.DataFrame:
    columns = {axis: values, P99.column: micros, P99.low: micros, P99.high: micros}
    return pd.DataFrame(columns)


def texts(picture) -> list[str]:
    return [text.get_text() for text in picture.axes[0].texts]


def test_latencies_are_written_with_their_unit() -> None:
    said = answer(frame("broker.drop", [0.0, 0.2], [55_300_000, 954_000_000]), ["broker.drop"], P99)
    assert said == "From 55.3 s at broker.drop = 0 to 15.9 min at broker.drop = 0.2."


@pytest.mark.parametrize(
    ("values", "places"),
    [
        ([0.0, 0.1, 0.2], [0.0, 0.1, 0.2]),
        ([1, 2, 8, 32], [0, 1, 2, 3]),
        (["5s", "1m", "15m"], [0, 1, 2]),
        ([3], [3]),
    ],
)
def test_axis_of_values(values, places) -> None:
    """Values with even steps stand where they are and others side by side."""
    axes = figure(frame("x", values, [1e6] * len(values)), ["x"], P99, "t").axes[0]
    assert axes.lines[0].get_xdata() == pytest.approx(places)
    assert [label.get_text() for label in axes.get_xticklabels()] == [f"{v:g}" if v != str(v) else v for v in values]


def test_a_map_writes_every_value() -> None:
    table = frame("x", [1, 1, 2, 2], [1e3, 1e6, 60e6, 900e6]).assign(y=["a", "b"] * 2)
    assert texts(figure(table, ["x", "y"], P99, "t"))[:4] == ["1 ms", "1 s", "60 s", "15 min"]


@pytest.mark.parametrize(
    "micros", [(114_000, 164_000), (12_000, 31_000), (1_000, 900_000_000), (7_000, 7_000)], ids=str
)
def test_colours_have_labels(micros: tuple[int, int]) -> None:
    """The colours beside a map say at two places at least what they mean, also where no round duration lies between."""
    picture = figure(frame("x", [1, 2], list(micros)).assign(y=["a", "a"]), ["x", "y"], P99, "t")
    bar = picture.axes[1]
    low, high = bar.get_ylim()
    labels = [bar.yaxis.get_major_formatter()(tick, None) for tick in bar.get_yticks() if low <= tick <= high]
    assert len(set(labels)) >= 2


def test_without_an_interval_there_is_no_band() -> None:
    with_band = frame("x", [1, 2], [1e6, 2e6])
    without = with_band.assign(**{P99.low: [None, None], P99.high: [None, None]})
    assert [len(figure(table, ["x"], P99, "t").axes[0].collections) for table in (with_band, without)] == [1, 0]


def test_map_writes_intervals() -> None:
    """A map writes intervals unless it is large."""
    table = frame("x", [1, 2], [1e6, 2e6]).assign(y=["a", "a"], **{P99.low: [5e5, 1e6], P99.high: [2e6, 3e6]})
    assert texts(figure(table, ["x", "y"], P99, "t"))[2:] == ["500 ms to 2 s", "1 s to 3 s"]
    large = frame("x", [n // 10 for n in range(100)], [1e6] * 99 + [2e6]).assign(y=[n % 10 for n in range(100)])
    assert len(texts(figure(large, ["x", "y"], P99, "t"))) == 100


@pytest.mark.parametrize("measure", [m for m in MEASURES if m.unit.startswith("%")], ids=lambda m: m.column)
def test_every_rate_has_an_interval_around_it(measure) -> None:
    happened = Counter(rescued=3, parked=7, duplicated=2)
    tally = Tally(runs=4, violating=1, events=20, followers=10, lost=1, coverage=happened)
    (cell,) = cells(loads(SCENARIO), [])
    values = row(cell, tally, ())
    assert 0 < values[measure.low] < values[measure.high] <= 1
    assert values[measure.low] < values[measure.column] < values[measure.high]


def test_long_gap_is_shortened() -> None:
    """A long gap is shortened and says how long it was."""
    times = [0, 10, 20, 30, 900_000_000]
    scale = Scale(times)
    assert [scale(time) for time in times] == [0, 1, 2, 3, 3 + SHORTENED_GAP]
    assert scale.shortened == [(3, 3 + SHORTENED_GAP, 899_999_970)]
    assert not Scale([0, 10, 20, int(20 + LONG_GAP * 10)]).shortened


@pytest.mark.parametrize(
    ("column", "values", "limits"),
    [
        ("violated_rate", (100.0, 100.0), (0.0, 100.0)),
        ("violated_rate", (0.0, 0.0), (0.0, 100.0)),
        ("latency_p99_us", (0.0109, 0.011), (0.0, 0.011)),
        ("violated_rate", (10.0, 60.0), (10.0, 60.0)),
    ],
)
def test_map_of_equal_values(column, values, limits) -> None:
    """A map of values that are alike begins at zero."""
    measure = next(each for each in MEASURES if each.column == column)
    shades = _shades(np.array([values]), measure)
    assert (shades.vmin, shades.vmax) == limits
