"""`causim crashes`: let something go wrong at every moment of a run, one run for each."""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import tomli_w

from causim.written_files import write_whole, written_whole
from reports import view
from simulation.cli import HOLDS, INTERRUPTED, UNKNOWN, VIOLATED, BadUsage
from simulation.cli.errors import message_of, naming
from simulation.cli.files import one_scenario
from simulation.cli.given import CrashesOptions
from simulation.cli.jobs import replay_file
from simulation.cli.output import counting
from simulation.cli.results import runnable
from simulation.cli.run import stamp
from simulation.cli.text import write_lines
from simulation.cli.trust import check_trust
from simulation.engines import resolve
from simulation.kernel.durations import format_duration, parse_duration
from simulation.search.sweep.fault_points import find_points, inject_everywhere
from simulation.world.laboratory import Laboratory

if TYPE_CHECKING:
    from simulation.search.sweep.fault_points import FaultPointSweep, Trial
    from simulation.world.laboratory import Laboratory

_SHOWN = 20


@dataclass(slots=True)
class _Found:
    """The findings of the sweep so far."""

    sweep: FaultPointSweep
    trials: list[Trial] = field(default_factory=list)
    interrupted: bool = False
    unkept: str = ""
    """The error that kept the picture and the table from being written; empty if there was none."""

    @property
    def fallen(self) -> list[Trial]:
        """The points that did not survive, in the order of their time."""
        fallen = [trial for trial in self.trials if trial.outcome != "survived"]
        return sorted(fallen, key=lambda trial: trial.point.number)


def execute(given: CrashesOptions) -> int:
    """Try every point, print and draw the outcomes and return the exit code."""
    scenario = one_scenario(given.path)
    check_trust(scenario, given.path, given.engines, trusted=given.trust)
    engine = given.engine or scenario.engine
    resolve(engine)
    duration = _duration(given)
    seed = scenario.seed if given.seed is None else given.seed
    with naming(given.path), Laboratory(given.store, given.redis_server) as laboratory:
        sweep = find_points(laboratory, scenario, seed, engine, given.fault, duration=duration)
        _begin(sweep)
        found = _try_all(sweep, given, laboratory)
    folder: Path = given.out / scenario.name / "crashes" / f"{stamp()}-{sweep.kind}-{sweep.seed}"
    try:
        _leave(found, folder)
    except OSError as error:  # a full disk, a folder of another's: what was found stands
        found.unkept = message_of(error)
    _say(found, folder, given)
    return _code(found)


def _duration(given: CrashesOptions) -> int | None:
    if given.duration is None:
        return None
    if given.fault in ("reply-lost", "request-lost"):
        raise BadUsage(f"--for: {given.fault} has no duration; leave --for out")
    try:
        duration = parse_duration(given.duration)
    except ValueError as error:
        raise BadUsage(f"--for: {error}") from None
    if not duration:
        raise BadUsage("--for: must be longer than 0s")
    return duration


def _try_all(sweep: FaultPointSweep, given: CrashesOptions, laboratory: Laboratory) -> _Found:
    found = _Found(sweep)
    title = f"{sweep.scenario.name} · {sweep.engine} · {sweep.kind}"
    try:
        with counting(title, len(sweep.points), "points") as advance:
            for trial in inject_everywhere(sweep, laboratory, given.jobs, given.store, given.redis_server):
                found.trials.append(trial)
                advance(len(found.trials), f"{len(found.fallen)} not survived" if found.fallen else "")
    except KeyboardInterrupt:
        found.interrupted = True
    return found


def _begin(sweep: FaultPointSweep) -> None:
    lasting = ""
    if sweep.duration:
        lasting = f" for {format_duration(sweep.duration)}"
    write_lines(
        f"{sweep.scenario.name} · engine {sweep.engine} · seed {sweep.seed} · "
        f"{sweep.kind}{lasting} at each of {len(sweep.points):,} points"
    )
    if sweep.verdict != "holds":
        sys.stdout.write(f"  note      the run without the fault is {sweep.verdict} already: see `causim run`\n")
    if sweep.too_late:
        sys.stdout.write(f"  note      {sweep.too_late:,} moments are left out: the world had healed by then\n")
    sys.stdout.flush()


