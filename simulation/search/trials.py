"""Trials of mutants: a mutant is convicted by the right invariant within its budget, and its host is not."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from simulation.engines import MUTANT
from simulation.engines.mutants import Mutant
from simulation.engines.native import NativeEngine
from simulation.scenario import BadScenario, Scenario, load
from simulation.world import Laboratory

SHIPPED = Path("scenarios")
BESIDE = Path(__file__).parents[1] / "engines/mutants/scenarios"


@dataclass(frozen=True, slots=True)
class Trial:
    """What came of one mutant."""

    mutant: Mutant
    convicted_by: tuple[str, ...]
    """All invariants that convicted it in the run that ended the trial."""
    seed: int | None
    """The seed of that run; None if the mutant survived."""
    schedules: int
    """How many runs there were until then."""
    host_violates: tuple[str, ...] = ()
    """What its host violates in the same scenario with the same seeds: nothing, or the trial proves nothing."""

    @property
    def ok(self) -> bool:
        """Whether the trial ended as it must."""
        return not self.host_violates and bool(self.mutant.equivalent) == (self.seed is None)


class Court:
    """Tries mutants, one after the other, on one store."""

    def __init__(self, laboratory: Laboratory) -> None:
        self._laboratory = laboratory
        self._host = cache(self._violated)

    def trials(self, mutants: Iterable[Mutant], seeds: int | None = None) -> Iterator[Trial]:
        """Yield a trial for each mutant. `seeds` takes the place of their own budgets."""
        for mutant in mutants:
            yield self.trial(mutant, seeds or mutant.seeds)

    def trial(self, mutant: Mutant, seeds: int) -> Trial:
        """Run a mutant until it is convicted or its budget is spent, and its host beside it."""
        engine = MUTANT + mutant.name
        host = HOSTS[mutant.host]
        host_violates: tuple[str, ...] = ()
        for number, seed in enumerate(range(1, seeds + 1), start=1):
            host_violates = host_violates or self._host(mutant.scenario, host, seed)
            found = self._violated(mutant.scenario, engine, seed)
            if mutant.equivalent and found or set(found) & set(mutant.convicted_by):
                return Trial(mutant, found, seed, number, host_violates)
        return Trial(mutant, (), None, seeds, host_violates)

    def _violated(self, name: str, engine: str, seed: int) -> tuple[str, ...]:
        run = self._laboratory.run(scenario_of(name), seed, engine)
        return tuple(dict.fromkeys(violation.invariant for violation in run.judgement.violations))
