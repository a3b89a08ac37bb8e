"""`causim import`: turn a log of events into a scenario."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

_SHOWN = 10


def register(commands: Any) -> None:
    """Add the command to the command line."""
    parser = commands.add_parser(
        "import",
        help="turn a log of your own events into a scenario",
        description="Read events from JSON Lines, CSV or Parquet (Prefect's event export by default) "
        "and write a scenario that replays them.",
    )
    parser.add_argument("log", type=Path, metavar="LOG", help="the log: .jsonl, .csv or .parquet")
    parser.add_argument(
        "--map",
        default="",
        metavar="FIELD=COLUMN,…",
        help="columns of the log: id=…,follows=…,occurred=…,received=…,acknowledged=…; "
        "headers.cause is `cause` in the column `headers`",
    )
    parser.add_argument("--name", help="the scenario's name (default: the log's)")
    parser.add_argument("--out", type=Path, default=Path("scenarios"), help="folder to write to (default: scenarios)")
    parser.add_argument("--skip-bad", action="store_true", help="go on without the rows that cannot be used")
    parser.add_argument("--allow-unknown-leaders", action="store_true", help="go on if most leaders are not in the log")
    parser.add_argument("--force", action="store_true", help="replace a scenario of the same name")
    parser.set_defaults(execute=execute)


def execute(given: argparse.Namespace) -> int:
    """Import the log, say what was found and return the exit code."""
    from simulation.cli import HOLDS, USAGE, BadUsage
    from simulation.scenario.import_log import parse_map, read_log, write_scenario
    from simulation.scenario.log_rows import BadLog

    try:
        found = read_log(given.log, parse_map(given.map))
    except BadLog as error:
        raise BadUsage(str(error)) from None
    name = given.name or given.log.stem
    file = given.out / f"{name}.toml"
    if found.rejected:
        _complain(found.rejected, len(found.events))
        if not given.skip_bad:
            sys.stderr.write("causim: nothing was written; --skip-bad goes on without these rows\n")
            return USAGE
    if not found.events:
        raise BadUsage(f"{given.log}: no events")
    if found.suspicious and not given.allow_unknown_leaders:
        sys.stderr.write(
            f"causim: warning: {found.suspicious}\n"
            "  Is `follows` the right column, and is the log complete? Nothing was written;"
            " --allow-unknown-leaders goes on\n"
        )
        return USAGE
    if file.exists() and not given.force:
        raise BadUsage(f"{file} exists; --name gives another name, --force replaces it")
    file, data = write_scenario(found, name, given.out)
    sys.stdout.write(
        f"{len(found.events):,} events, {found.following:,} of them follow another"
        f" ({found.missing:,} an event that is not in the log)\n"
        f"{_handled(found.handlings)}"
        f"scenario  {file}\nevents    {data}\nrun       causim run {file}\n"
    )
    return HOLDS


def _complain(rejected: list[str], used: int) -> None:
    sys.stderr.write(f"causim: {len(rejected):,} of {len(rejected) + used:,} rows cannot be used:\n")
    for line in rejected[:_SHOWN]:
        sys.stderr.write(f"  {line}\n")
    if len(rejected) > _SHOWN:
        sys.stderr.write(f"  … and {len(rejected) - _SHOWN:,} more\n")


def _handled(durations: list[int]) -> str:
    """Say what the log told of how long handlers work, if anything."""
    from simulation.kernel.durations import format_duration

    if not any(durations):
        return ""
    ordered = sorted(durations)
    middle, longest = format_duration(ordered[len(ordered) // 2]), format_duration(ordered[-1])
    return f"{len(ordered):,} handler times as in the log: median {middle}, longest {longest}\n"
