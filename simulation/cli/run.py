"""`causim run`: run scenarios, judge what happened, and leave the evidence."""

from __future__ import annotations

import argparse
import gc
import json
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import reports.outcome
    from simulation.scenario import Scenario
    from simulation.search.seeds import Plan
    from simulation.summary import Tally
    from simulation.world import Laboratory, Run


def register(commands: Any) -> None:
    """Add the command to the command line."""
    parser = commands.add_parser(
        "run",
        help="run scenarios and judge them",
        description="Run scenario files, or all below a folder, against an engine on a Redis in virtual time.",
    )
    parser.add_argument("paths", nargs="+", type=Path, metavar="PATH", help="scenario files or folders of them")
    parser.add_argument("--seed", type=int, metavar="S", help="the first seed (default: the scenario's own)")
    parser.add_argument(
        "--seeds", type=count, default=1, metavar="N", help="run N seeds from the first on (default: 1)"
    )
    parser.add_argument("--jobs", default="1", metavar="J", help="runs at a time: a count, or auto for all cores")
    parser.add_argument("--stop-after", type=count, metavar="K", help="stop a scenario after K violated runs")
    add_world_options(parser)
    parser.add_argument("--out", type=Path, default=Path("results"), help="where results go (default: results)")
    parser.add_argument("--no-results", action="store_true", help="leave nothing behind")
    parser.add_argument("--junit", type=Path, metavar="FILE", help="write the verdicts as JUnit XML")
    parser.add_argument("--summary", type=Path, metavar="FILE", help="append the verdicts as Markdown, for a CI host")
    parser.add_argument("--json", action="store_true", help="print one line of JSON for each scenario")
    parser.add_argument("--quiet", action="store_true", help="print only the verdicts")
    parser.set_defaults(execute=execute)


def add_world_options(parser: argparse.ArgumentParser) -> None:
    """Add the options that say which engine runs on which store."""
    parser.add_argument(
        "--engine", metavar="E", help="native, prefect, prefect@VERSION, null or module:Class (default: the scenario's)"
    )
    parser.add_argument(
        "--store", default="auto", help="server, embedded, redis://host:port/db (default: server where it can run)"
    )
    parser.add_argument(
        "--redis-server", type=Path, metavar="FILE", help="use this redis-server for the store `server`"
    )


def count(text: str) -> int:
    """Return a count of at least 1 from an option. Raises ArgumentTypeError."""
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"must be at least 1, not {value}")
    return value


@dataclass(frozen=True, slots=True)
class Job:
    """One scenario of the command line, and the seeds to run it with."""

    path: Path
    scenario: Scenario
    engine: str
    seeds: range


@dataclass(slots=True)
class Outcome:
    """What came of one job."""

    job: Job
    tally: Tally
    run: Run | None
    folder: Path | None
    interrupted: bool
    seconds: float = 0.0

    @property
    def verdict(self) -> str:
        """The verdict on all its runs."""
        return self.tally.verdict(self.job.scenario.judge.exercise)


def execute(given: argparse.Namespace) -> int:
    """Run everything, print what came of it and return the exit code."""
    from simulation.cli import EXIT_CODES, INTERRUPTED, VIOLATED
    from simulation.cli.output import Output
    from simulation.world import Laboratory

    jobs = _jobs(given)
    gc.freeze()  # what was imported stays: no run's garbage is looked for among it
    output = Output(given, jobs)
    outcomes: list[Outcome] = []
    with Laboratory(given.store, given.redis_server) as laboratory:
        output.begin(laboratory)
        for job in jobs:
            started = time.perf_counter()  # by the clock on the wall: it is for the build server alone
            outcome = _run(job, given, laboratory, output)
            outcome.seconds = time.perf_counter() - started
            outcomes.append(outcome)
            output.show(outcome)
            if outcome.interrupted:
                break
    output.end(outcomes)
    _tell_build_server(outcomes, given)
    if any(outcome.interrupted for outcome in outcomes):
        return INTERRUPTED
    verdicts = [outcome.verdict for outcome in outcomes]
    return VIOLATED if "violated" in verdicts else EXIT_CODES["unknown" if "unknown" in verdicts else "holds"]


def _jobs(given: argparse.Namespace) -> list[Job]:
    from simulation.cli.files import scenario_files
    from simulation.engines import resolve
    from simulation.scenario import load
    from simulation.swarm import check

    jobs = []
    for path in scenario_files(given.paths):
        scenario = load(path)
        check(scenario)
        engine = given.engine or scenario.engine
        resolve(engine)
        first = scenario.seed if given.seed is None else given.seed
        jobs.append(Job(path, scenario, engine, range(first, first + given.seeds)))
    return jobs


def _run(job: Job, given: argparse.Namespace, laboratory: Laboratory, output: Any) -> Outcome:
    from simulation.search.seeds import Plan
    from simulation.summary import Tally

    outcome = Outcome(job, Tally(), None, None, False)
    plan = Plan(job.scenario, job.engine, given.store, given.redis_server)
    try:
        with output.progress(job) as advance:
            for summary in _summaries(job, plan, given, laboratory, outcome):
                outcome.tally.add(summary)
                advance(outcome.tally)
                if given.stop_after and outcome.tally.violating >= given.stop_after:
                    break
    except KeyboardInterrupt:
        outcome.interrupted = True
    if outcome.tally.runs and not given.no_results:
        _keep(outcome, given, laboratory)
    return outcome


