import json
import math
import subprocess
import sys

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from toy_history import MS, toy

from reports.tables.frames import deliveries_frame, events_frame, handlings_frame
from reports.tables.parquet import arrow, write_events
from reports.tables.tables import DELIVERY_COLUMNS, EVENT_COLUMNS, HANDLING_COLUMNS, events_table, events_tables
from simulation.history.entries import Header
from simulation.history.history import History
from simulation.strategies import histories


@pytest.fixture
def history():
    """Leader a and follower b; b comes first, is parked, and is released 2 ms after a is done."""
    h = History(Header("late-leader", 4, "native"))
    h.append(1 * MS, "published", "a", id="id-a")
    h.append(2 * MS, "published", "b", follows="a", id="id-b")
    h.append(5 * MS, "delivered", "b", "c1", attempt=1, delivery="d1")
    h.append(6 * MS, "parked", "b", "c1")
    h.append(7 * MS, "acknowledged", "b", "c1", delivery="d1")
    h.append(20 * MS, "delivered", "a", "c2", attempt=1, delivery="d2")
    h.append(21 * MS, "started", "a", "c2", handling=1, via="delivered")
    h.append(30 * MS, "ended", "a", "c2", handling=1, outcome="ok", write="accepted")
    h.append(32 * MS, "started", "b", "c2", handling=2, via="released")
    h.append(35 * MS, "ended", "b", "c2", handling=2, outcome="ok")
    return h


def row(history, event):
    return events_frame(history).set_index("event").loc[event]


def test_life_of_an_event(history):
    b = row(history, "b")
    assert (b.follows, b.via, b.consumer) == ("a", "released", "c2")
    assert (b.deliveries, b.handlings, b.effects) == (1, 1, 1)
    assert [b.published_s, b.first_delivered_s, b.parked_s] == pytest.approx([0.002, 0.005, 0.006])
    assert [b.started_s, b.effect_s, b.latency_s] == pytest.approx([0.032, 0.035, 0.033])
    assert not b.lost
    assert not b.dead_lettered
    assert math.isnan(b.dead_lettered_s)


def test_waiting_of_a_follower(history):
    """A follower waits from the later of its delivery and its leader's effect."""
    assert row(history, "b").wait_s == pytest.approx(0.002)
    late = History(Header(), [e for e in history if e.kind != "delivered" or e.event != "b"])
    late.append(40 * MS, "delivered", "b", "c1")
    late.append(47 * MS, "started", "b", "c1", handling=3, via="delivered")
    late.entries = [e for e in late if not (e.event == "b" and e.details.get("handling") == 2)]
    late.append(49 * MS, "ended", "b", "c1", handling=3, outcome="ok")
    assert row(late, "b").wait_s == pytest.approx(0.007)


def test_an_event_without_a_leader_waits_for_none(history):
    assert math.isnan(row(history, "a").wait_s)


def test_waiting_of_a_rescued_follower():
    """A rescued follower has waited since its delivery."""
    h = History(Header())
    h.append(0, "published", "b", follows="never")
    h.append(3 * MS, "delivered", "b", "c1")
    h.append(4 * MS, "parked", "b", "c1")
    h.append(903 * MS, "started", "b", "c1", via="rescued", handling=1)
    h.append(905 * MS, "ended", "b", "c1", handling=1, outcome="ok")
    assert row(h, "b").wait_s == pytest.approx(0.9)


def test_event_that_follows_itself():
    """An event that follows itself has no leader."""
    h = History(Header())
    h.append(0, "published", "b", follows="id-b", id="id-b")
    assert row(h, "b").follows == ""


def test_a_leader_may_be_named_by_its_id(history):
    history.entries[1] = history.entries[1]._replace(details={"follows": "id-a"})
    assert row(history, "b").wait_s == pytest.approx(0.002)


def test_a_failed_handling_is_no_effect(history):
    history.entries[-1] = history.entries[-1]._replace(details={"handling": 2, "outcome": "failed"})
    b = row(history, "b")
    assert (b.handlings, b.effects, b.lost) == (1, 0, True)
    assert math.isnan(b.effect_s)


def test_accepted_write_of_a_dead_holder(history):
    """An accepted write is an effect though its holder died."""
    history.entries[-1] = history.entries[-1]._replace(
        details={"handling": 2, "outcome": "unknown", "write": "accepted"}
    )
    assert row(history, "b").effects == 1


def test_a_dead_letter_is_not_lost(history):
    del history.entries[-2:]
    assert row(history, "b").lost
    history.append(50 * MS, "dead-lettered", "b", by="engine")
    b = row(history, "b")
    assert b.dead_lettered
    assert not b.lost
    assert b.dead_lettered_s == pytest.approx(0.05)


def test_second_effect(history):
    """A second effect is counted, and the time is that of the first."""
    history.append(60 * MS, "started", "b", "c1", handling=3, via="delivered")
    history.append(61 * MS, "ended", "b", "c1", handling=3, outcome="ok")
    b = row(history, "b")
    assert (b.effects, b.consumer) == (2, "c2")
    assert b.effect_s == pytest.approx(0.035)


