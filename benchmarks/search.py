"""How soon each strategy convicts: released engines on the rungs that name them, and every mutant on its scenario.

    python benchmarks/search.py [--most 200] [--seconds 30] [--out benchmarks/search.md]

Each cell is the number of schedules until the first conviction by a right invariant, and the seconds that they took; a
cell gives up after `--most` schedules or `--seconds`. The schedules do not depend on the machine; the seconds do.
"""

from __future__ import annotations

import argparse
import logging
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from simulation import Laboratory, Scenario, load
from simulation.engines import MUTANT
from simulation.engines.mutants import MUTANTS
from simulation.search.strategies import Runner, Strategy
from simulation.search.trials import BESIDE

SCENARIOS = Path("scenarios")
STRATEGIES = {
    "seeds": Strategy(),
    "walk": Strategy("walk"),
    "pct, depth 2": Strategy("pct", 2),
    "pct, depth 3": Strategy("pct", 3),
}
RUNGS = {
    "prefect@0.2.7": ["ladder/r1-leader-in-flight"],
    "prefect@0.2.8": ["ladder/r2-orphan", "ladder/r3-released-but-not-seen"],
    "prefect": ["late-leader", "leader-follower", "ladder/n02-lost-chain-twice", "ladder/n17-depth"],
}


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


def hunt(laboratory: Laboratory, target: Target, strategy: Strategy, most: int, seconds: float) -> str:
    """Return a cell of the table: schedules and seconds until the conviction, or how many schedules were in vain."""
    runner = Runner(laboratory, target.scenario, target.engine, strategy)
    started = time.perf_counter()
    for number in range(1, most + 1):
        found = {violation.invariant for violation in runner.run(number).judgement.violations}
        took = time.perf_counter() - started
        if found & target.wanted or (found and not target.wanted):
            return f"{number} · {took:.1f} s"
        if took > seconds:
            return f"not in {number}"
    return f"not in {most}"


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
        f"| engine | scenario | {' | '.join(STRATEGIES)} |",
        f"|---|---|{'---:|' * len(STRATEGIES)}",
    ]
    print("\n".join(lines))
    with Laboratory("server") as laboratory:
        for target in targets():
            cells = [hunt(laboratory, target, s, given.most, given.seconds) for s in STRATEGIES.values()]
            lines.append(f"| {target.engine} | {target.scenario.name} | {' | '.join(cells)} |")
            print(lines[-1], flush=True)
    given.out.write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
