"""Strategies, which choose the order of a run from its seed. All of them make the same run of the same seed.

`seeds` draws a delay for each hop, as a network does; `pct`, `walk`, `pos` and `surw` let a scheduler choose each step.
`exhaustive`, which tries every order of one seed, and `guided`, which learns from one run for the next, have files of
their own.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal

from simulation.kernel.random_streams import Stream, Streams
from simulation.scenario.model import Scenario
from simulation.search.explore.probe import Probe, probe
from simulation.search.explore.samplers import PartialOrder, UniformWalk
from simulation.search.explore.schedulers import Priorities, Walk
from simulation.world.laboratory import Laboratory
from simulation.world.run import Run
from simulation.world.scheduling import Bounds, Exploration, Scheduler

DEPENDENT = frozenset({"exhaustive", "guided"})
"""Strategies that learn from one run for the next: their runs are no independent sample of anything."""


@dataclass(frozen=True, slots=True)
class Strategy:
    """A strategy by its name, and its parameters."""

    name: Literal["random-delays", "pct", "random-walk", "pos", "surw", "guided", "exhaustive"] = "random-delays"
    depth: int = 3
    """Number of ordered events in a bug that `pct` is to find."""
    bounds: Bounds = field(default_factory=Bounds)
    """Early timers and faults that a run may have beyond another order; `random-delays` ignores it."""
    most: int | None = None
    """Highest number of orders that `exhaustive` may try; None: all."""


class Runner:
    """Runs one scenario on one engine by one strategy, seed by seed."""

    def __init__(self, laboratory: Laboratory, scenario: Scenario, engine: str, strategy: Strategy) -> None:
        self._laboratory = laboratory
        self._scenario = scenario
        self._engine = engine
        self._strategy = strategy

    def run(self, seed: int, trace: bool = False) -> Run:
        """Run one seed."""
        exploration = None if self._strategy.name == "random-delays" else self._exploration(seed)
        return self._laboratory.run(self._scenario, seed, self._engine, trace, exploration=exploration)

    @cached_property
    def scouted(self) -> Probe:
        """The result of a first look at the scenario. It does not depend on the seeds that are run."""
        return probe(self._laboratory, self._scenario, self._scenario.seed, self._engine)

    @property
    def guarantee(self) -> str:
        """The bound that the strategy gives, in words; empty if it gives none."""
        if self._strategy.name != "pct":
            return ""
        n, k, d = self.scouted.actors, self.scouted.steps, self._strategy.depth
        m = kinds_of_moments(self._strategy.bounds, self._scenario)
        odds = n * (k * m) ** (d - 1)
        base = f"{n}·{k}^{d - 1}" if m == 1 else f"{n}·({k}·{m})^{d - 1}"
        return f"a bug of depth {d} is found in a run with a probability of at least 1/({base}) = 1/{odds:,}"

    def _exploration(self, seed: int) -> Exploration:
        known = self._known(seed)
        scheduler = scheduler_of(self._strategy, Streams(seed)["schedule"], known)
        return Exploration(scheduler, self._strategy.bounds, known.scripts, scouted=known.seed)

    def _known(self, seed: int) -> Probe:
        """Look at the world of a seed once more if each seed is another world; else one look is enough."""
        if self._scenario.swarm is None:
            return self.scouted
        return probe(self._laboratory, self._scenario, seed, self._engine)


def scheduler_of(strategy: Strategy, stream: Stream, known: Probe) -> Scheduler:
    """Return the scheduler of a strategy that draws its choices, given a first look at the scenario.

    Raises ValueError for a strategy that does not draw them.
    """
    match strategy.name:
        case "random-walk":
            return Walk(stream)
        case "pct":
            return Priorities(stream, strategy.depth, known.steps)
        case "pos":
            return PartialOrder(stream, strategy.bounds, known.steps)
        case "surw":
            return _uniform(strategy, stream, known)
    raise ValueError(f"strategy {strategy.name!r} does not draw its choices one by one")


def _uniform(strategy: Strategy, stream: Stream, known: Probe) -> UniformWalk:
    options = sorted({word for _, word in known.taken} - {"handler"}) or ["request"]
    interesting = options[stream.below(len(options))]
    counts = {who: float(count) for (who, word), count in known.taken.items() if word == interesting}
    consumers = sorted(who for who, word in known.taken if word == "request")
    # Which consumer does how much changes with the order, so each is expected to do as much as the others.
    share = sum(counts.get(who, 0.0) for who in consumers) / max(1, len(consumers))
    counts.update((who, max(1.0, share)) for who in consumers)
    return UniformWalk(
        stream,
        strategy.bounds,
        known.steps,
        interesting=interesting,
        expectations=counts,
        typical=max(1.0, share) if consumers else 1.0,
    )


def kinds_of_moments(bounds: Bounds, scenario: Scenario) -> int:
    """Return the most possibilities at one moment of a schedule: a change of priorities, time, or any fault."""
    consumers = scenario.consumers.count
    crashes = consumers if bounds.faults and "crash" in bounds.kinds else 0
    losses = consumers * (scenario.consumers.concurrency + 1) if bounds.faults and "reply-lost" in bounds.kinds else 0
    return 1 + bool(bounds.early) + crashes + losses
