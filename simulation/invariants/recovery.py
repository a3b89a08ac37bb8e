"""recovery: what a holder had when it died, was cut off, or failed, is begun again.

1. An event that the engine itself handed out (it was released or rescued), whose handling was cut short by a death or
   whose holder is paused or cut off, starts again within one lease, one sweep and the release bound, in idle time. It
   need not if its handling ended after all, if it was given up, or if its holder continued before that. Nor need it if
   an earlier holder, which was cut off before it could record its effect, records it within that time. It cannot do so
   while it is cut off.
2. An event that the queue offers again after that time is not refused as held unless it is held: a consumer that shows
   signs of life is handling it, or has another delivery of it.

3. A handler that failed with such an event starts again, or the event is given up, within that time and the retry
   delay, in idle time. The engine has to do that if every delivery of the event was acknowledged before, and it had no
   effect: the queue does not offer it again. It need not while another handler has the event. What a consumer cannot
   read counts as an attempt.

An event that the queue offers again, since its holder began, after the store has lost the mark of its handled leader,
and that is parked then, waits for a leader that never comes: for one lookback, one sweep and the release bound from
then on.

Time does not count while no consumer was alive, unpaused and connected to Redis, nor while the consumer that took it
over was handling what the same sweep had found before. Each further death and silence makes the bound longer, once, by
one lease and one sweep, which count once where they overlap; a failure of an elder sibling by all its attempts. A queue
whose drainer died is judged by prompt-release, a sweep's list by lost-followers-surface.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice, takewhile

from simulation.history.index import HistoryIndex
from simulation.history.intervals import between, merge
from simulation.history.records import NEVER, EventStory, Handling
from simulation.invariants.cascades import closure, found_last, no_consumer_free
from simulation.invariants.idle_time import idle_clock, retries, takeovers
from simulation.invariants.recorded_effects import completion, recorded_at
from simulation.invariants.time_format import moments
from simulation.invariants.verdict import Invariant, Violation

NAME = "recovery"


def subjects(index: HistoryIndex) -> int:
    """Count the handlings whose holder died, left, fell silent until its lease may have ended, or failed."""
    return sum(1 for event in index.nontrivial for handling in event.handlings if _lost_at(index, handling) is not None)


def check(index: HistoryIndex) -> Iterator[Violation]:
    """Yield a violation for each event that was not taken over in time."""
    for event in index.nontrivial:
        if event.incomplete:
            continue
        for handling in event.handlings:
            lost_at = _lost_at(index, handling)
            if lost_at is None:
                continue
            violation = (
                _refused(index, event, handling, lost_at)
                if handling.via == "delivered"
                else _left(index, event, handling, lost_at)
            )
            if violation:
                yield violation
                break


def _lost_at(index: HistoryIndex, handling: Handling) -> int | None:
    """Return when a handling's holder died, fell silent or failed, or None if no consumer had to begin again."""
    if handling.cut or _failed(index, handling):
        return handling.end_at
    end_at = index.end_at if handling.end == NEVER else handling.end_at
    silences = index.lapses(handling.consumer, handling.start_at, end_at)
    if not silences:
        return None
    lost_at = max(handling.start_at, silences[0][0])
    ended_in_time = handling.end != NEVER and end_at - lost_at <= index.terms.lease
    return None if ended_in_time else lost_at


def _failed(index: HistoryIndex, handling: Handling) -> bool:
    """Say whether a handler failed with an event that nothing but the engine can offer again."""
    if handling.via == "delivered" or handling.cut or handling.took_effect or handling.outcome != "failed":
        return False
    event = index.events[handling.event]
    deliveries = takewhile(lambda one: one.index < handling.end, event.deliveries)
    kept = all(one.closing == "acknowledged" and one.closed < handling.end for one in deliveries)
    others = any(other.open_at(handling.end) for other in event.handlings)
    return kept and not others and not any(effect.end < handling.end for effect in event.effects)


def _start(handling: Handling) -> int:
    return handling.start


def _end(handling: Handling) -> int:
    return handling.end


