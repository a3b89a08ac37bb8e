"""Trivial lives: those of events that no invariant can reject. In a long history most are trivial.

The life of an event is trivial if all of these hold:

- it was published, delivered once, handled once because of that delivery, with success, and acknowledged;
- this took no longer than any bound of the judge;
- its leader, if it has one, had done the same before;
- it was never parked, refused or given up, and its consumer did not die with it.

No member of a cycle is trivial: leaders are marked before their followers, so none of the cycle can be the first.

Every invariant that sets `holds_for_trivial` holds for such an event and counts how many it examined, so it reads the
other events alone, and the leaders that are not trivial or have a follower that is not. This module finds the trivial
events of an index, `automaton.py` the trivial families while the lines are read. A trivial event that either does not
recognise costs time and changes no judgement. The automaton sees whole families, so for it a life is trivial, too, in
which the event was parked and handled in its turn, or delivered again and refused. What the invariants count of those
is in `TrivialCounts`.
"""

from __future__ import annotations

from array import array
from collections.abc import Mapping, Sequence

from simulation.history.entries import Terms
from simulation.history.index import HistoryIndex
from simulation.history.records import NEVER, EventStory, TrivialCounts


def bound_of(terms: Terms) -> int:
    """Return how long a trivial life may last, from its delivery to the answer, in microseconds."""
    return min(terms.lease, terms.release_bound, terms.stuck_bound)


def sort_out(
    events: Mapping[str, EventStory], times: Sequence[int], terms: Terms
) -> tuple[TrivialCounts, list[EventStory], list[EventStory]]:
    """Mark the plain events, and return their numbers, the odd events, and the leaders in whose families one is odd."""
    bound = bound_of(terms)
    trivial = TrivialCounts()
    nontrivial: list[EventStory] = []
    ends = array("q", [NEVER]) * len(events)
    """The index of the end of each trivial event, by its number."""
    for event in events.values():
        course = event.course
        if course and _was_trivial(event) and times[course[3]] - times[course[0]] <= bound:
            leader = events[event.leader] if event.leader else None
            if leader is None or NEVER < ends[leader.number] < course[0]:
                event.trivial = True
                ends[event.number] = course[2]
                trivial.events += 1
                trivial.deliveries += 1
                trivial.followers += leader is not None
                continue
        nontrivial.append(event)
    leaders = {event.number: event for event in nontrivial if event.followers}
    for event in nontrivial:
        if event.leader:
            leader = events[event.leader]
            leaders[leader.number] = leader
    ordered = [leaders[number] for number in sorted(leaders)]
    among_nontrivial = sum(1 for leader in ordered for name in leader.followers if events[name].trivial)
    trivial.apart = trivial.followers - among_nontrivial
    return trivial, nontrivial, ordered


def keep_all(index: HistoryIndex) -> HistoryIndex:
    """Take no event of an index for trivial, and return the index."""
    for event in index:
        event.trivial = False
    index.trivial, index.nontrivial = TrivialCounts(), list(index)
    index.leaders = [event for event in index if event.followers]
    return index


def _was_trivial(event: EventStory) -> bool:
    return event.published != NEVER and event.parked == event.dead == NEVER and not event.seen and not event.incomplete
