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
from simulation.search.summary import event_totals
from simulation.strategies import histories

SCENARIOS = Path("scenarios")


def numbered(count: int) -> list[Entry]:
    return [Entry(n, "delivered", f"e{n}", "c1", {"attempt": 1, "delivery": n}) for n in range(count)]


@settings(max_examples=60, deadline=None)
@given(histories())
def test_memory_and_file(history: History) -> None:
    """A history is the same in memory and in a file."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        history.write(folder / "memory.jsonl")
        opened = History.open(folder / "memory.jsonl")
        long = History(history.header, history.entries)
        long.spill_to_file(folder)
        long.write(folder / "long.jsonl")
        assert (folder / "long.jsonl").read_bytes() == (folder / "memory.jsonl").read_bytes()
        for other in (opened, long):
            assert list(other) == history.entries
            assert len(other) == len(history)
            assert other.digest == history.digest
            assert judge(other) == judge(history)
        assert opened.header == history.header


@pytest.mark.parametrize("count", [1, STRIDE, 2 * STRIDE + 7])
def test_random_access_and_append(tmp_path: Path, count: int):
    """Any entry can be asked for and more may be added after that."""
    entries = numbered(count)
    growing = GrowingFile(Header(), entries[:1], tmp_path)
    for entry in entries[1:]:
        assert growing[-1] == entries[len(growing) - 1]
        growing.append(entry)
    History(Header(), entries).write(tmp_path / "read.jsonl")
    for read in (growing, History.open(tmp_path / "read.jsonl").entries):
        assert [read[n] for n in (0, count // 2, count - 1, -1, -count)] == [
            entries[n] for n in (0, count // 2, count - 1, -1, -count)
        ]
        with pytest.raises(IndexError):
            read[count]


def test_file_lifetime(tmp_path: Path):
    """The file of a history goes with it, and what was kept stays."""
    history = History(Header(), numbered(3))
    history.spill_to_file(tmp_path)
    history.write(tmp_path / "kept.jsonl")
    assert len(list(tmp_path.iterdir())) == 2
    del history
    gc.collect()
    assert [path.name for path in tmp_path.iterdir()] == ["kept.jsonl"]
    assert len(History.read(tmp_path / "kept.jsonl")) == 3


def test_truncated_line(tmp_path: Path):
    """A line that is cut off ends an opened history."""
    file = tmp_path / "cut.jsonl"
    History(Header(scenario="cut"), numbered(3)).write(file)
    file.write_bytes(file.read_bytes()[:-9])
    opened, read = History.open(file), History.read(file)
    assert opened.truncated == read.truncated == "line 4 is cut off"
    assert list(opened) == read.entries == numbered(2)
    assert judge(opened) == judge(read)


def test_last_line_and_blank_lines(tmp_path: Path):
    """A last line needs no line break and blank lines say nothing."""
    file = tmp_path / "plain.jsonl"
    file.write_bytes(b'\n{"at":1,"kind":"joined","consumer":"c1"}\n\n{"at":2,"kind":"stopped","consumer":"c1"}')
    opened = History.open(file)
    assert (opened.header, opened.truncated) == (Header(), "")
    assert [entry.kind for entry in opened] == ["joined", "stopped"]
    assert opened.entries[1].at == 2


def test_malformed_is_found_on_reading(tmp_path: Path):
    """What is malformed is found when it is read."""
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


def test_long_run_results(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Results of a long run are those of a short one."""
    words = ["run", str(SCENARIOS / "late-leader.toml"), "--store", "embedded", "--quiet", "--out"]
    assert main([*words, str(tmp_path / "short")]) == 0
    monkeypatch.setattr(simulation.world.world, "SPILL_AFTER_ENTRIES", 2)
    assert main([*words, str(tmp_path / "long")]) == 0
    for name in ("history.jsonl", "verdict.json", "events.parquet"):
        short, long = (tmp_path / kind / "late-leader" / "latest" / name for kind in ("short", "long"))
        assert short.read_bytes() == long.read_bytes()
    gc.collect()
    assert not list((tmp_path / "long").glob(".history*"))


def test_long_run_report(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """A report of a long run shows its beginning and says so."""
    monkeypatch.setattr(simulation.world.world, "SPILL_AFTER_ENTRIES", 5)
    monkeypatch.setattr(simulation.world.run_files, "REPORTED", 12)
    words = ["run", str(SCENARIOS / "reversed-chain.toml"), "--engine", "null", "--store", "embedded", "--quiet"]
    assert main([*words, "--out", str(tmp_path)]) == 1
    folder = tmp_path / "reversed-chain" / "latest"
    history = History.read(folder / "history.jsonl")
    assert max(max(v["witness"]) for v in json.loads((folder / "verdict.json").read_text())["violations"]) > 12
    assert len(pd.read_parquet(folder / "events.parquet")) == len({entry.event for entry in history if entry.event})
    assert f"only the first 12 of its {len(history)} entries" in (folder / "report.html").read_text()


ODD_LINES = ["\n", "   \n", '{"at":20000,"kind":"swept","consumer":"c","found":NaN}\n\n']
"""Lines that a reader of JSON skips, or only Python reads."""


@pytest.mark.parametrize("odd", ODD_LINES)
def test_odd_lines_in_slices(odd: str, tmp_path: Path) -> None:
    """Blank lines, and values that only Python takes for JSON, do not shift the entries that are chosen."""
    lines = Path("docs/reference/invariants/causal-order.accepted.jsonl").read_text().splitlines(keepends=True)
    file = tmp_path / "history.jsonl"
    file.write_text("".join([lines[0], odd if odd.isspace() else "", *lines[1:], odd]))
    history = History.open(file)
    assert event_totals(history) == event_totals(History(history.header, list(history)))
    chosen = bytes(entry.kind == "ended" for entry in history)
    assert [entry.kind for _, entry in history.some(chosen)] == ["ended"] * 2


@pytest.mark.parametrize("first", ["\n", '{"causim-history":1}\n'])
def test_header_below_the_first_line(first: str, tmp_path: Path) -> None:
    """A header that would be ignored is refused: the history is not judged on other terms than its own."""
    file = tmp_path / "history.jsonl"
    file.write_text(first + '{"causim-history":1,"allowed_loss":["flush"]}\n{"at":0,"kind":"joined","consumer":"c"}\n')
    with pytest.raises(MalformedHistory, match=r"history\.jsonl:2: the header must be the first line"):
        list(History.open(file))
