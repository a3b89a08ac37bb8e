"""The options of `causim open`."""

from __future__ import annotations

from pathlib import Path
from typing import Any


def register(commands: Any) -> None:
    """Add the command to the command line."""
    parser = commands.add_parser(
        "open",
        help="show the newest report in the browser",
        description="Print the path of a report, and show the report in the browser if there is one.",
        epilog="examples: causim open; causim open late-leader; causim open --all",
    )
    which = parser.add_mutually_exclusive_group()
    which.add_argument(
        "result",
        nargs="?",
        metavar="RESULT",
        help="a folder that `causim run` has printed, or the name of a scenario (default: the newest of all)",
    )
    which.add_argument("--all", action="store_true", help="show the list of all runs, with links to their reports")
    parser.add_argument("--out", type=Path, default=Path("results"), help="where results are (default: results)")
    parser.set_defaults(execute="simulation.cli.opening:execute")
