"""lost-followers-surface: a follower whose leader never comes is handled all the same, soon after the lookback.

The bound is the lookback, one interval of the sweep and the release bound, counted from the follower's first delivery; an
event further down the chain waits for the one above it, so for it the bound begins with the latest first delivery of the
chain down to it. Below a lost leader, causal order holds from the first event that surfaced on: `causal-order` says so.
"""

from __future__ import annotations

from collections.abc import Iterator

from simulation.invariants.chronicle import Chronicle
from simulation.invariants.phrases import moment, moments
from simulation.invariants.records import NEVER, EventStory
from simulation.invariants.verdict import Invariant, Violation
from simulation.invariants.waiting import idle

NAME = "lost-followers-surface"


def subjects(told: Chronicle) -> int:
    """Count the delivered events below a leader that was delivered to nobody."""
    return len(told.lost_chains)


def check(told: Chronicle) -> Iterator[Violation]:
    """Yield a violation for each such event that did not surface in time."""
    bound = told.terms.lookback + told.terms.sweep_interval + told.terms.release_bound
    for name in told.lost_chains:
        event = told.events[name]
        if not event.deliveries or event.name in told.cycles or told.loss_allowed((name,), told.end):
            continue
        since = _since(told, event)
        until = _until(told, event, since)
        if idle(told, event, since, until) > bound:
            yield _violation(told, event, since, until, bound)


def _since(told: Chronicle, event: EventStory) -> int:
    latest = 0
    above: EventStory | None = event
    while above is not None and above.name in told.lost_chains:
        if above.deliveries:
            latest = max(latest, above.deliveries[0].at)
        above = told.leader_of(above)
    return latest


def _until(told: Chronicle, event: EventStory, since: int) -> int:
    ends = [handling.start_at for handling in event.handlings[:1]]
    if event.dead != NEVER:
        ends.append(event.dead_at)
    return max(since, min(ends, default=told.end_at))


def _violation(told: Chronicle, event: EventStory, since: int, until: int, bound: int) -> Violation:
    leader = told.lost_chains[event.name]
    delivered, still = moments(event.deliveries[0].at, until)
    end = f"it did not surface before {still}" if event.handlings else f"it was still waiting at {still}"
    witness = [event.deliveries[0].index, event.parked, event.handlings[0].start if event.handlings else told.end - 1]
    return Violation(
        NAME,
        until,
        (event.name, leader),
        (event.deliveries[0].consumer,),
        f"because event {event.name} was delivered at {delivered}, its leader {leader} never came, and {end},"
        f" although {moment(bound)} after {moment(since)} would have been in time",
        tuple(sorted({index for index in witness if index != NEVER})),
    )


INVARIANT = Invariant(
    name=NAME,
    summary="a follower whose leader never comes is handled within lookback, one sweep and the release bound",
    excuses="none; time in which nothing could be done does not count",
    subjects=subjects,
    check=check,
)
