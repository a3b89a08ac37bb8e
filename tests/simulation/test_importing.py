"""Imported logs: three formats, other people's column names, and rows that cannot be used."""

import json
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from simulation import load
from simulation.cli import main
from simulation.scenario import log_rows
from simulation.scenario.import_log import MAX_DURATIONS, BadLog, Import, import_log, measured, parse_map, read_log

ROWS = [
    {"key": "order-1", "after": None, "ts": 1_700_000_000},
    {"key": "order-2", "after": "order-1", "ts": 1_700_000_001.5},
    {"key": "order-3", "after": "order-0", "ts": "2023-11-14T22:13:23Z"},
]
MAP = "id=key,follows=after,occurred=ts"


@pytest.fixture(params=["jsonl", "csv", "parquet"])
def log(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    path = tmp_path / f"orders.{request.param}"
    frame = pd.DataFrame(ROWS).astype({"ts": str})
    match request.param:
        case "jsonl":
            path.write_text("".join(json.dumps(row) + "\n" for row in ROWS))
        case "csv":
            frame.to_csv(path, index=False)
        case "parquet":
            frame.to_parquet(path)
    return path


def test_log_becomes_events(log: Path) -> None:
    """A log becomes events that keep their leaders."""
    found = read_log(log, parse_map(MAP))
    first, second, third = found.events
    assert not found.rejected
    assert second["follows"] == first["id"]
    assert (found.following, found.missing) == (2, 1)
    assert [event["occurred"] for event in found.events] == [
        "2023-11-14T22:13:20.000000Z", "2023-11-14T22:13:21.500000Z", "2023-11-14T22:13:23.000000Z",
    ]  # fmt: skip
    assert third["follows"] != first["id"]


def test_an_imported_log_is_a_scenario_that_runs(log: Path, tmp_path: Path, laboratory, capsys) -> None:
    assert main(["import", str(log), "--columns", MAP, "--out", str(tmp_path / "out")]) == 0
    assert "3 events, 2 with a leader; the leader of 1 is not in the log" in capsys.readouterr().out
    run = laboratory.run(load(tmp_path / "out" / "orders.toml"))
    assert run.counts.events == 3
    assert run.judgement.coverage["rescued"] == 1


def test_handler_times(tmp_path: Path, capsys) -> None:
    """Times from arrival to acknowledgement become handler times."""
    path = tmp_path / "log.csv"
    path.write_text(
        "id,follows,occurred,received,acknowledged\n"
        "a,,2026-01-01T00:00:00Z,2026-01-01T00:00:00.004Z,2026-01-01T00:00:00.054Z\n"
        "b,a,2026-01-01T00:00:01Z,2026-01-01T00:00:01.1Z,2026-01-01T00:00:01.102Z\n"
        "c,b,2026-01-01T00:00:02Z,,2026-01-01T00:00:02.007Z\n"
        "d,c,2026-01-01T00:00:03Z,2026-01-01T00:00:03Z,2026-01-01T00:00:02Z\n"  # a clock is behind
    )
    assert main(["import", str(path), "--out", str(tmp_path)]) == 0
    said = capsys.readouterr().out
    assert "3 handler times as in the log: median 7ms, longest 50ms" in said
    scenario = load(tmp_path / "log.toml")
    assert scenario.consumers.handler_time.written() == {"empirical": ["2ms", "7ms", "50ms"]}


def test_durations_are_thinned() -> None:
    """Of many durations a few are kept from the shortest to the longest."""
    kept = measured(range(1, 100_000))
    assert kept is not None
    assert len(kept["empirical"]) == MAX_DURATIONS
    assert (kept["empirical"][0], kept["empirical"][-1]) == ("1us", "99ms999us")
    assert measured([0, 0]) is None
    assert measured([]) is None


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("{", "not JSON"),
        ("[1, 2]", "not an object"),
        ('{"ts": 1700000000}', "no 'key' (field id"),
        ('{"key": "x", "ts": "yesterday"}', "'ts' (field occurred) is 'yesterday': give ISO 8601, or seconds"),
        ('{"key": "x", "ts": 1e300}', "'ts' (field occurred) is 1e+300: give"),
        ('{"key": "x", "ts": NaN}', "no 'ts' (field occurred"),
        ('{"key": "order-1", "ts": 1700000000}', "the id 'order-1' was there before, in "),
    ],
)
def test_bad_row(line: str, reason: str, tmp_path: Path, capsys) -> None:
    """A bad row is shown and skipped only on request."""
    path = tmp_path / "orders.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in ROWS) + line + "\n")
    arguments = ["import", str(path), "--columns", MAP, "--out", str(tmp_path / "out")]
    assert main(arguments) == 4
    said = capsys.readouterr().err
    assert reason in said
    assert "orders.jsonl:4" in said
    assert not (tmp_path / "out").exists()
    assert main([*arguments, "--skip-bad"]) == 0


