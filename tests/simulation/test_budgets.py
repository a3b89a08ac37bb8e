"""Budgets: read from `[expect]`, compared with what runs cost, and failing where a user looks."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from simulation.cli import main
from simulation.scenario.budgets import MEASURES, Budget
from simulation.scenario.errors import BadScenario
from simulation.scenario.load import loads
from simulation.search.budget_check import check
from simulation.search.summary import Tally
from tests.simulation import preloaded

pytest_plugins = "pytester"
assert preloaded.MODULES

WORLD = """
name = "pair"
[workload]
events = [{ name = "a" }, { name = "b", follows = "a", at = "1ms" }]
[expect]
native = "holds"
"""


def budgets(text: str, engine: str = "native") -> dict[str, str]:
    """Return the budgets of an engine by measure."""
    found: tuple[Budget, ...] = loads(WORLD + text).budgets(engine)
    return {budget.measure: f"{budget.comparison} {budget.limit:g}" for budget in found}


def test_budget_of_one_engine() -> None:
    """A budget of any engine is replaced by an engine's own."""
    text = 'lost = "<= 0"\nlatency.p99 = "< 1.5s"\n[expect.null]\nverdict = "causal-order"\nlost = "<= 7"\n'
    assert budgets(text) == {"lost": "<= 0", "latency.p99": "< 1.5e+06"}
    assert budgets(text, "null") == {"lost": "<= 7", "latency.p99": "< 1.5e+06"}
    assert loads(WORLD + text).expected == {"native": ("holds",), "null": ("causal-order",)}


def test_budgets_survive_their_file() -> None:
    scenario = loads(WORLD + 'round_trips_per_event = "<= 3"\nlatency.p50 = "<= 20ms"\n')
    again = scenario.with_values({"consumers.count": 3})
    assert again.budgets("native") == scenario.budgets("native")


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ('lost = "0"', "comparison"),
        ("lost = 0", "no limit"),
        ('lost = "<= few"', "'few' is not accepted"),
        ('lost = "<= nan"', "'nan' is not accepted"),
        ('commands = "<= inf"', "'inf' is not accepted"),
        ('latency.p99 = "<= 3"', "'3' is not accepted"),
        ('latency.p98 = "<= 3s"', "did you mean 'latency.p99'"),
        ('[expect.null]\nround_trips = "<= 3"', "did you mean 'round_trips_per_event'"),
        ('[expect.null]\nverdict = "hold"', "did you mean 'holds'"),
    ],
)
def test_a_wrong_budget_is_named(text: str, complaint: str) -> None:
    with pytest.raises(BadScenario, match=complaint):
        loads(WORLD + text)


def test_each_measure_of_several_runs() -> None:
    """A measure is what the reference says, over all runs."""
    tally = Tally(runs=4, events=10, round_trips=25, commands=60, lost=3, latencies=Counter({10: 60, 50: 35, 90: 5}))
    measured = {measure: [one.value for one in check([Budget(measure, "<=", 1)], tally)] for measure in MEASURES}
    assert measured == {
        "round_trips_per_event": [2.5],
        "commands": [15],
        "lost": [3],
        "latency.p50": [10],
        "latency.p99": [90],
    }
    assert [one.kept for one in check([Budget("lost", "<=", 2), Budget("lost", "<=", 3)], tally)] == [False, True]


def test_what_was_not_measured_is_over_its_budget() -> None:
    """A latency of runs in which nothing was handled keeps no budget."""
    [checked] = check([Budget("latency.p99", "<=", 1_000_000)], Tally(runs=1, events=1))
    assert not checked.kept
    assert checked.words == "latency.p99 was not measured, expected <= 1s"


@pytest.mark.parametrize(
    ("line", "code"),
    [
        ('round_trips_per_event = "<= 30"', 0),
        ('round_trips_per_event = "<= 0.5"', 1),
        ('commands = "< 1"', 1),
        ('latency.p99 = "<= 1us"', 1),
        ('latency.p99 = "> 1us"', 0),
        ('lost = "<= 0"', 0),
    ],
)
def test_who_exceeds_a_budget_fails(line: str, code: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file, junit = tmp_path / "pair.toml", tmp_path / "junit.xml"
    file.write_text(WORLD + line, encoding="utf-8")
    assert main(["run", str(file), "--seeds", "2", "--no-results", "--json", "--junit", str(junit)]) == code
    printed = json.loads(capsys.readouterr().out)
    assert [budget["kept"] for budget in printed["budgets"]] == [not code]
    assert printed["violating"] == 0
    failures = ET.parse(junit).getroot().findall(".//failure")
    assert [failure.get("type") for failure in failures] == ["budget"] * code
    again = f"replay: causim run {file} --engine native --seed 1 --seeds 2"  # a budget is about all of them
    assert all((failure.text or "").endswith(again) for failure in failures)


def test_a_budget_fails_a_test(pytester: pytest.Pytester) -> None:
    pytester.makefile(".toml", pair=WORLD + 'round_trips_per_event = "<= 0.5"\n')
    result = pytester.runpytest_subprocess("pair.toml", "-p", "no:cacheprovider")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*round_trips_per_event is *, expected <= 0.5*"])


def test_a_budget_fails_a_test_with_the_fixture(pytester: pytest.Pytester) -> None:
    pytester.makefile(".toml", pair=WORLD + 'round_trips_per_event = "<= 0.5"\n')
    pytester.makepyfile("def test_pair(causim_verify):\n    causim_verify('pair.toml')\n")
    result = pytester.runpytest_subprocess("-p", "no:cacheprovider", "test_a_budget_fails_a_test_with_the_fixture.py")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*round_trips_per_event is *, expected <= 0.5*"])


@pytest.mark.parametrize("command", ["run", "validate"])
def test_an_expected_engine_that_cannot_be(command: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What is expected of a misspelt engine would never be compared."""
    file = tmp_path / "pair.toml"
    file.write_text(WORLD + '[expect.natvie]\nlost = "<= 0"\n', encoding="utf-8")
    assert main([command, str(file)]) == 4
    said = "".join(capsys.readouterr())
    assert "expect.natvie: engine 'natvie' is not known; did you mean 'native'?" in said
