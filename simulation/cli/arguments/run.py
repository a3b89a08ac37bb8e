"""The options of `causim run`."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from causim.counts import count, seed
from causim.shipped import path_of
from simulation.cli.options import add_where_options, add_world_options
from simulation.cli.strategy_options import add_strategy_options


def register(commands: Any) -> None:
    """Add the command to the command line."""
    parser = commands.add_parser(
        "run",
        help="run scenarios and judge them",
        description="Run scenario files, or all below a folder, against an engine on a Redis in virtual time.",
        epilog="examples: causim run late-leader; causim run late-leader missing-leader --seeds 200 --jobs auto; "
        "causim run late-leader --engine prefect --seeds 300 --stop-after 1; causim run late-leader "
        "--engine prefect --last-failed",
    )
    parser.add_argument(
        "paths",
        nargs="+",
        type=path_of,
        metavar="PATH",
        help="scenario files, folders of them, or names of shipped ones",
    )
    _add_which(parser)
    add_where_options(parser, "1")
    add_world_options(parser)
    add_strategy_options(parser)
    _add_results(parser)
    parser.set_defaults(execute="simulation.cli.run:execute")


def _add_which(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("which runs")
    group.add_argument("--seed", type=seed, metavar="S", help="the first seed (default: the scenario's own)")
    group.add_argument(
        "--seeds", type=count, metavar="N", help="run N seeds from the first on (default: 1; 100000 until saturated)"
    )
    group.add_argument(
        "--until-saturated",
        nargs="?",
        type=_share,
        const=0.01,
        metavar="P",
        help="stop a scenario when the next run shows a new behaviour with a probability below P, with 97.5%% "
        "confidence (default: 0.01)",
    )
    group.add_argument("--stop-after", type=count, metavar="K", help="stop a scenario after K violated runs")
    group.add_argument(
        "--last-failed",
        action="store_true",
        help="run the seeds that failed when they were last run, as .causim/failures.json has them, and all that are "
        "asked for if none did; seeds that failed before always run first",
    )
    group.add_argument(
        "--check-determinism",
        action="store_true",
        help="run everything in two processes with different hash seeds, and show the first entry that differs",
    )


def _add_results(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("results")
    group.add_argument("--out", type=Path, default=Path("results"), help="where results go (default: results)")
    group.add_argument("--no-results", action="store_true", help="write no results")
    group.add_argument("--junit", type=Path, metavar="FILE", help="write the verdicts as JUnit XML")
    group.add_argument("--summary", type=Path, metavar="FILE", help="append the verdicts as Markdown, for a CI host")
    group.add_argument("--json", action="store_true", help="print one line of JSON for each scenario")
    group.add_argument("--quiet", action="store_true", help="print only the verdicts")


def _share(text: str) -> float:
    value = float(text)
    if not 0 < value < 1:
        raise argparse.ArgumentTypeError(f"must be a probability above 0 and below 1, not {text}")
    return value
