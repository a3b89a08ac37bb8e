"""mutual-exclusion: an event is not handled twice at the same time.

A crash ends a handling; a pause does not. Two handlings of one event may overlap only because the first holder could
not keep its lease, and only if its effect was refused:

    1. the first holder takes its lease, and is paused, cut off from Redis or refused by it until the lease has ended
    2. the lease expires, a second holder starts                       the overlap
    3. the first holder continues, and its late write is refused by its fencing token, or it never writes

The first holder is the one with the lower fencing token; without tokens, the one that started first. (A holder that is
paused between its lease and its handler starts *after* the second.) What counts is the last renewal before the silence,
not the length of the silence alone. A holder that renews in time has at least half a lease left when its silence
begins. So a second holder that starts sooner took a lease that had not ended; one that starts later may have taken one
that had. The lease ends by the clock of Redis: if that jumps ahead by half a lease, no holder can renew in time.

The first holder took its lease when the event was delivered to it, or later. One that found it in a sweep took it after
its sweep before had ended. One that released it took it after it had begun with what was delivered to it.

A demoted server refuses a holder from the first packet that it refused to the last one, also if the holder worked in
between: no entry says which of a client's connections a request took.

Where the scenario allows a loss of the store's data, a lease that can have been lost with it excuses an overlap, too.
"""

from __future__ import annotations

from collections.abc import Iterator
from heapq import heappop, heappush

from simulation.history.index import HistoryIndex
from simulation.history.records import NEVER, EventStory, Handling
from simulation.invariants.cascades import owner_of
from simulation.invariants.time_format import moment, moments
from simulation.invariants.verdict import Invariant, Violation

NAME = "mutual-exclusion"


def subjects(index: HistoryIndex) -> int:
    """Count the events that were handled."""
    return index.trivial.events + sum(1 for event in index.nontrivial if event.handlings)


def check(index: HistoryIndex) -> Iterator[Violation]:
    """Yield a violation for each handling that began while another of the same event was open."""
    for event in index.nontrivial:
        still_open: dict[int, Handling] = {}
        """The handlings by the indices of their starts."""
        ends: list[tuple[int, int]] = []
        """When they end, and their starts, as a heap."""
        for handling in event.handlings:
            while ends and ends[0][0] <= handling.start:
                del still_open[heappop(ends)[1]]
            for other in still_open.values():
                if not _excused(index, event, other, handling):
                    yield _violation(index, other, handling)
                    break
            still_open[handling.start] = handling
            heappush(ends, (index.end if handling.end == NEVER else handling.end, handling.start))


def _excused(index: HistoryIndex, event: EventStory, earlier: Handling, later: Handling) -> bool:
    first, second = (later, earlier) if _fence(later) < _fence(earlier) else (earlier, later)
    held = _held_since(index, event, first)
    since = min(held, _held_since(index, event, second))  # with the lease, the last token may be lost: the next is less
    if any(since < loss.index < later.start and loss.touches(event.name) for loss in index.allowed_losses):
        return True
    return not first.took_effect and index.lease_may_end(first.consumer, index.times[held], second.start_at)


def _held_since(index: HistoryIndex, event: EventStory, first: Handling) -> int:
    """Return the index from which on a holder can have had its lease, at the earliest."""
    if first.delivery:
        return first.delivery.index
    known = min(event.deliveries[0].index, first.start) if event.deliveries else first.start
    owner = owner_of(index, first)
    if owner.via == "delivered":
        return max(known, owner.delivery.index if owner.delivery else owner.start)
    sweeps = index.consumers[first.consumer].sweeps if first.consumer in index.consumers else []
    return max([known, *(number for number, _ in sweeps if number < owner.start)])


def _fence(handling: Handling) -> float:
    """Return a handling's fencing token as a number; without one, all are equal."""
    token = handling.fence
    if isinstance(token, (int, float)):
        return token
    return int(token) if isinstance(token, str) and token.isdecimal() else 0


def _violation(index: HistoryIndex, earlier: Handling, later: Handling) -> Violation:
    began, again = moments(earlier.start_at, later.start_at)
    open_until = "and had not ended" if earlier.end == NEVER else f"and went on until {moment(earlier.end_at)}"
    return Violation(
        NAME,
        later.start_at,
        (later.event,),
        tuple(dict.fromkeys((earlier.consumer, later.consumer))),
        f"because {earlier.consumer} handled event {later.event} from {began} {open_until},"
        f" but {later.consumer} began to handle it at {again}",
        tuple(number for number in (earlier.start, later.start, earlier.end) if number != NEVER),
    )


INVARIANT = Invariant(
    name=NAME,
    summary="handlings of one event never overlap (a crash ends a handling, a pause does not)",
    excuses=(
        "the first holder was paused or cut off until its lease had ended (half a lease after its last sign of "
        "life, at the earliest), and its late write was refused by its fencing token; a demoted server refused it "
        "for so long, unless its client reconnects then; the clock of Redis jumped ahead by so much; the lease can "
        "have been lost with data that the scenario allows to be lost"
    ),
    subjects=subjects,
    check=check,
    exercised_by=("redelivered", "lease-expired"),
    reading=(
        "The first consumer's handling was open for the time named first; the last time is when the second began. Ask "
        "what the first consumer was doing: if it was paused or cut off, its late write was not refused."
    ),
    holds_for_trivial=True,
    order_is_known=True,
    examples={
        "accepted": """\
{"at":0,"kind":"published","event":"a"}
{"at":1000000,"kind":"delivered","event":"a","consumer":"c1"}
{"at":1000000,"kind":"started","event":"a","consumer":"c1","handling":1}
{"at":2000000,"kind":"crashed","consumer":"c1"}
{"at":20000000,"kind":"delivered","event":"a","consumer":"c2"}
{"at":20000000,"kind":"started","event":"a","consumer":"c2","handling":2}
{"at":21000000,"kind":"ended","event":"a","consumer":"c2","handling":2,"outcome":"ok"}
""",
        "excused": """\
{"at":0,"kind":"published","event":"a"}
{"at":1000000,"kind":"delivered","event":"a","consumer":"c1"}
{"at":1000000,"kind":"started","event":"a","consumer":"c1","fence":7,"handling":1}
{"at":2000000,"kind":"paused","consumer":"c1"}
{"at":20000000,"kind":"started","event":"a","consumer":"c2","fence":8,"handling":2}
{"at":25000000,"kind":"ended","event":"a","consumer":"c2","handling":2,"outcome":"ok","write":"accepted"}
{"at":40000000,"kind":"resumed","consumer":"c1"}
{"at":40000000,"kind":"ended","event":"a","consumer":"c1","handling":1,"outcome":"ok","write":"refused"}
""",
        "rejected": """\
{"at":0,"kind":"published","event":"a"}
{"at":1000000,"kind":"delivered","event":"a","consumer":"c1"}
{"at":1000000,"kind":"started","event":"a","consumer":"c1","handling":1}
{"at":5000000,"kind":"delivered","event":"a","consumer":"c2"}
{"at":5000000,"kind":"started","event":"a","consumer":"c2","handling":2}
{"at":6000000,"kind":"ended","event":"a","consumer":"c1","handling":1,"outcome":"failed"}
{"at":9000000,"kind":"ended","event":"a","consumer":"c2","handling":2,"outcome":"ok"}
""",
    },
)
