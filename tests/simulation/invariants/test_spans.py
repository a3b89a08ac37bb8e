"""Spans and clocks against the plainest model: time as a row of seconds, each counted or not."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from simulation.history.intervals import Clock, everywhere, merge, within
from simulation.invariants.time_format import moment, moments

END = 20
times = st.integers(0, END)
spans = st.lists(st.tuples(times, times).map(lambda pair: (min(pair), max(pair))), max_size=6)


def row(some: list[tuple[int, int]]) -> list[bool]:
    return [any(begin <= second < end for begin, end in some) for second in range(END)]


@given(spans)
def test_merging_keeps_the_time_and_leaves_gaps(some):
    merged = merge(some)
    assert row(merged) == row(some)
    assert all(end < begin for (_, end), (begin, _) in pairwise(merged))


@given(st.lists(spans, min_size=1, max_size=4))
def test_everywhere_is_where_all_lanes_are(lanes):
    common = everywhere([merge(lane) for lane in lanes])
    assert row(common) == [all(second) for second in zip(*map(row, lanes), strict=True)]


@given(spans, times, times)
def test_within_finds_what_overlaps(some, begin, end):
    merged = merge(some)
    assert list(within(merged, begin, end)) == [span for span in merged if span[1] > begin and span[0] < end]


@given(spans, times, times)
def test_clock_outside_of_spans(some, begin, end):
    """A clock counts the seconds outside of its spans."""
    assert Clock(some).elapsed(begin, end) == row(some)[begin:end].count(False)


def test_moments_are_short_and_distinct():
    assert moments(11_523, 13_342, 900_000_000) == ["0.0115 s", "0.0133 s", "900 s"]
    assert moments(1_000_001, 1_000_002) == ["1.000001 s", "1.000002 s"]
    assert moments(7, 7) == ["0 s", "0 s"]
    assert (moment(0), moment(7), moment(1_500_000)) == ("0 s", "0.000007 s", "1.5 s")
