"""`causim mutants`: put the judge to the test, by engines with one planted fault each."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.markup import escape
from rich.table import Table

from simulation.cli import HOLDS, VIOLATED, BadUsage
from simulation.cli.given import MutantsOptions
from simulation.cli.terminal import Terminal
from simulation.engines.mutants import MUTANTS, UnknownMutant, find
from simulation.search.sweep.mutation import MutationTest
from simulation.world.laboratory import Laboratory

if TYPE_CHECKING:
    from simulation.engines.mutants import Mutant
    from simulation.search.sweep.mutation import Trial

NARROWEST = 160
"""The width of the table without a terminal, in characters."""


def execute(given: MutantsOptions) -> int:
    """Run the mutants, print the table and return the exit code."""
    mutants = _chosen(given.names)
    console = Terminal()
    if not console.is_terminal:
        console.width = max(console.width, NARROWEST)
    trials: list[Trial] = []
    with Laboratory(given.store, given.redis_server) as laboratory, console.status("") as status:
        mutation_test = MutationTest(laboratory)
        for mutant in mutants:
            status.update(f"{len(trials)} of {len(mutants)}: {mutant.name}")
            trials.append(mutation_test.trial(mutant, given.seeds))
    console.print(_table(trials))
    if not given.names and len(mutants) < len(MUTANTS):
        console.print(
            f"{len(MUTANTS) - len(mutants)} mutants of the drop-in need prefect: pip install 'causim[prefect]'"
        )
    _say_why(trials)
    return HOLDS if all(trial.ok for trial in trials) else VIOLATED


def _chosen(names: Sequence[str]) -> list[Mutant]:
    if not names:
        has_prefect = find_spec("prefect_redis") is not None
        return [mutant for mutant in MUTANTS.values() if has_prefect or mutant.host != "drop-in"]
    try:
        return [find(name) for name in dict.fromkeys(names)]
    except UnknownMutant as error:
        raise BadUsage(str(error)) from None


def _table(trials: Sequence[Trial]) -> Any:
    table = Table("mutant", "planted", "scenario", "convicted by", box=None, pad_edge=False)
    for title in ("at seed", "schedules"):
        table.add_column(title, justify="right")
    for trial in trials:
        mutant = trial.mutant
        seed = "-" if trial.seed is None else str(trial.seed)
        cells = (mutant.name, mutant.planted, Path(mutant.scenario).stem, _verdict(trial), seed, str(trial.schedules))
        table.add_row(*(escape(cell) for cell in cells), style="" if trial.ok else "bold red")
    return table


def _verdict(trial: Trial) -> str:
    if trial.broken:
        return f"no verdict: {trial.broken}"
    if trial.host_violates:
        return f"no verdict: {trial.mutant.host} violates {', '.join(trial.host_violates)}"
    if trial.seed is not None:
        return ", ".join(trial.convicted_by)
    return "nothing, and is equivalent" if trial.mutant.equivalent else "nothing: SURVIVED"


def _say_why(trials: Sequence[Trial]) -> None:
    """Print the argument for each equivalent mutant, the counts, and the names of mutants with a wrong result."""
    write = sys.stdout.write
    for trial in trials:
        if trial.mutant.equivalent:
            write(f"\n{trial.mutant.name} is equivalent: {trial.mutant.equivalent}\n")
    convicted = sum(1 for trial in trials if trial.ok and not trial.mutant.equivalent)
    equivalent = sum(1 for trial in trials if trial.ok and trial.mutant.equivalent)
    wrong = [trial.mutant.name for trial in trials if not trial.ok]
    write(f"\n{convicted} convicted · {equivalent} equivalent · {len(wrong)} wrong{': ' if wrong else ''}")
    write(f"{', '.join(wrong)}\n")