def test_a_map_that_names_no_field_is_refused() -> None:
    with pytest.raises(BadLog, match="give FIELD=COLUMN"):
        parse_map("identity=key")


def test_existing_scenario(log: Path, tmp_path: Path, capsys) -> None:
    """An existing scenario is not replaced unless asked."""
    arguments = ["import", str(log), "--columns", MAP, "--out", str(tmp_path / "out")]
    assert main(arguments) == 0
    assert main(arguments) == 4
    assert "--force replaces it" in capsys.readouterr().err
    assert main([*arguments, "--force"]) == 0


def test_prefects_own_export_needs_no_map(tmp_path: Path) -> None:
    found = read_log(Path("scenarios/data/prefect-etl-events.jsonl"), parse_map(""))
    assert (len(found.events), found.following, found.missing, found.rejected) == (1178, 809, 0, [])


def imported(tmp_path: Path, text: str, columns: str = "", name: str = "log.csv") -> list[tuple[str, str]]:
    """Return who follows whom in a log, by the ids that the log has."""
    path = tmp_path / name
    path.write_bytes(text.encode())
    found = read_log(path, parse_map(columns))
    assert not found.rejected
    return [(event["name"], event["follows_name"]) for event in found.events]


def days(*rows: str) -> str:
    return "".join(f"{row},2026-01-01T00:00:{place:02}Z\n" for place, row in enumerate(rows))


@pytest.mark.parametrize(
    "text",
    [
        "id,follows,occurred\n" + days("7,", "8,7.0", "9,8.0"),
        "\ufeffid,follows,occurred\r\n" + days("7,", "8,7", "9,8"),
        "id, follows, occurred\n" + days(" 7, ", " 8, 7", " 9, 8"),
        "id,follows,occurred\n" + days("7,NULL", "8,7", "9,8").replace("Z", "Z "),
    ],
    ids=["floats beside whole numbers", "byte order mark", "spaces after commas", "words for nothing"],
)
def test_logs_of_other_programs(text: str, tmp_path: Path) -> None:
    """A log as other programs write it gives the same graph."""
    assert imported(tmp_path, text) == [("7", ""), ("8", "7"), ("9", "8")]


def test_large_integers_as_ids(tmp_path: Path) -> None:
    """Versions stay apart where ids are no whole numbers."""
    text = "id,follows,occurred\n" + days("1,", "1.0,1", "x,1.0")
    assert imported(tmp_path, text) == [("1", ""), ("1.0", "1"), ("x", "1.0")]


@pytest.mark.parametrize("word", ["NULL", "None", "nan", "NaN", "\\N", "null", " "])
def test_a_word_for_nothing_is_no_leader(word: str, tmp_path: Path) -> None:
    assert imported(tmp_path, "id,follows,occurred\n" + days(f"a,{word}")) == [("a", "")]


def test_a_column_may_be_nested(tmp_path: Path) -> None:
    lines = [
        {"id": "a", "occurred": 1_700_000_000, "headers": {"causation": None}},
        {"id": "b", "occurred": 1_700_000_001, "headers": {"causation": "a"}},
        {"id": "c", "occurred": 1_700_000_002, "headers": '{"causation": "b"}'},
    ]
    text = "".join(json.dumps(line) + "\n" for line in lines)
    assert imported(tmp_path, text, "follows=headers.causation", "log.jsonl") == [("a", ""), ("b", "a"), ("c", "b")]


@pytest.mark.parametrize(
    ("header", "columns", "said"),
    [
        ("id,parent,occurred", "", "there is no column 'follows' (field follows)"),
        ("id,parent,occurred", "follows=cause", "there is no column 'cause' (field follows)"),
        ("key,follows,occurred", "", "there is no column 'id' (field id)"),
    ],
)
def test_missing_column(header: str, columns: str, said: str, tmp_path: Path) -> None:
    """A column that is not there is named with those that are."""
    with pytest.raises(BadLog) as caught:
        imported(tmp_path, header + "\n" + days("a,", "b,a"), columns)
    assert said in str(caught.value)
    assert f"The columns are {', '.join(sorted(header.split(',')))}" in str(caught.value)


def test_log_without_leaders(tmp_path: Path) -> None:
    """A log without leaders is imported if that is said."""
    assert imported(tmp_path, "id,occurred\na,2026-01-01T00:00:00Z\n", "follows=") == [("a", "")]


