"""The result of one run, in a record small enough to keep for a million runs and to send between processes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from itertools import accumulate
from typing import NamedTuple

from simulation.history.history import History
from simulation.history.index import HistoryIndex
from simulation.history.records import NEVER
from simulation.history.slices import slices
from simulation.invariants import Violation
from simulation.invariants.verdict import rests_on
from simulation.kernel.quantiles import quantile, rounded
from simulation.search.coverage.search_coverage import RunCoverage, SearchCoverage, coverage_of
from simulation.world.error_log import MAX_ERRORS, RaisedError
from simulation.world.run import Counts, Run

SLICE = 100_000
"""Number of events of a very long history that are indexed at a time."""


@dataclass(frozen=True, slots=True)
class Summary:
    """One run, without its history."""

    seed: int
    verdict: str
    violations: tuple[Violation, ...]
    """The first violation of each invariant that was violated."""
    coverage: Mapping[str, int]
    missing: tuple[str, ...]
    """The words of the scenario's `require_coverage` that did not happen."""
    reasons: tuple[str, ...]
    """The reasons for an unknown verdict, apart from `missing`."""
    counts: Counts
    digest: str
    latencies: Mapping[int, int]
    """Number of events by time from publication to effect in microseconds, rounded as in `quantiles.py`."""
    followers: int
    """Events that follow another and were delivered: no engine can handle events that the queue itself loses."""
    lost: int
    """Those of them that were neither handled nor dead-lettered."""
    waiting: int
    """Highest number of followers that were parked at once."""
    unfinished: int = 0
    """Events that were published and never handled: no latency counts them."""
    undelivered: int = 0
    """Those of them that no consumer received."""
    errors: tuple[RaisedError, ...] = ()
    """Errors raised by the code under test, each once."""
    outside: tuple[str, ...] = ()
    """Outside resources that the code under test has reached, as the scenario allows."""
    silent_faults: tuple[str, ...] = ()
    judged: tuple[str, ...] = ()
    """The invariants that the run says enough about."""
    unjudged: Mapping[str, str] = field(default_factory=dict)
    """The others, each with the reason for which it cannot be judged."""
    choices: tuple[int, ...] | None = None
    """The choices of the run, if it was explored and is violated."""
    covered: RunCoverage = field(default_factory=RunCoverage)
    """Its behaviour, its transitions and its faults by state."""


