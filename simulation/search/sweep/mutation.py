"""Trials of mutants: each must be convicted by the right invariant within its budget, and its host must not."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from causim.shipped import FOLDER, MUTANTS
from simulation.engines import MUTANT
from simulation.engines.mutants import Mutant
from simulation.scenario.errors import BadScenario
from simulation.scenario.load import load
from simulation.scenario.model import Scenario
from simulation.world.laboratory import Laboratory
from simulation.world.run import Run

_SCRIPT_FAILED = re.compile(r"-(?!NOSCRIPT|.*non local key|.*rehashing of the slot).*\bscript", re.IGNORECASE)
"""Replies to a script that is broken; a node says so, too, of one whose slot is moving."""
_SLIPS = ("TypeError", "AttributeError", "NameError", "UnboundLocalError")
"""The errors of code that does not fit the engine any more."""


@dataclass(frozen=True, slots=True)
class Trial:
    """The result of one mutant."""

    mutant: Mutant
    schedules: int
    """Number of its runs."""
    seed: int | None = None
    """The seed of the run that convicted it; None if it survived them all."""
    convicted_by: tuple[str, ...] = ()
    """The invariants that it violated in that run, the earliest first."""
    host_violates: tuple[str, ...] = ()
    """Invariants that its host violates in the same scenario and seeds: with any, the trial proves nothing."""
    broken: str = ""
    """The error reply of Redis to a broken script, or an error of the mutant's own code, such as a call with too few
    arguments. Every invariant would convict it, so that proves nothing."""

    @property
    def ok(self) -> bool:
        """Whether the trial ended as it must: a mutant is convicted, an equivalent one is not."""
        return not (self.host_violates or self.broken) and bool(self.mutant.equivalent) == (self.seed is None)


class MutationTest:
    """Tries mutants on one store."""

    def __init__(self, laboratory: Laboratory, shipped: Path = FOLDER) -> None:
        self._laboratory = laboratory
        self._shipped = shipped
        self._known = cache(self._host_violates)
        """Returns the invariants that a host violates: many mutants share a scenario, and so do their hosts."""

    def trial(self, mutant: Mutant, seeds: int | None = None) -> Trial:
        """Run a mutant until it is convicted or its budget is spent, and its host beside it.

        `seeds` takes the place of the mutant's own budget. Raises BadScenario, UnknownEngine, StoreUnavailable.
        """
        budget = seeds or mutant.seeds
        host_violates: tuple[str, ...] = ()
        error = ""
        with _in_silence():
            for seed in range(1, budget + 1):
                host_violates = host_violates or self._known(mutant.scenario, mutant.host, seed)
                run = self._laboratory.run(self._scenario(mutant.scenario), seed, MUTANT + mutant.name, trace=True)
                found, error = _violated(run), error or _script_error(run) or _own_error(run, mutant)
                if found if mutant.equivalent else set(found) & set(mutant.convicted_by):
                    return Trial(mutant, seed, seed, found, host_violates, error)
        return Trial(mutant, budget, host_violates=host_violates, broken=error)

    def _host_violates(self, name: str, engine: str, seed: int) -> tuple[str, ...]:
        return _violated(self._laboratory.run(self._scenario(name), seed, engine))

    def _scenario(self, name: str) -> Scenario:
        for folder in (MUTANTS, self._shipped):
            if (folder / name).exists():
                return load(folder / name)
        raise BadScenario(
            f"{self._shipped / name}: no such file; it should have come with causim: please install it again"
        )


def _violated(run: Run) -> tuple[str, ...]:
    return tuple(dict.fromkeys(violation.invariant for violation in run.judgement.violations))


def _script_error(run: Run) -> str:
    replies = (str(entry.details["reply"]) for entry in run.history.entries if entry.kind == "reply")
    return next((reply.strip() for reply in replies if _SCRIPT_FAILED.match(reply)), "")


def _own_error(run: Run, mutant: Mutant) -> str:
    return next((str(error) for error in run.errors if error.type in _SLIPS and error.type != mutant.raises), "")


@contextmanager
def _in_silence() -> Iterator[None]:
    """Switch logging off: a broken engine logs an error for every event."""
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        yield
    finally:
        logging.disable(before)
