"""What `benchmarks/search.md` says of the strategies is so in the results that it is made of."""

from __future__ import annotations

import json
from collections import defaultdict
from pathlib import Path
from statistics import median
from typing import Any

import pytest

from benchmarks.search import GUIDED, HARD, SEEDS, Results, cell_of

FILE = Path(__file__).parents[2] / "benchmarks" / "search.json"
Cells = dict[tuple[str, str], dict[str, list[dict[str, Any]]]]


@pytest.fixture(scope="module")
def tables() -> dict[str, Cells]:
    """The results by table, by engine and scenario, and by strategy; those of the engine itself are left out."""
    found: dict[str, Cells] = defaultdict(lambda: defaultdict(lambda: defaultdict(list)))
    for key, result in json.loads(FILE.read_text(encoding="utf-8")).items():
        table, engine, *rest = key.split(" | ")
        if table != "proof" and engine != "native":
            scenario, strategy, _ = rest
            found[table][engine, scenario][strategy].append(result)
    return found


def test_every_row_is_convicted(tables: dict[str, Cells]) -> None:
    """Each row is convicted within 100 schedules by at least one strategy other than drawn delays."""
    every = {**tables["rows"], **tables["hard"]}
    rows = {row: cells for row, cells in every.items() if cells.keys() - {SEEDS}}  # no strategy chooses in a cluster
    by_none = [
        row
        for row, cells in rows.items()
        if not any(d["convicted"] and d["schedules"] <= 100 for name in cells.keys() - {SEEDS} for d in cells[name])
    ]
    assert len(rows) > 100
    assert by_none == []


def test_guided_needs_two_thirds(tables: dict[str, Cells]) -> None:
    """`guided` needs in sum at most two thirds of the schedules of the best other strategy on the hard bugs."""
    sums: dict[str, float] = defaultdict(float)
    measured: dict[str, int] = defaultdict(int)
    for cells in tables["hard"].values():
        for name in cells.keys() - {SEEDS}:
            sums[name] += median(d["schedules"] if d["convicted"] else 100 for d in cells[name])
            measured[name] += 1
    whole = {name: total for name, total in sums.items() if measured[name] == len(tables["hard"])}
    assert len(whole) >= 4
    assert whole.pop(GUIDED) <= min(whole.values()) * 2 / 3


def test_drawn_delays_miss_ten_mutants(tables: dict[str, Cells]) -> None:
    """There are at least ten mutants that drawn delays do not convict in 1,000 seeds."""
    missed = [
        row
        for row, cells in tables["hard"].items()
        for d in cells.get(SEEDS, [])
        if not d["convicted"] and d["schedules"] >= 1_000
    ]
    assert len(missed) >= 10
    assert {scenario for _, scenario in missed} <= set(HARD)


def test_results_of_no_cell_are_dropped(tmp_path: Path) -> None:
    results = Results(tmp_path / "search.json")
    for key in ("rows | mutant:a | s | pos | 0", "rows | mutant:a | s | pos | 3", "rows | mutant:gone | s | pos | 0"):
        results.add(key, {"schedules": 1, "convicted": True})
    results.keep({cell_of("rows | mutant:a | s | pos | 0")})
    assert list(Results(tmp_path / "search.json").known) == [
        "rows | mutant:a | s | pos | 0",
        "rows | mutant:a | s | pos | 3",
    ]
