"""`causim shrink`: from a run that violates an invariant to the smallest that violates the same one."""

from __future__ import annotations

import shlex
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import tomli_w

from causim.shipped import word_for
from causim.written_files import write_whole
from simulation.cli import INTERRUPTED, VIOLATED, BadUsage
from simulation.cli.errors import naming
from simulation.cli.given import ShrinkOptions
from simulation.cli.jobs import engine_words, trust_words
from simulation.cli.narration import print_run
from simulation.cli.output import counting
from simulation.cli.result_files import replay_of_result, run_file
from simulation.search.shrink.shrinker import NothingToShrink, Shrinker
from simulation.world.laboratory import Laboratory

if TYPE_CHECKING:
    from simulation.search.replay import Replay
    from simulation.search.shrink.shrinker import Better, Shrinker
    from simulation.world.laboratory import Laboratory


def execute(given: ShrinkOptions) -> int:
    """Shrink the run, write it to a file and print its story. Raises BadUsage."""
    start, out = replay_of_result(given), given.out or _place(given.result)
    with naming(given.result), Laboratory(given.store, given.redis_server) as laboratory:
        title = f"{start.scenario.name} · shrink"
        with counting(title, None, "runs", quiet=given.quiet or not sys.stdout.isatty()) as count:
            shrinker = _shrinker(laboratory, start, given, lambda: count(shrinker.made, ""))
            best, interrupted = _improve(shrinker, given)
        if best is None:
            return INTERRUPTED
        _write(best.replay, out)
        if given.quiet:
            _say(str(out))
        else:
            _say("")
            print_run(best.replay.perform(laboratory, trace=True), best.replay.invariant)
            _say(_ending(shrinker, interrupted))
            _say(f"  file      {out}\n  replay    {_replay(out, best.replay.scenario.engine, given)}")
    return INTERRUPTED if interrupted else VIOLATED


def _shrinker(laboratory: Laboratory, start: Replay, given: ShrinkOptions, watch: Callable[[], None]) -> Shrinker:
    """Return the shrinker that the options ask for; `watch` is called before each run."""
    until = time.monotonic() + (given.seconds or float("inf"))  # by the clock on the wall: people wait for it

    def enough() -> bool:
        watch()
        return time.monotonic() > until

    limits = {"most": given.max_runs, "tries": given.tries}
    return Shrinker(laboratory, start, given.invariant, enough=enough, **limits)


def _improve(shrinker: Shrinker, given: ShrinkOptions) -> tuple[Better | None, bool]:
    """Return the smallest run that was found, and whether Ctrl-C ended the search. Raises BadUsage."""
    best: Better | None = None
    try:
        for better in shrinker.improvements():
            if not given.quiet and (best is None or better.size != best.size):
                _say(f"{better.tried:>7,} runs · {better.size}")
            best = better
    except NothingToShrink as error:
        raise BadUsage(f"{word_for(given.result)}: {error}") from None
    except KeyboardInterrupt:
        return best, True
    return best, False


def _replay(out: Path, engine: str, given: ShrinkOptions) -> str:
    return shlex.join(["causim", "replay", str(out), *engine_words(engine), *trust_words(given)])


def _ending(shrinker: Shrinker, interrupted: bool) -> str:
    if interrupted:
        return f"  interrupted after {shrinker.made:,} runs: something smaller may exist"
    if not shrinker.complete:
        return f"  stopped after {shrinker.made:,} runs by --max-runs or --seconds: something smaller may exist"
    return "  nothing simpler that was tried violates it"


def _place(result: Path) -> Path:
    file = run_file(result)
    return file.parent / "shrunk.toml" if result.is_dir() else Path(f"{file.stem}-shrunk.toml")


def _write(replay: Replay, out: Path) -> None:
    write_whole(out, tomli_w.dumps(replay.written()))


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()
