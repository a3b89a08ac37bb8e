"""`causim run --check-determinism`: the same seeds in two processes must write the same histories."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from simulation.cli import HOLDS, INTERRUPTED, VIOLATED, BadUsage
from simulation.cli.given import RunOptions
from simulation.search.parallel.determinism import compare_twice
from simulation.search.parallel.seeds import Plan

if TYPE_CHECKING:
    from simulation.cli.jobs import Job
    from simulation.search.parallel.determinism import Difference

MAX_ENTRY_CHARACTERS = 400
"""Largest number of characters of an entry that are shown."""


def check_determinism(jobs: Sequence[Job], given: RunOptions) -> int:
    """Run each job in two processes, print the first difference, and return the exit code. Raises BadUsage."""
    if given.strategy == "exhaustive":
        raise BadUsage("--check-determinism and --strategy exhaustive: an exhaustive search checks it by itself")
    differing = False
    try:
        for job in jobs:
            differing |= not _check(job, given)
    except KeyboardInterrupt:
        return INTERRUPTED
    return VIOLATED if differing else HOLDS


def _check(job: Job, given: RunOptions) -> bool:
    plan = Plan(job.scenario, job.engine, given.store, given.redis_server, job.strategy)
    done, outside = 0, dict[str, None]()
    for compared in compare_twice(plan, job.seeds):
        outside |= dict.fromkeys(compared.outside)
        if compared.difference is not None:
            _print_difference(job, compared.difference)
            _print_outside(outside, "which may be the cause")
            return False
        done += 1
        if not given.quiet and done % 100 == 0:
            _say(f"{job.scenario.name} · {done:,} of {len(job.seeds):,} seeds are the same")
    _say(f"{job.scenario.name} · {job.engine} · {done:,} seed{'s' * (done != 1)}: the same histories in two processes")
    _print_outside(outside, "so the histories may differ another time")
    return True


def _print_difference(job: Job, difference: Difference) -> None:
    where = f"entry {difference.entry}" if difference.entry else "it could not be found again where"
    _say(
        f"{job.scenario.name} · {job.engine} · seed {difference.seed}: the histories of two processes differ\n"
        f"  {where}\n"
        f"    {_short(difference.first)}\n"
        f"    {_short(difference.second)}\n"
        "  look for a clock, a random number or the order of a set that the simulation does not own"
    )


def _print_outside(outside: Iterable[str], so: str) -> None:
    for what in outside:
        _say(f"  the scenario allows what is outside of the simulation, {so}: {what}")


def _short(text: str) -> str:
    return text if len(text) <= MAX_ENTRY_CHARACTERS else text[:MAX_ENTRY_CHARACTERS] + " …"


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()
