"""The reference pages are what is generated; their examples do what they say."""

from __future__ import annotations

from pathlib import Path

import pytest

from simulation import Laboratory, load
from simulation.cli import main
from simulation.history.history import History
from simulation.invariants import COVERAGE, INVARIANTS, judge
from simulation.reference import FOLDER, pages
from simulation.scenario.faults import FAULTS

EXAMPLES = FOLDER / "faults"
HISTORIES = sorted((FOLDER / "invariants").glob("*.jsonl"))


@pytest.mark.parametrize(("path", "text"), pages(Path()).items(), ids=lambda value: getattr(value, "stem", ""))
def test_a_page_is_what_is_generated(path: Path, text: str) -> None:
    assert path.read_text(encoding="utf-8") == text, f"{path} is out of date; run: python -m simulation.reference"


def test_every_fault_has_its_example_and_no_other_is_there() -> None:
    assert {path.stem for path in EXAMPLES.iterdir()} == set(FAULTS)


@pytest.mark.parametrize("kind", FAULTS)
def test_the_example_of_a_fault_strikes_and_the_engine_holds(kind: str, laboratory: Laboratory) -> None:
    run = laboratory.run(load(EXAMPLES / f"{kind}.toml"))
    assert run.silent_faults == ()
    assert kind in {entry.details["fault"] for entry in run.history.of("fault")}
    assert run.verdict == "holds"


def test_every_invariant_has_an_accepted_and_a_rejected_history_and_no_other_is_there() -> None:
    names = {path.name for path in HISTORIES}
    assert all({"accepted", "rejected"} <= set(invariant.examples) for invariant in INVARIANTS.values())
    assert names == {f"{name}.{case}.jsonl" for name, invariant in INVARIANTS.items() for case in invariant.examples}


@pytest.mark.parametrize("path", HISTORIES, ids=lambda path: path.stem)
def test_an_example_history_is_judged_as_its_name_says(path: Path) -> None:
    name, case = path.stem.split(".")
    assert main(["check", str(path), "--invariant", name]) == (1 if case == "rejected" else 0)
    history = History.read(path)
    assert judge(history, [name]).verdicts[name].examined
    assert len(history) <= 8, "a history that proves one thing needs no more entries"


def test_the_words_that_are_recommended_exist() -> None:
    assert all(word in COVERAGE for invariant in INVARIANTS.values() for word in invariant.exercised_by)
