"""The options of `causim run`."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from causim.shipped import path_of
from simulation.cli.options import add_where_options, add_world_options, count
from simulation.cli.strategy_options import add_strategy_options


def register(commands: Any) -> None:
    """Add the command to the command line."""
    parser = commands.add_parser(
        "run",
        help="run scenarios and judge them",
        description="Run scenario files, or all below a folder, against an engine on a Redis in virtual time.",
    )
    parser.add_argument(
        "paths",
        nargs="+",
        type=path_of,
        metavar="PATH",
        help="scenario files, folders of them, or names of shipped ones",
    )
    parser.add_argument("--seed", type=int, metavar="S", help="the first seed (default: the scenario's own)")
    parser.add_argument(
        "--seeds", type=count, metavar="N", help="run N seeds from the first on (default: 1; 100000 until saturated)"
    )
    parser.add_argument(
        "--until-saturated",
        nargs="?",
        type=_share,
        const=0.01,
        metavar="P",
        help="stop a scenario when the next run shows a new behaviour with a probability below P, with 97.5%% "
        "confidence (default: 0.01)",
    )
    _add_more(parser)


def _add_more(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--last-failed",
        action="store_true",
        help="run the seeds that failed when they were last run, as .causim/failures.json has them, and all that are "
        "asked for if none did; seeds that failed before come first anyhow",
    )
    add_where_options(parser, "1")
    parser.add_argument("--stop-after", type=count, metavar="K", help="stop a scenario after K violated runs")
    add_world_options(parser)
    add_strategy_options(parser)
    parser.add_argument("--out", type=Path, default=Path("results"), help="where results go (default: results)")
    parser.add_argument("--no-results", action="store_true", help="leave nothing behind")
    parser.add_argument(
        "--check-determinism",
        action="store_true",
        help="run everything in two processes with different hash seeds, and show the first entry that differs",
    )
    parser.add_argument("--junit", type=Path, metavar="FILE", help="write the verdicts as JUnit XML")
    parser.add_argument("--summary", type=Path, metavar="FILE", help="append the verdicts as Markdown, for a CI host")
    parser.add_argument("--json", action="store_true", help="print one line of JSON for each scenario")
    parser.add_argument("--quiet", action="store_true", help="print only the verdicts")
    parser.set_defaults(execute="simulation.cli.run:execute")


def _share(text: str) -> float:
    value = float(text)
    if not 0 < value < 1:
        raise argparse.ArgumentTypeError(f"must be a probability above 0 and below 1, not {text}")
    return value
