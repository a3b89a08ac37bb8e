"""Histories that stay in a file: they must read, judge and count as those in memory do."""

import gc
import json
import tempfile
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given, settings

import simulation.world.run_files
import simulation.world.world
from simulation import Laboratory, load
from simulation.cli import main
from simulation.history.entries import Entry, Header
from simulation.history.history import History
from simulation.history.history_file import STRIDE, GrowingFile
from simulation.history.untrusted import MalformedHistory
from simulation.invariants import judge
from simulation.strategies import histories

SCENARIOS = Path("scenarios")


def numbered(count: int) -> list[Entry]:
    return [Entry(n, "delivered", f"e{n}", "c1", {"attempt": 1, "delivery": n}) for n in range(count)]


@settings(max_examples=60, deadline=None)
@given(histories())
def test_a_history_is_the_same_in_memory_and_in_a_file(history: History) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        history.write(folder / "memory.jsonl")
        opened = History.open(folder / "memory.jsonl")
        long = History(history.header, history.entries)
        long.spill_to_file(folder)
        long.write(folder / "scroll.jsonl")
        assert (folder / "scroll.jsonl").read_bytes() == (folder / "memory.jsonl").read_bytes()
        for other in (opened, long):
            assert list(other) == history.entries
            assert len(other) == len(history)
            assert other.digest == history.digest
            assert judge(other) == judge(history)
        assert opened.header == history.header


@pytest.mark.parametrize("count", [1, STRIDE, 2 * STRIDE + 7])
def test_any_entry_can_be_asked_for_and_more_may_be_added_after_that(tmp_path: Path, count: int):
    entries = numbered(count)
    scroll = GrowingFile(Header(), entries[:1], tmp_path)
    for entry in entries[1:]:
        assert scroll[-1] == entries[len(scroll) - 1]
        scroll.append(entry)
    History(Header(), entries).write(tmp_path / "read.jsonl")
    for read in (scroll, History.open(tmp_path / "read.jsonl").entries):
        assert [read[n] for n in (0, count // 2, count - 1, -1, -count)] == [
            entries[n] for n in (0, count // 2, count - 1, -1, -count)
        ]
        with pytest.raises(IndexError):
            read[count]


def test_the_file_of_a_scroll_goes_with_it_and_what_was_kept_stays(tmp_path: Path):
    history = History(Header(), numbered(3))
    history.spill_to_file(tmp_path)
    history.write(tmp_path / "kept.jsonl")
    assert len(list(tmp_path.iterdir())) == 2
    del history
    gc.collect()
    assert [path.name for path in tmp_path.iterdir()] == ["kept.jsonl"]
    assert len(History.read(tmp_path / "kept.jsonl")) == 3


def test_a_line_that_is_cut_off_ends_an_opened_history(tmp_path: Path):
    file = tmp_path / "cut.jsonl"
    History(Header(scenario="cut"), numbered(3)).write(file)
    file.write_bytes(file.read_bytes()[:-9])
    opened, read = History.open(file), History.read(file)
    assert opened.truncated == read.truncated == "line 4 is cut off"
    assert list(opened) == read.entries == numbered(2)
    assert judge(opened) == judge(read)


def test_a_last_line_needs_no_line_break_and_blank_lines_say_nothing(tmp_path: Path):
    file = tmp_path / "plain.jsonl"
    file.write_bytes(b'\n{"at":1,"kind":"joined","consumer":"c1"}\n\n{"at":2,"kind":"stopped","consumer":"c1"}')
    opened = History.open(file)
    assert (opened.header, opened.truncated) == (Header(), "")
    assert [entry.kind for entry in opened] == ["joined", "stopped"]
    assert opened.entries[1].at == 2


def test_what_is_malformed_is_found_when_it_is_read(tmp_path: Path):
    file = tmp_path / "bad.jsonl"
    file.write_bytes(b'{"at":1,"kind":"joined"}\n{"at":1,"kind":"levitated"}\n')
    opened = History.open(file)
    with pytest.raises(MalformedHistory, match=r"bad\.jsonl:2: 'kind' is 'levitated'"):
        judge(opened)


def test_a_long_run_is_the_same_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    scenario = load(SCENARIOS / "crashing-consumers.toml")
    with Laboratory("embedded") as laboratory:
        short = laboratory.run(scenario, 3)
        monkeypatch.setattr(simulation.world.world, "SPILL_AFTER_ENTRIES", 40)
        laboratory.folder = tmp_path
        long = laboratory.run(scenario, 3)
    assert isinstance(long.history.entries, GrowingFile)
    assert long.digest == short.digest
    assert long.judgement == short.judgement
    assert list(long.history) == short.history.entries


def test_results_of_a_long_run_are_those_of_a_short_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    words = ["run", str(SCENARIOS / "late-leader.toml"), "--store", "embedded", "--quiet", "--out"]
    assert main([*words, str(tmp_path / "short")]) == 0
    monkeypatch.setattr(simulation.world.world, "SPILL_AFTER_ENTRIES", 2)
    assert main([*words, str(tmp_path / "long")]) == 0
    for name in ("history.jsonl", "verdict.json", "events.parquet"):
        short, long = (tmp_path / kind / "late-leader" / "latest" / name for kind in ("short", "long"))
        assert short.read_bytes() == long.read_bytes()
    gc.collect()
    assert not list((tmp_path / "long").glob(".history*"))


def test_a_report_of_a_long_run_shows_its_beginning_and_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(simulation.world.world, "SPILL_AFTER_ENTRIES", 5)
    monkeypatch.setattr(simulation.world.run_files, "REPORTED", 12)
    words = ["run", str(SCENARIOS / "reversed-chain.toml"), "--engine", "null", "--store", "embedded", "--quiet"]
    assert main([*words, "--out", str(tmp_path)]) == 1
    folder = tmp_path / "reversed-chain" / "latest"
    history = History.read(folder / "history.jsonl")
    assert max(max(v["witness"]) for v in json.loads((folder / "verdict.json").read_text())["violations"]) > 12
    assert len(pd.read_parquet(folder / "events.parquet")) == len({entry.event for entry in history if entry.event})
    assert f"only the first 12 of its {len(history)} entries" in (folder / "report.html").read_text()
