import subprocess
import sys

import numpy as np
import pytest
from boxes import faults, words
from toy_history import MS, S, toy

from reports.figures.run_figures import followers_figure, latency_figure
from reports.figures.series import edges, follower_times, marks, quantile_by_bin, waitlist
from reports.figures.units import duration, share, unit_for
from reports.tables.frames import events_frame
from reports.tables.tables import events_table
from simulation.history.entries import Header
from simulation.history.history import History


def all_lost():
    h = History(Header("void"))
    for n in range(150):
        h.append(n * MS, "delivered", f"e{n}", "c1")
        h.append(n * MS, "parked", f"e{n}", "c1")
    return h


SIZES = {
    "nothing": lambda: History(Header()),
    "two events": lambda: toy(2, 2),
    "a few, some lost": lambda: toy(40, forget=0.3),
    "a thousand": lambda: toy(1000, 10, forget=0.05),
    "none parked": lambda: toy(150, follow=0, lose_leader=0),
    "all lost": all_lost,
    "hours": lambda: toy(300, gap=60 * S),
}


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("draw", [latency_figure, followers_figure])
def test_sizes_and_labels(draw, size, tmp_path, recwarn):
    """Pictures draw at every size and are labelled."""
    figure = draw(SIZES[size]())
    figure.savefig(tmp_path / "picture.png")
    assert figure.get_suptitle()
    for axes in figure.axes:
        assert axes.get_title(loc="left")
        if axes.lines or axes.collections:
            assert axes.get_ylabel()
    assert not [str(w.message) for w in recwarn if not issubclass(w.category, ResourceWarning)]


def instants():
    """Eight followers parked within microseconds that wait for a quarter of an hour: long words and numbers."""
    h = History(Header("a" * 30, 123_456_789, "native"))
    for n in range(8):
        h.append(n, "published", f"e{n}")
        h.append(n, "delivered", f"e{n}", "c1")
        h.append(n, "parked", f"e{n}", "c1")
    for n in range(8):
        h.append(1_000_015 * 10**3 + n * S, "started", f"e{n}", "c1", via="released", handling=n)
        h.append(1_000_016 * 10**3 + n * S, "ended", f"e{n}", "c1", outcome="ok", handling=n)
    return h


@pytest.mark.parametrize("size", [*SIZES, "instants"])
@pytest.mark.parametrize("draw", [latency_figure, followers_figure])
def test_no_words_are_cut_or_lie_over_others(draw, size):
    figure = draw({**SIZES, "instants": instants}[size]())
    assert len(words(figure)) >= 5
    assert not list(faults(figure))


@pytest.mark.parametrize("draw", [latency_figure, followers_figure])
@pytest.mark.parametrize("form", [events_table, events_frame])
def test_table_frame_or_history(draw, form):
    """Pictures take a table or a frame as well as a history."""
    history = toy(50, forget=0.2)
    assert draw(form(history))._repr_png_() == draw(history)._repr_png_()


def test_names_are_not_taken_for_formulas():
    figure = latency_figure(History(Header(scenario="$\\x{$ and $", engine="a_b")))
    assert figure._repr_png_()


def test_pictures_show_themselves_in_a_notebook():
    assert followers_figure(toy(5))._repr_png_().startswith(b"\x89PNG")


def test_pictures_leave_no_trace_in_matplotlib():
    code = (
        "import sys, matplotlib; before = matplotlib.rcParams.copy()\n"
        "sys.path.insert(0, 'tests/reports'); from toy_history import toy\n"
        "from reports.figures.run_figures import latency_figure; latency_figure(toy(10))._repr_png_()\n"
        "assert 'matplotlib.pyplot' not in sys.modules; assert matplotlib.rcParams.copy() == before"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_importing_reports_is_cheap():
    code = "import sys, reports; assert not {'pandas', 'matplotlib', 'numpy', 'jinja2'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_followers_by_their_fate():
    h = History(Header())
    for n, event in enumerate(("freed", "saved", "again", "gone", "given-up")):
        h.append(n * S, "parked", event, "c1")
    for event, via in (("freed", "released"), ("saved", "rescued"), ("again", "delivered")):
        h.append(10 * S, "started", event, "c1", via=via)
        h.append(11 * S, "ended", event, "c1", outcome="ok")
    h.append(12 * S, "dead-lettered", "given-up")
    times = follower_times(events_table(h))
    assert {fate: list(at) for fate, at in times.items()} == {
        "parked": [0, 1, 2, 3, 4],
        "released": [10],
        "rescued": [10],
        "redelivered": [10],
        "lost": [3],
    }


def test_the_waitlist_grows_and_shrinks():
    h = History(Header())
    h.append(1 * S, "parked", "a", "c1")
    h.append(2 * S, "parked", "b", "c1")
    h.append(3 * S, "parked", "gone", "c1")
    h.append(5 * S, "started", "a", "c1", via="released")
    h.append(5 * S, "ended", "a", "c1", outcome="ok")
    h.append(6 * S, "dead-lettered", "b")
    level = waitlist(events_table(h))
    assert list(level.at) == [1, 2, 3, 5, 6]
    assert list(level.height) == [1, 2, 3, 2, 1]


def test_p99_needs_enough_values():
    """A 99th percentile is claimed only of enough values."""
    assert [m.name for m in marks(np.arange(99.0))] == ["p50", "max"]
    assert [m.name for m in marks(np.arange(100.0))] == ["p50", "p99"]
    assert marks(np.array([])) == []


def test_bins_include_the_end():
    """Quantiles by bin include the end of the run."""
    bins = edges(4.0, 400, each=100)
    assert list(bins) == [0, 1, 2, 3, 4]
    line = quantile_by_bin(np.array([0.5, 0.7, 3.5, 4.0]), np.array([1.0, 3.0, 5.0, 7.0]), bins, 0.5)
    assert list(line[[0, 3]]) == [2.0, 6.0]
    assert np.isnan(line[[1, 2]]).all()


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0, "0 s"),
        (1e-6, "1 µs"),
        (0.0384, "38.4 ms"),
        (0.99999, "1 s"),
        (1.25, "1.25 s"),
        (90, "90 s"),
        (900, "15 min"),
        (7200, "2 h"),
        (float("nan"), "–"),
    ],
)
def test_durations_read_well(seconds, words):
    assert duration(seconds) == words


def test_axes_take_the_unit_that_suits_their_span():
    assert [unit_for(s).sign for s in (0, 1e-3, 0.5, 10, 600, 90_000)] == ["µs", "µs", "ms", "s", "min", "h"]


def test_a_share_of_nothing_is_no_number():
    assert (share(2, 200), share(0, 0)) == ("1.00 %", "–")
