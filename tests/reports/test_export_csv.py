import csv
import io
import json

import pandas as pd
import pytest
from exported_histories import NASTY

from reports.exports import table
from reports.exports.text import compact, shown
from simulation.history.entries import Header
from simulation.history.history import History


def text(history):
    return "".join(table.write(history))


def framed(history):
    return pd.read_csv(io.BytesIO(text(history).encode()), dtype=str, keep_default_na=False)


def cell(value):
    if value is None:
        return ""
    return shown(value) if isinstance(value, str) else shown(compact(value))


def test_pandas_reads_back_every_entry(anything):
    frame = framed(anything)
    assert list(frame.columns) == list(table.COLUMNS)
    assert [int(number) for number in frame["entry"]] == list(range(len(anything)))
    for row, entry in zip(frame.to_dict("records"), anything, strict=True):
        assert (int(row["at"]), row["kind"]) == (entry.at, entry.kind)
        assert (row["event"], row["consumer"]) == (shown(entry.event), shown(entry.consumer))
        rest = {name: value for name, value in entry.details.items() if name not in table.DETAILS}
        assert row["more"] == (shown(compact(rest)) if rest else "")
        assert {name: row[name] for name in table.DETAILS} == {
            name: cell(entry.details.get(name)) for name in table.DETAILS
        }


def test_columns_of_a_real_run(real_runs):
    """Every detail of a real run but those of faults has a column."""
    for run in real_runs.values():
        frame = framed(run.history)
        assert set(frame.loc[~frame["kind"].isin(["fault", "healed"]), "more"]) == {""}


@pytest.mark.parametrize("name", NASTY)
def test_names_come_through_quoted(name):
    h = History(Header())
    h.append(0, "rejected", name, name, because=name, delivery=7)
    rows = list(csv.reader(io.StringIO(text(h), newline=""), strict=True))
    assert len(rows) == 2
    row = dict(zip(*rows, strict=True))
    assert {row["event"], row["consumer"], row["because"]} == {shown(name)}
    assert f'"{shown(name)}"'.replace('say "hi", twice', 'say ""hi"", twice') in text(h)


def test_numbers_and_names():
    """Numbers are bare and names that look like numbers are not."""
    h = History(Header())
    h.append(3, "started", "007", "c1", handling="1", fence=1_700_000_000_071_056)
    row = text(h).split("\r\n")[1]
    assert row.startswith('0,3,"started","007","c1",')
    assert ',"1",' in row
    assert ",1700000000071056," in row


def test_details_without_a_column_are_json():
    h = History(Header())
    h.append(0, "fault", fault="slow", factor=1.5, where={"a": [None, True]}, entry="mine")
    (row,) = framed(h).to_dict("records")
    assert json.loads(row["more"]) == {"factor": 1.5, "where": {"a": [None, True]}, "entry": "mine"}
    assert row["entry"] == "0"


def test_control_characters_are_written_out():
    """A table may be printed: nothing in it moves a cursor, sets a colour or turns the direction of writing."""
    h = History(Header())
    h.append(
        0, "rejected", "a\x1b[2J", "c\x9b", because="\u202ex\ry", reply="+OK\r\n", commands=[["\x7f"]], other="\x85"
    )
    row = text(h).split("\r\n", 1)[1]
    assert not any(control in row for control in "\x1b\x9b\u202e\x7f\x85")
    for written in (r"a\x1b[2J", r"c\x9b", r"\u202ex\ry", "+OK\r\n", r"\x7f", r"\x85"):
        assert written in row
