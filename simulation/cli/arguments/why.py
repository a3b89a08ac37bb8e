"""The options of `causim why`."""

from __future__ import annotations

from typing import Any

from causim.counts import count, jobs, seed
from causim.shipped import path_of
from simulation.cli.options import add_renamed, add_world_options


def register(commands: Any) -> None:
    """Add the command to the command line."""
    parser = commands.add_parser(
        "why",
        help="show where a violation became certain",
        description="Replay a run that violates an invariant, re-seed it from place after place, and show how likely "
        "the violation was from there on. With a folder of results, the places are kept in its why.json, and shown in "
        "its report.",
        epilog="example: causim why results/late-leader --samples 50",
    )
    parser.add_argument(
        "result",
        type=path_of,
        metavar="RESULT",
        help="a folder of results, or a scenario or replay file that is violated",
    )
    parser.add_argument("--seed", type=seed, metavar="S", help="which seed of a scenario file (default: its own)")
    parser.add_argument("--invariant", default="", metavar="NAME", help="which violation (default: the run's first)")
    parser.add_argument(
        "--samples", type=count, default=20, metavar="N", help="continuations from each place (default: 20)"
    )
    add_renamed(
        parser, "--max-runs", "--most", type=count, default=400, metavar="N", help="make at most N runs (default: 400)"
    )
    parser.add_argument(
        "--jobs", type=jobs, default="auto", metavar="J", help="runs at a time: a count, or auto (default: auto)"
    )
    add_world_options(parser)
    parser.add_argument("--json", action="store_true", help="print the places as one line of JSON")
    parser.set_defaults(execute="simulation.cli.why:execute")
