"""`causim sweep`: run a scenario over a grid of its values, and draw the dependencies."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from causim.written_files import written_whole
from reports import view
from simulation.cli import HOLDS, INTERRUPTED, UNKNOWN, VIOLATED, BadUsage
from simulation.cli.errors import naming
from simulation.cli.files import one_scenario
from simulation.cli.given import SweepOptions
from simulation.cli.text import write_lines, write_note
from simulation.cli.trust import check_trust
from simulation.engines import resolve
from simulation.search.parallel.dask_cluster import measure_all
from simulation.search.parallel.seeds import Plan, search
from simulation.search.sweep.answer import answers
from simulation.search.sweep.grid import BadAxis, Ledger, cells, key, measure, parse_axis

if TYPE_CHECKING:
    from simulation.search.sweep.grid import Cell


def execute(given: SweepOptions) -> int:
    """Run the grid, print and draw the results and return the exit code. Raises BadUsage."""

    scenario = one_scenario(given.path)
    check_trust(scenario, given.path, given.engines, trusted=given.trust)
    engine = given.engine or scenario.engine
    resolve(engine)
    try:
        axes = [parse_axis(text) for text in given.vary]
    except BadAxis as error:
        raise BadUsage(str(error)) from None
    grid = cells(scenario, axes)
    seeds = range(given.seed, given.seed + given.seeds)
    folder = given.out / scenario.name / "sweep"
    ledger_file = folder / "cells.jsonl"
    if given.no_resume:
        ledger_file.unlink(missing_ok=True)
    ledger = Ledger(ledger_file)
    names = [key(cell, engine, seeds, version("causim")) for cell in grid]
    done: dict[int, dict[str, Any]] = {}
    for place, name in enumerate(names):
        if (known := ledger.get(name)) is not None:
            done[place] = known
            _say(known, place, grid, given, resumed=True)
    interrupted = False
    left = [place for place in range(len(grid)) if place not in done]
    try:
        with naming(given.path):
            for place, found in _measured(grid, left, engine, seeds, given):
                ledger.put(names[place], found)
                done[place] = found
                _say(found, place, grid, given, resumed=False)
    except KeyboardInterrupt:
        interrupted = True
    rows = [done[place] for place in sorted(done)]
    if rows:
        title = f"{scenario.name} · {engine} · {given.seeds} seeds each"
        _leave(rows, [axis.path for axis in axes], folder, title, given)
    return _ended(rows, len(grid), interrupted)


def _ended(rows: Sequence[dict[str, Any]], cells: int, interrupted: bool) -> int:
    if interrupted:
        write_note(f"stopped; {len(rows)} of {cells} cells are done, the same command does the rest")
    return _code(list(rows), interrupted)


def _measured(
    grid: Sequence[Cell], places: Sequence[int], engine: str, seeds: range, given: SweepOptions
) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield the rows of the cells at these places of the grid, each as it is done."""
    plans = {place: Plan(grid[place].scenario, engine, given.store, given.redis_server) for place in places}
    if given.scheduler:
        yield from measure_all(given.scheduler, grid, plans, seeds)
    else:
        for place, plan in plans.items():
            yield place, measure(grid[place], search(plan, seeds, given.jobs))


def _say(row: dict[str, Any], place: int, grid: Sequence[Cell], given: SweepOptions, *, resumed: bool) -> None:
    if given.json:
        sys.stdout.write(json.dumps(row) + "\n")
    else:
        where = "  ".join(f"{path}={value}" for path, value in grid[place].values.items())
        why = f" ({row['unproved']})" if row.get("unproved") else ""
        note = "  (from an earlier sweep)" if resumed else ""
        rates = "  ".join(f"{word} {row[f'{word}_rate']:.2%}" for word in ("violated", "lost", "rescued"))
        trips = f"round trips/event {row['round_trips_per_event']:.1f}"
        write_lines(f"{place + 1}/{len(grid)}  {where}  {row['verdict']}{why}  {rates}  {trips}{note}")
    sys.stdout.flush()


def _leave(rows: list[dict[str, Any]], axes: list[str], folder: Path, title: str, given: SweepOptions) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    table = folder / "sweep.parquet"
    frame = view("tables.frames:frame_of")(rows)
    with written_whole(table) as partial:
        frame.to_parquet(partial)
    pictures: list[Path] = view("figures.sweep_figures:write_sweep")(frame, axes, folder, title)
    if not given.json:
        sys.stdout.write(f"\ntable     {table}\n" + "".join(f"picture   {picture}\n" for picture in pictures))
        write_lines("\n".join(f"answer    {sentence}" for sentence in answers(rows, axes)))


def _code(rows: list[dict[str, Any]], interrupted: bool) -> int:
    if interrupted:
        return INTERRUPTED
    verdicts = {row["verdict"] for row in rows}
    return VIOLATED if "violated" in verdicts else UNKNOWN if "unknown" in verdicts else HOLDS
