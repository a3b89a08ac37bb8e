"""The output of `causim replay` and `causim shrink` about a run."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.markup import escape

from reports.text.run_text import choices, facts, story, violation_of
from simulation.cli.terminal import Terminal

if TYPE_CHECKING:
    from simulation.world.run import Run


def print_run(run: Run, invariant: str = "") -> None:
    """Print how a run came to violate an invariant; by default, its first violation."""
    write = Terminal().print
    write(escape(facts(run)))
    for choice in choices(run):
        write(f"  {escape(choice)}")
    violation = violation_of(run, invariant)
    if violation is None:
        return
    steps = []
    for line in story(run, violation):
        steps += [line.text.split()[0]] if line.witness else []
        write(f"[bold]{escape(line.text)}[/]" if line.witness else escape(line.text))
    write(f"  [bold red]violated[/]  {violation.invariant}")
    write(f"  because   {escape(violation.because.removeprefix('because '))}")
    if steps:  # without a clock all that happens at once has one time, and the order is what counts
        write(f"  rests on  step{'s' * (len(steps) > 1)} {', '.join(steps)}")
