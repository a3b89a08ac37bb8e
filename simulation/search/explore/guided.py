"""A search that learns: runs which show a behaviour that none before has shown are the ones that it varies.

1. Each run is made by one of several *arms*: drawn delays, one of the strategies that draw their choices, or a
   variation of a run that has shown a new behaviour. Every arm is tried once.
2. From then on an arm is drawn in proportion to the share of its runs that showed a new behaviour.
3. A variation changes the choices of the earlier run, and with them the faults that the bounds allow: it keeps a
   beginning and goes on at random, changes a few choices, shifts what follows, or goes over to another such run. Half
   of the variations keep the seed too, and with it the ids, times and drawn faults of the earlier run.

If the bounds allow faults, the place of a fault matters more than the order, so a fault strikes at each kind of moment
in turn (see `fault_moments.py`):

1. The first run keeps the order of arrival, without a fault.
2. One run of two repeats an earlier run up to a moment, and has a fault strike there: at a moment of the kind that was
   tried least, in any run that showed a new behaviour.
3. The other runs are made by the arms, with a fault too. Drawn delays, which know no bounds, are used once.

The same scenario, engine and seeds give the same runs. A run depends on those before it, so there is nothing to run
in parallel, and no estimate of what is unseen.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from simulation.kernel.random_streams import Stream, Streams
from simulation.scenario.model import Scenario
from simulation.search.coverage.search_coverage import coverage_of
from simulation.search.explore.fault_moments import (
    FaultAtKind,
    FaultInsteadOf,
    KnownMoments,
    TriedMoments,
    moments_of,
)
from simulation.search.explore.probe import Probe, probe
from simulation.search.explore.schedulers import Continued, Listed, Walk
from simulation.search.explore.strategies import Strategy, scheduler_of
from simulation.world.laboratory import Laboratory
from simulation.world.run import Run
from simulation.world.scheduling import Exploration, Scheduler

DELAYS, VARIATION, FAULT = "random-delays", "variation", "fault"

FAULT_RUN_EVERY = 2
"""Of so many runs one repeats an earlier run with a fault."""

MAX_PARENTS = 500
"""Highest number of runs kept for variation; beyond that the oldest is forgotten."""


@dataclass(slots=True)
class Arm:
    """One way to make a run, and the number of its runs that have shown something new."""

    name: str
    strategy: Strategy | None = None
    """The strategy that draws the choices; None for drawn delays and variations."""
    runs: int = 0
    new: int = 0

    @property
    def yields(self) -> float:
        """The estimated share of its runs that show a new behaviour."""
        return (self.new + 1) / (self.runs + 2)


@dataclass(frozen=True, slots=True)
class Parent:
    """A run that showed a new behaviour."""

    seed: int
    choices: tuple[int, ...]


class Guided:
    """A guided search of one scenario on one engine."""

    def __init__(self, laboratory: Laboratory, scenario: Scenario, engine: str, strategy: Strategy) -> None:
        self._laboratory = laboratory
        self._scenario = scenario
        self._engine = engine
        self._bounds = strategy.bounds
        self.arms = [
            Arm(DELAYS),
            Arm("pos", replace(strategy, name="pos")),
            Arm("walk", replace(strategy, name="random-walk")),
            Arm("surw", replace(strategy, name="surw")),
            Arm("pct", replace(strategy, name="pct", depth=max(2, strategy.depth))),
            Arm(VARIATION),
        ]
        self._fault_arm = Arm(FAULT)
        self._known_moments: KnownMoments[Parent] = KnownMoments()
        self._tried_moments = TriedMoments()
        self._seen: set[int | None] = {None}
        self._parents: list[Parent] = []
        self._probe: Probe | None = None

    def _known(self, seed: int) -> Probe:
        """Look at a scenario before its first run; at one that draws its world from the seed, before each."""
        if self._probe is None or (self._scenario.swarm is not None and self._probe.seed != seed):
            first = self._scenario.seed if self._scenario.swarm is None else seed
            self._probe = probe(self._laboratory, self._scenario, first, self._engine)
        return self._probe

    def runs(self, seeds: Iterable[int]) -> Iterator[Run]:
        """Yield a run for each seed; a variation may take the seed of an earlier run instead."""
        for number, seed in enumerate(seeds):
            stream = Streams(seed)["guided"]
            arm = self._arm(number, stream)
            run = self._made(arm, seed, stream)
            self._learn(arm, run)
            yield run

    def _arm(self, number: int, stream: Stream) -> Arm:
        arms = [arm for arm in self.arms if arm.name != VARIATION or self._parents]
        if self._bounds.faults:
            if number % FAULT_RUN_EVERY == 0:
                return self._fault_arm
            rest = [arm for arm in arms if arm.name != DELAYS]
            arms = rest + [arm for arm in arms if arm.name == DELAYS and not arm.runs]
        untried = next((arm for arm in arms if not arm.runs), None)
        if untried is not None:
            return untried
        point = stream.random() * sum(arm.yields for arm in arms)
        for arm in arms:
            point -= arm.yields
            if point < 0:
                return arm
        return arms[-1]

    def _made(self, arm: Arm, seed: int, stream: Stream) -> Run:
        if arm.name == DELAYS:
            return self._laboratory.run(self._scenario, seed, self._engine)
        if arm.name == FAULT:
            return self._with_fault(seed, stream)
        if arm.strategy is not None:
            return self._explored(self._drawn(arm.strategy, seed, stream), seed)
        parent = self._parents[stream.below(len(self._parents))]
        scheduler = self._varied(parent.choices, stream, Streams(seed)["schedule"])
        if self._bounds.faults:
            scheduler = FaultAtKind(scheduler, self._tried_moments, stream)
        return self._explored(scheduler, parent.seed if stream.below(2) else seed)

    def _with_fault(self, seed: int, stream: Stream) -> Run:
        """Repeat a run with a fault at a moment of it; without a known moment, keep the order of arrival."""
        aimed = self._known_moments.aim(stream)
        if aimed is None:
            return self._explored(Listed(), seed)
        parent, moment = aimed
        return self._explored(FaultInsteadOf(Listed(parent.choices), moment), parent.seed)

    def _drawn(self, strategy: Strategy, seed: int, stream: Stream) -> Scheduler:
        """Return a strategy's scheduler. If faults may strike, one of them strikes at each kind of moment in turn."""
        faults = strategy.bounds.faults
        if faults:
            strategy = replace(strategy, bounds=replace(strategy.bounds, faults=faults - 1))
        scheduler = scheduler_of(strategy, Streams(seed)["schedule"], self._known(seed))
        return FaultAtKind(scheduler, self._tried_moments, stream) if faults else scheduler

    def _explored(self, scheduler: Scheduler, seed: int) -> Run:
        known = self._known(seed)
        exploration = Exploration(scheduler, self._bounds, known.scripts, scouted=known.seed)
        return self._laboratory.run(self._scenario, seed, self._engine, exploration=exploration)

    def _varied(self, choices: tuple[int, ...], stream: Stream, rest: Stream) -> Scheduler:
        if not choices:
            return Walk(rest)
        place = stream.below(len(choices))
        match stream.below(4):
            case 0:
                return Continued(choices[:place], rest)
            case 1:
                changed = list(choices)
                for _ in range(1 + stream.below(3)):
                    where = stream.below(len(changed))
                    changed[where] = 0 if changed[where] else 1 + stream.below(3)
                return Listed(changed)
            case 2:
                return Listed([*choices[:place], 1 + stream.below(2), *choices[place:]])
            case _:
                other = self._parents[stream.below(len(self._parents))].choices
                return Listed([*choices[:place], *other[place:]])

    def _learn(self, arm: Arm, run: Run) -> None:
        behaviour = coverage_of(run).behaviour
        arm.runs += 1
        if behaviour in self._seen:
            return
        self._seen.add(behaviour)
        arm.new += 1
        if run.steps is not None:
            parent = Parent(run.seed, tuple(run.steps.choices))
            self._parents.append(parent)
            del self._parents[:-MAX_PARENTS]
            if self._bounds.faults:
                self._known_moments.add(parent, moments_of(run.steps.taken, self._bounds))
