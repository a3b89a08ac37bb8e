"""Cascades: events that one consumer handles one after the other, because it handled something before.

A released follower waits for its turn: its elder siblings run first, and what they release. An event that was rescued,
or taken over from a consumer that died, waits for its turn at the consumer that found it. Such waiting is not idle;
this module computes how long it lasted.
"""

from __future__ import annotations

from bisect import bisect_left
from itertools import chain

from simulation.history.index import HistoryIndex
from simulation.history.intervals import Span, everywhere, merge
from simulation.history.records import NEVER, EventStory, Handling


def owner_of(index: HistoryIndex, handling: Handling) -> Handling:
    """Return the handling that began the cascade in which a handling took place: itself, unless it was released."""
    path: list[Handling] = []
    while handling not in index.owners and (releaser := _releaser(index, handling)):
        path.append(handling)
        handling = releaser
    owner = index.owners.get(handling, handling)
    index.owners.update(dict.fromkeys(path, owner))
    return owner


def _releaser(index: HistoryIndex, handling: Handling) -> Handling | None:
    leader = index.leader_of(index.events[handling.event])
    if handling.via != "released" or leader is None:
        return None
    earlier = (h for h in reversed(leader.handlings) if h.start < handling.start and h.consumer == handling.consumer)
    return next(earlier, None)


def begun_by_finding(index: HistoryIndex, handling: Handling) -> bool:
    """Say whether a handling is in a cascade that its consumer did not release itself, but found: lost, or left behind.

    A sweep finds followers of missing leaders, and those whose releaser died; a leader delivered again finds its own.
    """
    return owner_of(index, handling).via != "delivered"


def found_last(index: HistoryIndex, consumer: str, before: int) -> list[Span]:
    """Return the time in which a consumer was handling what its last sweep before an index had found.

    A sweep's list ends where the consumer writes down that the sweep has ended.
    """
    story = index.consumers.get(consumer)
    if story is None:
        return []
    earlier = bisect_left(story.sweeps, (before, -1))
    since = story.sweeps[earlier - 1][1] if earlier else 0
    return [(max(begin, since), end) for begin, end in found_work(index, consumer) if end > since]


def lists_in_hand(index: HistoryIndex, due_at: int, before: int) -> list[Span]:
    """Return the time in which an event that is due since `due_at` microseconds can be on a list in hand.

    Sweeps share what they find, so the list need not be that of the consumer that handles the event in the end. It is
    one that began when the event was due, and that had not ended at the index `before`.
    """
    lists = (found_last(index, name, before) for name in index.consumers)
    return merge(chain.from_iterable(spans for spans in lists if spans and spans[0][0] >= due_at))


def no_consumer_free(index: HistoryIndex) -> list[Span]:
    """Return the time in which every consumer was handling what it had found, or could not work: none could sweep or
    take over.
    """
    lanes = []
    for name, story in index.consumers.items():
        busy = [
            *story.down,
            *story.paused,
            *story.cut_off,
            *index.outages,
            *index.slot_moves,
            *found_work(index, name),
        ]
        lanes.append(merge(busy))
    return everywhere(lanes) if all(lanes) else []


def found_work(index: HistoryIndex, consumer: str) -> list[Span]:
    """Return the time in which a consumer was handling what it had found."""
    if not index.found_work:
        found: dict[str, list[Span]] = {"": []}
        for event in index.nontrivial:
            for handling in event.handlings:
                if begun_by_finding(index, handling):
                    found.setdefault(handling.consumer, []).append(span_of(index, handling))
        index.found_work = {name: merge(spans) for name, spans in found.items()}
    return index.found_work.get(consumer, [])


def closure(index: HistoryIndex, leader: EventStory, before: int) -> tuple[list[Span], dict[str, int]]:
    """Return the time in which what a leader released was being handled, if it began before an index.

    And return, for each event of which a handling failed, the moment of the first failure: its consumer does not go on
    from there. The walk goes down from an event only if it was handled in that time: nothing below it was released
    otherwise.
    """
    busy: list[Span] = []
    failures: dict[str, int] = {}
    seen = {leader.name}
    below = list(leader.followers)
    while below:
        name = below.pop()
        event = index.events[name]
        first = event.first_start
        if name in seen or first is None or first.start >= before:
            continue
        seen.add(name)
        for handling in event.handlings:
            busy.extend(attended(index, handling))
            if handling.end != NEVER and handling.outcome == "failed":
                failures.setdefault(name, handling.end_at)
        below.extend(event.followers)
    return merge(busy), failures


def attended(index: HistoryIndex, handling: Handling) -> list[Span]:
    """Return the time in which a handling holds up the events behind it.

    It does not while its holder is silent for so long that its lease may end: another consumer is to take over then,
    and the time for that is counted with that of all deaths and silences.
    """
    begin, end = span_of(index, handling)
    spans = []
    for since, until in index.lapses(handling.consumer, begin, end):
        spans.append((begin, max(begin, since)))
        begin = min(end, until)
    return [*spans, (begin, end)]


def span_of(index: HistoryIndex, handling: Handling) -> Span:
    """Return the time of a handling; one that never ended lasts to the end of the history."""
    return handling.start_at, index.end_at if handling.end == NEVER else handling.end_at
