"""handled-once: an event has at most one effect, and never both an effect and a dead letter.

Each effect is compared with the one before it: if the earlier one was excused, so is everything before it. A second
effect is excused where no record of the first can have prevented it:

- The first holder died or was cut off between its effect and the recording of it (see `recorded_effects.py`). The same
  holds if it was paused or cut off for longer than its lease before the effect, and another consumer took the expired
  lease but had not begun when the effect ended: it begins within a second, and until then it cannot be known; or it was
  given the event in the first one's handling, and died after the lease, before it began. Of an event that the engine
  itself handed out, a sweep may have been given it: nothing shows that of a consumer that died in the handling after
  the lease, but then the event is begun again, or given up, within one lease, one sweep and the release bound, in idle
  time. None of this holds for a holder that began then with a follower which only its effect can have released.
- The retention of the seen marker had passed when the second handling started, by the clock of Redis: if that jumped
  ahead in between, it has passed sooner by that much.
- The store lost the marker, or the lease, by an injected fault in between, or since the event was delivered to its
  first holder: the lease may have been taken then.

A dead letter beside an effect is excused as a second effect would be, whichever came first. It is also excused

- if the broker wrote it and had made a second copy of the event, or gave it up while it was being handled, or while
  the consumer of the effect had it and had not answered, until at most one lease after the effect: the broker counts
  by copies, and no engine can take its dead letter back; but an engine that knows of the dead letter begins no
  handling later than a lease after it;
- if a consumer could not reach Redis while it had the event: Redis may have executed its request, so that the engine
  has the event, and the consumer never received the reply, or it sends its request later, unaware of the dead letter;
- if a consumer died or stopped while it had the event, the broker wrote it after it had offered the event since only to
  consumers that could not read it, by an injected fault, and did not report it to the engine: the engine may have it;
- if a consumer that had the event could not answer for it, and the broker wrote it later and did not report it: the
  engine may have kept the event. That consumer was cancelled, or it rejected the event after a fault by which it may
  not have heard what Redis had done (a lost or late reply, a closed connection). An effect from before the dead letter
  is excused only if no other consumer answered after that;
- if the broker wrote it and, since the effect, offered the event only to consumers that could not read it, by an
  injected fault: no engine could report to the broker that the event was done;
- if an engine wrote it while the holder was silent for so long that its lease may have ended, and the holder's handler
  went on to its end: a dead letter has no fencing token that could refuse the late write.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

from simulation.history.index import HistoryIndex
from simulation.history.records import NEVER, Delivery, EventStory, Handling
from simulation.invariants.recorded_effects import taken_over, unrecorded
from simulation.invariants.time_format import moments
from simulation.invariants.verdict import Invariant, Violation

NAME = "handled-once"


def subjects(index: HistoryIndex) -> int:
    """Count the events that took effect."""
    return index.trivial.events + sum(1 for event in index.nontrivial if event.effects)


def check(index: HistoryIndex) -> Iterator[Violation]:
    """Yield a violation for each effect too many, and for each dead letter beside an effect."""
    for event in index.nontrivial:
        for first, second in _repeats(index, event):
            yield _violation(event, first, second)
        if event.dead != NEVER and event.effects and (effect := _beside(index, event)):
            yield _both(event, effect)


def _repeats(index: HistoryIndex, event: EventStory) -> Iterator[tuple[Handling, Handling]]:
    """Yield each pair of consecutive effects of an event whose second is not excused."""
    for first, second in pairwise(event.effects):
        if not _excused(index, event, first, second):
            yield first, second


def _excused(index: HistoryIndex, event: EventStory, first: Handling, second: Handling) -> bool:
    if second.start_at >= index.store_clock.due(first.end_at, index.terms.retention):
        return True
    if index.store_lost(event.name, _held_since(event, first), second.start):
        return True
    if second.start < first.end:
        return False
    return unrecorded(index, first, second.start) or taken_over(index, event, first)


def _held_since(event: EventStory, handling: Handling) -> int:
    """Return the index from which on the holder can have had its lease: a batch may have been granted long before."""
    mine = (d.index for d in event.deliveries if d.consumer == handling.consumer and d.index < handling.start)
    return max(mine, default=handling.start)


def _beside(index: HistoryIndex, event: EventStory) -> Handling | None:
    """Return the effect beside which a dead letter must not be, or None if each is excused."""
    if event.dead_by == "broker" and (
        event.duplicated
        or any(h.open_at(event.dead) for h in event.handlings)
        or _taken_unheard(index, event)
        or _gone(event)
    ):
        return None
    return next((effect for effect in event.effects if not _may_be_both(index, event, effect)), None)


def _offered_without_success(event: EventStory, effect: Handling) -> bool:
    """Say whether the broker gave up an event that, since its effect, no consumer it was offered to could read."""
    since = [d for d in event.deliveries if effect.end < d.index < event.dead]
    return event.dead_by == "broker" and bool(since) and all(event.unread_in(delivery) for delivery in since)


def _outlived(index: HistoryIndex, event: EventStory, effect: Handling) -> bool:
    """Say whether an engine gave up an event whose holder was silent until its lease may have ended."""
    silent = effect.open_at(event.dead) and event.dead_by != "broker"
    return silent and index.lease_may_end(effect.consumer, effect.start_at, event.dead_at)


def _unanswered(index: HistoryIndex, event: EventStory, effect: Handling) -> bool:
    """Say whether a dead letter came while the consumer of an effect had the event, and had not answered."""
    recording = event.dead_by == "broker" and event.dead_at - effect.end_at <= index.terms.lease
    ignored = event.dead_reported and effect.start_at - event.dead_at > index.terms.lease
    return (recording and not ignored) and any(
        delivery.consumer == effect.consumer
        and delivery.index < min(effect.end, event.dead)
        and (delivery.closed == NEVER or delivery.closed >= event.dead)
        for delivery in event.deliveries
    )


def _taken_unheard(index: HistoryIndex, event: EventStory) -> bool:
    """Say whether an engine can have taken an event that the broker gave up, as a consumer's answer did not come."""
    return any(
        delivery.at <= end
        and begin <= index.times[event.dead if delivery.closed == NEVER else min(delivery.closed, event.dead)]
        for delivery in event.deliveries
        if delivery.index < event.dead
        for begin, end in index.silences(delivery.consumer)
    )


