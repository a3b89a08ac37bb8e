"""Crash points: every moment of a run at which something can go wrong, one run for each.

A first run, with nothing added, is watched: each packet that a consumer sends to Redis is a point, and so are the start
and the end of each handler, just before and just after. Then the scenario is run once for each point with one more
fault, which strikes exactly there: until it does, nothing can differ from the first run. A run in which it does not
strike proves nothing, and is never counted as survived.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal

from simulation.invariants import Violation
from simulation.kernel.endings import collected_leftovers
from simulation.scenario.faults import FAULTS, PacketFault
from simulation.scenario.model import Scenario
from simulation.scenario.swarm import draw
from simulation.search.parallel.pool import in_parallel, own_laboratory
from simulation.search.sweep.fault_point import Point, When
from simulation.search.sweep.fault_point_recorder import Recorder
from simulation.world.laboratory import Laboratory
from simulation.world.run import Run
from simulation.world.world import World

KINDS = ("crash", "stop", "pause", "reply-lost", "request-lost")
"""The faults that can strike at every point."""

BY_ITSELF = {"crash": 1_000_000, "stop": 1_000_000}
"""The default duration of a fault, in microseconds. A pause lasts longer than a lease."""


Outcome = Literal["survived", "violated", "unknown", "missed"]


@dataclass(frozen=True, slots=True)
class Trial:
    """The result of one point."""

    point: Point
    outcome: Outcome
    violations: tuple[Violation, ...] = ()
    reasons: tuple[str, ...] = ()
    """The reasons of an outcome that is unknown or missed."""


@dataclass(frozen=True, slots=True)
class FaultPointSweep:
    """A scenario, the fault to inject at each point of it, and the result of the first run."""

    scenario: Scenario
    seed: int
    engine: str
    kind: str
    duration: int
    points: tuple[Point, ...]
    too_late: int
    """Moments that are left out, because the world had healed by then and nothing strikes any more."""
    verdict: str
    """The verdict on the first run."""
    virtual: int
    """The duration of the first run, in microseconds."""

    def variant(self, point: Point) -> Scenario:
        """Return the scenario that has the fault strike at a point, ready to be written down."""
        scenario = self.scenario
        judge = {
            "require_coverage": ()
        }  # what the scenario is about was exercised by the first run; a crash may prevent it
        if not scenario.faults:
            # The first run had nothing to heal from. This one must not heal before the fault has struck, and ended.
            late = self.virtual + self.duration
            judge = {**judge, "heal_after": max(scenario.judge.heal_after, late)}  # type: ignore[dict-item]
        changes = {
            "name": f"{scenario.name[:80]}-{self.kind}-{point.number:04}",
            "description": f"{scenario.name} with one more fault: {self.kind}; {point.words(self.kind)}.",
            "engine": self.engine,
            "seed": self.seed,
            "judge": scenario.judge.model_copy(update=judge),
            # In front of all others: no fault of the scenario's own decides about the packet before it.
            "faults": (point.fault(self.kind, self.duration), *scenario.faults),
            "expect": {},
        }
        return scenario.model_copy(update=changes)


def find_points(
    laboratory: Laboratory, scenario: Scenario, seed: int, engine: str, kind: str, *, duration: int | None = None
) -> FaultPointSweep:
    """Run a scenario once, and return the points at which a fault of a kind can strike.

    `duration` is that of the fault, in microseconds; by default a second, and for a pause longer than a lease.
    """
    with collected_leftovers():
        return _watch(World(draw(scenario, seed).scenario, seed, engine, laboratory.store), engine, kind, duration)


def _watch(world: World, engine: str, kind: str, duration: int | None) -> FaultPointSweep:
    scenario, watch = world.scenario, Recorder(world)
    run = world.run()
    if duration is None:
        duration = BY_ITSELF.get(kind, scenario.policy.lease * 5 // 4 if kind == "pause" else 0)
    packets_only = issubclass(FAULTS[kind], PacketFault)
    whens: tuple[When, ...] = ("before", "after")
    if packets_only:  # a request is lost before Redis executes it, a reply after: each at one point
        whens = ("before",) if kind == "request-lost" else ("after",)
    points = tuple(watch.points(whens, steps=not packets_only))
    return FaultPointSweep(
        scenario, world.seed, engine, kind, duration, points, watch.too_late, run.verdict, run.counts.virtual
    )


def inject_everywhere(
    sweep: FaultPointSweep, laboratory: Laboratory, jobs: int = 1, store: str = "auto", executable: Path | None = None
) -> Iterator[Trial]:
    """Yield the trial of each point, in their order.

    With one job the runs are on the given laboratory; with more, each worker opens the store for itself.
    """
    if jobs > 1:
        prepare = partial(_Worker.prepare, sweep, store, executable)
        yield from in_parallel(_one, range(len(sweep.points)), jobs, prepare)
        return
    for point in sweep.points:
        yield inject_at(sweep, point, laboratory)


def inject_at(sweep: FaultPointSweep, point: Point, laboratory: Laboratory) -> Trial:
    """Run the scenario with the fault at one point."""
    run = laboratory.run(sweep.variant(point))
    if _missed(run, sweep.kind):
        return Trial(point, "missed", reasons=("the fault did not strike",))
    judgement = run.judgement
    if judgement.verdict == "violated":
        return Trial(point, "violated", judgement.violations)
    if judgement.verdict == "unknown":
        return Trial(point, "unknown", reasons=judgement.reasons)
    return Trial(point, "survived")


def _missed(run: Run, kind: str) -> bool:
    """Return whether the fault that was added, the first of the scenario, did not strike."""
    return not any(entry.details["fault"] == kind and entry.details["number"] == 1 for entry in run.history.of("fault"))


class _Worker:
    """The state of a worker process between its runs."""

    sweep: FaultPointSweep
    laboratory: Laboratory

    @classmethod
    def prepare(cls, sweep: FaultPointSweep, store: str, executable: Path | None) -> None:
        """Open a store for this process."""
        cls.sweep, cls.laboratory = sweep, own_laboratory(store, executable)


def _one(place: int) -> Trial:
    return inject_at(_Worker.sweep, _Worker.sweep.points[place], _Worker.laboratory)


# -- watching the first run --------------------------------------------------------------------------------------
