"""TrivialCounts lives: those of events about which no invariant has anything to say. In a long history most lives are
plain.

An event has led a plain life if it was published, delivered once, handled once because of that, to good effect, and
acknowledged; if all of that was over sooner than any bound; and if its leader, where it has one, had done the same
before. Nobody parked it, refused it, gave it up or died with it in hands.

No member of a cycle is plain, since none can be the first whose leader was: leaders are marked before their followers.

Every invariant holds for such an event and knows how often it examined one, so each looks at the *odd* events alone,
and at the leaders that are odd or have an odd follower. This file knows which events are plain once they are arranged,
`sieve.py` which families are as their lines are read; what either calls odd without need costs time and changes no
judgement. The sieve goes further, since it sees whole families: it calls a life plain, too, in which the event was
parked and handled in its turn, or delivered again and refused. What the invariants count of those is in
`TrivialCounts`.
"""

from __future__ import annotations

from array import array
from collections.abc import Mapping, Sequence

from simulation.history.entries import Terms
from simulation.history.index import HistoryIndex
from simulation.history.records import NEVER, EventStory, TrivialCounts


def bound_of(terms: Terms) -> int:
    """Return for how long a plain life may last, from its delivery to the answer."""
    return min(terms.lease, terms.release_bound, terms.stuck_bound)


def sort_out(
    events: Mapping[str, EventStory], times: Sequence[int], terms: Terms
) -> tuple[TrivialCounts, list[EventStory], list[EventStory]]:
    """Mark the plain events, and return their numbers, the odd events, and the leaders in whose families one is odd."""
    bound = bound_of(terms)
    plain = TrivialCounts()
    odd: list[EventStory] = []
    ends = array("q", [NEVER]) * len(events)
    """When each plain event had ended, by its number."""
    for event in events.values():
        course = event.course
        if course and _was_plain(event) and times[course[3]] - times[course[0]] <= bound:
            leader = events[event.leader] if event.leader else None
            if leader is None or NEVER < ends[leader.number] < course[0]:
                event.plain = True
                ends[event.number] = course[2]
                plain.events += 1
                plain.deliveries += 1
                plain.followers += leader is not None
                continue
        odd.append(event)
    leaders = {event.number: event for event in odd if event.followers}
    for event in odd:
        if event.leader:
            leader = events[event.leader]
            leaders[leader.number] = leader
    ordered = [leaders[number] for number in sorted(leaders)]
    among_odd = sum(1 for leader in ordered for name in leader.followers if events[name].plain)
    plain.apart = plain.followers - among_odd
    return plain, odd, ordered


def keep_all(index: HistoryIndex) -> HistoryIndex:
    """Set no event of an index apart, whatever was before; return the index."""
    for event in index:
        event.plain = False
    index.plain, index.odd = TrivialCounts(), list(index)
    index.leaders = [event for event in index if event.followers]
    return index


def _was_plain(event: EventStory) -> bool:
    return event.published != NEVER and event.parked == event.dead == NEVER and not event.seen and not event.untold