@dataclass(slots=True)
class Tally:
    """The totals of many runs of one scenario. Only `covered` grows with their number."""

    runs: int = 0
    violating: int = 0
    first_violating: int | None = None
    """The seed of the first run that was violated."""
    choices: tuple[int, ...] | None = None
    """The choices of that run, if it was explored."""
    violations: dict[str, tuple[int, int, Violation]] = field(default_factory=dict)
    """For each violated invariant: the number of runs, the first such seed, and its violation."""
    coverage: Counter[str] = field(default_factory=Counter)
    reasons: dict[str, int] = field(default_factory=dict)
    """Reasons for unknown verdicts, each with its first seed."""
    latencies: Counter[int] = field(default_factory=Counter)
    silent_faults: set[str] = field(default_factory=set)
    """Kinds of faults that took effect in no run."""
    outside: dict[str, int] = field(default_factory=dict)
    """Outside resources that the runs have reached, as the scenario allows, each with its first seed."""
    examples: dict[str, tuple[int, tuple[int, ...] | None]] = field(default_factory=dict)
    """Of each violated invariant, the seed and the choices of the run that is printed."""
    commands: int = 0
    round_trips: int = 0
    idle_commands: int = 0
    """Those of the commands that were sent by sweeps that found nothing."""
    idle_round_trips: int = 0
    events: int = 0
    unfinished: int = 0
    """Events that were never handled: no latency counts them."""
    undelivered: int = 0
    """Those of them that no consumer received."""
    followers: int = 0
    lost: int = 0
    waiting: int = 0
    """The sum over all runs of the highest number of followers that were parked at once."""
    waiting_squared: int = 0
    """The sum of the squares of these numbers."""
    covered: SearchCoverage = field(default_factory=SearchCoverage)
    errors: dict[tuple[str, tuple[str, ...], str], tuple[RaisedError, int]] = field(default_factory=dict)
    """Errors raised by the code under test: each with its count in all runs, and the seed of the first."""
    judged: Counter[str] = field(default_factory=Counter)
    """For each invariant, the number of runs in which it could be judged in full."""
    unjudged: dict[str, str] = field(default_factory=dict)
    """For each invariant that some run says too little about, the reason in the first such run."""

    def add(self, summary: Summary) -> None:
        """Count one more run."""
        silent = set(summary.silent_faults)
        self.silent_faults = silent if self.runs == 0 else self.silent_faults & silent
        self.runs += 1
        self.coverage.update(summary.coverage)
        self.latencies.update(summary.latencies)
        self.commands += summary.counts.commands
        self.round_trips += summary.counts.round_trips
        self.idle_commands += summary.counts.idle_commands
        self.idle_round_trips += summary.counts.idle_round_trips
        self.events += summary.counts.events
        self.unfinished += summary.unfinished
        self.undelivered += summary.undelivered
        self.followers += summary.followers
        self.lost += summary.lost
        self.waiting += summary.waiting
        self.waiting_squared += summary.waiting**2
        self.covered.add(summary.seed, summary.covered)
        for error in summary.errors:
            self._add_error(error, summary.seed)
        self.judged.update(summary.judged)
        self.unjudged = {**summary.unjudged, **self.unjudged}
        for reason in summary.reasons:
            self.reasons.setdefault(reason, summary.seed)
        for what in summary.outside:
            self.outside.setdefault(what, summary.seed)
        if summary.verdict == "violated":
            self._add_violations(summary)

    def _add_error(self, error: RaisedError, seed: int) -> None:
        key = error.type, error.frames, error.where
        if key in self.errors:
            first, first_seed = self.errors[key]
            self.errors[key] = replace(first, count=first.count + error.count), first_seed
        elif len(self.errors) < MAX_ERRORS:
            self.errors[key] = error, seed

    def _add_violations(self, summary: Summary) -> None:
        self.violating += 1
        if self.first_violating is None or summary.seed < self.first_violating:
            self.first_violating, self.choices = summary.seed, summary.choices
        for violation in summary.violations:
            count, seed, first = self.violations.get(violation.invariant, (0, summary.seed, violation))
            if summary.seed < seed or not count:
                seed, first = summary.seed, violation
                self.examples[violation.invariant] = summary.seed, summary.choices
            self.violations[violation.invariant] = (count + 1, seed, first)

    @property
    def busy_commands(self) -> int:
        """The commands without those of sweeps that found nothing."""
        return self.commands - self.idle_commands

    @property
    def busy_round_trips(self) -> int:
        """The round trips without those of sweeps that found nothing."""
        return self.round_trips - self.idle_round_trips

    @property
    def never_judged(self) -> dict[str, str]:
        """The invariants that could be judged in no run, each with the reason."""
        return {name: why for name, why in self.unjudged.items() if not self.judged[name]}

    @property
    def rests(self) -> str:
        """The invariants on which the verdict rests, and those judged in no run with the reasons, in a sentence."""
        return rests_on([name for name, runs in self.judged.items() if runs], self.never_judged)

    def missing(self, exercise: Iterable[str]) -> list[str]:
        """Return the words that did not happen in any run."""
        return [word for word in exercise if not self.coverage[word]]

    def verdict(self, exercise: Iterable[str]) -> str:
        """Return the verdict on all runs together.

        One violated run is enough to be `violated`. `holds` asks that every run went to its end, and that each word
        of the exercise happened in at least one.
        """
        if self.violating:
            return "violated"
        return "unknown" if self.reasons or self.missing(exercise) or not self.runs else "holds"

    def latency(self, q: float) -> int | None:
        """Return a quantile of the time from publication to effect, in microseconds; None if nothing was handled."""
        return quantile(self.latencies, q)


def summarise(run: Run) -> Summary:
    """Return the summary of a run."""
    judgement = run.judgement
    first: dict[str, Violation] = {}
    for violation in judgement.violations:
        first.setdefault(violation.invariant, violation)
    totals = event_totals(run.history, run.index)
    return Summary(
        seed=run.seed,
        verdict=judgement.verdict,
        violations=tuple(first.values()),
        coverage={word: count for word, count in judgement.coverage.items() if count},
        missing=judgement.missing,
        reasons=judgement.reasons,
        counts=run.counts,
        digest=run.digest,
        latencies=totals.latencies,
        followers=totals.followers,
        lost=totals.lost,
        waiting=totals.waiting,
        unfinished=totals.unfinished,
        undelivered=totals.undelivered,
        errors=run.errors,
        outside=run.outside,
        silent_faults=run.silent_faults,
        judged=judgement.judged,
        unjudged=judgement.unjudged,
        choices=tuple(run.steps.choices) if run.steps and judgement.verdict == "violated" else None,
        covered=coverage_of(run),
    )


class EventTotals(NamedTuple):
    """The totals that a summary takes from a history."""

    latencies: Counter[int]
    followers: int
    lost: int
    waiting: int
    unfinished: int
    undelivered: int


def event_totals(history: History, index: HistoryIndex | None = None) -> EventTotals:
    """Return the latencies of a run, and its numbers of followers and lost, waiting, unhandled, undelivered events."""
    latencies: Counter[int] = Counter()
    followers = lost = unfinished = undelivered = 0
    steps: Counter[int] = Counter()
    for part, events in [(index, list(index))] if index else slices(history, SLICE):
        for event in events:
            if event.effects and event.published != NEVER:
                latencies[rounded(event.effects[0].end_at - event.published_at)] += 1
            if event.published != NEVER and not event.effects:
                unfinished += 1
                undelivered += event.first_known == NEVER
            if part.leader_of(event) is not None and event.deliveries:
                followers += 1
                lost += event.is_lost
            for begin, end in event.waits:
                steps[begin] += 1
                steps[end] -= 1
    longest = max(accumulate(steps[at] for at in sorted(steps)), default=0)
    return EventTotals(latencies, followers, lost, longest, unfinished, undelivered)
