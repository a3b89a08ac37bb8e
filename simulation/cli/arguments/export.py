"""The options of `causim export`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

_NAMES = ("perfetto", "shiviz", "otlp-json", "csv")


_ABOUT = """\
formats:
  perfetto   a timeline for https://ui.perfetto.dev (Chrome trace events): one process for each consumer, arrows from \
publications over deliveries to handlings and from leaders to the followers that they released
  shiviz     a log with vector clocks for ShiViz; its first line is the parser that reads it
  otlp-json  OpenTelemetry traces (an OTLP request as JSON): one trace for each event, with links from followers \
to leaders
  csv        one row for each entry, details in columns. Names are written unchanged: import them as text, otherwise a \
spreadsheet takes a name that begins with = + - @ for a formula

perfetto and otlp-json show the violations too, if the verdict lies beside the history and belongs to it.

example: causim export results/late-leader --format perfetto --out trace.json
"""


def register(commands: Any) -> None:
    """Add the command to the command line."""
    parser = commands.add_parser(
        "export",
        help="write a history for other tools",
        description="Write the history of a run in the format of another tool.",
        epilog=_ABOUT,
    )
    parser.add_argument("result", type=Path, metavar="RESULT", help="a folder of results, or a history (JSON Lines)")
    parser.add_argument("--format", required=True, choices=_NAMES, metavar="FORMAT", help="what to write: see below")
    parser.add_argument("--out", type=Path, metavar="FILE", help="where to write it (default: standard output)")
    parser.set_defaults(execute="simulation.cli.export:execute")
