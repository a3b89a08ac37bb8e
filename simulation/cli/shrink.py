"""`causim shrink`: from a run that violates an invariant to the smallest that violates the same one."""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from causim.shipped import path_of

if TYPE_CHECKING:
    from simulation.search.replay import Replay
    from simulation.search.shrink.shrinker import Better, Shrinker


def register(commands: Any) -> None:
    """Add the command to the command line."""
    from simulation.cli.options import add_world_options, count

    parser = commands.add_parser(
        "shrink",
        help="make a violating run as small as it can be",
        description="Shrink a run that violates an invariant to the smallest that violates the same one, and write it "
        "to a file for `causim replay`. Ctrl-C keeps the smallest so far.",
    )
    parser.add_argument(
        "result",
        type=path_of,
        metavar="RESULT",
        help="a folder of results, or a scenario or replay file that is violated",
    )
    parser.add_argument("--seed", type=int, metavar="S", help="which seed of a scenario file (default: its own)")
    parser.add_argument("--invariant", default="", metavar="NAME", help="which violation (default: the run's first)")
    parser.add_argument(
        "--tries", type=count, default=60, metavar="N", help="orders to try of a simpler scenario (default: 60)"
    )
    parser.add_argument("--most", type=count, default=20_000, metavar="N", help="make at most N runs (default: 20000)")
    parser.add_argument(
        "--seconds", type=count, metavar="S", help="stop after S seconds and keep the smallest so far (default: never)"
    )
    parser.add_argument(
        "--out", type=Path, metavar="FILE", help="where to write it (default: shrunk.toml in the folder of the results)"
    )
    add_world_options(parser)
    parser.add_argument("--quiet", action="store_true", help="print only the file's name")
    parser.set_defaults(execute=execute)


def execute(given: argparse.Namespace) -> int:
    """Shrink the run, write it down and tell its story."""
    from simulation.cli import INTERRUPTED, VIOLATED, BadUsage
    from simulation.cli.narration import tell_run
    from simulation.cli.result_files import replay_of_result
    from simulation.search.shrink.shrinker import NothingToShrink, Shrinker
    from simulation.world.laboratory import Laboratory

    start, out = replay_of_result(given), given.out or _place(given.result)
    best: Better | None = None
    interrupted = False
    with Laboratory(given.store, given.redis_server) as laboratory:
        until = time.monotonic() + (given.seconds or float("inf"))  # by the clock on the wall: people wait for it
        shrinker = Shrinker(
            laboratory,
            start,
            given.invariant,
            most=given.most,
            tries=given.tries,
            enough=lambda: time.monotonic() > until,
        )
        try:
            for better in shrinker.improvements():
                if not given.quiet and (best is None or better.size != best.size):
                    _say(f"{better.tried:>7,} runs · {better.size}")
                best = better
        except NothingToShrink as error:
            raise BadUsage(f"{given.result}: {error}") from None
        except KeyboardInterrupt:
            interrupted = True
        if best is None:
            return INTERRUPTED
        _write(best.replay, out)
        if given.quiet:
            _say(str(out))
        else:
            told = best.replay.perform(laboratory, trace=True)
            _say("")
            tell_run(told, best.replay.invariant)
            _say(_ending(shrinker, best, interrupted))
            _say(f"  file      {out}\n  replay    causim replay {out}")
    return INTERRUPTED if interrupted else VIOLATED


def _ending(shrinker: Shrinker, best: Better, interrupted: bool) -> str:
    if interrupted:
        return f"  interrupted after {best.tried:,} runs: something smaller may exist"
    if not shrinker.complete:
        return f"  stopped after {best.tried:,} runs by --most or --seconds: something smaller may exist"
    return "  nothing simpler that was tried violates it"


def _place(result: Path) -> Path:
    from simulation.cli.result_files import run_file

    file = run_file(result)
    return file.parent / "shrunk.toml" if result.is_dir() else Path(f"{file.stem}-shrunk.toml")


def _write(replay: Replay, out: Path) -> None:
    import tomli_w

    out.write_text(tomli_w.dumps(replay.written()), encoding="utf-8")


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()
