"""`causim diff`: a baseline and a change, and where their histories part."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from simulation import History
from simulation.cli import main

RACE = """
name = "race"
[workload]
kind = "chains"
order = "reversed"
interval = "1ms"
"""


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same seed on an engine that orders and on one that does not, and the first once more."""
    folder = tmp_path_factory.mktemp("kept")
    (folder / "race.toml").write_text(RACE)
    for name, engine in (("native", "native"), ("null", "null"), ("again", "native")):
        main(["run", str(folder / "race.toml"), "--engine", engine, "--out", str(folder / name), "--quiet"])
    return folder


def difference(capsys: pytest.CaptureFixture[str], *arguments: object) -> dict[str, Any]:
    main(["diff", *map(str, arguments), "--json"])
    record: dict[str, Any] = json.loads(capsys.readouterr().out)
    return record


def test_a_change_that_violates_more_exits_with_1(kept: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["diff", str(kept / "native" / "race"), str(kept / "null" / "race")]) == 1
    said = capsys.readouterr().out
    lines = {line[:24].strip(): line[24:].split() for line in said.splitlines()}
    assert lines["verdict"] == ["holds", "violated"]
    assert lines["violated"][0] == "–"
    assert lines["violated"][1].startswith("causal-order")
    assert "the histories differ from entry " in said


def test_a_change_that_mends_exits_with_0(kept: Path) -> None:
    assert main(["diff", str(kept / "null" / "race"), str(kept / "native" / "race")]) == 0


def test_the_same_run_has_the_same_history(kept: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["diff", str(kept / "native" / "race"), str(kept / "again" / "race")]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == "the histories are the same"


def test_first_difference(kept: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The first difference is that of the files."""
    files = [kept / name / "race" / "latest" / "history.jsonl" for name in ("native", "null")]
    found = difference(capsys, *files)["first_difference"]
    one, other = ([e for e in History.read(f) if e.kind not in ("command", "reply")] for f in files)
    place = found["entry"] - 1
    assert one[:place] == other[:place]
    assert (found["baseline"], found["change"]) == tuple(h[place].to_json().decode() for h in (one, other))


def test_the_numbers_are_those_of_the_runs(kept: Path, capsys: pytest.CaptureFixture[str]) -> None:
    record = difference(capsys, kept / "native" / "race", kept / "null" / "race")
    for name, folder in (("baseline", "native"), ("change", "null")):
        counts = json.loads((kept / folder / "race" / "latest" / "verdict.json").read_text())["counts"]
        busy = counts["round_trips"] - counts["idle_round_trips"]
        assert record[name]["round_trips_per_event"] == pytest.approx(busy / counts["events"])
        assert record[name]["latency_p50_us"] > 0
        assert (record[name]["engine"], record[name]["never_handled"]) == (folder, 0)


def test_a_history_that_ends_early_has_ended(kept: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    whole = kept / "native" / "race" / "latest" / "history.jsonl"
    (tmp_path / "half.jsonl").write_text("".join(whole.read_text().splitlines(keepends=True)[:6]))
    record = difference(capsys, whole, tmp_path / "half.jsonl")
    assert record["first_difference"]["change"] is None
    assert record["first_difference"]["baseline"] is not None
    assert record["change"]["round_trips_per_event"] is None


def test_a_folder_without_a_history_is_bad_usage(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["diff", str(tmp_path), str(tmp_path)]) == 4
    assert "there is no history.jsonl in it" in capsys.readouterr().err


def test_classes_of_events_are_no_difference(kept: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    history = kept / "native" / "race" / "latest" / "history.jsonl"
    lines = [line.replace('"fingerprint":"', '"fingerprint":"0') for line in history.read_text().splitlines()]
    (tmp_path / "same.jsonl").write_text("\n".join(lines) + "\n")
    (tmp_path / "other.jsonl").write_text("\n".join([lines[0].replace('"native"', '"other"'), *lines[1:]]) + "\n")
    assert difference(capsys, history, tmp_path / "same.jsonl")["first_difference"] is not None
    assert difference(capsys, history, tmp_path / "other.jsonl")["first_difference"] is None


def test_first_difference_in_words(kept: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["diff", str(kept / "native" / "race"), str(kept / "null" / "race")])
    *_, baseline, change = capsys.readouterr().out.splitlines()
    assert baseline.startswith("  baseline  0.")
    assert change.startswith("  change    0.")
    assert "{" not in baseline + change
