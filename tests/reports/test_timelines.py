"""The time axis of the pictures: idle stretches are short, and nothing that happened lies in one."""

import math
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reports.figures.timeline import FOLDED, MAX_FOLDS, Timeline, nice

moments = st.lists(st.floats(0, 1000, allow_nan=False), max_size=30)


@given(moments, st.floats(0.001, 1000))
def test_folds_are_empty(happened, end):
    """Nothing that happened lies in a fold and the order is kept."""
    inside = sorted(at for at in happened if at <= end)
    times = Timeline(end, happened)
    assert len(times.folds) <= MAX_FOLDS
    for fold in times.folds:
        assert 0 < fold.begin < fold.end < end
        assert not any(fold.begin < at < fold.end for at in inside)
    places = times.places(np.array([0.0, *inside, end]))
    assert places[0] == 0
    assert places[-1] == pytest.approx(1)
    assert all(np.diff(places) >= 0)


@given(moments, st.floats(0.001, 1000))
def test_steps_of_the_axis_lie_at_equal_distances(happened, end):
    times = Timeline(end, happened)
    assert times.places(times.moments(50)) == pytest.approx(np.linspace(0, 1, 51), abs=1e-6)


@given(moments, st.floats(0.001, 1000))
def test_ticks(happened, end):
    """Ticks have round numbers room and no fold."""
    times = Timeline(end, happened)
    ticks = times.ticks()
    assert ticks
    assert len({tick.words for tick in ticks}) == len(ticks)
    for one, other in pairwise(ticks):
        assert other.at - one.at > 0.06
    for fold in times.folds:
        begin, until = times.place(fold.begin), times.place(fold.end)
        assert not any(begin + 1e-6 < tick.at < until - 1e-6 for tick in ticks)


def test_a_busy_run_is_drawn_to_scale():
    times = Timeline(10.0, np.linspace(0, 10, 11))
    assert times.folds == ()
    assert times.place(2.5) == 0.25
    assert [tick.words for tick in times.ticks()] == ["0 s", "2 s", "4 s", "6 s", "8 s", "10 s"]


def test_rescue_after_a_quarter_of_an_hour():
    """A rescue after a quarter of an hour leaves room for the seconds before."""
    times = Timeline(912.0, [*range(11), 903.0, 908.0, 912.0])
    (fold,) = times.folds
    assert 10 < fold.begin < 11
    assert 902 < fold.end < 903
    assert times.place(fold.end) - times.place(fold.begin) == pytest.approx(FOLDED)
    assert times.place(10.0) > 0.4
    assert [tick.words for tick in times.ticks()][-2:] == ["905 s", "910 s"]


def test_empty_run():
    """A run in which nothing happened has an axis."""
    assert Timeline(0.0).ticks()[0].words == "0 ms"
    assert Timeline(0.0).place(0.0) == 0


@given(st.floats(1e-9, 1e9))
def test_nice_numbers_are_the_next_of_1_2_and_5(raw):
    found = nice(raw)
    assert raw <= found * (1 + 1e-9)
    assert found <= 2.5 * raw * (1 + 1e-9)
    assert round(found / 10 ** math.floor(math.log10(found) + 1e-9)) in (1, 2, 5)
