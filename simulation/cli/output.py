"""The output of `causim run`: progress on a terminal, a paragraph for each scenario, a table at the end."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import chain, repeat
from typing import TYPE_CHECKING, Any

from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table

from reports.figures.units import duration
from simulation.cli.coverage_lines import is_independent, lines
from simulation.cli.given import RunOptions
from simulation.cli.jobs import drawn, replay, shrink, write_json
from simulation.cli.terminal import Terminal
from simulation.engines import is_shipped
from simulation.scenario.swarm import draw

if TYPE_CHECKING:
    from simulation.cli.jobs import Job, Outcome
    from simulation.search.summary import Tally
    from simulation.stores.protocol import Store
    from simulation.world.laboratory import Laboratory

_LINE = 1_000
"""Number of runs between two lines if the total is unknown."""

_LOGGED_FROM_RUNS = 100
"""Number of runs from which on the progress is written to a log."""

_WIDE = 80
"""In a narrower terminal a bar has no room for the times beside it, which would be cut."""

_MAX_ERRORS = 3
"""Number of different errors of the code under test that a paragraph shows."""

STYLES = {"holds": "green", "violated": "bold red", "unknown": "yellow"}


class Output:
    """The voice of one `causim run`."""

    def __init__(self, given: RunOptions, jobs: Sequence[Job]) -> None:
        self._given = given
        self._jobs = jobs
        self._console = Terminal()
        self._store = ""
        self._printed = False
        """Whether a paragraph was written: an empty line parts the next from it."""

    @property
    def _prints(self) -> bool:
        return not (self._given.json or self._given.quiet)

    def begin(self, laboratory: Laboratory) -> None:
        """Say which store the runs are on."""
        store = laboratory.store
        self._store = f"{_described(store)} in {'real' if '://' in store.name else 'virtual'} time"
        if laboratory.note:
            Terminal(stderr=True).print(f"causim: note: {escape(laboratory.note)}")

    @contextmanager
    def progress(self, outcome: Outcome, laboratory: Laboratory | None = None) -> Iterator[Callable[[], None]]:
        """Show the progress of a scenario, if the output is a terminal."""
        job, tally = outcome.job, outcome.tally
        endless = job.strategy.name == "exhaustive"
        quiet = not self._prints or (len(job.seeds) == 1 and not endless)
        if self._prints and quiet and laboratory is not None and self._console.is_terminal:
            with counting(f"{job.scenario.name} · {job.engine}", None, "deliveries", self._console) as within:
                laboratory.watch = lambda settled, now: within(settled, f"deliveries settled, {duration(now / 1e6)}")
                yield lambda: None
                laboratory.watch = None
            return
        total, what = (job.strategy.most, "orders") if endless else (len(job.seeds), "seeds")
        title = f"{job.scenario.name} · {job.engine}"
        with counting(title, total, what, self._console, quiet=quiet) as count:
            yield lambda: count(tally.runs, f"{tally.violating} violated" if tally.violating else "")

    def show(self, outcome: Outcome) -> None:
        """Print the outcome of one scenario."""
        if self._given.json:
            write_json(outcome, self._given)
        elif self._given.quiet:
            self._console.print(
                f"{outcome.verdict:<8}  {escape(outcome.job.scenario.name)}", style=self._style(outcome)
            )
        else:
            self._paragraph(outcome)

    def _style(self, outcome: Outcome) -> str:
        return STYLES[outcome.verdict]

    def _paragraph(self, outcome: Outcome) -> None:
        tally, write = outcome.tally, self._console.print
        if self._printed:
            write()
        self._printed = True
        write(f"[bold]{escape(outcome.job.scenario.name)}[/] · {escape(self._facts(outcome))}")
        if not tally.runs:
            write("  interrupted before the first run was done")
            return
        happened = [f"{word} {count:,}" for word, count in sorted(tally.coverage.items()) if count]
        write(f"  [{self._style(outcome)}]{outcome.verdict:<9}[/] exercised: {' · '.join(happened) or 'nothing'}")
        write(f"  judged    {escape(tally.rests)}")
        write(f"  {escape(self._figures(tally))}")
        for line in self._searched(outcome):
            write(f"  {line}")
        self._covered(outcome)
        self._violations(outcome)
        for checked in outcome.budgets:
            state = "budget   " if checked.kept else "[bold red]over budget[/]"
            write(f"  {state} {escape(checked.words)}")
        if len(outcome.job.seeds) == 1 and not tally.violations:
            self._drawn(outcome.job, outcome.job.seeds[0])
        for word in tally.missing(outcome.job.scenario.judge.require_coverage):
            write(f"  [yellow]unknown[/]   nothing was proved about '{word}': it did not happen")
        self._raised(outcome)
        for reason, seed in tally.reasons.items():
            write(f"  [yellow]unknown[/]   {escape(reason)} (seed {seed})")
        for fault in sorted(tally.silent_faults):
            write(f"  [yellow]note[/]      the fault '{fault}' never struck")
        for what, seed in tally.outside.items():
            write(f"  [yellow]outside[/]   {escape(what)} (seed {seed}); such a run may be another the next time")
        self._ended(outcome)
        if tally.violating and outcome.folder is not None:
            self._console.copyable(f"  shrink    {escape(shrink(outcome, self._given))}")
        if outcome.folder is not None:
            self._console.copyable(f"  results   {escape(str(outcome.folder))}")
        if outcome.unkept:
            write(f"  [yellow]note[/]      the results could not be kept: {escape(outcome.unkept)}")

    def _raised(self, outcome: Outcome) -> None:
        """Print the errors of the user's own engine. Those of the shipped engines under faults are known."""
        errors = list(outcome.tally.errors.values())
        if is_shipped(outcome.job.engine):
            return
        for error, seed in errors[:_MAX_ERRORS]:
            many = f" (seed {seed})" if outcome.tally.runs > 1 else ""
            self._console.print(f"  [yellow]raised[/]    {escape(str(error))}{many}")
        if len(errors) > _MAX_ERRORS:
            self._console.print(f"            and {len(errors) - _MAX_ERRORS} other errors")

    def _covered(self, outcome: Outcome) -> None:
        if outcome.tally.runs > 1:
            shown = lines(outcome.tally.covered, independent=is_independent(outcome.job))
            for heading, line in zip(chain(["coverage"], repeat("")), shown, strict=False):
                self._console.print(f"  {heading:<9} {escape(line)}")

    def _ended(self, outcome: Outcome) -> None:
        """Say why a search ended, if it did not run all its seeds or was to end otherwise."""
        runs = outcome.tally.runs
        if outcome.interrupted:
            self._console.print(f"  [yellow]interrupted[/] after {runs:,} of {len(outcome.job.seeds):,} seeds")
        elif outcome.saturated:
            self._console.print(f"  saturated after {runs:,} runs: a next one would hardly show a new behaviour")
        elif self._given.until_saturated:
            self._console.print(f"  [yellow]note[/]      not saturated after {runs:,} runs")

    def _facts(self, outcome: Outcome) -> str:
        job, tally = outcome.job, outcome.tally
        ran = f"{tally.runs:,} of " if tally.runs < len(job.seeds) else ""  # seeds that failed before may come first
        seeds = f"seed {job.seeds[0]}" if len(job.seeds) == 1 else f"{ran}{len(job.seeds):,} seeds from {job.seeds[0]}"
        if job.strategy.name == "exhaustive":
            seeds = f"every order of seed {job.seeds[0]}"
        if job.failed_before:
            seeds = f"the {tally.runs:,} of its seeds that failed before"
        consumers = _consumers(job)
        each = tally.events // tally.runs if tally.runs else 0
        events = f"{each:,} event{'s' * (each != 1)}" if each else "no events"
        if job.scenario.swarm is not None and tally.runs > 1:
            events += " a seed on average"
        return f"{events} · {consumers} · engine {job.engine} · {self._store} · {seeds}"

    def _figures(self, tally: Tally) -> str:
        parts = []
        median, tail = tally.latency(0.5), tally.latency(0.99)
        if median is not None and tail is not None:
            p50, p99 = duration(median / 1e6), duration(tail / 1e6)
            parts.append(f"latency publish→effect p50 {p50}  p99 {p99}" + unfinished(tally))
        if tally.followers:
            share = f"{tally.lost / tally.followers:.2%}"
            parts.append(f"lost followers {tally.lost:,} of {tally.followers:,} delivered ({share})")
        if tally.events:
            parts.append(f"Redis round trips/event {trips(tally)}")
        return "   ".join(parts)

    def _searched(self, outcome: Outcome) -> Iterator[str]:
        if outcome.guarantee:
            yield f"search    {outcome.guarantee}"
        explored = outcome.explored
        if explored is None:
            return
        yield (
            f"search    {explored.covered:,} orders covered, up to {explored.deepest} steps long · "
            f"{explored.abandoned:,} given up as repetitions · {explored.skipped:,} branches skipped as equivalent"
        )
        if explored.complete:
            yield "          complete: every order within the bounds was covered"
        else:
            yield "          [yellow]not complete[/]: nothing is proved about the orders that were not tried"

    def _violations(self, outcome: Outcome) -> None:
        tally, write = outcome.tally, self._console.print
        shown: set[int] = set()
        for invariant, (count, seed, violation) in sorted(tally.violations.items(), key=lambda item: item[1][1]):
            runs = "orders" if outcome.explored else "seeds"
            share = f"in {count:,} of {tally.runs:,} {runs} ({count / tally.runs:.1%}), first at seed {seed}"
            write(f"  [bold red]violated[/]  {invariant}" + (f"  {share}" if tally.runs > 1 else ""))
            write(f"  because   {escape(violation.because.removeprefix('because '))}")
            self._console.copyable(f"  replay    {escape(replay(outcome, seed, self._given))}")
            if seed not in shown:  # what a seed has drawn is the same for each invariant
                self._drawn(outcome.job, seed)
            shown.add(seed)

    def _drawn(self, job: Job, seed: int) -> None:
        for path, value in drawn(job, seed).items():
            for each in value if path == "faults" else [value]:
                self._console.print(f"  [dim]drawn     {escape(f'{path} = {_shown(each)}')}[/]")

    def end(self, outcomes: Sequence[Outcome]) -> None:
        """Sum up, if there is more than one scenario to sum up."""
        if not self._prints or len(outcomes) < 2:
            return
        table = Table(title="verdicts", title_justify="left", box=None, pad_edge=False)
        for heading in ("scenario", "engine", "verdict", "violated"):
            table.add_column(heading)
        table.add_column("seeds", justify="right")
        for outcome in outcomes:
            tally = outcome.tally
            table.add_row(
                escape(outcome.job.scenario.name),
                escape(outcome.job.engine),
                f"[{self._style(outcome)}]{outcome.verdict}[/]",
                ", ".join(sorted(tally.violations)),
                str(tally.runs),
            )
        self._console.print()
        self._console.print(table)


