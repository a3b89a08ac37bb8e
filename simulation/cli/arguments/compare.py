"""The options of `causim compare`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from causim.counts import count, jobs, seed
from causim.shipped import path_of
from simulation.cli.options import add_store_options


def register(commands: Any) -> None:
    """Add the command to the command line."""
    parser = commands.add_parser(
        "compare",
        help="run a scenario on several engines, side by side",
        description="Run the same seeds of a scenario on several engines, each in processes of its own, and print "
        "which invariants each violates in how many seeds, its latencies, and what it costs in Redis.",
        epilog="example: causim compare late-leader --engine native --engine prefect "
        "--engine prefect@0.2.8 --seeds 200 --jobs auto",
    )
    parser.add_argument(
        "path", type=path_of, metavar="SCENARIO", help="a scenario: its file, or the name of a shipped one"
    )
    parser.add_argument(
        "--engine", action="append", required=True, metavar="E", help="an engine to compare (give it at least twice)"
    )
    parser.add_argument("--seed", type=seed, metavar="S", help="the first seed (default: the scenario's own)")
    parser.add_argument("--seeds", type=count, default=50, metavar="N", help="seeds for each engine (default: 50)")
    parser.add_argument(
        "--jobs", type=jobs, default="auto", metavar="J", help="runs at a time: a count, or auto (default: auto)"
    )
    add_store_options(parser.add_argument_group("Redis"))
    parser.add_argument("--csv", type=Path, metavar="FILE", help="write the table as CSV too")
    parser.add_argument("--json", action="store_true", help="print one line of JSON for each engine")
    parser.set_defaults(execute="simulation.cli.compare:execute")
