"""sibling-order: what waited for the same leader starts in the order in which it occurred.

The followers of one leader that were parked when its effect ended, and had not started, start in the order of `occurred`,
ties by their ids as text. A sibling that occurred later and was delivered later does not start before one of them that
has not started. What counts is the start of the first handling: a retry after a failure is not a start.

A handling that a dead or paused consumer left behind makes its event start again elsewhere; the first start stands.
"""

from __future__ import annotations

from collections.abc import Iterator

from simulation.invariants.chronicle import Chronicle
from simulation.invariants.phrases import moments
from simulation.invariants.recording import completion
from simulation.invariants.records import NEVER, EventStory, Handling
from simulation.invariants.verdict import Invariant, Violation

NAME = "sibling-order"


def subjects(told: Chronicle) -> int:
    """Count the leaders that had followers parked when they were handled."""
    return sum(1 for leader in told if len(_parked(told, leader)) > 0)


def check(told: Chronicle) -> Iterator[Violation]:
    """Yield a violation for each parked follower that was overtaken by a later sibling."""
    for leader in told:
        parked = _parked(told, leader)
        if not parked:
            continue
        released = completion(told, leader)
        assert released is not None
        rivals = [s for s in told.followers_of(leader) if s.first_start and s.first_start.start > released.end]
        yield from _overtaken(told, leader, parked, rivals)


def _parked(told: Chronicle, leader: EventStory) -> list[EventStory]:
    """Return the followers that were parked, and had not started, when a leader was handled; in their order."""
    done = completion(told, leader)
    if done is None:
        return []
    waiting = [
        follower
        for follower in told.followers_of(leader)
        if NEVER < follower.parked < done.end and not (follower.first_start and follower.first_start.start < done.end)
    ]
    return sorted(waiting, key=lambda follower: follower.order)


def _overtaken(
    told: Chronicle, leader: EventStory, parked: list[EventStory], rivals: list[EventStory]
) -> Iterator[Violation]:
    # In the order of their starts, no start may come before that of a parked sibling that occurred earlier: one walk
    # from the last to the first finds the earliest start among all later siblings.
    names = {follower.name for follower in parked}
    ordered = sorted(rivals, key=lambda sibling: sibling.order)
    earliest: Handling | None = None
    for sibling in reversed(ordered):
        start = sibling.first_start
        assert start is not None
        if sibling.name in names and earliest is not None and earliest.start < start.start:
            if not told.loss_allowed((sibling.name, leader.name), told.end):
                yield _violation(told, leader, sibling, earliest)
        if earliest is None or start.start < earliest.start:
            earliest = start


def _violation(told: Chronicle, leader: EventStory, sibling: EventStory, rival: Handling) -> Violation:
    start = sibling.first_start
    done = completion(told, leader)
    assert start is not None
    assert done is not None
    began, late = moments(rival.start_at, start.start_at)
    return Violation(
        NAME,
        rival.start_at,
        (sibling.name, rival.event, leader.name),
        tuple(dict.fromkeys([rival.consumer, start.consumer])),
        f"because event {sibling.name} was parked when its leader {leader.name} completed, but its later sibling"
        f" {rival.event} started at {began}, before it did at {late}",
        tuple(sorted({sibling.parked, done.end, rival.start, start.start})),
    )


INVARIANT = Invariant(
    name=NAME,
    summary="followers that were parked when their leader completed start in the order they occurred",
    excuses="none; ties are broken by the ids as text",
    subjects=subjects,
    check=check,
)
