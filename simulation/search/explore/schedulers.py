"""Schedulers that decide by a list, by chance or by priorities. The one that tries everything has a file of its own."""

from __future__ import annotations

from collections.abc import Sequence

from simulation.kernel.dependence import Touched
from simulation.kernel.random_streams import Stream
from simulation.world.scheduling import Step


class Listed:
    """Takes each choice from a list; after its end, and where its choice is not possible, the first step."""

    def __init__(self, choices: Sequence[int] = ()) -> None:
        self._choices = iter(choices)

    def choose(self, steps: Sequence[Step]) -> int:
        """Return the next choice of the list."""
        if len(steps) == 1:
            return 0
        choice = next(self._choices, 0)
        return choice if choice < len(steps) else 0

    def done(self, step: Step, touched: Touched) -> None:
        """Do nothing."""


class Walk:
    """Chooses at random, each step equally likely."""

    def __init__(self, stream: Stream) -> None:
        self._stream = stream

    def choose(self, steps: Sequence[Step]) -> int:
        """Return any place."""
        return self._stream.below(len(steps)) if len(steps) > 1 else 0

    def done(self, step: Step, touched: Touched) -> None:
        """Do nothing."""


class Continued:
    """Follows a list of choices, and then draws."""

    def __init__(self, choices: Sequence[int], stream: Stream) -> None:
        self._left = len(choices)
        self._listed, self._walk = Listed(choices), Walk(stream)

    def choose(self, steps: Sequence[Step]) -> int:
        """Return the next choice."""
        if len(steps) == 1:
            return 0
        self._left -= 1
        return self._listed.choose(steps) if self._left >= 0 else self._walk.choose(steps)

    def done(self, step: Step, touched: Touched) -> None:
        """Do nothing."""


class Priorities:
    """Probabilistic concurrency testing (Burckhardt et al., 2010): random priorities, lowered at d - 1 random steps.

    An actor is a consumer, or an event on its way to one, and has a random priority; of the actors that can continue,
    the one with the highest priority does. At each of d - 1 random moments that actor falls behind all others; or, if
    the bounds allow it, time passes to the next timer or a fault strikes. A bug that needs d ordered events is found in
    a run with a probability of at least 1 / (n·(k·m)^(d-1)), for n actors, k steps and m things that a moment may be.
    """

    def __init__(self, stream: Stream, depth: int, expected: int) -> None:
        self._stream = stream
        self._priorities: dict[str, float] = {}
        self._moments = {1 + stream.below(max(1, expected)) for _ in range(depth - 1)}
        self._lowest = 0.0
        self.steps = 0

    @property
    def actors(self) -> int:
        """Number of actors that have appeared."""
        return len(self._priorities)

    def choose(self, steps: Sequence[Step]) -> int:
        """Return the place of the actor of the highest priority, or of the special step at one of the moments."""
        self.steps += 1
        ordinary = [i for i, step in enumerate(steps) if step.kind not in ("time", "crash", "reply-lost")]
        if self.steps in self._moments:
            special = [i for i in range(len(steps)) if i not in ordinary]
            which = self._stream.below(1 + len(special))
            if which:
                return special[which - 1]
            first = max(ordinary, key=lambda i: self._priority(steps[i]))
            self._lowest -= 1.0
            self._priorities[steps[first].who] = self._lowest
        return max(ordinary, key=lambda i: (self._priority(steps[i]), -i))

    def _priority(self, step: Step) -> float:
        if step.who not in self._priorities:
            self._priorities[step.who] = self._stream.random()
        return self._priorities[step.who]

    def done(self, step: Step, touched: Touched) -> None:
        """Do nothing."""
