"""A run in words: its size, its interruptions, and the story of a violation, step by step."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from reports.text.narrative import Naming, narrate, numbered
from simulation.history.history import History
from simulation.invariants import Judgement, Violation
from simulation.scenario.model import Scenario


class Run(Protocol):
    """The parts of a finished run from which its text is made."""

    scenario: Scenario
    history: History
    judgement: Judgement

    @property
    def counts(self) -> Counts:
        """The counts of the run."""
        ...

    @property
    def steps(self) -> Steps | None:
        """The steps with their choices, if the run was explored; else None."""
        ...


class Counts(Protocol):
    """The counts of a run: its published events."""

    @property
    def events(self) -> int:
        """Events that were published."""
        ...


class Steps(Protocol):
    """The choices of an explored run."""

    @property
    def deviations(self) -> Sequence[tuple[Any, Any]]:
        """For each choice, the step taken and the step that would have come without it."""
        ...


@dataclass(frozen=True, slots=True)
class Line:
    """One line of text, and whether the violation rests on it."""

    text: str
    witness: bool = False


def facts(run: Run) -> str:
    """Return what a run is: its size, its engine, its store and its seed."""
    header = run.history.header
    events, consumers = run.counts.events, run.scenario.consumers.count
    return (
        f"{header.scenario} · {events:,} event{'s' * (events != 1)} · {consumers} consumer{'s' * (consumers != 1)} · "
        f"engine {header.engine} · {header.store} · seed {header.seed}"
    )


def violation_of(run: Run, invariant: str = "") -> Violation | None:
    """Return the first violation of an invariant, or of any; None if there is none."""
    found = run.judgement.violations
    return next((v for v in found if v.invariant == invariant), found[0] if found else None)


def choices(run: Run) -> list[str]:
    """Return the choices of a run, a line for each interruption."""
    if run.steps is None:
        return ["the order follows from drawn delays"]
    if not run.steps.deviations:
        return ["no choices: every step is the one that comes next anyway"]
    naming = Naming(run.history)
    return [
        f"choice {number}: {naming.sentence(came.about)}, before {naming.sentence(first.about)}"
        for number, (came, first) in enumerate(run.steps.deviations, start=1)
    ]


def story(run: Run, violation: Violation) -> Iterator[Line]:
    """Yield the story of a violation as numbered lines. It has commands only if the run was traced."""
    for text, witness in numbered(narrate(run.history, violation)):
        yield Line(text, witness)
