"""What `causim run` prints: progress on a terminal, a paragraph for each scenario, a table at the end."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table

from simulation.durations import in_words

if TYPE_CHECKING:
    from simulation.cli.jobs import Job, Outcome
    from simulation.summary import Tally
    from simulation.world import Laboratory

STYLES = {"holds": "green", "violated": "bold red", "unknown": "yellow"}


class Output:
    """The voice of one `causim run`."""

    def __init__(self, given: argparse.Namespace, jobs: Sequence[Job]) -> None:
        self._given = given
        self._jobs = jobs
        self._console = Console(highlight=False, soft_wrap=True, file=sys.stdout)
        self._store = ""

    @property
    def _speaks(self) -> bool:
        return not (self._given.json or self._given.quiet)

    def begin(self, laboratory: Laboratory) -> None:
        """Say which store the runs are on."""
        store = laboratory.store
        kind = {"server": "redis-server", "embedded": "embedded"}.get(store.name, store.name)
        time = "in real time" if "://" in store.name else "in virtual time"
        self._store = f"{kind} {store.version} {time}"
        if laboratory.note:
            Console(stderr=True, highlight=False).print(f"causim: note: {escape(laboratory.note)}", soft_wrap=True)

    @contextmanager
    def progress(self, outcome: Outcome) -> Iterator[Callable[[], None]]:
        """Show how far a scenario is, if somebody looks."""
        job, tally = outcome.job, outcome.tally
        endless = job.strategy.name == "exhaustive"
        if not (self._speaks and self._console.is_terminal and (len(job.seeds) > 1 or endless)):
            yield self._count_in_lines(outcome)
            return
        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[found]}"),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
        )
        with Progress(*columns, console=self._console, transient=True) as progress:
            total = job.strategy.most if endless else len(job.seeds)
            task = progress.add_task(f"{job.scenario.name} · {job.engine}", total=total, found="")

            def advance() -> None:
                found = f"{tally.violating} violated" if tally.violating else ""
                progress.update(task, completed=tally.runs, found=found)

            yield advance

    def _count_in_lines(self, outcome: Outcome) -> Callable[[], None]:
        job, tally = outcome.job, outcome.tally
        endless = job.strategy.name == "exhaustive"
        step = 1_000 if endless else max(1, len(job.seeds) // 10)

        def advance() -> None:
            if self._speaks and (endless or len(job.seeds) >= 100) and tally.runs % step == 0:
                so_far = "orders" if endless else f"of {len(job.seeds)} seeds"
                self._console.print(f"{job.scenario.name} · {tally.runs:,} {so_far}", style="dim")

        return advance

    def show(self, outcome: Outcome) -> None:
        """Say what came of one scenario."""
        from simulation.cli.jobs import write_json

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
        write(f"\n[bold]{escape(outcome.job.scenario.name)}[/] · {escape(self._facts(outcome))}")
        if not tally.runs:
            write("  interrupted before the first run was done")
            return
        happened = [f"{word} {count:,}" for word, count in sorted(tally.coverage.items()) if count]
        write(f"  [{self._style(outcome)}]{outcome.verdict:<9}[/] exercised: {' · '.join(happened) or 'nothing'}")
        write(f"  {escape(self._figures(tally))}")
        for line in self._searched(outcome):
            write(f"  {line}")
        self._violations(outcome)
        for word in tally.missing(outcome.job.scenario.judge.exercise):
            write(f"  [yellow]unknown[/]   nothing was proved about '{word}': it did not happen")
        for reason, seed in tally.reasons.items():
            write(f"  [yellow]unknown[/]   {escape(reason)} (seed {seed})")
        for fault in sorted(tally.silent_faults):
            write(f"  [yellow]note[/]      the fault '{fault}' never struck")
        if outcome.interrupted:
            write(f"  [yellow]interrupted[/] after {tally.runs} of {len(outcome.job.seeds)} seeds")
        if tally.violating and outcome.folder is not None:
            write(f"  shrink    causim shrink {escape(str(outcome.folder))}")
        if outcome.folder is not None:
            write(f"  results   {escape(str(outcome.folder))}")

    def _facts(self, outcome: Outcome) -> str:
        job, tally = outcome.job, outcome.tally
        seeds = f"seed {job.seeds[0]}" if len(job.seeds) == 1 else f"{tally.runs:,} seeds from {job.seeds[0]}"
        if job.strategy.name == "exhaustive":
            seeds = f"every order of seed {job.seeds[0]}"
        count = job.scenario.consumers.count
        events = f"{tally.events // tally.runs:,} events" if tally.runs else "no events"
        return f"{events} · {count} consumer{'s' * (count > 1)} · engine {job.engine} · {self._store} · {seeds}"

    def _figures(self, tally: Tally) -> str:
        parts = []
        median, tail = tally.latency(0.5), tally.latency(0.99)
        if median is not None and tail is not None:
            parts.append(f"latency publish→effect p50 {in_words(median)}  p99 {in_words(tail)}")
        if tally.followers:
            parts.append(f"lost followers {tally.lost:,} ({tally.lost / tally.followers:.2%})")
        if tally.events:
            parts.append(f"Redis round trips/event {tally.round_trips / tally.events:.1f}")
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
        from simulation.cli.jobs import replay

        tally, write = outcome.tally, self._console.print
        for invariant, (count, seed, violation) in sorted(tally.violations.items(), key=lambda item: item[1][1]):
            runs = "orders" if outcome.explored else "seeds"
            share = f"in {count:,} of {tally.runs:,} {runs} ({count / tally.runs:.1%}), first at seed {seed}"
            write(f"  [bold red]violated[/]  {invariant}" + (f"  {share}" if tally.runs > 1 else ""))
            write(f"  because   {escape(violation.because.removeprefix('because '))}")
            write(f"  replay    {escape(replay(outcome, seed, self._given))}")

    def end(self, outcomes: Sequence[Outcome]) -> None:
        """Sum up, if there is more than one scenario to sum up."""
        if not self._speaks or len(outcomes) < 2:
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
