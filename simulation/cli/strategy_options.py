"""The options that say how the order of a run is chosen."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from simulation.cli.options import count, natural
from simulation.search.explore.strategies import Strategy

if TYPE_CHECKING:
    from simulation.search.explore.strategies import Strategy

NAMES = ("seeds", "pct", "walk", "pos", "surw", "guided", "exhaustive")
FAULTS = ("crash", "reply-lost")


def add_strategy_options(parser: argparse.ArgumentParser) -> None:
    """Add the options to a command."""
    group = parser.add_argument_group(
        "order of steps",
        "By default each hop takes a drawn time. The other strategies choose which pending Redis command, reply, "
        "delivery or end of a handler comes next.",
    )
    group.add_argument(
        "--strategy",
        choices=NAMES,
        default="seeds",
        help="seeds: drawn delays; pct: random priorities, with a bound on what is missed; walk: any step, each as "
        "likely; pos: random priorities of steps, drawn again where steps race; surw: near-uniform over the orders of "
        "one kind of step; guided: all of these, and variations of runs that showed a new behaviour; exhaustive: every "
        "order of a small scenario (default: seeds)",
    )
    group.add_argument(
        "--depth", type=natural, default=3, metavar="D", help="pct: how many ordered events a bug needs (default: 3)"
    )
    group.add_argument(
        "--early",
        type=natural,
        default=0,
        metavar="N",
        help="how often a timer may fire before what is pending, so that leases expire early (default: 0)",
    )
    group.add_argument(
        "--max-faults", type=natural, default=0, metavar="N", help="how many crashes or lost replies (default: 0)"
    )
    group.add_argument(
        "--fault-kinds",
        default=",".join(FAULTS),
        metavar="K",
        help=f"which faults --max-faults means (default: {','.join(FAULTS)})",
    )
    group.add_argument("--most", type=count, metavar="N", help="exhaustive: stop after N runs, incomplete")


def strategy_words(strategy: Strategy) -> list[str]:
    """Return the options that ask for a strategy, for a command to copy."""
    if strategy.name == "seeds":
        return []
    words = ["--strategy", strategy.name]
    if strategy.name == "pct":
        words += ["--depth", str(strategy.depth)]
    if strategy.bounds.early:
        words += ["--early", str(strategy.bounds.early)]
    if strategy.bounds.faults:
        words += ["--max-faults", str(strategy.bounds.faults), "--fault-kinds", ",".join(strategy.bounds.kinds)]
    return words
