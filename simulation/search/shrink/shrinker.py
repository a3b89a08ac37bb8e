"""Shrinking: from a run that violates an invariant to the smallest that violates the same one for the same cause.

A run is a function of a scenario, a seed and, if its order is chosen, of choices. The scenario is made simpler as long
as some order of it still shows the same cause (`cause.py`); the choices are made fewer as long as these very ones do.

Hypothesis shrinks such things well, and could carry the choices; but it must have found the failing example itself
(there is no public way to hand it one), its effort is bounded by the clock on the wall, so that the result would depend
on the machine, and a simpler scenario gives the same choices another meaning: for each, an order must be found again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from simulation.kernel.random_streams import Streams
from simulation.scenario.model import Scenario
from simulation.search.explore.probe import Probe, probe
from simulation.search.explore.schedulers import Listed, Priorities, Walk
from simulation.search.replay import Replay, difference, replay_of, trimmed
from simulation.search.shrink.cause import Cause
from simulation.search.shrink.passes import PASSES, focused, listed, shorter_names, size
from simulation.world.laboratory import Laboratory
from simulation.world.run import Run
from simulation.world.scheduling import Bounds, Exploration, Scheduler
from simulation.world.world import EngineFailed


class NothingToShrink(Exception):
    """The first run violates nothing, or not the requested invariant, or cannot be repeated. The message says so."""


class NotDeterministic(NothingToShrink):
    """The same run came out otherwise the second time: the engine under test depends on something outside of it."""


class OutOfRuns(Exception):
    """The shrinker has made as many runs as it may, or has no time left. Its results so far stand."""


@dataclass(frozen=True, slots=True)
class Better:
    """The smallest run so far."""

    replay: Replay
    run: Run
    tried: int
    """Number of runs until now."""

    @property
    def size(self) -> str:
        """The size of the run, in words."""
        steps = self.run.steps
        if steps is None:
            return f"{size(self.replay.scenario)}; drawn delays"
        count = len(steps.deviations)
        return f"{size(self.replay.scenario)}; {count} interruption{'s' * (count != 1)}"


class Shrinker:
    """Shrinks one run on one laboratory. The same run gives the same result."""

    def __init__(
        self,
        laboratory: Laboratory,
        start: Replay,
        invariant: str = "",
        *,
        most: int = 20_000,
        tries: int = 60,
        enough: Callable[[], bool] = lambda: False,
    ) -> None:
        self._laboratory = laboratory
        self._start = start
        self._invariant = invariant
        self._most = most
        self._tries = tries
        self._enough = enough
        """Asked before each run whether to stop, such as by a caller who has a clock."""
        self._cause: Cause | None = None
        self._made = 0
        self._known: set[str] = set()
        """Scenarios that were tried; none is tried twice, so that two which are equally simple do not alternate."""
        self._last: tuple[Scenario, Probe] | None = None
        """The scenario of the latest probe, and the probe."""
        self.complete = False
        """Whether nothing simpler is left to try."""

    @property
    def made(self) -> int:
        """Number of runs until now."""
        return self._made

    def improvements(self) -> Iterator[Better]:
        """Yield ever smaller runs, the one to start from first. Raises NothingToShrink."""
        best = self._begin()
        yield best
        try:
            best = self._chosen(best)
            yield best
            before = None
            while before != best.replay:
                before = best.replay
                for simpler in self._simpler(best):
                    best = simpler
                    yield best
                best = self._fewer_choices(best)
                yield best
            for candidate in shorter_names(best.replay.scenario):
                best = self._same_order(candidate, best) or best
            yield best
        except OutOfRuns:
            return
        self.complete = True

    def _begin(self) -> Better:
        run = self._start.perform(self._laboratory)
        found = [violation.invariant for violation in run.judgement.violations]
        if not found:
            engine = run.history.header.engine
            raise NothingToShrink(
                f"seed {run.seed} is not violated on {engine}, it is '{run.verdict}': there is nothing to shrink;"
                " give the --seed and the --engine of a run that is"
            )
        self._invariant = self._invariant or found[0]
        if self._invariant not in found:
            raise NothingToShrink(f"seed {run.seed}: '{self._invariant}' is not violated; {', '.join(set(found))} is")
        self._check_determinism(run)
        self._cause = Cause.of(run, next(v for v in run.judgement.violations if v.invariant == self._invariant))
        # Of a swarm, the world that was drawn is what is made smaller.
        world = run.scenario.model_copy(update={"seed": run.seed, "engine": run.history.header.engine})
        scenario = focused(listed(world, run.seed), self._invariant, run.counts.virtual)
        plain = replace(self._start, scenario=scenario, invariant=self._invariant)
        again = self._violated(plain.perform(self._laboratory))
        if again is None:  # drawn orders depend on names and ids; then it is searched for in the listed one
            again = self._searched(scenario, 10 * self._tries)
        if again is None:
            reason = "with its events listed one by one, the violation was not found again"
            raise NothingToShrink(f"seed {run.seed}: {reason}")
        return again

    def _check_determinism(self, run: Run) -> None:
        place = difference(run.history, self._start.perform(self._laboratory).history)
        if place is not None:
            raise NotDeterministic(
                f"{run!r}: the engine under test is not deterministic: run again with the same seed and choices, its "
                f"history differs from entry {place} on. Look for a clock, a random number or the order of a set that "
                "the simulation does not own; `causim run --check-determinism` shows the entries"
            )

    # -- runs ------------------------------------------------------------------------------------------------

    def _spend(self) -> None:
        if self._made >= self._most or self._enough():
            raise OutOfRuns
        self._made += 1

    def _violated(self, run: Run) -> Better | None:
        assert self._cause is not None
        if self._cause.explains(run):
            return Better(replay_of(run, self._invariant), run, self._made)
        return None

    def _drawn(self, scenario: Scenario, tries: int) -> Better | None:
        """Look for drawn delays that violate the invariant: the scenario's own seed first."""
        for extra in range(tries):
            self._spend()
            try:
                found = self._violated(self._laboratory.run(scenario, scenario.seed + extra))
            except EngineFailed:
                return None
            if found:
                return found
        return None

    def _explored(self, scenario: Scenario, scheduler: Scheduler, bounds: Bounds) -> Better | None:
        self._spend()
        exploration = Exploration(scheduler, bounds, self._probe(scenario).scripts)
        return self._violated(self._laboratory.run(scenario, exploration=exploration))

    def _probe(self, scenario: Scenario) -> Probe:
        """Look at a scenario once, however many of its orders are tried one after the other."""
        if self._last is None or self._last[0] is not scenario:
            self._last = scenario, probe(self._laboratory, scenario, scenario.seed, scenario.engine)
        return self._last[1]

    def _searched(self, scenario: Scenario, tries: int, bounds: Bounds = Bounds()) -> Better | None:  # noqa: B008
        """Look for an order that violates the invariant."""
        try:
            for scheduler in _orders(tries, self._probe(scenario).steps):
                found = self._explored(scenario, scheduler, bounds)
                if found:
                    return found
        except EngineFailed:
            return None
        return None

    # -- passes ----------------------------------------------------------------------------------------------

    def _chosen(self, best: Better) -> Better:
        """Go over from drawn delays to a chosen order, if there is one that violates the invariant."""
        if best.replay.choices is not None or best.replay.scenario.topology.kind == "cluster":
            return best  # in a cluster no order can be chosen
        return self._searched(best.replay.scenario, 10 * self._tries) or best

    def _simpler(self, best: Better) -> Iterator[Better]:
        """Yield simpler scenarios that still violate the invariant, until none is left that does."""
        for simplify in PASSES:
            improved = True
            while improved:
                improved = False
                for candidate in simplify(best.replay.scenario):
                    key = repr(candidate.written())
                    if key in self._known:
                        continue
                    self._known.add(key)
                    found = self._still_violated(candidate, best)
                    if found is None:
                        continue
                    best, improved = found, True
                    yield best
                    break

    def _still_violated(self, candidate: Scenario, best: Better) -> Better | None:
        return self._same_order(candidate, best) or self._another_order(candidate, best)

    def _same_order(self, candidate: Scenario, best: Better) -> Better | None:
        choices, bounds = best.replay.choices, best.replay.bounds
        try:
            return self._drawn(candidate, 1) if choices is None else self._explored(candidate, Listed(choices), bounds)
        except EngineFailed:
            return None

    def _another_order(self, candidate: Scenario, best: Better) -> Better | None:
        if best.replay.choices is None:
            return self._drawn(candidate, self._tries // 2)
        return self._searched(candidate, self._tries, best.replay.bounds)

    def _fewer_choices(self, best: Better) -> Better:
        """Interrupt less often: leave out interruptions, many at a time at first, and choose smaller numbers."""
        if best.replay.choices is None:
            return best
        scenario, bounds = best.replay.scenario, best.replay.bounds
        improved = True
        while improved:
            improved = False
            for choices in fewer(best.replay.choices or ()):
                found = self._explored(scenario, Listed(choices), bounds)
                if found and _weight(found) < _weight(best):
                    best, improved = found, True
                    break
        return best


def _orders(count: int, steps: int) -> Iterator[Scheduler]:
    """Yield some orders: first those with a single interruption, as most races need no more; then any."""
    single = min(count // 2, steps)
    for place in range(single):
        yield Listed((*[0] * place, 1))
    for number in range(count - single):
        stream = Streams(number)["schedule"]
        yield Walk(stream) if number % 3 == 2 else Priorities(stream, 2 + number % 3, steps)


def fewer(choices: tuple[int, ...]) -> Iterator[tuple[int, ...]]:
    """Yield choices with fewer or smaller interruptions, the boldest first."""
    places = [place for place, choice in enumerate(choices) if choice]
    count = len(places)
    while count:
        for start in range(0, len(places), count):
            gone = set(places[start : start + count])
            yield trimmed([0 if place in gone else choice for place, choice in enumerate(choices)])
        count //= 2
    for place in places:
        for smaller in range(1, choices[place]):
            yield (*choices[:place], smaller, *choices[place + 1 :])


def _weight(better: Better) -> tuple[int, int, int]:
    choices = better.replay.choices or ()
    return sum(choice > 0 for choice in choices), sum(choices), len(choices)