def _summaries(
    job: Job, plan: Plan, given: argparse.Namespace, laboratory: Laboratory, outcome: Outcome
) -> Iterator[Any]:
    from simulation.search.seeds import jobs_from, search
    from simulation.summary import summarise

    if len(job.seeds) == 1:  # the run itself is what will be kept
        outcome.run = laboratory.run(job.scenario, job.seeds[0], job.engine)
        yield summarise(outcome.run)
        return
    yield from search(plan, job.seeds, jobs_from(given.jobs), laboratory)


def _keep(outcome: Outcome, given: argparse.Namespace, laboratory: Laboratory) -> None:
    """Write down the run that tells most: the first that was violated, else the first of all."""
    from simulation.results import Shelf

    job, tally = outcome.job, outcome.tally
    if tally.first_violating is not None:
        # The same run once more, with every command and reply: the story of a violation is told in them.
        outcome.run = laboratory.run(job.scenario, tally.first_violating, job.engine, trace=True)
    elif outcome.run is None:
        outcome.run = laboratory.run(job.scenario, job.seeds[0], job.engine)
    extra: dict[str, Any] = {"runs": tally.runs, "violating_runs": tally.violating, "interrupted": outcome.interrupted}
    if job.scenario.swarm is not None:
        extra["drawn"] = drawn(job, outcome.run.seed)
    shelf = Shelf(given.out, job.scenario.name)
    outcome.folder = shelf.keep(outcome.run, stamp(), replay(job, outcome.run.seed, given), extra)


def _tell_build_server(outcomes: list[Outcome], given: argparse.Namespace) -> None:
    if not (given.junit or given.summary):
        return
    from reports.junit import write_junit
    from reports.summary import append_summary

    told = [_told(outcome, given) for outcome in outcomes]
    if given.junit:
        write_junit(given.junit, told)
    if given.summary:
        append_summary(given.summary, told)


def _told(outcome: Outcome, given: argparse.Namespace) -> reports.outcome.Outcome:
    from reports.outcome import Outcome as Told

    job, tally = outcome.job, outcome.tally
    seed = job.seeds[0] if tally.first_violating is None else tally.first_violating
    because, invariant = "", ""
    for name, (_, first, violation) in tally.violations.items():
        if first == seed:
            because, invariant = violation.because, name
            break
    if outcome.verdict == "unknown":
        missing = [f"nothing was proved about '{word}'" for word in tally.missing(job.scenario.judge.exercise)]
        because = "; ".join([*missing, *tally.reasons])
    return Told(
        scenario=job.scenario.name,
        engine=job.engine,
        seed=seed,
        verdict=outcome.verdict,
        because=because,
        replay=replay(job, seed, given),
        seconds=outcome.seconds,
        invariant=invariant,
        seeds=tally.runs,
    )


def stamp() -> str:
    """Return this moment for the name of a folder. Only the command line knows what time it is outside."""
    from datetime import datetime

    return datetime.now().strftime("%Y%m%dT%H%M%S")


def replay(job: Job, seed: int, given: argparse.Namespace) -> str:
    """Return the command that runs one seed of a job again."""
    return replay_file(job.path, job.engine, seed, given)


def replay_file(path: Path, engine: str, seed: int, given: argparse.Namespace) -> str:
    """Return the command that runs one seed of a scenario file on the store of this command line."""
    import shlex

    words: list[str] = ["causim", "run", str(path), "--engine", engine, "--seed", str(seed)]
    if given.store != "auto":
        words += ["--store", given.store]
    if given.redis_server:
        words += ["--redis-server", str(given.redis_server)]
    return shlex.join(words)


def drawn(job: Job, seed: int) -> dict[str, Any]:
    """Return what a swarm draws from a seed; of any other scenario, nothing."""
    from simulation.swarm import draw

    return dict(draw(job.scenario, seed).options)


def record(outcome: Outcome, given: argparse.Namespace) -> dict[str, Any]:
    """Return what `--json` prints of an outcome."""
    job, tally = outcome.job, outcome.tally
    return {
        "scenario": job.scenario.name,
        "file": str(job.path),
        "engine": job.engine,
        "verdict": outcome.verdict,
        "seeds": tally.runs,
        "violating": tally.violating,
        "violations": [
            {
                "invariant": invariant,
                "runs": count,
                "first_seed": seed,
                "because": violation.because,
                "replay": replay(job, seed, given),
                "drawn": drawn(job, seed),
            }
            for invariant, (count, seed, violation) in tally.violations.items()
        ],
        "coverage": dict(sorted(tally.coverage.items())),
        "missing": tally.missing(job.scenario.judge.exercise),
        "reasons": list(tally.reasons),
        "latency_us": {"p50": tally.latency(0.5), "p99": tally.latency(0.99)},
        "followers": tally.followers,
        "lost_followers": tally.lost,
        "events": tally.events,
        "redis_round_trips": tally.round_trips,
        "redis_commands": tally.commands,
        "results": str(outcome.folder) if outcome.folder else None,
        "interrupted": outcome.interrupted,
    }


def write_json(outcome: Outcome, given: argparse.Namespace) -> None:
    """Print an outcome as one line of JSON."""
    sys.stdout.write(json.dumps(record(outcome, given)) + "\n")
    sys.stdout.flush()


Outcomes = Sequence[Outcome]
