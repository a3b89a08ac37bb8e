"""Imported logs: three formats, other people's column names, and rows that cannot be used."""

import json
from pathlib import Path

import pandas as pd
import pytest

from simulation import load
from simulation.cli import main
from simulation.scenario.import_log import MOST, BadLog, measured, parse_map, read_log

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


def test_a_log_becomes_events_that_keep_who_follows_whom(log: Path) -> None:
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
    assert main(["import", str(log), "--map", MAP, "--out", str(tmp_path / "out")]) == 0
    assert "3 events, 2 of them follow another (1 an event that is not in the log)" in capsys.readouterr().out
    run = laboratory.run(load(tmp_path / "out" / "orders.toml"))
    assert run.counts.events == 3
    assert run.judgement.coverage["rescued"] == 1


def test_times_from_arrival_to_acknowledgement_become_handler_times(tmp_path: Path, capsys) -> None:
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


def test_of_many_durations_a_few_are_kept_from_the_shortest_to_the_longest() -> None:
    kept = measured(range(1, 100_000))
    assert kept is not None
    assert len(kept["empirical"]) == MOST
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
        ('{"key": "x", "ts": NaN}', "'ts' (field occurred) is nan: give"),
        ('{"key": "order-1", "ts": 1700000000}', "the id 'order-1' was there before, in "),
    ],
)
def test_a_bad_row_is_shown_and_skipped_only_on_request(line: str, reason: str, tmp_path: Path, capsys) -> None:
    path = tmp_path / "orders.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in ROWS) + line + "\n")
    arguments = ["import", str(path), "--map", MAP, "--out", str(tmp_path / "out")]
    assert main(arguments) == 4
    said = capsys.readouterr().err
    assert reason in said
    assert "orders.jsonl:4" in said
    assert not (tmp_path / "out").exists()
    assert main([*arguments, "--skip-bad"]) == 0


def test_a_map_that_names_no_field_is_refused() -> None:
    with pytest.raises(BadLog, match="give FIELD=COLUMN"):
        parse_map("identity=key")


def test_an_existing_scenario_is_not_replaced_unless_asked(log: Path, tmp_path: Path, capsys) -> None:
    arguments = ["import", str(log), "--map", MAP, "--out", str(tmp_path / "out")]
    assert main(arguments) == 0
    assert main(arguments) == 4
    assert "--force replaces it" in capsys.readouterr().err
    assert main([*arguments, "--force"]) == 0


def test_prefects_own_export_needs_no_map(tmp_path: Path) -> None:
    found = read_log(Path("scenarios/data/prefect-etl-events.jsonl"), parse_map(""))
    assert (len(found.events), found.following, found.missing, found.rejected) == (1178, 809, 0, [])
