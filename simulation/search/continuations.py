"""Continuations of a run: the same up to a place, and drawn again from there on; here or on workers."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from simulation.kernel.random_streams import Reseed, Streams
from simulation.search.explore.schedulers import Continued
from simulation.search.parallel.pool import Pool, own_laboratory
from simulation.search.replay import Replay
from simulation.world.laboratory import Laboratory
from simulation.world.run import Run
from simulation.world.scheduling import Exploration


@dataclass(frozen=True, slots=True)
class Continuation:
    """One way to go on from a place of a run."""

    number: int
    """The place's number in the run, from 0 on."""
    at: int
    """The place's time: microseconds since the start of the run."""
    extra: int
    """The number of this continuation among those from the place."""


Outcomes = Callable[[Iterable[Continuation]], Iterator[bool]]
"""Says of continuations, in their order, whether each violates the invariant."""


class Continuations:
    """The continuations of one run on one laboratory. Each depends on nothing but itself and the run."""

    def __init__(self, laboratory: Laboratory, run: Run, invariant: str) -> None:
        self._laboratory = laboratory
        self._run = run
        self._invariant = invariant

    def violates(self, one: Continuation) -> bool:
        """Make the run again and go on from the place; return whether that violates the invariant."""
        seed = int.from_bytes(Streams(self._run.seed)[f"why/{one.number}/{one.extra}"].bytes(6))
        again = self._explored(one.number, seed) if self._run.steps else self._reseeded(one.at, seed)
        return any(violation.invariant == self._invariant for violation in again.judgement.violations)

    def _reseeded(self, at: int, seed: int) -> Run:
        run = self._run
        return self._laboratory.run(run.scenario, run.seed, run.history.header.engine, reseed=Reseed(at, seed))

    def _explored(self, number: int, seed: int) -> Run:
        run = self._run
        assert run.steps is not None
        exploration = run.steps.exploration
        scheduler = Continued(run.steps.choices[:number], Streams(seed)["schedule"])
        again = Exploration(scheduler, exploration.bounds, exploration.scripts, scouted=exploration.scouted)
        return self._laboratory.run(run.scenario, run.seed, run.history.header.engine, exploration=again)


@dataclass(frozen=True, slots=True)
class Elsewhere:
    """Worker processes that make continuations, each on a store of its own."""

    jobs: int
    """The number of workers."""
    store: str = "auto"
    executable: Path | None = None

    @contextmanager
    def opened(self, start: Replay, invariant: str) -> Iterator[Outcomes]:
        """Start the workers, each of which makes the run once; end them at the end."""
        with Pool(self.jobs, partial(_Worker.prepare, start, invariant, self.store, self.executable)) as pool:
            yield partial(pool.results, _violates)


class _Worker:
    """The state of a worker process between its runs."""

    continuations: Continuations

    @classmethod
    def prepare(cls, start: Replay, invariant: str, store: str, executable: Path | None) -> None:
        """Open a store for this process, and make the run that is gone on with."""
        laboratory = own_laboratory(store, executable)
        cls.continuations = Continuations(laboratory, start.perform(laboratory), invariant)


def _violates(one: Continuation) -> bool:
    return _Worker.continuations.violates(one)
