"""`causim replay`: repeat a run exactly, and print its story."""

from __future__ import annotations

import sys
from typing import Any

from simulation.cli import EXIT_CODES, UNKNOWN
from simulation.cli.errors import naming
from simulation.cli.given import ReplayOptions
from simulation.cli.narration import print_run
from simulation.cli.result_files import run_file
from simulation.cli.trust import check_trust
from simulation.search.replay import difference, load_replay
from simulation.world.laboratory import Laboratory


def execute(given: ReplayOptions) -> int:
    """Replay the file and return the exit code."""
    file = run_file(given.file)
    replay = load_replay(file)
    check_trust(replay.scenario, file, given.engines, trusted=given.trust)
    with naming(file), Laboratory(given.store, given.redis_server) as laboratory:
        run = replay.perform(laboratory, given.engine or "", trace=True)
        same_engine = given.engine in (None, replay.scenario.engine)
        reproduced = not replay.digest or run.digest == replay.digest
        place = None
        if same_engine and not reproduced:  # who is to blame: the engine, or something that has changed since?
            place = difference(run.history, replay.perform(laboratory, trace=True).history)
    if given.history:
        run.history.write(given.history)
    if not given.quiet:
        print_run(run, replay.invariant)
    if same_engine and not reproduced:
        sys.stdout.write(f"  {run.verdict}, but not the same history as when the file was written: {_why(place)}\n")
        return EXIT_CODES["violated"] if replay.invariant in _violated(run) else UNKNOWN
    said = "the same history as when the file was written" if replay.digest and same_engine else ""
    sys.stdout.write(f"  {run.verdict:<9} {said}\n".rstrip() + "\n")
    return EXIT_CODES[run.verdict]


def _why(place: int | None) -> str:
    if place is None:
        return "another release of the engine, of Redis or of a client has a say"
    return (
        f"the engine under test is not deterministic; two replays of this process differ from entry {place} on, and "
        "`causim run --check-determinism` shows it"
    )


def _violated(run: Any) -> set[str]:
    return {violation.invariant for violation in run.judgement.violations}
