"""What `causim replay` and `causim shrink` print of a run: its size, its interruptions, and its story step by step."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.console import Console
from rich.markup import escape

if TYPE_CHECKING:
    from simulation.invariants import Violation
    from simulation.world import Run

LONGEST = 120
"""How many steps of a story are printed."""


def tell_run(run: Run, invariant: str = "") -> None:
    """Print how a run came to violate an invariant, its first violation by default."""
    write = Console(highlight=False, soft_wrap=True).print
    header = run.history.header
    count = run.scenario.consumers.count
    write(
        f"[bold]{escape(header.scenario)}[/] · {run.counts.events:,} event{'s' * (run.counts.events != 1)} · "
        f"{count} consumer{'s' * (count != 1)} · engine {escape(header.engine)} · {header.store} · seed {run.seed}"
    )
    for line in choices_told(run):
        write(f"  {escape(line)}")
    violation = _chosen(run, invariant)
    if violation is None:
        return
    for line in story_told(run, violation):
        write(line)
    write(f"  [bold red]violated[/]  {violation.invariant}")
    write(f"  because   {escape(violation.because.removeprefix('because '))}")


def _chosen(run: Run, invariant: str) -> Violation | None:
    found = run.judgement.violations
    return next((v for v in found if v.invariant == invariant), found[0] if found else None)


def choices_told(run: Run) -> list[str]:
    """Return what was chosen in a run, in words, a line for each interruption."""
    from reports.narrative import Naming

    if run.steps is None:
        return ["the order follows from drawn delays"]
    naming = Naming(run.history)
    if not run.steps.deviations:
        return ["choices: everybody goes on with what they do; nothing is interrupted"]
    return [
        f"choice {number}: {naming.sentence(came.about)}, before {naming.sentence(first.about)}"
        for number, (came, first) in enumerate(run.steps.deviations, start=1)
    ]


def story_told(run: Run, violation: Violation) -> list[str]:
    """Return the story of a violation as numbered lines of markup."""
    from reports.narrative import narrate
    from reports.sentences import moment

    narrative = narrate(run.history, violation)
    lines = []
    for number, told in enumerate(narrative.lines[:LONGEST], start=1):
        text = f"{number:>4}  {moment(told.at):>12}  {told.who:<4} {escape(told.words)}"
        lines.append(f"[bold]{text}[/]" if told.witness else text)
    if len(narrative.lines) > LONGEST:
        lines.append(f"      … and {len(narrative.lines) - LONGEST:,} more steps; the history has them")
    if narrative.omitted:
        lines.append(f"      {narrative.omitted:,} commands about nothing of this were left out")
    return lines