# -- what is left --------------------------------------------------------------------------------------------------


def _leave(found: _Found, folder: Path) -> None:
    """Write the picture, the table, and a scenario for each point that did not survive."""
    sweep = found.sweep
    folder.mkdir(parents=True, exist_ok=True)
    columns = ["point", "at_us", "consumer", "when", "what", "words", "outcome", "invariant", "because"]
    rows = sorted((_row(trial, sweep.kind) for trial in found.trials), key=lambda row: row["point"])
    frame = view("tables.frames:frame_of")(rows, columns)
    with written_whole(folder / "crashes.parquet") as partial:
        frame.to_parquet(partial)
    title = f"{sweep.scenario.name} · {sweep.engine} · {sweep.kind} at every moment · seed {sweep.seed}"
    view("figures.fault_point_figure:crashes_figure")(frame, title).write(folder / "crashes.png")
    for trial in found.fallen:
        _write_variant(sweep, trial, folder)


def _row(trial: Trial, kind: str) -> dict[str, Any]:
    point, first = trial.point, next(iter(trial.violations), None)
    return {
        "point": point.number,
        "at_us": point.at,
        "consumer": point.consumer,
        "when": point.when,
        "what": point.label,
        "words": point.words(kind),
        "outcome": trial.outcome,
        "invariant": first.invariant if first else "",
        "because": first.because if first else "; ".join(trial.reasons),
    }


def _write_variant(sweep: FaultPointSweep, trial: Trial, folder: Path) -> None:

    record = runnable(sweep.variant(trial.point), sweep.engine, sweep.seed, folder)
    write_whole(_variant(trial, folder), tomli_w.dumps(record))


def _variant(trial: Trial, folder: Path) -> Path:
    return folder / f"point-{trial.point.number:04}.toml"


# -- what is said --------------------------------------------------------------------------------------------------


def _say(found: _Found, folder: Path, given: CrashesOptions) -> None:
    write = sys.stdout.write
    sweep = found.sweep
    survived = len(found.trials) - len(found.fallen)
    write(f"  {survived:,} of {len(found.trials):,} survived\n")
    if found.interrupted:
        write(f"  interrupted after {len(found.trials):,} of {len(sweep.points):,} points\n")
    for trial in found.fallen[:_SHOWN]:
        _say_fallen(trial, found, folder, given)
    if len(found.fallen) > _SHOWN:
        where = "" if found.unkept else f" in {folder / 'crashes.parquet'}"
        write(f"  … and {len(found.fallen) - _SHOWN:,} more{where}\n")
    if found.unkept:
        write_lines(f"  note      the results could not be kept: {found.unkept}\n")
    else:
        write(f"  picture   {folder / 'crashes.png'}\n  table     {folder / 'crashes.parquet'}\n")


def _say_fallen(trial: Trial, found: _Found, folder: Path, given: CrashesOptions) -> None:
    write, sweep = sys.stdout.write, found.sweep
    write(f"\n  {trial.outcome:<9} {trial.point.words(sweep.kind)}\n")
    if trial.violations:
        first = trial.violations[0]
        names = dict.fromkeys(violation.invariant for violation in trial.violations)
        write_lines(f"  violates  {', '.join(names)}\n  because   {first.because.removeprefix('because ')}\n")
    else:
        write_lines("".join(f"  because   {reason}\n" for reason in trial.reasons))
    if not found.unkept:
        write(f"  replay    {replay_file(_variant(trial, folder), sweep.engine, sweep.seed, given)}\n")


def _code(found: _Found) -> int:
    if found.interrupted:
        return INTERRUPTED
    outcomes = {trial.outcome for trial in found.trials}
    if "violated" in outcomes or found.sweep.verdict == "violated":
        return VIOLATED
    return HOLDS if outcomes == {"survived"} and found.sweep.verdict == "holds" else UNKNOWN
