"""Every order of a small world: a depth-first search whose runs are replays from the start, reduced twice.

Two orders that differ only in steps that commute lead to the same history, so one of them is enough (Godefroid, 1996).
At a node of the tree of choices:

    1. Step s was explored there, with all that follows it. It goes to *sleep*: together with its footprint.
    2. The next step t is explored. If s and t commute, s stays asleep below t: an order t, s, … is an order s, t, …
       that was covered. If they conflict, s wakes up.
    3. A run of which every next step is asleep can only repeat what was covered: it is abandoned.

The footprint of a step is not declared but observed, in the very state in which it was taken, and cannot be changed by
steps that commute with it. So each class of equivalent orders is run once, and none is missed. The passing of time
conflicts with everything.

Commutation is decided as narrowly as can be known:

- In Redis: commands on other keys, or on other members of a key, unless one looks at the whole (`footprints.py`).
- In the history: entries whose exchange no invariant notices (`simulation/invariants/commutativity.py`).
- In the queue: to queue up and to be served, as long as another consumer is in line (`simulation/world/broker.py`).
- A crash is about its own consumer, the events that it has had to do with, and the queue if it stood in line. So all
  moments between two steps of that consumer are one, whatever the others do. No world is quiet before a crashed
  consumer is back: else it would matter whether it died before or after the last event came to rest.

Time passes only when no step is pending, or as often as the bounds allow, so two steps that change places have the same
time; and timers of one moment fire in the order in which they were set. Those whose order matters, redeliveries and
restarts, are set by steps that conflict.

Sleep sets avoid orders, but not the runs that find out; so a branch is not even entered unless a race asks for it (see
`races.py`): an order is only worth trying if it reverses one. The passing of time and faults, which may also not
happen, are tried everywhere. `Reduction.NONE` is the plain enumeration, against which both reductions are tested.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from enum import Enum

from simulation.kernel.dependence import CHANGED, EVERYTHING, Touched
from simulation.scenario.model import Scenario
from simulation.search.explore.footprints import FieldsListed, Footprints, conflict
from simulation.search.explore.probe import probe
from simulation.search.explore.races import Taken, reversals
from simulation.world.laboratory import Laboratory
from simulation.world.run import Run
from simulation.world.scheduling import Abandoned, Bounds, Exploration, Step

OPTIONAL = ("time", "crash", "reply-lost")
"""Steps that may also not happen: no race can ask for them."""

_UNKNOWN: Touched = {EVERYTHING: CHANGED}


class NotReproducible(Exception):
    """The same choices led elsewhere the second time: something outside of the simulation has a say in this run.

    Look for a clock, a random number or the order of a set in the engine under test that the simulation does not own.
    """


class Reduction(Enum):
    """The reductions of a search: each leaves out orders that are equivalent to others, except `NONE`."""

    NONE = 0
    SLEEP = 1
    RACES = 2


@dataclass(slots=True)
class Progress:
    """The progress of a search. It is never called complete if anything was cut."""

    covered: int = 0
    """Orders that were run to their end; with the reduction, each stands for all that are equivalent."""
    abandoned: int = 0
    """Runs that were given up because they could only repeat an order that was covered."""
    skipped: int = 0
    """Branches that were not entered, because every order below them is equivalent to one that was covered."""
    deepest: int = 0
    """The most steps that a run has taken."""
    violating: int = 0
    complete: bool = False
    """Whether every order within the bounds was covered."""


@dataclass(slots=True)
class _Node:
    """A state in which something had to be chosen."""

    labels: tuple[str, ...]
    asleep: dict[str, Touched]
    current: str = ""
    explored: dict[str, Touched] = field(default_factory=dict)
    wanted: set[str] = field(default_factory=set)
    """The steps that are worth trying here."""

    def next(self) -> str | None:
        for label in self.labels:
            if label in self.wanted and label not in self.explored and label not in self.asleep:
                return label
        return None

    @property
    def left_out(self) -> int:
        """Number of steps that were never tried here."""
        return sum(label not in self.explored for label in self.labels)


class _Search:
    """The scheduler of an exhaustive search: it remembers the path from the root to where it stands."""

    def __init__(self, reduction: Reduction) -> None:
        self.skipped = 0
        self._reduction = reduction
        self._run: list[Taken] = []
        self._path: list[_Node] = []
        self._depth = 0
        self._asleep: dict[str, Touched] = {}
        self._chosen = False

    def begin(self) -> None:
        """Stand at the root again."""
        self._depth, self._asleep, self._chosen, self._run = 0, {}, False, []

    def choose(self, steps: Sequence[Step]) -> int:
        """Return the next step of the path, or the first that is awake beyond its end."""
        labels = tuple(step.label for step in steps)
        if self._depth == len(self._path):
            node = _Node(labels, {label: seen for label, seen in self._asleep.items() if label in labels})
            self._path.append(node)
            node.wanted = self._worth_trying(node, steps)
            first = node.next()
            if first is None:
                raise Abandoned
            node.current = first
        node = self._path[self._depth]
        if node.labels != labels:
            raise NotReproducible(f"at choice {self._depth + 1} there were {node.labels} and now {labels}")
        self._depth += 1
        if self._reduction is not Reduction.NONE:
            self._asleep = {**node.asleep, **{k: v for k, v in node.explored.items() if k != node.current}}
        self._chosen = True
        return labels.index(node.current)

    def _worth_trying(self, node: _Node, steps: Sequence[Step]) -> set[str]:
        if self._reduction is not Reduction.RACES:
            return set(node.labels)
        optional = {step.label for step in steps if step.kind in OPTIONAL}
        first = next((label for label in node.labels if label not in optional and label not in node.asleep), None)
        return optional if first is None else optional | {first}

    def done(self, step: Step, touched: Touched) -> None:
        """Wake up the sleeping steps that conflict with the step that was taken."""
        self._run.append(Taken(step, touched, self._depth - 1 if self._chosen else -1))
        if self._chosen:
            node = self._path[self._depth - 1]
            node.explored[node.current] = touched
            self._chosen = False
        self._asleep = {label: seen for label, seen in self._asleep.items() if not conflict(seen, touched)}

    def advance(self) -> bool:
        """Turn to the next branch, the deepest first; return whether there is one."""
        if self._chosen:  # the run ended with this step: what it would have touched is unknown
            node = self._path[self._depth - 1]
            node.explored[node.current] = _UNKNOWN
            node.wanted.update(node.labels)
        if self._reduction is Reduction.RACES:
            self._reverse()
        while self._path:
            node = self._path[-1]
            following = node.next()
            if following is not None:
                node.current = following
                return True
            self.skipped += node.left_out
            self._path.pop()
        return False

    def _reverse(self) -> None:
        for place, beginnings in reversals(self._run):
            node = self._path[place]
            if node.wanted.isdisjoint(beginnings):
                known = [label for label in beginnings if label in node.labels]
                node.wanted.update(known[-1:] or node.labels)


class Exhaustive:
    """A search of every order of one scenario, on one engine."""

    def __init__(
        self,
        laboratory: Laboratory,
        scenario: Scenario,
        seed: int,
        engine: str,
        *,
        bounds: Bounds = Bounds(),  # noqa: B008  # it is frozen
        reduction: Reduction = Reduction.RACES,
    ) -> None:
        self.progress = Progress()
        self._laboratory = laboratory
        self._scenario, self._seed, self._engine = scenario, seed, engine
        self._bounds = bounds
        self._reduction = reduction

    def runs(self, most: int | None = None) -> Iterator[Run]:
        """Yield each order's run, at most so many, and say in `progress` how far it went."""
        scheduler, progress = _Search(self._reduction), self.progress
        footprints = Footprints(self._laboratory.store)
        footprints.watch()
        try:
            scripts = probe(self._laboratory, self._scenario, self._seed, self._engine).scripts
            footprints.know(scripts)
            while most is None or progress.covered + progress.abandoned < most:
                try:
                    run = self._one(scheduler, Exploration(scheduler, self._bounds, scripts, footprints))
                except FieldsListed:  # once at most; what was found is found again
                    scheduler = _Search(self._reduction)
                    progress.covered = progress.abandoned = progress.violating = 0
                    continue
                if run is not None:
                    yield run
                more = scheduler.advance()
                progress.skipped = scheduler.skipped
                if not more:
                    progress.complete = True
                    return
        finally:
            footprints.close()

    def _one(self, scheduler: _Search, exploration: Exploration) -> Run | None:
        scheduler.begin()
        progress = self.progress
        try:
            run = self._laboratory.run(self._scenario, self._seed, self._engine, exploration=exploration)
        except Abandoned:
            progress.abandoned += 1
            return None
        assert run.steps is not None
        progress.covered += 1
        progress.violating += run.verdict == "violated"
        progress.deepest = max(progress.deepest, len(run.steps.taken))
        return run
