"""Cascades: what is handled because something else was, one after the other by the same consumer.

A released follower waits for its turn: its elder siblings run first, and what they release in turn. One that was lost,
or left behind by a consumer that died, waits for its turn with whoever finds it. Such waiting is not idleness, and this
file tells how long it lasted.
"""

from __future__ import annotations

from simulation.history.index import Chronicle
from simulation.history.intervals import Span, merge
from simulation.history.records import NEVER, EventStory, Handling


def owner_of(told: Chronicle, handling: Handling) -> Handling:
    """Return the handling that began the cascade in which a handling took place: itself, unless it was released."""
    path: list[Handling] = []
    while handling not in told.owners and (releaser := _releaser(told, handling)):
        path.append(handling)
        handling = releaser
    owner = told.owners.get(handling, handling)
    told.owners.update(dict.fromkeys(path, owner))
    return owner


def _releaser(told: Chronicle, handling: Handling) -> Handling | None:
    leader = told.leader_of(told.events[handling.event])
    if handling.via != "released" or leader is None:
        return None
    earlier = (h for h in reversed(leader.handlings) if h.start < handling.start and h.consumer == handling.consumer)
    return next(earlier, None)


def begun_by_finding(told: Chronicle, handling: Handling) -> bool:
    """Say whether a handling is in a cascade that its consumer did not release itself, but found: lost, or left behind.

    A sweep finds the followers of lost leaders, and those whose releaser died; a leader delivered again finds its own.
    """
    return owner_of(told, handling).via != "delivered"


def found_work(told: Chronicle, consumer: str = "") -> list[Span]:
    """Return the time in which a consumer, or any if none is named, was handling what it had found."""
    if not told.found_work:
        found: dict[str, list[Span]] = {"": []}
        for event in told.odd:
            for handling in event.handlings:
                if begun_by_finding(told, handling):
                    found.setdefault(handling.consumer, []).append(span_of(told, handling))
        told.found_work = {name: merge(spans) for name, spans in found.items()}
        told.found_work[""] = merge(span for spans in found.values() for span in spans)
    return told.found_work.get(consumer, [])


def closure(told: Chronicle, leader: EventStory, before: int) -> tuple[list[Span], list[int]]:
    """Return the time in which what a leader released was being handled, if it began before an index.

    And return, in their order, the moments at which such a handling ended without effect: whoever was to go on from
    there does not. The walk goes down from an event only if it was handled in that time: nothing below it was released
    otherwise.
    """
    busy: list[Span] = []
    failures: list[int] = []
    seen = {leader.name}
    below = list(leader.followers)
    while below:
        name = below.pop()
        event = told.events[name]
        first = event.first_start
        if name in seen or first is None or first.start >= before:
            continue
        seen.add(name)
        busy.extend(span_of(told, handling) for handling in event.handlings)
        failures.extend(h.end_at for h in event.handlings if h.end != NEVER and h.outcome != "ok")
        below.extend(event.followers)
    return merge(busy), sorted(failures)


def span_of(told: Chronicle, handling: Handling) -> Span:
    """Return the time of a handling; one that never ended lasts to the end of the history."""
    return handling.start_at, told.end_at if handling.end == NEVER else handling.end_at
