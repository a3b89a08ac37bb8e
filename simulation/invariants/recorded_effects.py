"""Whether an effect was recorded: what distinguishes a duplicate that no engine could prevent from a bug.

Between the end of a handler and the moment in which the engine writes "seen" to Redis there is a gap that no engine can
close. The judge cannot look into Redis; it takes the holder's next step as the sign that the effect was recorded:

    1. the handling ends ok                                           the effect
    2. …the engine records it…                                        the gap
    3. the consumer acknowledges the delivery, or begins with a follower that this effect released, or ends the
       sweep that had rescued the event                               the sign

In a batch the effects are recorded together. A follower that was delivered to the holder before the effect, and not yet
answered, is in the batch: that the holder begins with it is no sign.

If another delivery of the event is refused as seen, the effect was recorded, even if its holder died.

The effect counts as unrecorded if its holder died or was cut off from Redis in the gap, or was paused there, or refused
by a demoted server without reconnecting, until its lease may have ended, or if the clock of Redis jumped ahead in the
gap by half a lease. Without a sign, the gap lasts one lease at most: by then a living holder has recorded. An error
reply of Redis is no excuse in itself: the holder of the lease can ask again.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from itertools import pairwise, takewhile

from simulation.history.index import HistoryIndex
from simulation.history.intervals import Span, between, within
from simulation.history.records import NEVER, ConsumerStory, Delivery, EventStory, Handling
from simulation.invariants.cascades import found_last, no_consumer_free, owner_of
from simulation.invariants.idle_time import idle_clock, takeovers

UNDERWAY = 1_000_000
"""How long a step may be on its way through the network, in microseconds, until others are to blame for not knowing."""


def completion(index: HistoryIndex, event: EventStory) -> Handling | None:
    """Return the effect that completed an event: the first that can have been recorded, else the last one."""
    effects = event.effects
    for effect, later in pairwise(effects):
        if not unrecorded(index, effect, later.start):
            return effect
    return effects[-1] if effects else None


def unrecorded(index: HistoryIndex, effect: Handling, before: int) -> bool:
    """Say whether the holder died or was cut off between the effect and its recording, before the entry at an index."""
    if any(effect.end < number < before for number in index.events[effect.event].seen):
        return False
    if effect.outcome == "unknown":
        return True
    holder = index.consumers.get(effect.consumer)
    if holder is None:
        return False
    sign = _sign(index, effect, holder)
    until = min(before, sign) if sign != NEVER else before
    until_at = min(effect.end_at + index.terms.lease, index.times[until] if until < index.end else index.end_at)
    if any(effect.end < number < until and at <= until_at for number, at in holder.crashes):
        return True
    gap = (effect.end_at, until_at + (until != sign))  # what begins in the microsecond of the sign comes too late
    if within(holder.cut_off, *gap) or within(index.outages, *gap):
        return True
    before_at = index.times[before] if before < index.end else index.end_at
    return _lapsed(index, holder, gap, before_at)


def recorded_at(index: HistoryIndex, effect: Handling) -> int:
    """Return the index of the holder's first step that shows that its effect was recorded, or NEVER."""
    holder = index.consumers.get(effect.consumer)
    return _sign(index, effect, holder) if holder is not None else NEVER


def mark_over(index: HistoryIndex, done: Handling, at: int) -> bool:
    """Say whether an engine need not know any more, by the clock of Redis, that an event was handled.

    `at` is in microseconds.
    """
    return at >= index.store_clock.due(done.end_at, max(index.terms.retention, index.terms.memory))


