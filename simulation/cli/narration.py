"""What `causim replay` and `causim shrink` print of a run."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.markup import escape

from reports.text.run_text import choices, facts, story, violation_of
from simulation.cli.terminal import Terminal

if TYPE_CHECKING:
    from simulation.world.run import Run


def tell_run(run: Run, invariant: str = "") -> None:
    """Print how a run came to violate an invariant; by default, its first violation."""
    write = Terminal().print
    write(escape(facts(run)))
    for line in choices(run):
        write(f"  {escape(line)}")
    violation = violation_of(run, invariant)
    if violation is None:
        return
    steps = []
    for told in story(run, violation):
        steps += [told.text.split()[0]] if told.witness else []
        write(f"[bold]{escape(told.text)}[/]" if told.witness else escape(told.text))
    write(f"  [bold red]violated[/]  {violation.invariant}")
    write(f"  because   {escape(violation.because.removeprefix('because '))}")
    if steps:  # without a clock all that happens at once has one time, and the order is what counts
        write(f"  rests on  step{'s' * (len(steps) > 1)} {', '.join(steps)}")
