"""The options of `causim init`."""

from __future__ import annotations

from pathlib import Path
from typing import Any


def register(commands: Any) -> None:
    """Add the command to the command line."""
    parser = commands.add_parser(
        "init",
        help="write a scenario, an engine with a planted bug, a test and a CI step",
        description="Write four small files to start from. No file is overwritten.",
        epilog="example: causim init orders",
    )
    parser.add_argument("folder", nargs="?", type=Path, default=Path(), metavar="FOLDER", help="where (default: here)")
    parser.set_defaults(execute="simulation.cli.init:execute")
