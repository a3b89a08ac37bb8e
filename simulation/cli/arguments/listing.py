"""The options of `causim list`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

WHAT = ("coverage", "engines", "faults", "invariants", "mutants", "scenarios")


def register(commands: Any) -> None:
    """Add the command to the command line."""
    parser = commands.add_parser(
        "list",
        help="list scenarios, engines, mutants, invariants or faults",
        description="List the shipped scenarios, engines, faults, invariants, mutants or coverage words.",
        epilog="example: causim list scenarios",
    )
    parser.add_argument("what", choices=WHAT, metavar="WHAT", help=f"what to list: {', '.join(WHAT)}")
    parser.add_argument(
        "paths", nargs="*", type=Path, help="where to look for scenarios (default: the shipped ones, and ./scenarios)"
    )
    parser.set_defaults(execute="simulation.cli.listing:execute")
