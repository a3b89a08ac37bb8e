"""The options of `causim check`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from causim.counts import natural
from simulation.cli.options import add_renamed


def register(commands: Any) -> None:
    """Add the command to the command line."""
    parser = commands.add_parser(
        "check",
        help="judge a history file",
        description="Judge a history (JSON Lines) against the causal invariants. The format is in the documentation. "
        "A file whose last line is cut off is judged up to there: exit code 4, unless that part proves a violation.",
        epilog="example: causim check results/late-leader --invariant causal-order",
    )
    parser.add_argument(
        "history",
        type=Path,
        metavar="HISTORY",
        help="the file to judge (.jsonl or .jsonl.gz), or a results folder with one",
    )
    parser.add_argument("--invariant", action="append", default=[], metavar="NAME", help="judge only this (repeatable)")
    parser.add_argument("--json", action="store_true", help="print the verdict as JSON")
    add_renamed(
        parser, "--limit", "--most", type=natural, default=20, metavar="N", help="violations to print (default: 20)"
    )
    parser.set_defaults(execute="simulation.cli.check:execute")