def _consumers(job: Job) -> str:
    """Return the number of consumers in the runs of a job, in words; a swarm draws it for each seed."""
    swarm = job.scenario.swarm
    if swarm is not None and "consumers.count" in swarm.choose and len(job.seeds) > 1:
        return "consumers drawn for each seed"
    count = draw(job.scenario, job.seeds[0]).scenario.consumers.count
    return f"{count} consumer{'s' * (count > 1)}"


def unfinished(tally: Tally) -> str:
    """Return the number of events that the latencies leave out, in brackets; empty if none."""
    count, undelivered = tally.unfinished, tally.undelivered
    delivered = f": {undelivered:,} never delivered" if undelivered else ""
    return f" ({count:,} of {tally.events:,} events never handled{delivered})" if count else ""


def trips(tally: Tally) -> str:
    """Return the round trips an event, and apart from them those of sweeps that found nothing."""
    idle = tally.idle_round_trips / tally.events
    apart = f" + {idle:.1f} of idle sweeps" if idle >= 0.05 else ""
    return f"{tally.busy_round_trips / tally.events:.1f}{apart}"


def _shown(value: Any) -> str:
    """Write a value as a scenario file may have it, in one line."""
    if isinstance(value, Mapping):
        return "{ " + ", ".join(f"{key} = {_shown(inner)}" for key, inner in value.items()) + " }"
    return json.dumps(value)


