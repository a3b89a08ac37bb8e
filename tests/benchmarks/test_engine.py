"""The README shows what the engine's benchmark has measured, and nothing else."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from benchmarks.engine import ENGINES, SHAPES, ratios, summary, table

ROOT = Path(__file__).parents[2]


def measured() -> dict[str, Any]:
    found: dict[str, Any] = json.loads((ROOT / "benchmarks" / "engine.json").read_text(encoding="utf-8"))
    return found


def test_the_readme_shows_what_was_measured() -> None:
    assert summary(measured()["results"]) in (ROOT / "README.md").read_text(encoding="utf-8")


def test_a_ratio_is_one_of_the_same_turn() -> None:
    rates = {"prefect_redis 0.3.0": [100, 400], "one by one": [300, 400]}
    results = {name: {"rates": found} for name, found in rates.items()}
    assert ratios(results, "one by one") == [1.0, 3.0]
    assert ratios(results, "prefect_redis 0.3.0") == [1.0, 1.0]


def test_tables_have_every_measurement() -> None:
    """Both tables have a place for everything that is measured."""
    one = {"rates": [200, 100, 300], "cpu": [30, 20, 40], "server_cpu": [9, 8, 7], "round_trips": 2.0, "commands": 19.0}
    results = {shape: {name: dict(one) for name in ENGINES} for shape in SHAPES}
    assert len(table(results).splitlines()) == 2 + len(SHAPES) * len(ENGINES)
    assert "| one by one | 200 | 1.0 | 1.0 – 1.0 | 12 | 8 | 2.00 | 19.0 |" in table(results)
    assert "| one by one | 1.0 × · 2, not 2 · 1.00 |" in summary(results)
