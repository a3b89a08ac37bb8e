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


def test_faults_have_examples() -> None:
    """Every fault has its example and no other is there."""
    assert {path.stem for path in EXAMPLES.iterdir()} == set(FAULTS)


@pytest.mark.parametrize("kind", FAULTS)
def test_fault_example_holds(kind: str, laboratory: Laboratory) -> None:
    """The example of a fault strikes and the engine holds."""
    run = laboratory.run(load(EXAMPLES / f"{kind}.toml"))
    assert run.silent_faults == ()
    assert kind in {entry.details["fault"] for entry in run.history.of("fault")}
    assert run.verdict == "holds"


def test_invariants_have_histories() -> None:
    """Every invariant has an accepted and a rejected history and no other is there."""
    names = {path.name for path in HISTORIES}
    assert all({"accepted", "rejected"} <= set(invariant.examples) for invariant in INVARIANTS.values())
    assert names == {f"{name}.{case}.jsonl" for name, invariant in INVARIANTS.items() for case in invariant.examples}


@pytest.mark.parametrize("path", HISTORIES, ids=lambda path: path.stem)
def test_example_history_is_judged(path: Path) -> None:
    """An example history is judged as its name says."""
    name, case = path.stem.split(".")
    assert main(["check", str(path), "--invariant", name]) == (1 if case == "rejected" else 0)
    history = History.read(path)
    assert judge(history, [name]).verdicts[name].examined
    assert len(history) <= 8, "a history that proves one thing needs no more entries"


def test_the_words_that_are_recommended_exist() -> None:
    assert all(word in COVERAGE for invariant in INVARIANTS.values() for word in invariant.exercised_by)
