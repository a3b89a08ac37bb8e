"""handled-once: an event has at most one effect.

Each effect is compared with the one before it: if the earlier one was excused, so is everything before it. A second
effect is excused where no record of the first can have stopped it:

- the first holder died or was cut off between its effect and the recording of it (see `recording`); that is so, too,
  if it was paused or cut off for longer than its lease before the effect, and the second holder took the lapsed lease
  but had not begun when the effect ended: it begins within a second, and until then no sink can know of it,
- the seen marker had lived out its retention when the second handling started,
- the store lost the marker, or the lease, by an injected fault in between, or since the event was delivered to its
  first holder: the lease may have been taken then.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

from simulation.history.index import Chronicle
from simulation.history.records import EventStory, Handling
from simulation.invariants.recorded_effects import UNDERWAY, unrecorded
from simulation.invariants.time_format import moments
from simulation.invariants.verdict import Invariant, Violation

NAME = "handled-once"


def subjects(told: Chronicle) -> int:
    """Count the events that took effect."""
    return told.plain.events + sum(1 for event in told.odd if event.effects)


def check(told: Chronicle) -> Iterator[Violation]:
    """Yield a violation for each effect too many."""
    for event in told.odd:
        for first, second in _repeats(told, event):
            yield _violation(event, first, second)


def _repeats(told: Chronicle, event: EventStory) -> Iterator[tuple[Handling, Handling]]:
    """Yield each pair of consecutive effects of an event whose second is not excused."""
    for first, second in pairwise(event.effects):
        if not _excused(told, event, first, second):
            yield first, second


def _excused(told: Chronicle, event: EventStory, first: Handling, second: Handling) -> bool:
    if second.start_at >= first.end_at + told.terms.retention:
        return True
    if told.store_lost(event.name, _held_since(event, first), second.start):
        return True
    if second.start < first.end:
        return False
    return unrecorded(told, first, second.start) or _taken_over(told, first, second)


def _held_since(event: EventStory, handling: Handling) -> int:
    """Return the index from which on the holder can have had its lease: a batch may have been granted long before."""
    mine = (d.index for d in event.deliveries if d.consumer == handling.consumer and d.index < handling.start)
    return max(mine, default=handling.start)


def _taken_over(told: Chronicle, first: Handling, second: Handling) -> bool:
    """Say whether a lease had lapsed and was taken by another holder, who began just after the first had ended."""
    if first.consumer == second.consumer or second.start_at - first.end_at > UNDERWAY:
        return False
    return bool(told.lapses(first.consumer, first.start_at, first.end_at))


def _violation(event: EventStory, first: Handling, second: Handling) -> Violation:
    once, again, twice = moments(first.end_at, second.start_at, second.end_at)
    if second.start < first.end:
        then = f"and {second.consumer}, which had begun at {again}, handled it too at {twice}"
    else:
        then = f"and {second.consumer} handled it again from {again} to {twice}"
    return Violation(
        NAME,
        second.end_at,
        (event.name,),
        tuple(dict.fromkeys((first.consumer, second.consumer))),
        f"because {first.consumer} had handled event {event.name} at {once} {then}",
        tuple(sorted((first.start, first.end, second.start, second.end))),
    )


INVARIANT = Invariant(
    name=NAME,
    summary="an event has at most one effect",
    excuses=(
        "the holder crashed or was cut off between the effect and its recording; the seen marker's retention had"
        " passed; the store lost the marker by an injected fault"
    ),
    subjects=subjects,
    check=check,
)
