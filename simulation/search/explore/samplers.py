"""Schedulers that sample interleavings: by random priorities of steps, and nearly uniformly over those of chosen steps.

Both treat what may also not happen (the passing of time, crashes, lost replies) as Priorities does: at a few moments,
drawn before the run begins, one of these things happens instead of a step.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from simulation.kernel.dependence import Touched
from simulation.kernel.random_streams import Stream
from simulation.world.scheduling import Bounds, Step

SPECIAL = frozenset({"time", "crash", "reply-lost"})
"""Kinds of steps that may also not happen."""


class Moments:
    """Draws the moments of special steps, and the step at each."""

    def __init__(self, stream: Stream, bounds: Bounds, expected: int) -> None:
        self._stream = stream
        count = bounds.early + bounds.faults
        self._at = Counter(1 + stream.below(max(1, expected)) for _ in range(count))
        self._step = 0
        self._due = 0

    def special(self, steps: Sequence[Step]) -> int | None:
        """Return the place of a special step that is to happen now; None in most cases."""
        self._step += 1
        self._due += self._at[self._step]
        if not self._due:
            return None
        places = [place for place, step in enumerate(steps) if step.kind in SPECIAL]
        if not places:
            return None
        self._due -= 1
        return places[self._stream.below(len(places))]


class PartialOrder:
    """Partial order sampling (Yuan et al., 2018): each pending step has a random priority, and the highest is taken.

    Then the pending steps that race with it draw new priorities, so that the orders of independent races are sampled
    independently. Two steps race if they concern the same consumer or event, name the same key, or are both
    deliveries, which compete for consumers. That is a guess: to be wrong costs probability and never a verdict.
    """

    def __init__(self, stream: Stream, bounds: Bounds, expected: int) -> None:
        self._stream = stream
        self._moments = Moments(stream, bounds, expected)
        self._priorities: dict[str, float] = {}

    def choose(self, steps: Sequence[Step]) -> int:
        """Return the place of the pending step of the highest priority."""
        special = self._moments.special(steps)
        if special is not None:
            return special
        ordinary = [place for place, step in enumerate(steps) if step.kind not in SPECIAL]
        best = max(ordinary, key=lambda place: (self._priority(steps[place]), -place))
        for place in ordinary:
            if place == best or races(steps[place], steps[best]):
                self._priorities.pop(steps[place].label, None)
        return best

    def _priority(self, step: Step) -> float:
        if step.label not in self._priorities:
            self._priorities[step.label] = self._stream.random()
        return self._priorities[step.label]

    def done(self, step: Step, touched: Touched) -> None:
        """Do nothing."""


def races(one: Step, other: Step) -> bool:
    """Whether the order of two pending steps is likely to matter."""
    return one.who == other.who or bool(one.keys & other.keys) or one.kind == other.kind == "delivery"


class UniformWalk:
    """Selectively uniform random walk (Zhao et al., 2025): near-uniform over the orders of *interesting* steps.

    An actor is intended to take the next interesting step, drawn in proportion to the number that it has left; until it
    has, the interesting steps of the others wait and all further steps go on at random. The number that an actor has
    left is estimated by a first look at the scenario.

    Args:
        stream: the source of draws.
        bounds: the early timers and faults that may happen beyond another order.
        expected: the number of steps of a run.
        interesting: the words that interesting steps have, such as `request` or the name of a command; see `words`.
        expectations: the number of interesting steps of each actor; an unknown actor is given `typical`.
        typical: see there.
    """

    def __init__(
        self,
        stream: Stream,
        bounds: Bounds,
        expected: int,
        *,
        interesting: str,
        expectations: Mapping[str, float],
        typical: float,
    ) -> None:
        self._stream = stream
        self._moments = Moments(stream, bounds, expected)
        self._interesting = interesting
        self._left = dict(expectations)
        self._typical = typical
        self._intended = ""

    def choose(self, steps: Sequence[Step]) -> int:
        """Return the place of a step that need not wait for the intended actor."""
        special = self._moments.special(steps)
        if special is not None:
            return special
        ordinary = [place for place, step in enumerate(steps) if step.kind not in SPECIAL]
        waiting = [place for place in ordinary if self._interesting in words(steps[place])]
        if waiting and self._intended not in {steps[place].who for place in waiting}:
            self._intend([steps[place].who for place in waiting])
        free = [place for place in ordinary if place not in waiting or steps[place].who == self._intended]
        chosen = free[self._stream.below(len(free))]
        if chosen in waiting:
            self._left[self._intended] = max(1.0, self._left.get(self._intended, self._typical) - 1)
            self._intended = ""
        return chosen

    def _intend(self, actors: Sequence[str]) -> None:
        names = list(dict.fromkeys(actors))
        weights = [self._left.get(name, self._typical) for name in names]
        point = self._stream.random() * sum(weights)
        for name, weight in zip(names, weights, strict=True):
            self._intended = name
            point -= weight
            if point < 0:
                return

    def done(self, step: Step, touched: Touched) -> None:
        """Do nothing."""


def words(step: Step) -> tuple[str, str]:
    """Return the words by which a step can be interesting: its kind, and the name of the command that it carries."""
    return step.kind, step.about.partition(" ")[2] if step.kind == "request" else ""
