"""The strategy that the command line asks for."""

from __future__ import annotations

from typing import Any

from simulation.cli import BadUsage
from simulation.cli.given import RunOptions
from simulation.cli.strategy_options import FAULTS, NAMES
from simulation.search.explore.strategies import DEPENDENT, Strategy
from simulation.world.scheduling import Bounds


def strategy_from(given: RunOptions) -> Strategy:
    """Return the strategy that the command line asks for. Raises BadUsage."""
    kinds: Any = tuple(kind for kind in FAULTS if kind in given.fault_kinds.split(","))
    if set(given.fault_kinds.split(",")) - set(FAULTS):
        raise BadUsage(f"--fault-kinds {given.fault_kinds}: accepted are {' and '.join(FAULTS)}, separated by a comma")
    if given.strategy == "random-delays" and (given.early_timers or given.max_faults):
        accepted = ", ".join(name for name in NAMES if name != "random-delays")
        raise BadUsage(f"--early-timers and --max-faults need a --strategy that chooses the order: {accepted}")
    if given.strategy in DEPENDENT and given.until_saturated:
        raise BadUsage(
            f"--until-saturated needs independent runs; those of --strategy {given.strategy} learn from others"
        )
    if given.strategy == "exhaustive" and given.seed_count > 1:
        raise BadUsage("--strategy exhaustive tries every order of one seed: leave --seeds out")
    if given.strategy in DEPENDENT and given.scheduler:
        raise BadUsage(f"--strategy {given.strategy} learns from each run for the next: leave --scheduler out")
    if given.strategy == "guided" and given.jobs != 1:
        raise BadUsage("--strategy guided learns from each run for the next: leave --jobs out")
    name: Any = given.strategy  # one of NAMES: the parser accepts no other
    return Strategy(name, given.depth, Bounds(given.early_timers, given.max_faults, kinds), given.max_runs)


def strategy_words(strategy: Strategy) -> list[str]:
    """Return the options that ask for a strategy, for a command to copy."""
    if strategy.name == "random-delays":
        return []
    words = ["--strategy", strategy.name]
    if strategy.name == "pct":
        words += ["--depth", str(strategy.depth)]
    if strategy.bounds.early:
        words += ["--early-timers", str(strategy.bounds.early)]
    if strategy.bounds.faults:
        words += ["--max-faults", str(strategy.bounds.faults), "--fault-kinds", ",".join(strategy.bounds.kinds)]
    return words
