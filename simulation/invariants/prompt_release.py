"""prompt-release: once its leader was handled, a follower does not wait idle for longer than the release bound.

The wait begins with the later of the end of the leader's effect and the follower's own first delivery, and ends with the
start of the follower's first handling thereafter; if it never starts, with the end of the history. See `waiting.py` for
what does not count. A follower that was given up aloud waits no longer.
"""

from __future__ import annotations

from collections.abc import Iterator

from simulation.invariants.chronicle import Chronicle
from simulation.invariants.phrases import moments
from simulation.invariants.recording import completion
from simulation.invariants.records import NEVER, EventStory, Handling
from simulation.invariants.verdict import Invariant, Violation
from simulation.invariants.waiting import idle

NAME = "prompt-release"


def subjects(told: Chronicle) -> int:
    """Count the delivered events whose leader was handled."""
    return sum(1 for event in told if _ready(told, event) is not None)


def check(told: Chronicle) -> Iterator[Violation]:
    """Yield a violation for each follower that waited idle for too long."""
    for event in told:
        done = _ready(told, event)
        if done is None:
            continue
        since = max(done.end_at, event.deliveries[0].at)
        until = _until(told, event, since)
        excused = told.loss_allowed((event.name, event.leader), told.end)
        if not excused and idle(told, event, since, until) > told.terms.release_bound:
            yield _violation(told, event, done, until)


def _ready(told: Chronicle, event: EventStory) -> Handling | None:
    """Return the handling that completed the event's leader, if the event was delivered to somebody."""
    leader = told.leader_of(event)
    return completion(told, leader) if leader is not None and event.deliveries else None


def _until(told: Chronicle, event: EventStory, since: int) -> int:
    ends = [handling.start_at for handling in event.handlings[:1]]
    if event.dead != NEVER:
        ends.append(event.dead_at)
    return max(since, min(ends, default=told.end_at))


def _violation(told: Chronicle, event: EventStory, done: Handling, until: int) -> Violation:
    started = event.first_start
    first = event.parked_at if event.parked != NEVER else event.deliveries[0].at
    at, completed, still = moments(first, done.end_at, until)
    what = "parked" if event.parked != NEVER else "delivered"
    end = f"it did not start before {still}" if started else f"it was still waiting at {still}"
    witness = [
        event.deliveries[0].index,
        event.parked,
        done.start,
        done.end,
        started.start if started else told.end - 1,
    ]
    return Violation(
        NAME,
        until,
        (event.name, event.leader),
        tuple(dict.fromkeys([event.deliveries[0].consumer, done.consumer, *([started.consumer] if started else [])])),
        f"because event {event.name} was {what} at {at}, its leader {event.leader} completed at {completed}, and {end}",
        tuple(sorted({index for index in witness if index != NEVER})),
    )


INVARIANT = Invariant(
    name=NAME,
    summary="a follower starts within the release bound after its leader was handled and itself was delivered",
    excuses=(
        "time in which no consumer was alive or Redis was unreachable does not count, nor does time in which others of"
        " its family were being handled"
    ),
    subjects=subjects,
    check=check,
)
