"""Jobs: a scenario of the command line with its seeds, its outcome, and the record of both for programs."""

from __future__ import annotations

import json
import shlex
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from causim.shipped import word_for
from simulation.cli.coverage_lines import is_independent
from simulation.cli.given import RunOptions, StoreOptions, WorldOptions
from simulation.cli.strategy import strategy_words
from simulation.cli.trust import imports_code
from simulation.scenario.swarm import draw
from simulation.search.budget_check import check

if TYPE_CHECKING:
    from simulation.scenario.model import Scenario
    from simulation.search.budget_check import Checked
    from simulation.search.explore.exhaustive import Progress
    from simulation.search.explore.strategies import Strategy
    from simulation.search.replay import Replay
    from simulation.search.summary import Tally
    from simulation.world.run import Run
    from simulation.world.scheduling import Bounds

REPLAY = "replay.toml"
"""The file of a result that holds a run with its choices."""


@dataclass(frozen=True, slots=True)
class Job:
    """One scenario of the command line, and the seeds to run it with."""

    path: Path
    scenario: Scenario
    engine: str
    seeds: Sequence[int]
    strategy: Strategy
    replay: Replay | None = None
    """The one run that the file holds, if it lists its choices; then there is nothing to search."""
    failed_before: bool = False
    """Whether the seeds are those that failed when they were last run, and no sample of all."""

    @property
    def bounds(self) -> Bounds:
        """The limits on early timers and faults in its runs."""
        return self.strategy.bounds if self.replay is None else self.replay.bounds


@dataclass(slots=True)
class Outcome:
    """The outcome of one job."""

    job: Job
    tally: Tally
    run: Run | None = None
    folder: Path | None = None
    interrupted: bool = False
    saturated: bool = False
    """Whether the search was ended because it was saturated."""
    seconds: float = 0.0
    unkept: str = ""
    """The error that kept its results from being written; empty if there was none."""
    explored: Progress | None = None
    """The progress of an exhaustive search."""
    guarantee: str = ""
    """The guarantee of the strategy, in words."""

    @property
    def budgets(self) -> list[Checked]:
        """The scenario's budgets for the engine, and the values of its runs."""
        return check(self.job.scenario.budgets(self.job.engine), self.tally) if self.tally.runs else []

    @property
    def verdict(self) -> str:
        """The verdict on all its runs. A search that has not covered every order proves nothing.

        A budget that is not kept counts as a violation, since it was set to fail the run.
        """
        verdict = self.tally.verdict(self.job.scenario.judge.require_coverage)
        if any(not checked.kept for checked in self.budgets):
            return "violated"
        incomplete = self.explored is not None and not self.explored.complete
        return "unknown" if verdict == "holds" and incomplete else verdict


def replay(outcome: Outcome, seed: int, given: WorldOptions) -> str:
    """Return the command that runs one seed of a job again; of an exhaustive search, the run that was kept."""
    job = outcome.job
    if job.replay is not None:
        words = ["causim", "replay", word_for(job.path), "--engine", job.engine]
    elif job.strategy.name in ("exhaustive", "guided") and outcome.folder is not None and (kept := _kept(outcome)):
        words = ["causim", "replay", str(kept), *engine_words(job.engine)]
    elif job.strategy.name == "guided":  # each run depends on those before it
        seeds = ["--seeds", str(outcome.tally.runs)]
        return replay_file(job.path, job.engine, job.seeds[0], given, [*seeds, *strategy_words(job.strategy)])
    else:
        return replay_file(job.path, job.engine, seed, given, strategy_words(job.strategy))
    return shlex.join([*words, *trust_words(given), *_store_words(given)])


def shrink(outcome: Outcome, given: WorldOptions) -> str:
    """Return the command that shrinks the run that was kept."""
    words = ["causim", "shrink", str(outcome.folder), *engine_words(outcome.job.engine), *trust_words(given)]
    return shlex.join([*words, *_store_words(given)])


def engine_words(engine: str) -> list[str]:
    """Return the option without which a file that names this engine is not run, since it would import code."""
    return ["--engine", engine] if imports_code(engine) else []


def trust_words(given: WorldOptions) -> list[str]:
    """Return the option that gives the file the same permissions as on this command line."""
    return ["--trust"] if given.trust else []


def _kept(outcome: Outcome) -> Path | None:
    """Return the file of the run that was kept: one with choices, or one with drawn delays."""
    assert outcome.folder is not None
    return next((f for name in (REPLAY, "scenario.toml") if (f := outcome.folder / name).exists()), None)


def replay_file(path: Path, engine: str, seed: int, given: WorldOptions, more: Sequence[str] = ()) -> str:
    """Return the command that runs one seed of a scenario file on the store of this command line."""
    words = ["causim", "run", word_for(path), "--engine", engine, "--seed", str(seed), *more]
    return shlex.join([*words, *trust_words(given), *_store_words(given)])


def _store_words(given: StoreOptions) -> list[str]:
    words = [] if given.store == "auto" else ["--store", given.store]
    return [*words, "--redis-server", str(given.redis_server)] if given.redis_server else words


def drawn(job: Job, seed: int) -> dict[str, Any]:
    """Return the options that a swarm draws from a seed; of any other scenario, none."""
    return dict(draw(job.scenario, seed).options)


def record(outcome: Outcome, given: RunOptions) -> dict[str, Any]:
    """Return the record of an outcome for `--json`."""
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
                "replay": replay(outcome, seed, given),
                "drawn": drawn(job, seed),
            }
            for invariant, (count, seed, violation) in tally.violations.items()
        ],
        "coverage": dict(sorted(tally.coverage.items())),
        "missing": tally.missing(job.scenario.judge.require_coverage),
        "reasons": list(tally.reasons),
        "outside": list(tally.outside),
        "silent_faults": sorted(tally.silent_faults),
        "judged": dict(tally.judged),
        "not_judged": tally.never_judged,
        **_numbers(tally),
        "results": str(outcome.folder) if outcome.folder else None,
        "results_error": outcome.unkept or None,
        "interrupted": outcome.interrupted,
        "strategy": job.strategy.name,
        "guarantee": outcome.guarantee,
        "budgets": [checked.record() for checked in outcome.budgets],
        "covered": tally.covered.record(independent=is_independent(job)),
        "saturated": outcome.saturated,
        "explored": asdict(outcome.explored) if outcome.explored else None,
    }


def _numbers(tally: Tally) -> dict[str, Any]:
    return {
        "latency_us": {"p50": tally.latency(0.5), "p99": tally.latency(0.99)},
        "followers": tally.followers,
        "lost_followers": tally.lost,
        "events": tally.events,
        "unfinished_events": tally.unfinished,
        "undelivered_events": tally.undelivered,
        "redis_round_trips": tally.round_trips,
        "redis_commands": tally.commands,
        "idle_round_trips": tally.idle_round_trips,
        "idle_commands": tally.idle_commands,
    }


def write_json(outcome: Outcome, given: RunOptions) -> None:
    """Print an outcome as one line of JSON."""
    sys.stdout.write(json.dumps(record(outcome, given)) + "\n")
    sys.stdout.flush()
