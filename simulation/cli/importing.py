"""`causim import`: turn a log of events into a scenario."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path

from simulation.cli import HOLDS, USAGE, BadUsage
from simulation.cli.given import ImportOptions
from simulation.cli.text import visible, write_lines, write_note
from simulation.kernel.durations import format_duration
from simulation.scenario.import_log import parse_map, read_log, write_scenario
from simulation.scenario.log_rows import BadLog

_SHOWN = 10


def execute(given: ImportOptions) -> int:
    """Import the log, print a summary of it and return the exit code. Raises BadUsage."""
    try:
        found = read_log(given.log, parse_map(given.columns))
    except BadLog as error:
        raise BadUsage(str(error)) from None
    name = given.name or given.log.stem
    if name in (".", "..") or Path(name).name != name or not name.isprintable():
        raise BadUsage(f"--name {visible(repr(name))}: must be the name of a file in {given.out}, and no path")
    file = given.out / f"{name}.toml"
    if found.rejected:
        _complain(found.rejected, len(found.events))
        if not given.skip_bad:
            write_note("nothing was written; --skip-bad goes on without these rows")
            return USAGE
    if not found.events:
        raise BadUsage(f"{given.log}: no events")
    if found.suspicious and not given.allow_unknown_leaders:
        write_note(
            f"warning: {given.log}: {found.suspicious}\n"
            "  Is `follows` the right column, and is the log complete? Nothing was written;"
            " --allow-unknown-leaders goes on"
        )
        return USAGE
    if file.exists() and not given.force:
        raise BadUsage(f"{file} exists; --name gives another name, --force replaces it")
    file, data = write_scenario(found, name, given.out)
    sys.stdout.write(
        f"{len(found.events):,} events, {found.following:,} with a leader; {_missing(found.missing)}\n"
        f"{_handled(found.handlings)}"
        f"scenario  {file}\nevents    {data}\nrun       {shlex.join(['causim', 'run', str(file)])}\n"
    )
    return HOLDS


def _complain(rejected: list[str], used: int) -> None:
    write_note(f"{len(rejected):,} of {len(rejected) + used:,} rows cannot be used:")
    for line in rejected[:_SHOWN]:
        write_lines(f"  {line}", sys.stderr)
    if len(rejected) > _SHOWN:
        write_lines(f"  … and {len(rejected) - _SHOWN:,} more", sys.stderr)


def _missing(count: int) -> str:
    return f"the leader of {count:,} is not in the log" if count else "all leaders are in the log"


def _handled(durations: list[int]) -> str:
    """Return a line about the handler times in the log; empty if it has none."""
    if not any(durations):
        return ""
    ordered = sorted(durations)
    middle, longest = format_duration(ordered[len(ordered) // 2]), format_duration(ordered[-1])
    return f"{len(ordered):,} handler times as in the log: median {middle}, longest {longest}\n"