@contextmanager
def counting(
    title: str, total: int | None, what: str, console: Terminal | None = None, *, quiet: bool = False
) -> Iterator[Callable[[int, str], None]]:
    """Show the number done, and the findings: as a bar on a terminal, else as a line at intervals.

    `total` is None if it is not known. Yields a function that takes the number done, and the findings in a word.
    """
    console = console or Terminal()
    if quiet or not console.is_terminal:
        step = _LINE if total is None else max(1, total // 10)
        of_all = "" if total is None else f"of {total:,} "

        def count(done: int, found: str) -> None:
            if not quiet and (total is None or total >= _LOGGED_FROM_RUNS) and done % step == 0:
                console.print(f"{escape(title)} · {done:,} {of_all}{what}", style="dim")

        yield count
        return
    times = (TimeElapsedColumn(), TimeRemainingColumn()) if console.width >= _WIDE else ()
    columns = (
        TextColumn("{task.description}"),
        BarColumn(None if not times else 40),
        MofNCompleteColumn(),
        TextColumn("{task.fields[found]}"),
        *times,
    )
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task(escape(title), total=total, found="")
        yield lambda done, found: progress.update(task, completed=done, found=found)


def _described(store: Store) -> str:
    """Return the description of a store: its program, the version, and the origin of the program."""
    match store.name:
        case "server":
            return f"{store.version} ({store.origin})"
        case "embedded":
            return store.version
        case address:
            return f"{address} ({store.version})"
