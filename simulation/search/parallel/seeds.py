"""Many seeds of one scenario, on one core or on all, each worker with a Redis of its own.

Results are streamed and nothing is kept, so memory does not grow with the number of seeds. They come in the order of
the seeds, with one job or with many: a search that ends at its first violation ends at the same one.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from simulation.scenario.model import Scenario
from simulation.search.explore.strategies import Runner, Strategy
from simulation.search.parallel.pool import in_parallel, own_laboratory
from simulation.search.summary import Summary, summarise
from simulation.world.laboratory import Laboratory


@dataclass(frozen=True, slots=True)
class Plan:
    """The settings that all runs of a search share."""

    scenario: Scenario
    engine: str
    store: str = "auto"
    executable: Path | None = None
    strategy: Strategy = field(default_factory=Strategy)


def search(
    plan: Plan, seeds: Iterable[int], jobs: int = 1, laboratory: Laboratory | None = None, *, apart: bool = False
) -> Iterator[Summary]:
    """Yield a summary for each seed, in the order of the seeds.

    Args:
        plan: the scenario, the engine and the other settings of the runs.
        seeds: the seeds, in the order in which to begin them.
        jobs: the number of runs at a time, each in a process of its own if more than one.
        laboratory: a store to use, if there is only one job and the caller has one.
        apart: run in processes of their own even if there is only one job: a process can hold one release of an engine.
    """
    if jobs > 1 or apart:
        yield from in_parallel(_one, seeds, jobs, partial(Worker.prepare, plan))
    elif laboratory is not None:
        yield from _in_turn(plan, seeds, laboratory)
    else:
        with Laboratory(plan.store, plan.executable) as own:
            yield from _in_turn(plan, seeds, own)


def _in_turn(plan: Plan, seeds: Iterable[int], laboratory: Laboratory) -> Iterator[Summary]:
    runner = Runner(laboratory, plan.scenario, plan.engine, plan.strategy)
    for seed in seeds:
        yield summarise(runner.run(seed))


class Worker:
    """The state of a worker process between its runs."""

    runner: Runner

    @classmethod
    def prepare(cls, plan: Plan) -> None:
        """Open a store for this process, and get ready to run the plan's scenario on it."""
        laboratory = own_laboratory(plan.store, plan.executable)
        cls.runner = Runner(laboratory, plan.scenario, plan.engine, plan.strategy)


def _one(seed: int) -> Summary:
    return summarise(Worker.runner.run(seed))