def test_most_leaders_are_in_the_log(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Most leaders are in the log or it is asked."""
    path = tmp_path / "log.csv"
    path.write_text("id,follows,occurred\n" + days("a,", "b,x1", "c,x2", "d,a"))
    arguments = ["import", str(path), "--out", str(tmp_path / "out")]
    assert main(arguments) == 4
    assert "2 of 3 followers follow an event that is not in the log, such as 'x1', 'x2'" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
    assert main([*arguments, "--allow-unknown-leaders"]) == 0


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("log.csv", "id,occurred,follows\nM\xfcller,2023-01-01T00:00:00Z,\n".encode("latin1"), "iconv -f latin1"),
        ("log.parquet", b"no parquet", "is not a Parquet file"),
        ("log.jsonl", b"\xff\xfe", "log.jsonl:1: byte 0xff is not UTF-8"),
        ("log.csv", b"id,occurred\na,1\nM\xfcller,2\n", "log.csv:3: byte 0xfc is not UTF-8"),
    ],
)
def test_a_file_in_another_format_is_a_bad_file(name: str, content: bytes, said: str, tmp_path: Path, capsys) -> None:
    (tmp_path / name).write_bytes(content)
    assert main(["import", str(tmp_path / name), "--out", str(tmp_path)]) == 4
    assert said in capsys.readouterr().err


def test_run_names_ids_of_the_log(tmp_path: Path, laboratory) -> None:
    """A run names events by the ids of the log."""
    path = tmp_path / "log.csv"
    path.write_text("id,follows,occurred\n" + days("order-2,order-1", "order-1,") + days("order-3,order-0"))
    scenario = import_log(path, tmp_path, allow_unknown_leaders=True)
    history = laboratory.run(scenario).history
    assert {entry.event for entry in history.of("published")} == {"order-1", "order-2", "order-3"}
    assert {entry.details.get("follows", "") for entry in history.of("published")} == {"", "order-1", "order-0"}


def parquet(tmp_path: Path, **columns: pa.Array) -> Import:
    path = tmp_path / "log.parquet"
    pq.write_table(pa.table(columns), path)
    return read_log(path, parse_map("follows="))


def test_nanoseconds(tmp_path: Path) -> None:
    """Nanoseconds of a table are cut off to microseconds."""
    took = pa.array([1, 1_500], pa.duration("ns"))
    occurred = pa.array([1_999, 1_700_000_000_123_456_789], pa.timestamp("ns"))
    found = parquet(tmp_path, id=["a", "b"], occurred=occurred, took=took)
    assert [event["occurred"] for event in found.events] == [
        "1970-01-01T00:00:00.000001Z",
        "2023-11-14T22:13:20.123456Z",
    ]


@pytest.mark.parametrize(
    ("kind", "value", "said"),
    [
        (pa.timestamp("us"), (1 << 63) - 1, "a timestamp[us] that Python does not have"),
        (pa.timestamp("us", "Nowhere/At_All"), 0, "a timestamp[us, tz=Nowhere/At_All] that Python does not have"),
    ],
    ids=["year", "zone"],
)
def test_row_python_cannot_have(kind: pa.DataType, value: int, said: str, tmp_path: Path) -> None:
    """A row that Python cannot represent is skipped or refused by name."""
    good, odd = pa.array([0, 1], pa.int64()), pa.array([value, None], pa.int64()).cast(kind)
    assert not parquet(tmp_path, id=["a", "b"], occurred=good, whatever=odd).rejected
    found = parquet(tmp_path, id=["a", "b"], occurred=odd)
    assert said in found.rejected[0]
    assert "row 1: 'occurred' is " in found.rejected[0]
    assert "row 1: 'id' is " in parquet(tmp_path, id=odd, occurred=good).rejected[0]


def test_a_log_has_a_greatest_number_of_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log_rows, "MAX_ROWS", 2)
    assert len(parquet(tmp_path, id=["a", "b"], occurred=[1, 2]).events) == 2
    with pytest.raises(BadLog, match="has more than 2 rows; cut it into parts"):
        parquet(tmp_path, id=["a", "b", "c"], occurred=[1, 2, 3])


@pytest.mark.parametrize(("day", "horizon"), [(1, 86_400), (4, 5 * 86_400)])
def test_horizon_of_days(day: int, horizon: int, tmp_path: Path) -> None:
    """A log of days gets a horizon behind its end."""
    log = tmp_path / "log.csv"
    log.write_text(f"id,follows,occurred\na,,2026-01-01T00:00:00Z\nb,,2026-01-0{day}T00:00:00Z\n")
    assert import_log(log, tmp_path).judge.horizon == horizon * 1_000_000