def _until(index: HistoryIndex, event: EventStory, handling: Handling) -> int:
    """Return the index at which an event was begun again, ended after all, or was given up; else that of the end.

    It also ended if an earlier holder, which was cut off, recorded its effect at last.
    """
    stops = [other.start for other in islice(between(event.handlings, handling.start, index.end, _start), 1)]
    stops += [event.dead] if event.dead > handling.start else []
    failed = _failed(index, handling)
    stops += [] if handling.cut or handling.end == NEVER or failed else [handling.end]
    stops += [at for at, _ in event.unread if at > handling.end][:1] if failed else []
    done = islice(between(event.effects, handling.start, index.end, _end), 2)
    stops += [other.end for other in done if other is not handling][:1]
    before = (effect for effect in event.effects if effect.end < handling.start)
    stops += [at for effect in before if (at := _recorded_at_last(index, effect)) > handling.start]
    return min(stops, default=index.end)


def _recorded_at_last(index: HistoryIndex, effect: Handling) -> int:
    """Return the index at which a holder shows that it has recorded an effect, or NEVER; not while it is cut off."""
    sign = recorded_at(index, effect)
    silent = any(begin < index.times[sign] < end for begin, end in index.silences(effect.consumer))
    return NEVER if sign == NEVER or silent else sign


def _left(index: HistoryIndex, event: EventStory, handling: Handling, lost_at: int) -> Violation | None:
    """Judge an event of which no queue knows any more: the engine has to find it."""
    stop = _until(index, event, handling)
    stop_at = index.times[stop] if stop < index.end else index.end_at
    if stop_at <= lost_at:
        return None  # it was begun again before its holder fell silent
    failed = _failed(index, handling)
    if not handling.cut and not failed:
        stop_at = min(stop_at, index.lapses(handling.consumer, handling.start_at, stop_at + 1)[0][1])
    terms = index.terms
    bound = terms.lease + terms.sweep_interval + terms.release_bound + (terms.retry_delay if failed else 0)
    if index.clock.elapsed(lost_at, stop_at) <= bound:
        return None
    taker = next((other.consumer for other in event.handlings if other.start == stop), "")
    line = found_last(index, taker, stop) if taker else no_consumer_free(index)
    line = merge([*line, *no_consumer_free(index)]) if failed else line
    leader = index.leader_of(event)
    turns, failures = closure(index, leader, stop) if leader else ([], {})
    others = [span for span in turns if span[0] > lost_at]
    excused = takeovers(index, lost_at + terms.lease + 1, stop_at)
    excused += retries(index, sorted(failures.values()), lost_at, stop_at)
    waited = idle_clock(index, lost_at, stop_at, others, line).elapsed(lost_at, stop_at)
    if waited <= bound + excused or index.loss_allowed(event, stop):
        return None
    if _leader_forgotten(index, event, handling, stop, stop_at):
        return None
    lost, until = moments(lost_at, stop_at)
    what = "died" if handling.cut else "failed" if failed else "fell silent"
    because = (
        f"because {handling.consumer} {what} at {lost} with event {event.name} in hand,"
        f" and no consumer had begun with it again at {until}"
    )
    witness = [
        handling.start,
        *([handling.end] if handling.end != NEVER else []),
        *([stop] if stop < index.end else []),
    ]
    return Violation(NAME, stop_at, (event.name,), (handling.consumer,), because, tuple(sorted(set(witness))))


def _leader_forgotten(index: HistoryIndex, event: EventStory, lost: Handling, stop: int, stop_at: int) -> bool:
    """Say whether an event was parked again since its holder began and the store lost its leader's mark, at most a
    lookback ago.
    """
    leader = index.leader_of(event)
    done = completion(index, leader) if leader else None
    if leader is None or done is None:
        return False
    since = stop_at - index.terms.lookback - index.terms.sweep_interval - index.terms.release_bound
    parked = [one for one in event.deliveries if one.parked and lost.start < one.index < stop and one.at >= since]
    return any(index.store_lost(leader.name, done.end, one.index) for one in parked)


