"""`causim run`: run scenarios, judge the histories, and leave the evidence."""

from __future__ import annotations

import gc
import time
import warnings
from collections.abc import Generator, Iterator, Sequence
from contextlib import closing, suppress
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

from reports.ci.junit import write_junit
from reports.ci.markdown import append_summary
from reports.ci.outcome import Outcome as CiOutcome
from reports.figures.render_process import Illustrator, illustrator
from reports.text.run_text import story
from simulation.cli import EXIT_CODES, INTERRUPTED, VIOLATED, BadUsage
from simulation.cli.coverage_lines import is_independent, lines
from simulation.cli.determinism import check_determinism
from simulation.cli.errors import message_of, naming
from simulation.cli.files import scenario_files
from simulation.cli.given import RunOptions
from simulation.cli.jobs import Job, Outcome, drawn, replay, replay_file
from simulation.cli.kept import INDEX, write_index
from simulation.cli.output import Output
from simulation.cli.results import ResultsFolder
from simulation.cli.strategy import strategy_from, strategy_words
from simulation.cli.trust import check_trust
from simulation.engines import check_expected, is_shipped, resolve
from simulation.kernel.gc_pause import paused_gc
from simulation.scenario.swarm import check
from simulation.search.explore.exhaustive import Exhaustive
from simulation.search.explore.guided import Guided
from simulation.search.explore.strategies import Runner, Strategy
from simulation.search.failure_database import Failures
from simulation.search.parallel import dask_cluster
from simulation.search.parallel.seeds import Plan, search
from simulation.search.replay import Replay, load_replay
from simulation.search.summary import Tally, summarise
from simulation.world.laboratory import Laboratory

if TYPE_CHECKING:
    from simulation.search.summary import Summary


def execute(given: RunOptions) -> int:
    """Run everything, print the outcomes and return the exit code."""
    if given.no_results or given.check_determinism:
        return _execute(given, None)
    with illustrator() as draws:  # it gets ready while the worlds run
        return _execute(given, draws)


def _execute(given: RunOptions, draws: Illustrator | None) -> int:
    with paused_gc():  # what is imported stays
        jobs = _jobs(given)
    if given.check_determinism:
        return check_determinism(jobs, given)
    gc.freeze()  # no run's garbage is looked for among what was imported
    output = Output(given, jobs)
    outcomes: list[Outcome] = []
    with Laboratory(given.store, given.redis_server) as laboratory:
        laboratory.folder = None if given.no_results else given.out
        output.begin(laboratory)
        for job in jobs:
            started = time.perf_counter()  # by the clock on the wall: it is for the build server alone
            outcome = _run(job, given, laboratory, output, draws)
            outcome.seconds = time.perf_counter() - started
            outcomes.append(outcome)
            output.show(outcome)
            if outcome.interrupted:
                break
    output.end(outcomes)
    _list(given, outcomes)
    _report_to_build_server(outcomes, given)
    if any(outcome.interrupted for outcome in outcomes):
        return INTERRUPTED
    verdicts = [outcome.verdict for outcome in outcomes]
    return VIOLATED if "violated" in verdicts else EXIT_CODES["unknown" if "unknown" in verdicts else "holds"]


def _jobs(given: RunOptions) -> list[Job]:
    if given.last_failed and given.until_saturated:
        raise BadUsage("--until-saturated estimates from a sample of all seeds; those of --last-failed are none")
    strategy = strategy_from(given)
    jobs = []
    for path in scenario_files(given.paths):
        replay = load_replay(path)
        scenario = replay.scenario
        with naming(path):
            check(scenario)
            check_expected(scenario)
        check_trust(scenario, path, given.engines, trusted=given.trust)
        engine = given.engine or scenario.engine
        resolve(engine)
        if replay.choices is not None:  # one run of one seed, whatever the others are asked for
            jobs.append(Job(path, scenario, engine, range(scenario.seed, scenario.seed + 1), Strategy(), replay))
            continue
        first = scenario.seed if given.seed is None else given.seed
        job = Job(path, scenario, engine, range(first, first + given.seed_count), strategy)
        failed = Failures(scenario, engine, strategy).failed() if given.last_failed else []
        jobs.append(replace(job, seeds=failed, failed_before=True) if failed else job)
    return jobs


