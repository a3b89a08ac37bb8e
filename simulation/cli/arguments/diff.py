"""The options of `causim diff`."""

from __future__ import annotations

from pathlib import Path
from typing import Any


def register(commands: Any) -> None:
    """Add the command to the command line."""
    parser = commands.add_parser(
        "diff",
        help="compare two kept runs: a baseline and a change",
        description="Compare two kept runs: verdicts, latencies, what they cost in Redis, and the first entry in which "
        "their histories differ. Exit codes: 1 if the change violates an invariant that the baseline does not, else 0.",
        epilog="example: causim run late-leader --engine prefect --seed 45 --out before; causim run late-leader --seed "
        "45 --out after; causim diff before/late-leader after/late-leader",
    )
    result = "a folder that `causim run` has printed, that of its scenario, or a history"
    parser.add_argument("baseline", type=Path, metavar="A", help=f"the baseline: {result}")
    parser.add_argument("change", type=Path, metavar="B", help="the change, given in the same way")
    parser.add_argument("--json", action="store_true", help="print the comparison as JSON")
    parser.set_defaults(execute="simulation.cli.diff:execute")
