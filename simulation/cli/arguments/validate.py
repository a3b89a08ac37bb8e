"""The options of `causim validate`."""

from __future__ import annotations

from typing import Any

from causim.shipped import path_of


def register(commands: Any) -> None:
    """Add the command to the command line."""
    parser = commands.add_parser(
        "validate",
        help="read scenario files and say all that is wrong in them",
        description="Check scenario and replay files, and run nothing. Prints all errors of all files. Exit codes: 0 "
        "if every file can be used, 4 if one cannot.",
        epilog="examples: causim validate late-leader; causim init orders; causim validate orders/scenarios",
    )
    parser.add_argument(
        "paths",
        nargs="+",
        type=path_of,
        metavar="PATH",
        help="scenario files, folders of them, or names of shipped ones",
    )
    parser.set_defaults(execute="simulation.cli.validate:execute")