def _kept(index: HistoryIndex, event: EventStory, effect: Handling) -> bool:
    """Say whether the engine may have kept an event, of which the broker did not report that it gave it up."""
    if event.dead_by != "broker" or event.dead_reported:
        return False
    answers = sorted((d for d in event.deliveries if NEVER < d.closed < event.dead), key=lambda one: one.closed)
    return any(_speechless(index, one) for one in (answers if effect.start > event.dead else answers[-1:]))


def _speechless(index: HistoryIndex, delivery: Delivery) -> bool:
    """Say whether a consumer could not answer for an event that it rejected, or may not have known what to answer."""
    unheard = (at for at, name in index.unheard if name == delivery.consumer)
    cut_short = delivery.because == "CancelledError" or any(delivery.index < at < delivery.closed for at in unheard)
    return delivery.closing == "rejected" and cut_short


def _gone(event: EventStory) -> bool:
    """Say whether a consumer died or stopped with an event that, from then on, no consumer could read."""
    before = [delivery for delivery in event.deliveries if delivery.index < event.dead]
    ends = [one.closed for one in before if one.closing in ("crashed", "stopped") and one.closed < event.dead]
    last = max(ends, default=NEVER)
    since = [delivery for delivery in before if delivery.index > last]
    return last != NEVER and not event.dead_reported and all(event.unread_in(delivery) for delivery in since)


def _may_be_both(index: HistoryIndex, event: EventStory, effect: Handling) -> bool:
    since, until = sorted((effect.end, event.dead))
    if index.times[until] >= index.store_clock.due(index.times[since], index.terms.retention):
        return True
    if index.store_lost(event.name, min(_held_since(event, effect), event.dead), until):
        return True
    if _offered_without_success(event, effect) or _outlived(index, event, effect) or _unanswered(index, event, effect):
        return True
    if _kept(index, event, effect):
        return True
    return effect.end < event.dead and unrecorded(index, effect, event.dead)