def _run(job: Job, given: RunOptions, laboratory: Laboratory, output: Output, draws: Illustrator | None) -> Outcome:
    outcome = Outcome(job, Tally())
    try:
        # A search must be over before a run is made here again: a connection to a cluster needs the clocks.
        found = _summaries(outcome, given, laboratory)
        with naming(job.path), output.progress(outcome, laboratory) as advance, closing(found) as summaries:
            for summary in summaries:
                outcome.tally.add(summary)
                advance()
                if given.stop_after and outcome.tally.violating >= given.stop_after:
                    break
                if given.until_saturated and outcome.tally.covered.saturated(given.until_saturated):
                    outcome.saturated = True
                    break
    except KeyboardInterrupt:
        outcome.interrupted = True
    if outcome.tally.runs and not given.no_results:
        try:
            _keep(outcome, given, laboratory, draws)
        except OSError as error:  # a full disk, a folder of another's: the verdict stands
            outcome.unkept = message_of(error)
    return outcome


def _summaries(outcome: Outcome, given: RunOptions, laboratory: Laboratory) -> Generator[Summary, None, None]:
    job = outcome.job
    if job.replay is not None:
        yield summarise(job.replay.perform(laboratory, job.engine))
    elif job.strategy.name == "exhaustive":
        yield from _every_order(outcome, laboratory)
    elif job.strategy.name == "guided":
        yield from _guided(job, laboratory)
    elif (
        len(job.seeds) == 1 and job.strategy.name == "random-delays" and not (given.scheduler or job.failed_before)
    ):  # the run itself is what will be kept
        outcome.run = laboratory.run(job.scenario, job.seeds[0], job.engine)
        yield summarise(outcome.run)
    else:
        plan = Plan(job.scenario, job.engine, given.store, given.redis_server, job.strategy)
        outcome.guarantee = _guarantee(job, laboratory)
        failures = Failures(job.scenario, job.engine, job.strategy)
        ran: dict[int, bool] = {}
        try:
            # Seeds that failed before would be no independent sample.
            seeds = job.seeds if given.until_saturated else failures.first(job.seeds)
            for summary in _searched(plan, seeds, given, laboratory):
                ran[summary.seed] = summary.verdict == "violated"
                yield summary
        finally:
            if not given.no_results:
                with suppress(OSError):  # it only orders the seeds of the next search
                    failures.remember((seed for seed, failed in ran.items() if failed), ran)


def _searched(plan: Plan, seeds: Sequence[int], given: RunOptions, laboratory: Laboratory) -> Iterator[Summary]:
    if given.scheduler:
        return dask_cluster.search(given.scheduler, plan, seeds)
    return search(plan, seeds, given.jobs, laboratory)


def _every_order(outcome: Outcome, laboratory: Laboratory) -> Iterator[Summary]:
    job = outcome.job
    search = Exhaustive(laboratory, job.scenario, job.seeds[0], job.engine, bounds=job.strategy.bounds)
    outcome.explored = search.progress
    for run in search.runs(job.strategy.most):
        yield summarise(run)


def _guided(job: Job, laboratory: Laboratory) -> Iterator[Summary]:
    search = Guided(laboratory, job.scenario, job.engine, job.strategy)
    return (summarise(run) for run in search.runs(job.seeds))


def _found(job: Job, seed: int | None, choices: tuple[int, ...] | None) -> Replay:
    scouted = job.scenario.seed if job.scenario.swarm is None else None
    return Replay(job.scenario.model_copy(update={"seed": seed}), choices, job.bounds, scouted=scouted)


def _guarantee(job: Job, laboratory: Laboratory) -> str:
    return Runner(laboratory, job.scenario, job.engine, job.strategy).guarantee


