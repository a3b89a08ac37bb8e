"""Every order of a small world: a depth-first search whose runs are replays from the start, reduced by sleep sets.

Two orders that differ only in steps that commute lead to the same history, so one of them is enough (Godefroid, 1996).
At a node of the tree of choices:

    1. Step s was explored there, with all that follows it. It goes to *sleep*: together with what it has touched.
    2. The next step t is explored. If s and t commute, s stays asleep below t: an order t, s, … is an order s, t, …
       that was covered. If they conflict, s wakes up.
    3. A run of which every next step is asleep can only repeat what was covered: it is abandoned.

What a step touches is not declared but observed, in the very state in which it was taken, and cannot be changed by
steps that commute with it. So each class of equivalent orders is run once, and none is missed. The passing of time
conflicts with everything. With `reduce=False` the search is the plain enumeration, against which the reduction is tested.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from simulation.scenario import Scenario
from simulation.search.footprints import Footprints, conflict
from simulation.search.scouting import scout
from simulation.steps import EVERYTHING, Abandoned, Bounds, Exploration, Step, Touched
from simulation.world import Laboratory, Run

_UNKNOWN: Touched = {EVERYTHING: True}


class NotReproducible(Exception):
    """The same choices led elsewhere the second time: something outside of the simulation has a say in this run.

    Look for a clock, a random number or the order of a set in the engine under test that the simulation does not own.
    """


@dataclass(slots=True)
class Progress:
    """How far a search has come. It is never called complete if anything was cut."""

    covered: int = 0
    """Orders that were run to their end; with the reduction, each stands for all that are equivalent."""
    abandoned: int = 0
    """Runs that were given up because they could only repeat an order that was covered."""
    skipped: int = 0
    """Branches that were not entered for the same reason. Each stands for at least one order."""
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

    def next(self) -> str | None:
        for label in self.labels:
            if label not in self.explored and label not in self.asleep:
                return label
        return None


class _Search:
    """The oracle of an exhaustive search: it remembers the path from the root to where it stands."""

    def __init__(self, reduce: bool) -> None:
        self._reduce = reduce
        self._path: list[_Node] = []
        self._depth = 0
        self._asleep: dict[str, Touched] = {}
        self._chosen = False

    def begin(self) -> None:
        """Stand at the root again."""
        self._depth, self._asleep, self._chosen = 0, {}, False

    def choose(self, steps: Sequence[Step]) -> int:
        """Return the next step of the path, or the first that is awake beyond its end."""
        labels = tuple(step.label for step in steps)
        if self._depth == len(self._path):
            node = _Node(labels, {label: seen for label, seen in self._asleep.items() if label in labels})
            self._path.append(node)
            first = node.next()
            if first is None:
                raise Abandoned
            node.current = first
        node = self._path[self._depth]
        if node.labels != labels:
            raise NotReproducible(f"at choice {self._depth + 1} there were {node.labels} and now {labels}")
        self._depth += 1
        if self._reduce:
            self._asleep = {**node.asleep, **{k: v for k, v in node.explored.items() if k != node.current}}
        self._chosen = True
        return labels.index(node.current)

    def done(self, step: Step, touched: Touched) -> None:
        """Wake up whatever conflicts with the step that was taken."""
        if self._chosen:
            node = self._path[self._depth - 1]
            node.explored[node.current] = touched
            self._chosen = False
        self._asleep = {label: seen for label, seen in self._asleep.items() if not conflict(seen, touched)}

    def advance(self) -> int | None:
        """Turn to the next branch, the deepest first; return how many were skipped, or None if none is left."""
        skipped = 0
        if self._chosen:  # the run ended with this step: nobody knows what it would have touched
            node = self._path[self._depth - 1]
            node.explored[node.current] = _UNKNOWN
        while self._path:
            node = self._path[-1]
            following = node.next()
            if following is not None:
                node.current = following
                self.skipped = skipped
                return skipped
            skipped += sum(label in node.asleep and label not in node.explored for label in node.labels)
            self._path.pop()
        self.skipped = skipped
        return None


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
        reduce: bool = True,
    ) -> None:
        self.progress = Progress()
        self._laboratory = laboratory
        self._scenario, self._seed, self._engine = scenario, seed, engine
        self._bounds = bounds
        self._reduce = reduce

    def runs(self, most: int | None = None) -> Iterator[Run]:
        """Yield each order's run, at most so many, and say in `progress` how far it went."""
        oracle, progress = _Search(self._reduce), self.progress
        footprints = Footprints(self._laboratory.store)
        footprints.watch()
        try:
            scripts = scout(self._laboratory, self._scenario, self._seed, self._engine)
            exploration = Exploration(oracle, self._bounds, scripts, footprints)
            footprints.know(scripts)
            while most is None or progress.covered + progress.abandoned < most:
                run = self._one(oracle, exploration)
                if run is not None:
                    yield run
                if oracle.advance() is None:
                    progress.skipped += oracle.skipped
                    progress.complete = True
                    return
                progress.skipped += oracle.skipped
        finally:
            footprints.close()

    def _one(self, oracle: _Search, exploration: Exploration) -> Run | None:
        oracle.begin()
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
