"""sibling-order: the followers of one leader start in the order in which they occurred.

Followers that were parked when their leader completed, and had not been handled, start in order of `occurred`; equal
ones in order of their ids, compared as text. What counts is the start of the first handling. No sibling that occurred
later may start before them, not even one that arrives only after the leader had completed. One that occurred earlier
and arrives late may.

An event that was given up, and never handled, holds up no sibling; nor does one that a consumer could not read after
its leader's completion: it has had its turn; nor one that the store has lost since it was delivered, and of which a
copy was delivered that follows another event: that copy may be all that an engine knows. If the history does not show
how all handlings of an event began and ended, its start is not known.
"""

from __future__ import annotations

from collections.abc import Iterator

from simulation.history.index import HistoryIndex
from simulation.history.records import NEVER, EventStory, Handling
from simulation.invariants.copies import misleading
from simulation.invariants.recorded_effects import completion
from simulation.invariants.time_format import moment, moments
from simulation.invariants.verdict import Invariant, Violation

NAME = "sibling-order"


def subjects(index: HistoryIndex) -> int:
    """Count the followers that were parked beside a sibling when their leader completed."""
    return index.trivial.beside + sum(
        sum(1 for follower in index.followers_of(leader) if _waited(follower, done)) for leader, done in _leaders(index)
    )


def check(index: HistoryIndex) -> Iterator[Violation]:
    """Yield a violation for each parked follower that a later sibling overtook."""
    for leader, done in _leaders(index):
        ahead: Handling | None = None
        for follower in sorted(index.followers_of(leader), key=lambda event: event.order, reverse=True):
            first = follower.first_start
            overtaken = ahead and _waited(follower, done) and (first is None or ahead.start < first.start)
            if ahead and overtaken and not _excused(index, follower, done, ahead):
                yield _violation(index, leader, done, follower, ahead)
            if first and first.start > done.end and (ahead is None or first.start < ahead.start):
                ahead = first


def _leaders(index: HistoryIndex) -> Iterator[tuple[EventStory, Handling]]:
    for leader in index.leaders:
        if len(leader.followers) > 1 and not leader.incomplete and (done := completion(index, leader)):
            yield leader, done


def _waited(follower: EventStory, done: Handling) -> bool:
    """Say whether a follower was parked, and neither handled nor given up, when its leader completed."""
    first = follower.first_start
    return (
        NEVER < follower.parked < done.end
        and not follower.incomplete
        and (first is None or first.start > done.end)
        and not NEVER < follower.dead < done.end
    )


def _excused(index: HistoryIndex, follower: EventStory, done: Handling, ahead: Handling) -> bool:
    given_up = follower.first_start is None and follower.dead != NEVER
    unread = any(done.end < at < ahead.start for at, _ in follower.unread)
    misled = misleading(index, follower, ahead.start)
    return given_up or unread or bool(misled) or index.loss_allowed(follower, ahead.start)


def _violation(
    index: HistoryIndex, leader: EventStory, done: Handling, follower: EventStory, ahead: Handling
) -> Violation:
    first = follower.first_start
    done_at, ahead_at = moments(done.end_at, ahead.start_at)
    turn = f"started only at {moment(first.start_at)}" if first else "never started"
    why = "occurred earlier" if follower.occurred < index.events[ahead.event].occurred else "has the lower id"
    return Violation(
        NAME,
        ahead.start_at,
        (follower.name, ahead.event, leader.name),
        tuple(dict.fromkeys([ahead.consumer, *([first.consumer] if first else [])])),
        f"because event {follower.name} was parked when its leader {leader.name} completed at {done_at}, and {why},"
        f" but its sibling {ahead.event} started at {ahead_at} and {follower.name} {turn}",
        tuple(sorted([follower.parked, done.end, ahead.start, *([first.start] if first else [])])),
    )


INVARIANT = Invariant(
    name=NAME,
    summary=(
        "followers of one leader that were parked when it completed start in order of `occurred`, ties by id;"
        " a later sibling does not overtake them"
    ),
    excuses=(
        "an event that was dead-lettered instead of handled; one that a consumer could not read after its leader's "
        "completion; one of which after a loss only a copy that follows another event is known; losses that the "
        "scenario allows"
    ),
    subjects=subjects,
    check=check,
    exercised_by=("parked", "released"),
    reading=(
        "The first event is the one that was overtaken. It was parked in time, and has the earlier `occurred` or the "
        "lower id; the sibling started first all the same."
    ),
    needs=frozenset({"outcomes"}),
    holds_for_trivial=True,
    order_is_known=True,
    examples={
        "accepted": """\
{"at":0,"kind":"published","event":"b","follows":"a","occurred":1000000}
{"at":0,"kind":"published","event":"c","follows":"a","occurred":2000000}
{"at":0,"kind":"parked","event":"c","consumer":"c1"}
{"at":0,"kind":"parked","event":"b","consumer":"c1"}
{"at":1000000,"kind":"started","event":"a","consumer":"c2","handling":1}
{"at":2000000,"kind":"ended","event":"a","consumer":"c2","handling":1,"outcome":"ok"}
{"at":2000000,"kind":"started","event":"b","consumer":"c2","handling":2,"via":"released"}
{"at":3000000,"kind":"started","event":"c","consumer":"c2","handling":3,"via":"released"}
""",
        "rejected": """\
{"at":0,"kind":"published","event":"b","follows":"a","occurred":1000000}
{"at":0,"kind":"published","event":"c","follows":"a","occurred":2000000}
{"at":0,"kind":"parked","event":"c","consumer":"c1"}
{"at":0,"kind":"parked","event":"b","consumer":"c1"}
{"at":1000000,"kind":"started","event":"a","consumer":"c2","handling":1}
{"at":2000000,"kind":"ended","event":"a","consumer":"c2","handling":1,"outcome":"ok"}
{"at":2000000,"kind":"started","event":"c","consumer":"c2","handling":2,"via":"released"}
{"at":3000000,"kind":"started","event":"b","consumer":"c2","handling":3,"via":"released"}
""",
    },
)