def _keep(outcome: Outcome, given: RunOptions, laboratory: Laboratory, draws: Illustrator | None) -> None:
    """Keep one run: the first that was violated, else the first of all."""
    job, tally = outcome.job, outcome.tally
    if job.replay is not None:
        outcome.run = job.replay.perform(laboratory, job.engine, trace=tally.violating > 0)
    elif tally.first_violating is not None:
        # The same run once more, with every command and reply: the story of a violation needs them.
        found = _found(job, tally.first_violating, tally.choices)
        outcome.run = found.perform(laboratory, job.engine, trace=True)
    elif outcome.run is None:
        outcome.run = laboratory.run(job.scenario, job.seeds[0], job.engine)
    extra: dict[str, Any] = {"runs": tally.runs, "violating_runs": tally.violating, "interrupted": outcome.interrupted}
    if tally.runs > 1:
        extra["covered"] = tally.covered.record(independent=is_independent(job))
    if job.scenario.swarm is not None:
        extra["drawn"] = drawn(job, outcome.run.seed)
    results = ResultsFolder(given.out, job.scenario.name, draws, _covered(job, tally))
    outcome.folder = results.keep(outcome.run, stamp(), replay(outcome, outcome.run.seed, given), extra)


def _list(given: RunOptions, outcomes: list[Outcome]) -> None:
    """Bring the page up to date that lists all runs, if there is a new one."""
    if any(outcome.folder is not None for outcome in outcomes):
        try:
            write_index(given.out)
        except OSError as error:  # the results are there, and so is the verdict
            warnings.warn(f"the list of runs, {given.out / INDEX}, is as it was: {error}", stacklevel=1)


def _report_to_build_server(outcomes: list[Outcome], given: RunOptions) -> None:
    if not (given.junit or given.summary):
        return
    ci_outcomes = [_ci_outcome(outcome, given) for outcome in outcomes]
    if given.junit:
        write_junit(given.junit, ci_outcomes)
    if given.summary:
        append_summary(given.summary, ci_outcomes)


def _ci_outcome(outcome: Outcome, given: RunOptions) -> CiOutcome:
    job, tally = outcome.job, outcome.tally
    seed = job.seeds[0] if tally.first_violating is None else tally.first_violating
    because, invariant = "", ""
    for name, (_, first, violation) in tally.violations.items():
        if first == seed:
            because, invariant = violation.because, name
            break
    over = [checked.words for checked in outcome.budgets if not checked.kept]
    if over and not invariant:
        because, invariant = "over budget: " + "; ".join(over), "budget"
    if outcome.verdict == "unknown":
        missing = [f"nothing was proved about '{word}'" for word in tally.missing(job.scenario.judge.require_coverage)]
        because = "; ".join([*missing, *tally.reasons]) or "not every order was tried"
    if outcome.verdict != "holds" and not is_shipped(job.engine):
        because += "".join(f"; raised {error}" for error, _ in list(tally.errors.values())[:1])
    return CiOutcome(
        scenario=job.scenario.name,
        engine=job.engine,
        seed=seed,
        verdict=outcome.verdict,
        because=because,
        replay=_measured_again(job, tally, given) if invariant == "budget" else replay(outcome, seed, given),
        seconds=outcome.seconds,
        invariant=invariant,
        story=_story(outcome, invariant),
        seeds=tally.runs,
        rests=tally.rests,
        covered=_covered(job, tally),
        outside="; ".join(tally.outside),
        silent=tuple(sorted(tally.silent_faults)),
    )


def _measured_again(job: Job, tally: Tally, given: RunOptions) -> str:
    """Return the command that runs all seeds again, since a budget is about all of them."""
    seeds = ["--seeds", str(tally.runs)] if tally.runs > 1 else []
    return replay_file(job.path, job.engine, job.seeds[0], given, [*seeds, *strategy_words(job.strategy)])


def _covered(job: Job, tally: Tally) -> tuple[str, ...]:
    return tuple(lines(tally.covered, independent=is_independent(job))) if tally.runs > 1 else ()


def _story(outcome: Outcome, invariant: str) -> tuple[str, ...]:
    """Return the story of the kept run's violation of an invariant, as lines; none if there is no such run."""
    if outcome.run is None:
        return ()
    violation = next((v for v in outcome.run.judgement.violations if v.invariant == invariant), None)
    return tuple(line.text for line in story(outcome.run, violation)) if violation else ()


def stamp() -> str:
    """Return this moment for the name of a folder. Only the command line knows the real time."""
    return datetime.now().strftime("%Y%m%dT%H%M%S")