def _refused(index: HistoryIndex, event: EventStory, handling: Handling, lost_at: int) -> Violation | None:
    """Judge an event that the queue offers again: the engine must not refuse it without an end."""
    terms = index.terms
    stop = _until(index, event, handling)
    bound = terms.lease + terms.sweep_interval + terms.release_bound
    for delivery in between(event.deliveries, handling.start, stop, lambda one: one.index):
        closed = delivery.closed
        if closed == NEVER or closed not in event.held:
            continue
        refused_at = index.times[closed]
        if closed > stop or index.clock.elapsed(lost_at, refused_at) <= bound or _held(index, event, handling, closed):
            continue
        if index.clock.elapsed(lost_at, refused_at) > bound + takeovers(index, lost_at + terms.lease + 1, refused_at):
            lost, at = moments(lost_at, refused_at)
            what = "died" if handling.cut else "fell silent"
            because = (
                f"because {handling.consumer} {what} at {lost} with event {event.name} in hand, and at {at}"
                f" {delivery.consumer} was still refused because another consumer held it"
            )
            events, consumers = (event.name,), tuple(dict.fromkeys((handling.consumer, delivery.consumer)))
            return Violation(NAME, refused_at, events, consumers, because, (handling.start, delivery.index, closed))
    return None


def _held(index: HistoryIndex, event: EventStory, lost: Handling, number: int) -> bool:
    """Return whether an event can be held at an index: a consumer is handling it, or has another delivery of it."""
    at = index.times[number]
    silences = index.silences(lost.consumer)
    if not lost.cut and not any(begin <= at < end or at == end == index.end_at for begin, end in silences):
        return True
    if any(handling is not lost and handling.open_at(number) for handling in event.handlings):
        return True
    return any(
        delivery.index < number and (delivery.closed == NEVER or delivery.closed > number)
        for delivery in event.deliveries
        if delivery is not lost.delivery
    )


INVARIANT = Invariant(
    name=NAME,
    summary=(
        "what a dead or cut-off holder had, or one that failed, starts again within one lease, one sweep and the"
        " release bound; an event that the queue offers again after that is not refused as held"
    ),
    excuses=(
        "time in which no consumer was alive or Redis was unreachable; time in which the consumer that took it "
        "over was handling what the same sweep had found before; a further death or silence counts for one lease "
        "and one sweep, once; a lookback for an event that was parked again after the store had lost its leader's "
        "mark; losses that the scenario allows"
    ),
    subjects=subjects,
    check=check,
    exercised_by=("crashed-while-holding", "lease-expired"),
    reading=(
        "The first time is when the holder died or fell silent. Take one lease and one sweep off the difference: what "
        "is left is how long no consumer looked for its events."
    ),
    needs=frozenset({"outcomes"}),
    holds_for_trivial=True,
    order_is_known=True,
    examples={
        "accepted": """\
{"at":0,"kind":"published","event":"b"}
{"at":0,"kind":"parked","event":"b","consumer":"c1"}
{"at":1000000,"kind":"started","event":"b","consumer":"c1","handling":1,"via":"rescued"}
{"at":2000000,"kind":"crashed","consumer":"c1"}
{"at":30000000,"kind":"started","event":"b","consumer":"c2","handling":2,"via":"rescued"}
{"at":31000000,"kind":"ended","event":"b","consumer":"c2","handling":2,"outcome":"ok"}
""",
        "excused": """\
{"at":0,"kind":"published","event":"b"}
{"at":0,"kind":"parked","event":"b","consumer":"c1"}
{"at":1000000,"kind":"started","event":"b","consumer":"c1","handling":1,"via":"rescued"}
{"at":2000000,"kind":"crashed","consumer":"c1"}
{"at":3600000000,"kind":"joined","consumer":"c1"}
{"at":3610000000,"kind":"started","event":"b","consumer":"c1","handling":2,"via":"rescued"}
{"at":3611000000,"kind":"ended","event":"b","consumer":"c1","handling":2,"outcome":"ok"}
""",
        "rejected": """\
{"at":0,"kind":"published","event":"b"}
{"at":0,"kind":"parked","event":"b","consumer":"c1"}
{"at":0,"kind":"joined","consumer":"c2"}
{"at":1000000,"kind":"started","event":"b","consumer":"c1","handling":1,"via":"rescued"}
{"at":2000000,"kind":"crashed","consumer":"c1"}
{"at":3600000000,"kind":"started","event":"b","consumer":"c2","handling":2,"via":"rescued"}
{"at":3601000000,"kind":"ended","event":"b","consumer":"c2","handling":2,"outcome":"ok"}
""",
    },
)
