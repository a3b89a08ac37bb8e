"""The options of `causim shrink`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from causim.counts import count, seed
from causim.shipped import path_of
from simulation.cli.options import add_renamed, add_world_options


def register(commands: Any) -> None:
    """Add the command to the command line."""
    parser = commands.add_parser(
        "shrink",
        help="make a violating run as small as it can be",
        description="Shrink a run that violates an invariant to the smallest that violates the same one, and write it "
        "to a file for `causim replay`. Ctrl-C keeps the smallest so far.",
        epilog="example: causim shrink results/late-leader --seconds 60",
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
        "--tries", type=count, default=60, metavar="N", help="orders to try of a simpler scenario (default: 60)"
    )
    add_renamed(
        parser,
        "--max-runs",
        "--most",
        type=count,
        default=20_000,
        metavar="N",
        help="make at most N runs (default: 20000)",
    )
    parser.add_argument(
        "--seconds", type=count, metavar="S", help="stop after S seconds and keep the smallest so far (default: never)"
    )
    parser.add_argument(
        "--out", type=Path, metavar="FILE", help="where to write it (default: shrunk.toml in the folder of the results)"
    )
    add_world_options(parser)
    parser.add_argument("--quiet", action="store_true", help="print only the file's name")
    parser.set_defaults(execute="simulation.cli.shrink:execute")
