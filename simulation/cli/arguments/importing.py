"""The options of `causim import`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from simulation.cli.options import add_renamed


def register(commands: Any) -> None:
    """Add the command to the command line."""
    parser = commands.add_parser(
        "import",
        help="turn a log of your own events into a scenario",
        description="Read events from JSON Lines, CSV or Parquet (Prefect's event export by default) "
        "and write a scenario that replays them.",
        epilog="example: causim import orders.csv --columns id=order_id,follows=after,occurred=created_at",
    )
    parser.add_argument("log", type=Path, metavar="LOG", help="the log: .jsonl, .csv or .parquet")
    add_renamed(
        parser,
        "--columns",
        "--map",
        default="",
        metavar="FIELD=COLUMN,…",
        help="the log's column for each field, such as id=order_id,follows=after; the fields are id, follows, "
        "occurred, received and acknowledged; headers.cause is `cause` in the column `headers`",
    )
    parser.add_argument("--name", help="the scenario's name (default: the log's)")
    parser.add_argument("--out", type=Path, default=Path("scenarios"), help="folder to write to (default: scenarios)")
    parser.add_argument("--skip-bad", action="store_true", help="go on without the rows that cannot be used")
    parser.add_argument("--allow-unknown-leaders", action="store_true", help="go on if most leaders are not in the log")
    parser.add_argument("--force", action="store_true", help="replace a scenario of the same name")
    parser.set_defaults(execute="simulation.cli.importing:execute")
