"""How long a follower waited idle: what `prompt-release` and `lost-followers-surface` have in common.

Waiting counts only while something could have been done: not while no consumer was alive, unpaused and in reach of
Redis, and not while another event of the same family was being handled, since what is released together runs in order.
"""

from __future__ import annotations

from simulation.invariants.chronicle import Chronicle
from simulation.invariants.records import NEVER, EventStory
from simulation.invariants.spans import Span, merge


def idle(told: Chronicle, event: EventStory, since: int, until: int) -> int:
    """Return the microseconds of a wait in which nothing kept the event from being handled."""
    spent = told.clock.elapsed(since, until)
    if spent <= told.terms.release_bound:
        return spent  # it cannot get longer, and most waits end here
    busy = [(max(begin, since), min(end, until)) for begin, end in busy_spans(told, event)]
    return spent - sum(told.clock.elapsed(begin, end) for begin, end in busy if begin < end)


def busy_spans(told: Chronicle, event: EventStory) -> list[Span]:
    """Return the time in which others of the event's family were being handled."""
    root = told.roots[event.name]
    if root not in told.family_work:
        spans: dict[str, list[Span]] = {}
        for other in told:
            for handling in other.handlings:
                end = told.end_at if handling.end == NEVER else handling.end_at
                spans.setdefault(told.roots[other.name], []).append((handling.start_at, end))
        told.family_work.update({name: merge(found) for name, found in spans.items()})
        told.family_work.setdefault(root, [])
    return told.family_work[root]