def test_crash_ends_handlings(history):
    """A crash ends what its consumer was handling."""
    del history.entries[-1]
    history.append(33 * MS, "crashed", consumer="c2", holding=["b"])
    history.append(34 * MS, "ended", "b", "c2", handling=2, outcome="ok")
    handling = handlings_frame(history).iloc[-1]
    assert (handling.outcome, handling.effect) == ("unknown", False)
    assert handling.ended_s == pytest.approx(0.033)


def test_a_handling_that_never_ends_stays_open(history):
    del history.entries[-1]
    handling = handlings_frame(history).iloc[-1]
    assert handling.outcome == "open"
    assert math.isnan(handling.ended_s)


def test_deliveries_know_their_answers(history):
    history.append(40 * MS, "delivered", "a", "c1", attempt=2, delivery="d3")
    history.append(41 * MS, "delivered", "a", "c1", attempt=3, delivery="d4")
    history.append(42 * MS, "rejected", "a", "c1", delivery="d4", because="no")
    frame = deliveries_frame(history)
    assert list(frame["outcome"]) == ["acknowledged", "open", "open", "rejected"]
    assert frame["because"].iloc[3] == "no"
    assert frame["done_s"].iloc[0] == pytest.approx(0.007)


def test_log_without_publications():
    """A log without publications is read as it is."""
    h = History(Header())
    h.append(3 * MS, "started", "x", "c1")
    h.append(5 * MS, "ended", "x", "c1", outcome="ok")
    x = row(h, "x")
    assert math.isnan(x.latency_s)
    assert x.effects == 1


@pytest.mark.parametrize(
    ("frame", "columns"),
    [(events_frame, EVENT_COLUMNS), (deliveries_frame, DELIVERY_COLUMNS), (handlings_frame, HANDLING_COLUMNS)],
)
def test_dtypes(frame, columns):
    """Dtypes are as stated with and without rows."""
    for history in (History(Header()), toy(30)):
        assert {name: str(dtype) for name, dtype in frame(history).dtypes.items()} == {
            name: dtype for name, (dtype, _) in columns.items()
        }


def test_a_row_an_event_and_back_from_parquet(tmp_path):
    history = toy(200, forget=0.1)
    frame = events_frame(history)
    assert len(frame) == 200
    write_events([events_table(history)], tmp_path / "events.parquet")
    pd.testing.assert_frame_equal(pd.read_parquet(tmp_path / "events.parquet"), frame)
    assert pd.read_parquet(tmp_path / "events.parquet").attrs == frame.attrs
    assert list(tmp_path.iterdir()) == [tmp_path / "events.parquet"]


def hostile():
    h = History(Header("na\ud800me", 7, "…"))
    h.append(1 * MS, "published", "\ud800 🚀 ä", follows="")
    h.append(1 * MS, "published", "\0", follows="\ud800 🚀 ä")
    return h


@pytest.mark.parametrize("make", [lambda: History(Header()), hostile, lambda: toy(3, 2), lambda: toy(200, forget=0.1)])
def test_the_file_is_the_one_that_pandas_writes(tmp_path, make):
    history = make()
    write_events([events_table(history)], tmp_path / "ours.parquet")
    events_frame(history).to_parquet(tmp_path / "theirs.parquet", index=False)
    ours, theirs = (pq.read_table(tmp_path / f"{whose}.parquet") for whose in ("ours", "theirs"))
    assert ours.schema.equals(theirs.schema)
    assert ours.equals(theirs)
    assert json.loads(ours.schema.metadata[b"pandas"]) == json.loads(theirs.schema.metadata[b"pandas"])


@settings(deadline=None)
@given(histories(orderly=False))
def test_table_as_pandas_makes_it(history):
    """The table of any history is the one that pandas makes."""
    columns = arrow(events_table(history))
    assert columns.equals(pa.Table.from_pandas(events_frame(history), preserve_index=False))
    columns.validate(full=True)


def test_writing_a_table_does_not_wait_for_pandas(tmp_path):
    code = (
        "import sys, pathlib; sys.path.insert(0, 'tests/reports')\n"
        "from toy_history import toy_run; from reports import write_report\n"
        f"assert len(write_report(pathlib.Path({str(tmp_path)!r}), toy_run(5))) == 4\n"
        "assert 'pandas' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize("most", [1, 7, 40, 1000])
def test_a_table_in_pieces_is_the_same_table(tmp_path, most):
    history = toy(200, forget=0.1)
    long = History(history.header, history.entries)
    long.spill_to_file(tmp_path)
    for source in (history, long):
        pieces = list(events_tables(source, most))
        assert [len(piece) for piece in pieces] == [min(most, 200 - done) for done in range(0, 200, most)]
        write_events(pieces, tmp_path / "events.parquet")
        pd.testing.assert_frame_equal(pd.read_parquet(tmp_path / "events.parquet"), events_frame(history))


@settings(deadline=None)
@given(histories(orderly=False))
def test_table_in_pieces(history):
    """A table in pieces has the same rows for any history."""
    whole = pd.concat([arrow(piece).to_pandas() for piece in events_tables(history, 2)], ignore_index=True)
    pd.testing.assert_frame_equal(whole, events_frame(history))


def test_an_attempt_that_is_no_number_is_counted():
    h = History(Header())
    for attempt in ("first", None, 3):
        h.append(0, "delivered", "a", "c1", attempt=attempt)
    assert list(deliveries_frame(h)["attempt"]) == [1, 2, 3]
