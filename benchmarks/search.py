"""How soon each strategy convicts: released engines on the rungs that name them, and every mutant on its scenario.

Then, what it takes to try every order of small worlds on our engine.

    python benchmarks/search.py [--most 200] [--seconds 30] [--out benchmarks/search.md]

Each cell is the number of schedules until the first conviction by a right invariant, and the seconds that they took; a
cell gives up after `--most` schedules or `--seconds`. The schedules do not depend on the machine; the seconds do.
The column `exhaustive` tries orders as a depth-first search meets them, which is made to be complete, not to be quick.
"""

from __future__ import annotations

import argparse
import logging
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from simulation import Laboratory, Run, Scenario, load
from simulation.engines import MUTANT
from simulation.engines.mutants import MUTANTS
from simulation.search.explore.exhaustive import Exhaustive
from simulation.search.explore.strategies import Runner, Strategy
from simulation.search.sweep.mutation import BESIDE
from simulation.world.scheduling import Bounds

SCENARIOS = Path("scenarios")
STRATEGIES = {
    "seeds": Strategy(),
    "walk": Strategy("random-walk"),
    "pct, depth 2": Strategy("pct", 2),
    "pct, depth 3": Strategy("pct", 3),
}
RUNGS = {
    "prefect@0.2.7": ["ladder/r1-leader-in-flight"],
    "prefect@0.2.8": ["ladder/r2-orphan", "ladder/r3-released-but-not-seen"],
    "prefect": ["late-leader", "leader-follower", "ladder/n02-lost-chain-twice", "ladder/n17-depth"],
}


WORLDS = [("leader-follower", 0), ("leader-follower", 1), ("three-events", 0), ("three-events", 1)]
PROOFS = """
# Every order of small worlds

On `native`, with two consumers and at most so many crashes; each order stands for all that are equivalent to it.

| scenario | crashes | orders | repetitions | branches skipped | violated | complete | processor time, s |
|---|---:|---:|---:|---:|---:|---|---:|"""


@dataclass(frozen=True)
class Target:
    """What is to be convicted, on which scenario, and by which invariants; none named means any."""

    engine: str
    scenario: Scenario
    wanted: frozenset[str]


def targets() -> Iterator[Target]:
    """Yield the releases with their rungs, then the mutants that are not equivalent."""
    for engine, names in RUNGS.items():
        for name in names:
            yield Target(engine, load(SCENARIOS / f"{name}.toml"), frozenset())
    for mutant in MUTANTS.values():
        if not mutant.equivalent:
            beside = BESIDE / mutant.scenario
            scenario = load(beside if beside.exists() else SCENARIOS / mutant.scenario)
            yield Target(MUTANT + mutant.name, scenario, frozenset(mutant.convicted_by))


def drawn(laboratory: Laboratory, target: Target, strategy: Strategy, most: int) -> Iterator[Run]:
    """Yield runs of one target whose order a strategy draws, at most so many."""
    runner = Runner(laboratory, target.scenario, target.engine, strategy)
    return (runner.run(number) for number in range(1, most + 1))


def hunt(runs: Iterator[Run], wanted: frozenset[str], seconds: float) -> str:
    """Return a cell of the table: schedules and seconds until the conviction, or how many schedules were in vain."""
    started, number = time.perf_counter(), 0
    for number, run in enumerate(runs, start=1):
        found = {violation.invariant for violation in run.judgement.violations}
        took = time.perf_counter() - started
        if found & wanted or (found and not wanted):
            return f"{number} · {took:.1f} s"
        if took > seconds:
            break
    return f"not in {number}"


def cells(laboratory: Laboratory, target: Target, most: int, seconds: float) -> Iterator[str]:
    """Yield the cells of one target's row."""
    for strategy in STRATEGIES.values():
        yield hunt(drawn(laboratory, target, strategy, most), target.wanted, seconds)
    every = Exhaustive(laboratory, target.scenario, target.scenario.seed, target.engine)
    yield hunt(every.runs(most), target.wanted, seconds)


def proof(laboratory: Laboratory, name: str, crashes: int) -> str:
    """Try every order of a small world on our engine, and return a row of the second table."""
    scenario = load(SCENARIOS / f"{name}.toml")
    bounds = Bounds(faults=crashes, kinds=("crash",)) if crashes else Bounds()
    search = Exhaustive(laboratory, scenario, scenario.seed, "native", bounds=bounds)
    started = time.process_time()
    for _ in search.runs():
        pass
    took, progress = time.process_time() - started, search.progress
    return (
        f"| {name} | {crashes} | {progress.covered:,} | {progress.abandoned:,} | {progress.skipped:,} "
        f"| {progress.violating} | {'yes' if progress.complete else 'no'} | {took:.0f} |"
    )


def main() -> None:
    """Measure, print the table as it grows, and write it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--most", type=int, default=200)
    parser.add_argument("--seconds", type=float, default=30.0)
    parser.add_argument("--out", type=Path, default=Path("benchmarks/search.md"))
    given = parser.parse_args()
    logging.disable(logging.CRITICAL)
    lines = [
        "# Schedules until the first conviction",
        "",
        "Made by `python benchmarks/search.py`; a cell gives up after "
        f"{given.most} schedules or {given.seconds:g} s. The schedules do not depend on the machine, the seconds do.",
        "",
        f"| engine | scenario | {' | '.join(STRATEGIES)} | exhaustive |",
        f"|---|---|{'---:|' * (len(STRATEGIES) + 1)}",
    ]
    print("\n".join(lines))
    with Laboratory("server") as laboratory:
        for target in targets():
            row = " | ".join(cells(laboratory, target, given.most, given.seconds))
            lines.append(f"| {target.engine} | {target.scenario.name} | {row} |")
            print(lines[-1], flush=True)
        lines += PROOFS.splitlines()
        for name, crashes in WORLDS:
            lines.append(proof(laboratory, name, crashes))
            print(lines[-1], flush=True)
    given.out.write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
