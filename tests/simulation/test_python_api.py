"""The facade from Python: what it takes, what a run offers, and what it says of a wrong argument."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import simulation
from simulation import Run, Scenario, hunt, load, run
from simulation.engines import UnknownEngine, engine_name
from simulation.scenario.errors import BadScenario
from tests.simulation.engines import Forgetful

FILE = "scenarios/late-leader.toml"
TEXT = 'name = "pair"\nworkload = { kind = "chains", length = 2, order = "reversed" }\nconsumers.count = 1\n'


def violated() -> Run:
    return run("late-leader", engine="null", store="embedded")


def test_dir_shows_the_facade_and_nothing_else() -> None:
    assert dir(simulation) == sorted(simulation.__all__)


@pytest.mark.parametrize(
    "given",
    [
        "scenarios/late-leader.toml",
        Path("scenarios/late-leader.toml"),
        "late-leader",
        load("scenarios/late-leader.toml"),
    ],
)
def test_scenario_object_path_or_name(given: Any) -> None:
    """A scenario is given as an object a path or a name."""
    assert run(given, store="embedded").scenario.name == "late-leader"
    assert hunt(given, seeds=1, store="embedded").scenario.name == "late-leader"


def test_a_scenario_is_given_as_text() -> None:
    assert run(TEXT, store="embedded").verdict == "holds"


def test_a_scenario_is_made_of_parts() -> None:
    made = Scenario.of(
        "pair",
        workload={"kind": "chains", "length": 2, "order": "reversed"},
        broker={"delay": {"uniform": ["1ms", "20ms"]}},
        faults=[{"kind": "crash", "at": "10ms", "for": "1s"}],
    )
    assert made.with_values({"consumers.count": 1}).consumers.count == 1
    assert run(made, store="embedded").counts.events == 2
    with pytest.raises(BadScenario, match="did you mean 'delay'"):
        Scenario.of("pair", workload={"kind": "chains"}, broker={"dealy": "1ms"})


def test_a_run_has_violations_a_report_and_files(tmp_path: Path) -> None:
    done = violated()
    assert done.violations[0].invariant == "causal-order"
    assert "causal-order" in done.report()
    folder = done.save(tmp_path / "a" / "run")
    files = {file.name for file in folder.iterdir()}
    assert {"scenario.toml", "history.jsonl", "verdict.json", "report.html", "events.parquet"} <= files
    assert json.loads((folder / "verdict.json").read_text())["verdict"] == "violated"
    assert run(folder / "scenario.toml", store="embedded").digest == done.digest


def test_an_engine_is_given_as_a_class() -> None:
    assert run(TEXT, engine=Forgetful, store="embedded").history.header.engine == "tests.simulation.engines:Forgetful"


def test_class_out_of_reach() -> None:
    """A class that no other process could find is refused."""

    class Local(Forgetful):
        pass

    with pytest.raises(UnknownEngine, match="at the top of a module"):
        engine_name(Local)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"scenario": 7}, "a scenario was expected: a Scenario, the path of a scenario file"),
        ({"scenario": TEXT, "seed": "7"}, "a seed was expected: a whole number"),
        ({"scenario": TEXT, "seed": -1}, "a seed was expected"),
        ({"scenario": TEXT, "engine": 3}, "an engine was expected: a name, 'module:Class' or a class"),
    ],
)
def test_a_wrong_argument_says_what_was_expected(arguments: dict[str, Any], said: str) -> None:
    with pytest.raises(TypeError, match=said):
        run(**arguments, store="embedded")
    if "seed" not in arguments:
        with pytest.raises(TypeError, match=said):
            hunt(**arguments, store="embedded")


def test_wrong_seeds_say_what_was_expected() -> None:
    with pytest.raises(TypeError, match="seeds were expected: how many, or which"):
        hunt(TEXT, seeds="5", store="embedded")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="seeds must be at least 1, or which"):
        hunt(TEXT, seeds=0, store="embedded")


def test_load_takes_a_shipped_name() -> None:
    assert load("late-leader") == load("scenarios/late-leader.toml").model_copy(
        update={"folder": load("late-leader").folder}
    )