def _both(event: EventStory, effect: Handling) -> Violation:
    done, dead = moments(effect.end_at, event.dead_at)
    index = f"event {event.name} was dead-lettered at {dead}"
    because = (
        f"because {index}, and {effect.consumer} handled it all the same at {done}"
        if event.dead < effect.end
        else f"because {effect.consumer} had handled event {event.name} at {done}, and it was dead-lettered at {dead}"
    )
    return Violation(
        NAME,
        max(effect.end_at, event.dead_at),
        (event.name,),
        (effect.consumer,),
        because,
        tuple(sorted((effect.start, effect.end, event.dead))),
    )


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
    summary="an event has at most one effect, and never both an effect and a dead letter",
    excuses=(
        "the holder crashed or was cut off between the effect and its recording (of a batch: of the whole batch); "
        "Redis refused the recording until the lease had ended; the holder was silent until its lease had ended, and "
        "another consumer had taken the event when the effect ended; the seen marker's retention had passed by the "
        "clock of Redis; half of the lease passed in one jump of that clock before the effect was recorded; the store "
        "lost the marker by an injected fault; a dead letter of the broker, if it had made a second copy of the "
        "event; one that it wrote while the event was being handled; one that it wrote, until one lease after the "
        "effect, while the consumer had not answered; one that it wrote after it had offered the event only to "
        "consumers that cannot read it, since the effect; one that it wrote after a consumer that had the event was "
        "out of reach of Redis; one that it did not report, of an event that a consumer could not answer for, since it "
        "was cancelled or may not have heard a reply, if it was the last to answer, or if the effect began after the "
        "dead letter; one that it did not report, and wrote after a consumer that had the "
        "event was gone, if no consumer could read it that it was offered to since; a dead letter of the engine, if "
        "the holder was silent until its lease had ended"
    ),
    subjects=subjects,
    check=check,
    exercised_by=("duplicated", "refused"),
    reading=(
        "The first time is the end of the first effect; the others are the second handling. In between, the engine "
        "had forgotten, or had never recorded, that the event was handled."
    ),
    needs=frozenset({"outcomes"}),
    holds_for_trivial=True,
    order_is_known=True,
    examples={
        "accepted": """\
{"at":1000000,"kind":"delivered","event":"a","consumer":"c1"}
{"at":1000000,"kind":"started","event":"a","consumer":"c1","handling":1}
{"at":2000000,"kind":"ended","event":"a","consumer":"c1","handling":1,"outcome":"failed"}
{"at":7000000,"kind":"delivered","event":"a","consumer":"c2"}
{"at":7000000,"kind":"started","event":"a","consumer":"c2","handling":2}
{"at":8000000,"kind":"ended","event":"a","consumer":"c2","handling":2,"outcome":"ok"}
{"at":9000000,"kind":"delivered","event":"a","consumer":"c1"}
{"at":9000000,"kind":"refused","event":"a","consumer":"c1","because":"seen"}
""",
        "excused": """\
{"at":0,"kind":"published","event":"a"}
{"at":1000000,"kind":"delivered","event":"a","consumer":"c1"}
{"at":1000000,"kind":"started","event":"a","consumer":"c1","handling":1}
{"at":2000000,"kind":"ended","event":"a","consumer":"c1","handling":1,"outcome":"ok"}
{"at":2000000,"kind":"crashed","consumer":"c1"}
{"at":9000000,"kind":"delivered","event":"a","consumer":"c2"}
{"at":20000000,"kind":"started","event":"a","consumer":"c2","handling":2}
{"at":21000000,"kind":"ended","event":"a","consumer":"c2","handling":2,"outcome":"ok"}
""",
        "rejected": """\
{"at":0,"kind":"published","event":"a"}
{"at":1000000,"kind":"delivered","event":"a","consumer":"c1"}
{"at":1000000,"kind":"started","event":"a","consumer":"c1","handling":1}
{"at":2000000,"kind":"ended","event":"a","consumer":"c1","handling":1,"outcome":"ok"}
{"at":2000000,"kind":"acknowledged","event":"a","consumer":"c1"}
{"at":3000000,"kind":"delivered","event":"a","consumer":"c2"}
{"at":3000000,"kind":"started","event":"a","consumer":"c2","handling":2}
{"at":4000000,"kind":"ended","event":"a","consumer":"c2","handling":2,"outcome":"ok"}
""",
    },
)
