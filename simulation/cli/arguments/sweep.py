"""The options of `causim sweep`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from causim.counts import count, seed
from causim.shipped import path_of
from simulation.cli.options import add_renamed, add_where_options, add_world_options


def register(commands: Any) -> None:
    """Add the command to the command line."""
    parser = commands.add_parser(
        "sweep",
        help="run a scenario over a grid of its values",
        description="Run a scenario for every combination of some of its values, and write a table and pictures.",
        epilog="example: causim sweep missing-leader --vary broker.drop=0:0.2:0.02 "
        "--vary policy.lookback=1m,5m,15m --seeds 20 --jobs auto",
    )
    parser.add_argument(
        "path", type=path_of, metavar="SCENARIO", help="a scenario: its file, or the name of a shipped one"
    )
    parser.add_argument(
        "--vary",
        action="append",
        required=True,
        metavar="PATH=VALUES",
        help="a key of the scenario and its values: FIRST:LAST:STEP or a list (repeatable)",
    )
    parser.add_argument("--seed", type=seed, default=1, metavar="S", help="the first seed (default: 1)")
    parser.add_argument("--seeds", type=count, default=20, metavar="N", help="seeds for each combination (default: 20)")
    add_where_options(parser, "auto")
    add_world_options(parser)
    parser.add_argument("--out", type=Path, default=Path("results"), help="where results go (default: results)")
    add_renamed(
        parser, "--no-resume", "--fresh", action="store_true", help="do not go on where an earlier sweep stopped"
    )
    parser.add_argument("--json", action="store_true", help="print one line of JSON for each combination")
    parser.set_defaults(execute="simulation.cli.sweep:execute")