def taken_over(index: HistoryIndex, event: EventStory, first: Handling) -> bool:
    """Say whether a lease had lapsed and was taken by another consumer, which began just after the first or died."""
    if _has_released(index, event, first):
        return False
    half = -(-index.terms.lease // 2)
    ends_at = [begin + half for begin, _ in index.lapses(first.consumer, first.start_at, first.end_at)]
    ends_at += [at for at, by in index.store_clock.jumps if first.start_at <= at <= first.end_at and by >= half]
    if not ends_at:
        return False
    later = between(event.handlings, first.end, index.end, lambda one: one.start)
    soon = takewhile(lambda one: one.start_at - first.end_at <= UNDERWAY, later)
    if any(one.consumer != first.consumer for one in soon):
        return True
    meanwhile = between(event.deliveries, first.start, first.end, lambda one: one.index)
    given = (one for one in meanwhile if one.consumer != first.consumer and one.closing == "crashed")
    if any(one.closed_at >= min(ends_at) for one in given):
        return True
    return first.via in ("released", "rescued") and any(
        first.start < number < first.end and at >= min(ends_at) and _found_again(index, event, number, at)
        for name, other in index.consumers.items()
        for number, at in (other.crashes if name != first.consumer else ())
    )


def _has_released(index: HistoryIndex, event: EventStory, effect: Handling) -> bool:
    """Say whether a holder began with a follower that nothing but its effect can have released: it was recorded."""
    return any(
        not effect.end < event.dead < start and not any(effect.end < one.end < start for one in event.effects)
        for start in _releases(index, effect)
    )


def _found_again(index: HistoryIndex, event: EventStory, number: int, at: int) -> bool:
    """Say whether an event that a consumer may have had when it died was begun again, or given up, in time for that."""
    ends = [(one.start, one.start_at, one.consumer) for one in event.handlings if one.start > number][:1]
    ends += [(event.dead, event.dead_at, "")] if event.dead > number else []
    if not ends:
        return False
    stop, stop_at, taker = min(ends)
    line = found_last(index, taker, stop) if taker else ()
    waited = idle_clock(index, at, stop_at, no_consumer_free(index), line).elapsed(at, stop_at)
    terms = index.terms
    bound = terms.lease + terms.sweep_interval + terms.release_bound
    return waited <= bound + takeovers(index, at + terms.lease + 1, stop_at)


def _lapsed(index: HistoryIndex, holder: ConsumerStory, gap: Span, before_at: int) -> bool:
    """Say whether a holder was silent in the gap until its lease may have ended, or the clock of Redis jumped then."""
    half = -(-index.terms.lease // 2)
    if index.store_clock.leapt(half, gap[0], gap[1] - 1):
        return True
    unended = index.silent_at_end(holder.name)
    return any(
        index.store_clock.due(begin, half) <= min(end, before_at) or (unended and end == index.end_at)
        for begin, end in within(index.silences(holder.name), *gap)
    )


def _sign(index: HistoryIndex, effect: Handling, holder: ConsumerStory) -> int:
    """Return the index of the holder's first step after the recording of its effect, or NEVER."""
    if effect not in index.signs:
        index.signs[effect] = min((sign for sign in _signs(index, effect, holder) if sign != NEVER), default=NEVER)
    return index.signs[effect]


def _signs(index: HistoryIndex, effect: Handling, holder: ConsumerStory) -> Iterator[int]:
    event, owner = index.events[effect.event], owner_of(index, effect)
    yield _acknowledged(event.deliveries, effect)
    if owner.via == "rescued":
        later = bisect_right(holder.sweeps, (effect.end, index.end_at))
        yield holder.sweeps[later][0] if later < len(holder.sweeps) else NEVER
    elif owner is not effect:
        yield _acknowledged(index.events[owner.event].deliveries, effect)
    yield from _releases(index, effect)


def _releases(index: HistoryIndex, effect: Handling) -> Iterator[int]:
    """Yield the indices at which a holder began with a follower that its effect can have released."""
    for follower in index.followers_of(index.events[effect.event]):
        for handling in follower.handlings:
            released = handling.via == "released" and handling.consumer == effect.consumer
            if released and handling.start > effect.end and not _in_batch(follower, effect, handling):
                yield handling.start


def _in_batch(follower: EventStory, effect: Handling, handling: Handling) -> bool:
    """Say whether a follower was in its holder's hands, unanswered, before its leader's effect had ended."""
    return any(
        d.consumer == effect.consumer
        and d.index < effect.end
        and not d.parked
        and (d.closed == NEVER or d.closed > handling.start)
        for d in follower.deliveries
    )


def _acknowledged(deliveries: Sequence[Delivery], effect: Handling) -> int:
    acknowledged = (
        d.closed
        for d in deliveries
        if d.closing == "acknowledged" and d.consumer == effect.consumer and d.closed > effect.end
    )
    return min(acknowledged, default=NEVER)
