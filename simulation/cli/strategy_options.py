"""The options that say how the order of a run is chosen."""

from __future__ import annotations

import argparse

from causim.counts import count, natural
from simulation.cli.options import add_renamed
from simulation.cli.text import write_note

NAMES = ("random-delays", "pct", "random-walk", "pos", "surw", "guided", "exhaustive")
FAULTS = ("crash", "reply-lost")


OLD_NAMES = {"seeds": "random-delays", "walk": "random-walk"}
"""Strategies that have another name now; the old one works for one release."""


def _named(name: str) -> str:
    if name in OLD_NAMES:
        write_note(f"the strategy {name} is called {OLD_NAMES[name]} now; the old name works for one release")
    return OLD_NAMES.get(name, name)


def add_strategy_options(parser: argparse.ArgumentParser) -> None:
    """Add the options to a command."""
    group = parser.add_argument_group(
        "order of steps",
        "By default each hop takes a drawn time. The other strategies choose which pending Redis command, reply, "
        "delivery or end of a handler comes next.",
    )
    group.add_argument(
        "--strategy",
        type=_named,
        choices=NAMES,
        metavar="NAME",
        default="random-delays",
        help="random-delays: drawn delays; pct: random priorities, with a bound on what is missed; random-walk: any "
        "step, each as likely; pos: random priorities of steps, drawn again where steps race; surw: near-uniform over "
        "the orders of one kind of step; guided: all of these, and variations of runs that showed a new behaviour; "
        "exhaustive: every order of a small scenario (default: random-delays)",
    )
    group.add_argument(
        "--depth", type=natural, default=3, metavar="D", help="pct: how many ordered events a bug needs (default: 3)"
    )
    add_renamed(
        group,
        "--early-timers",
        "--early",
        type=natural,
        default=0,
        metavar="N",
        help="how often a timer may fire before pending steps, which then wait for half a lease at most (default: 0)",
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
    add_renamed(
        group, "--max-runs", "--most", type=count, metavar="N", help="exhaustive: stop after N runs, incomplete"
    )
