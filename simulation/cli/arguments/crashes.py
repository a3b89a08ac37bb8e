"""The options of `causim crashes`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from causim.counts import jobs, seed
from causim.shipped import path_of
from simulation.cli.options import add_world_options

FAULTS = ("crash", "stop", "pause", "reply-lost", "request-lost")


def register(commands: Any) -> None:
    """Add the command to the command line."""
    parser = commands.add_parser(
        "crashes",
        help="crash a consumer at every moment of a run",
        description="Run a scenario once, then once for every Redis command and every handler step in it, with the "
        "consumer crashing just before it and just after.",
        epilog="example: causim crashes leader-follower --fault reply-lost --jobs auto",
    )
    parser.add_argument(
        "path", type=path_of, metavar="SCENARIO", help="a scenario: its file, or the name of a shipped one"
    )
    parser.add_argument(
        "--fault",
        choices=FAULTS,
        metavar="FAULT",
        default="crash",
        help=f"the fault at each moment: {', '.join(FAULTS)} (default: crash)",
    )
    parser.add_argument(
        "--for",
        dest="duration",
        metavar="DURATION",
        help="how long a crash, a stop or a pause lasts (default: 1s; a pause lasts longer than a lease)",
    )
    parser.add_argument("--seed", type=seed, metavar="S", help="the seed (default: the scenario's own)")
    parser.add_argument(
        "--jobs",
        type=jobs,
        default="1",
        metavar="J",
        help="runs at a time: a count, or auto for all cores (default: 1)",
    )
    add_world_options(parser)
    parser.add_argument("--out", type=Path, default=Path("results"), help="where results go (default: results)")
    parser.set_defaults(execute="simulation.cli.crashes:execute")
