"""One fault at a chosen moment: the step that a fault interrupts matters more than its time.

Most steps of a run are alike, such as the requests of sweeps that find nothing. A fault at a step that is drawn
uniformly strikes most often there. So moments are distinguished by what a fault would interrupt, and each kind has
its turn:

- of a run that is known, by the step and the next one of its consumer: a sweep that finds something is followed by
  something else than one that finds nothing (`moments_of`, `KnownMoments`, `FaultInsteadOf`);
- of a run whose order is yet to be drawn, by the step alone, at any of its occurrences (`FaultAtKind`).

Rare kinds come first: common ones are met by chance. A crash does not strike at a reply: what it leaves behind in Redis
is the same at the next step of the consumer, its next request or the end of its handler.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Generic, TypeVar

from simulation.kernel.dependence import Touched
from simulation.kernel.random_streams import Stream
from simulation.world.scheduling import Bounds, Scheduler, Step

FAULTS = frozenset({"crash", "reply-lost"})
Moment = tuple[str, str]
"""A kind of fault, and the step that it interrupts, by its words or its label."""
Kind = tuple[str, str, str]
"""A kind of fault, the words of the step that it interrupts, and those of the next request of the same consumer."""
Run = TypeVar("Run")

MAX_ALIKE = 200
"""Highest number of moments of one kind that are kept; beyond that the oldest is forgotten."""


def words(step: Step) -> str:
    """Return the action of a step without its consumer, event and keys: the same for all steps that do the same."""
    _, *said = step.about.split()
    return f"{step.kind} {' '.join(said[: 2 if said and said[0].startswith('EVAL') else 1])}"


def moments_of(taken: Sequence[Step], bounds: Bounds) -> dict[Kind, list[Moment]]:
    """Return the moments of a run at which its first fault can occur, by kind and by labels of steps."""
    before = next((place for place, step in enumerate(taken) if step.kind in FAULTS), len(taken))
    steps = [step for step in taken[:before] if step.kind in ("request", "handler")]
    found: defaultdict[Kind, list[Moment]] = defaultdict(list)
    for step, after in zip(steps, _followed_by(steps), strict=True):
        for kind in ("reply-lost", "crash") if step.kind == "request" else ("crash",):
            if kind in bounds.kinds:
                found[kind, words(step), after].append((kind, step.label))
    return dict(found)


def _followed_by(steps: Sequence[Step]) -> list[str]:
    """Return for each step the next request of its consumer."""
    requested: dict[str, str] = {}
    found = []
    for step in reversed(steps):
        found.append(requested.get(step.who, ""))
        if step.kind == "request":
            requested[step.who] = words(step)
    return found[::-1]


class KnownMoments(Generic[Run]):
    """The moments of runs that can be repeated with a fault, by kind."""

    def __init__(self) -> None:
        self._moments: dict[Kind, list[tuple[Run, Moment]]] = {}
        self._met: Counter[Kind] = Counter()
        self.tried: Counter[Kind] = Counter()
        """Number of faults aimed at each kind of moment."""

    def add(self, run: Run, moments: Mapping[Kind, Iterable[Moment]]) -> None:
        """Take note of the moments of a run."""
        for kind, alike in moments.items():
            known = self._moments.setdefault(kind, [])
            before = len(known)
            known += [(run, moment) for moment in alike]
            self._met[kind] += len(known) - before
            del known[:-MAX_ALIKE]

    def aim(self, stream: Stream) -> tuple[Run, Moment] | None:
        """Return a moment of the kind that was aimed at least, among those of the rarest; None if none is known."""
        if not self._moments:
            return None
        kind = min(self._moments, key=lambda kind: (self.tried[kind], self._met[kind]))
        self.tried[kind] += 1
        return self._moments[kind][stream.below(len(self._moments[kind]))]


class TriedMoments:
    """The moments at which faults can occur in runs of any order, as far as a search knows them."""

    def __init__(self) -> None:
        self.tried: Counter[Moment] = Counter()
        """Number of faults aimed at each kind of moment."""
        self.met: Counter[Moment] = Counter()
        """Number of moments of each kind in all runs, in the order of the first of each."""
        self.most: Counter[Moment] = Counter()
        """Highest number of moments of each kind in one run."""

    def aim(self, stream: Stream) -> tuple[Moment, int] | None:
        """Return the kind of moment that was aimed at least, and an occurrence's number; None if none is known yet.

        Of kinds that were aimed at as often, it is the rarest: the one that a fault at any moment would meet least.
        """
        if not self.met:
            return None
        target = min(self.met, key=lambda kind: (self.tried[kind], self.met[kind]))
        self.tried[target] += 1
        return target, 1 + stream.below(self.most[target])

    def meet(self, kind: Moment, nth: int) -> None:
        """Take note that a kind of moment was met for the nth time in a run."""
        self.met[kind] += 1
        self.most[kind] = max(self.most[kind], nth)


class FaultAtKind:
    """Lets another scheduler decide the order, and one fault strike: at the nth moment of a kind."""

    def __init__(self, order: Scheduler, moments: TriedMoments, stream: Stream) -> None:
        self._order = order
        self._moments = moments
        self._target = moments.aim(stream)
        self._met: Counter[Moment] = Counter()
        self._offered: set[Moment] = set()

    def choose(self, steps: Sequence[Step]) -> int:
        """Return the place of the fault when its moment has come; else the choice of the other scheduler."""
        ordinary = [step for step in steps if step.kind not in FAULTS]
        for place, step in enumerate(steps):
            if step.kind in FAULTS and (at := _interrupted(step, ordinary)) and self._is_due(step, at):
                return place
        return self._order.choose(ordinary)

    def _is_due(self, fault: Step, at: Step) -> bool:
        if (fault.label, at.label) in self._offered:
            return False
        self._offered.add((fault.label, at.label))
        moment = fault.kind, words(at)
        self._met[moment] += 1
        self._moments.meet(moment, self._met[moment])
        return self._target == (moment, self._met[moment])

    def done(self, step: Step, touched: Touched) -> None:
        """Notify the other scheduler."""
        self._order.done(step, touched)


class FaultInsteadOf:
    """Follows another scheduler, and has one fault strike instead of a step that is named."""

    def __init__(self, order: Scheduler, moment: Moment) -> None:
        self._order = order
        self._kind, self._label = moment

    def choose(self, steps: Sequence[Step]) -> int:
        """Return the place of the fault when the step would be next; else the choice of the other scheduler."""
        chosen = self._order.choose(steps)
        if steps[chosen].label != self._label:
            return chosen
        places_of_faults = (place for place, step in enumerate(steps) if step.kind == self._kind)
        return next((place for place in places_of_faults if _interrupted(steps[place], [steps[chosen]])), chosen)

    def done(self, step: Step, touched: Touched) -> None:
        """Notify the other scheduler."""
        self._order.done(step, touched)


def _interrupted(fault: Step, steps: Sequence[Step]) -> Step | None:
    """Return the pending step that a fault would interrupt; None if there is none."""
    if fault.kind == "reply-lost":
        return next((step for step in steps if step.label == fault.label.removesuffix("!")), None)
    at = next((step for step in steps if step.who == fault.who), None)
    return at if at is not None and at.kind != "reply" else None
