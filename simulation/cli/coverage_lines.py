"""The coverage of a search, as lines for the terminal and for a build server."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from simulation.search.explore.strategies import DEPENDENT

if TYPE_CHECKING:
    from simulation.cli.jobs import Job
    from simulation.search.coverage.search_coverage import SearchCoverage
    from simulation.search.coverage.unseen import Unseen

_SHOWN = 3
"""Number of transitions and faults that are named on a terminal; --json names all."""


def is_independent(job: Job) -> bool:
    """Say whether a job's runs are drawn independently, so that unseen behaviours can be estimated from them."""
    return job.replay is None and not job.failed_before and job.strategy.name not in DEPENDENT


def headline(covered: SearchCoverage, *, independent: bool) -> str:
    """Return one sentence: the number of behaviours, that of new ones lately, and the estimate of unseen ones."""
    runs = len(covered.behaviours)
    if not runs:
        return "not measured: the runs are too long to be compared"
    distinct = covered.distinct
    line = f"{distinct:,} distinct behaviour{'s' * (distinct != 1)} in {runs:,} runs"
    if runs > 100:
        line += f", {covered.new_lately} new in the last 100"
    estimate = covered.unseen() if independent else None
    if estimate is None:
        return line
    return f"{line} · {_probably(estimate)}"


def _probably(estimate: Unseen) -> str:
    share = f"{estimate.estimate:.1%} ({estimate.low:.1%} to {estimate.high:.1%})"
    return f"the next run shows a new one with a probability of {share}"


def lines(covered: SearchCoverage, *, independent: bool) -> Iterator[str]:
    """Yield the coverage of a search, line by line."""
    yield headline(covered, independent=independent)
    if not covered.transitions:
        return
    never = covered.never
    line = f"{covered.hit} of {covered.hit + len(never)} transitions of the event model hit"
    if never:
        more = f" and {len(never) - _SHOWN} more" if len(never) > _SHOWN else ""
        line += f"; never: {'; '.join(map(_in_words, never[:_SHOWN]))}{more}"
    yield line
    if covered.faults_by_state:
        most = covered.faults_by_state.most_common(_SHOWN)
        rest = len(covered.faults_by_state) - len(most)
        named = ", ".join(f"{what} {count:,}" for what, count in most)
        yield f"faults by the state they struck: {named}{f' and {rest} more' if rest else ''}"


def _in_words(transition: str) -> str:
    """Return "delivered when abandoned" for the transition "abandoned · delivered"."""
    before, _, what = transition.partition(" · ")
    return f"{what} when {before}"
