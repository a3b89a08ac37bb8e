"""The options of `causim replay`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from simulation.cli.options import add_world_options


def register(commands: Any) -> None:
    """Add the command to the command line."""
    parser = commands.add_parser(
        "replay",
        help="run a run again from a file, and print its story",
        description="Run a file that `causim shrink` or an explored `causim run` has written, step by step in the same "
        "order. The exit code is the verdict's; 5 if the history is not the same.",
        epilog="example: causim replay results/late-leader/latest/shrunk.toml --engine native",
    )
    parser.add_argument("file", type=Path, metavar="FILE", help="the file to replay, or the folder of a kept run")
    add_world_options(parser)
    parser.add_argument("--history", type=Path, metavar="FILE", help="write the history, with every command and reply")
    parser.add_argument("--quiet", action="store_true", help="print only the verdict")
    parser.set_defaults(execute="simulation.cli.replay:execute")
