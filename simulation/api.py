"""Studies: a notebook's questions about many runs, in one call. Part of the public facade.

`hunt` looks for the first seed that violates an invariant; `shrink` makes what it found as small as it can be; `sweep`
runs a grid of scenarios and keeps its table.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import tomli_w

from causim.written_files import write_whole
from reports import view
from reports.text.run_text import choices, story, violation_of
from simulation.engines import Engine, engine_name, resolve
from simulation.scenario.load import scenario_of
from simulation.scenario.model import Scenario
from simulation.search.parallel.seeds import Plan, search
from simulation.search.replay import Replay, replay_of
from simulation.search.shrink.shrinker import Shrinker
from simulation.search.summary import Summary, Tally
from simulation.search.sweep.grid import Axis, cells, measure
from simulation.world.laboratory import Laboratory
from simulation.world.run import Run

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, slots=True)
class Hunt:
    """The result of a hunt."""

    scenario: Scenario
    engine: str
    tally: Tally
    """The results of all runs together."""
    run: Run | None
    """The first run that was violated, with its whole history; none if all kept every invariant."""

    @property
    def verdict(self) -> str:
        """The verdict on all runs together."""
        return self.tally.verdict(self.scenario.judge.require_coverage)

    @property
    def frame(self) -> pd.DataFrame:
        """A row for each invariant that was violated: in how many runs, the first seed, and why."""
        rows = [
            {"invariant": name, "runs": count, "first seed": seed, "because": violation.because}
            for name, (count, seed, violation) in self.tally.violations.items()
        ]
        frame: pd.DataFrame = view("tables.frames:frame_of")(rows, ["invariant", "runs", "first seed", "because"])
        return frame

    def __repr__(self) -> str:
        tally = self.tally
        found = f"first with seed {tally.first_violating}" if tally.violating else self.verdict
        violated = f"{tally.violating:,} of {tally.runs:,} runs violated"
        return f"<Hunt in {self.scenario.name} for {self.engine}: {violated}, {found}>"


def hunt(
    scenario: Scenario | str | Path,
    engine: str | type[Engine] | None = None,
    seeds: int | Iterable[int] = 100,
    *,
    jobs: int = 1,
    store: str = "auto",
    stop_after: int | None = 1,
) -> Hunt:
    """Run a scenario with one seed after the other until an invariant is violated.

    Args:
        scenario: the scenario to run, from `load`.
        engine: a built-in engine's name or `module:Class`; the scenario's own if not given.
        seeds: their number, from 1 on, or the seeds themselves.
        jobs: number of runs at a time, each in a process of its own if more than one.
        store: `server`, `embedded`, `redis://…`, or `auto`: the server where it can run.
        stop_after: stop at so many violated runs; none: run all seeds.

    Raises StoreUnavailable, UnknownEngine, BadScenario, EngineFailed.
    """
    scenario = scenario_of(scenario)
    chosen = engine_name(engine or scenario.engine)
    resolve(chosen)
    tally = Tally()
    with Laboratory(store) as laboratory:
        for summary in _summaries(Plan(scenario, chosen, store), seeds, jobs, laboratory):
            tally.add(summary)
            if tally.violating == stop_after:
                break
        first = tally.first_violating
        run = None if first is None else laboratory.run(scenario, first, chosen)
    return Hunt(scenario, chosen, tally, run)


@dataclass(frozen=True, slots=True)
class Shrunk:
    """The smallest run that was found to violate an invariant."""

    replay: Replay
    run: Run
    """The run, with every Redis command and reply in its history."""
    size: str
    """The size of the run, in words."""
    tried: int
    """Number of runs that the search for it took."""

    @property
    def story(self) -> str:
        """The choices of the run and the story of its violation, step by step."""
        violation = violation_of(self.run, self.replay.invariant)
        lines = story(self.run, violation) if violation else ()
        return "\n".join([*choices(self.run), *(line.text for line in lines)])

    def write(self, file: str | Path) -> Path:
        """Write the run to a file for `causim replay`, and return its path. Raises OSError."""
        path = Path(file)
        write_whole(path, tomli_w.dumps(self.replay.written()))
        return path

    def __repr__(self) -> str:
        return f"<Shrunk: {self.size}; {self.replay.invariant} is violated; {self.tried:,} runs>"


def shrink(run: Run, invariant: str = "", *, tries: int = 60, most: int = 20_000, store: str = "auto") -> Shrunk:
    """Make a run that violates an invariant as small as it can be.

    Args:
        run: a run that violates something.
        invariant: the invariant to violate; its first violation by default.
        tries: number of orders to try of a simpler scenario before it is given up. More is smaller, and takes longer.
        most: greatest number of runs.
        store: `server`, `embedded`, `redis://…`, or `auto`: the server where it can run.

    Raises NothingToShrink if the run does not violate the invariant, StoreUnavailable.
    """
    with Laboratory(store) as laboratory:
        start = replay_of(run, invariant)
        *_, best = Shrinker(laboratory, start, invariant, most=most, tries=tries).improvements()
        return Shrunk(best.replay, best.replay.perform(laboratory, trace=True), best.size, best.tried)


@dataclass(frozen=True, slots=True)
class Sweep:
    """The table of a grid of scenarios, and its pictures."""

    name: str
    axes: tuple[str, ...]
    frame: pd.DataFrame
    """One row for each combination; columns as `causim sweep` writes them."""

    def picture(self, measure: str) -> Any:
        """Draw a column of the table over the values that were varied. Raises ValueError if it cannot be drawn."""
        # only who looks at a picture or a table waits for what draws it
        from reports.figures.sweep_figures import MEASURES, figure

        for known in MEASURES:
            if known.column == measure:
                return figure(self.frame, self.axes, known, self.name)
        columns = ", ".join(known.column for known in MEASURES)
        raise ValueError(f"{measure!r} is no measure of a sweep; there are {columns}")

    def _repr_html_(self) -> str:
        return str(self.frame.to_html(index=False))


def sweep(
    scenario: Scenario | str | Path,
    vary: Mapping[str, Iterable[Any] | str],
    seeds: int | Iterable[int] = 20,
    *,
    engine: str | type[Engine] | None = None,
    jobs: int = 1,
    store: str = "auto",
) -> Sweep:
    """Run a scenario for every combination of some of its values.

    Args:
        scenario: the scenario to run, from `load`.
        vary: for each path such as `broker.drop`, the values that it takes, or a text such as `0:0.2:0.05`.
        seeds: their number for each combination, from 1 on, or the seeds themselves.
        engine: a built-in engine's name or `module:Class`; the scenario's own if not given.
        jobs: number of runs at a time, each in a process of its own if more than one.
        store: `server`, `embedded`, `redis://…`, or `auto`: the server where it can run.

    Raises BadAxis, StoreUnavailable, UnknownEngine, BadScenario, EngineFailed.
    """
    scenario = scenario_of(scenario)
    chosen = engine_name(engine or scenario.engine)
    resolve(chosen)
    grid = cells(scenario, [Axis.of(path, values) for path, values in vary.items()])
    which = list(_numbers(seeds))
    with Laboratory(store) as laboratory:
        rows = [measure(cell, _summaries(Plan(cell.scenario, chosen, store), which, jobs, laboratory)) for cell in grid]
    name = f"{scenario.name} · {chosen} · {len(which)} seeds each"
    return Sweep(name, tuple(vary), view("tables.frames:frame_of")(rows))


def _summaries(plan: Plan, seeds: int | Iterable[int], jobs: int, laboratory: Laboratory) -> Iterator[Summary]:
    return search(plan, _numbers(seeds), jobs, laboratory)


def _numbers(seeds: int | Iterable[int]) -> Iterable[int]:
    if isinstance(seeds, str) or not isinstance(seeds, int | Iterable):
        raise TypeError(f"seeds were expected: how many, or which, such as range(1, 101); not {seeds!r}")
    if isinstance(seeds, int) and seeds < 1:
        raise ValueError(f"seeds must be at least 1, or which, such as range(1, 101); not {seeds!r}")
    return range(1, seeds + 1) if isinstance(seeds, int) else seeds
