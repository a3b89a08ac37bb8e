"""A quantile is one number, wherever it is printed, and is right to more digits than are written."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reports.figures.series import marks
from reports.figures.units import duration
from simulation.cli import main
from simulation.history.history import History
from simulation.kernel.quantiles import counted, quantile, rounded

durations = st.lists(st.one_of(st.integers(0, 300), st.integers(0, 10**10)), min_size=1, max_size=60)

CHAINS = """
name = "chains"
[workload]
kind = "chains"
count = {count}
length = 3
[consumers]
handler_time = {{ lognormal = {{ median = "5ms", sigma = 1.0 }} }}
"""


@settings(deadline=None)
@given(durations, st.floats(0, 1))
def test_as_numpy(values: list[int], q: float):
    """A quantile is NumPy's but for the rounding."""
    expected = float(np.quantile(values, q))
    assert quantile(counted(values), q) == pytest.approx(expected, rel=1 / 2000, abs=0.5001)


@given(st.integers(0, 10**12))
def test_a_duration_is_rounded_to_four_digits(value: int):
    assert rounded(value) == pytest.approx(value, rel=1 / 2000)
    assert len(str(rounded(value)).rstrip("0")) <= 4
    assert rounded(value) == value or value > 9_999


def test_million_durations():
    """Of a million durations few numbers are kept."""
    counts = counted(range(0, 100_000_000, 100))
    assert counts.total() == 1_000_000
    assert len(counts) <= 5 * 9_000
    assert quantile(counts, 0.5) == pytest.approx(50_000_000, rel=1 / 2000)


def test_of_nothing_there_is_no_quantile():
    assert quantile({}, 0.5) is None


@pytest.mark.parametrize("count", [1, 2, 60])
def test_same_everywhere(tmp_path: Path, capsys: Any, count: int):
    """The command line the page and the picture tell the same."""
    file = tmp_path / "chains.toml"
    file.write_text(CHAINS.format(count=count))
    asked = ["run", str(file), "--store", "embedded", "--seed", "7"]
    assert main([*asked, "--out", str(tmp_path)]) == 0
    said = re.search(r"p50 (\S+ \S+)  p99 (\S+ \S+)", capsys.readouterr().out)
    folder = tmp_path / "chains" / "latest"
    shown = re.search(r"p50 (\S+ \S+) · (p99|max) ([^<]+)<", (folder / "report.html").read_text("utf-8"))
    assert said
    assert shown
    assert said[1] == shown[1]
    assert shown[2] == ("p99" if count == 60 else "max")
    assert count < 60 or said[2] == shown[3]
    assert main([*asked, "--json", "--no-results"]) == 0
    summary = json.loads(capsys.readouterr().out)["latency_us"]
    assert [duration(summary[name] / 1e6) for name in ("p50", "p99")] == [said[1], said[2]]
    values = latencies(History.read(folder / "history.jsonl"))
    assert [duration(mark.value) for mark in marks(values / 1e6)] == [shown[1], shown[3]]
    assert summary["p50"] == pytest.approx(float(np.median(values)), rel=1 / 2000, abs=0.5001)


def latencies(history: History) -> np.ndarray:
    published = {entry.event: entry.at for entry in history.of("published")}
    return np.array([float(entry.at - published[entry.event]) for entry in history.of("ended")])
