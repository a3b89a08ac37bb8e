"""given-up-with-reason: no event is given up before it was tried, or without a report.

A dead letter of the engine needs one of these: at least `max_attempts` handlings of the event that failed or were cut
short (their consumer died, left, or lost its connection), or the statement that the event could not be read or that its
schema is not known. A handling that is still open counts if its holder was silent for so long that its lease may have
ended: no engine can distinguish it from one whose holder has died. It counts however long ago that was; no-stuck-worker
bounds how long such a handling may last. So does an effect that its holder cannot have recorded (see
`recorded_effects.py`). So does the death of a consumer while no handler had the event: it may have been granted the
event, and had not begun. A silence there in which its lease may have ended counts as well. Such grants are a lease
apart, so deaths and silences that follow each other closely are one. No follower is granted to a consumer before its
leader was done or given up, or its lookback was over. So does each time that a consumer could not read what the engine
had handed to it, if a handling or a death followed.

A dead letter of the broker follows at least one handling of the event, if the history shows a rejection of it and no
fault: an engine that rejects what it never tried gives it up. A rejection with the reason `Unreadable` is a statement.
A fault that concerns one event alone (`too-large`, `not-an-event`) counts only for that one, and for what follows it,
also through others: no other event may suffer from it.
(The judge does not ask how many rejections the broker waits for.)

A dead letter that is not reported is no entry of a history. Then nothing-lost is violated, since the event has neither
an effect nor a dead letter.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator

from simulation.history.index import OF_ONE_EVENT, REFUSALS, HistoryIndex
from simulation.history.intervals import merge, within
from simulation.history.records import NEVER, EventStory, Handling
from simulation.invariants.recorded_effects import unrecorded
from simulation.invariants.time_format import moment
from simulation.invariants.verdict import Invariant, Violation

NAME = "given-up-with-reason"


def subjects(index: HistoryIndex) -> int:
    """Count the events that were given up."""
    return sum(1 for event in index.nontrivial if event.dead != NEVER)


def check(index: HistoryIndex) -> Iterator[Violation]:
    """Yield a violation for each event that was given up without a reason, or in silence."""
    for event in index.nontrivial:
        if event.dead != NEVER and not event.incomplete and not event.refusal:
            tries = sum(1 for handling in event.handlings if _failed(index, event, handling))
            tries += _not_begun(index, event) + _unread(index, event) if event.dead_by != "broker" else 0
            needed = index.terms.max_attempts if event.dead_by != "broker" else _needed_by_broker(index, event)
            if tries < needed and not index.store_lost(event.name, NEVER, event.dead):
                yield _violation(event, tries)


def _failed(index: HistoryIndex, event: EventStory, handling: Handling) -> bool:
    """Say whether a handling began before the dead letter and failed, or seemed to have vanished."""
    if handling.start > event.dead:
        return False
    vanished = handling.open_at(event.dead) and index.lease_may_end(handling.consumer, handling.start_at, event.dead_at)
    return vanished or not handling.took_effect or _is_unrecorded(index, event, handling)


def _is_unrecorded(index: HistoryIndex, event: EventStory, effect: Handling) -> bool:
    return effect.end < event.dead and unrecorded(index, effect, event.dead)


def _not_begun(index: HistoryIndex, event: EventStory) -> int:
    """Count the deaths and silences, before the dead letter, of consumers that can have been granted the event, and had
    not begun.
    """
    counted = {h.consumer: h.end for h in event.effects if _is_unrecorded(index, event, h)}
    vanished = sorted(
        (number, at)
        for name, consumer in index.consumers.items()
        for number, at in (*consumer.crashes, *_silences(index, event, name))
        if event.first_known < number < min(event.dead, counted.get(name, index.end))
    )
    spans = merge((h.start, index.end if h.end == NEVER else h.end) for h in event.handlings)
    since_at, count = _grantable_at(index, event), 0
    for number, at in vanished:
        granted_at = index.store_clock.due(since_at, count * index.terms.lease)
        before = bisect_left(spans, (number,)) - 1
        count += at >= granted_at and not (before >= 0 and number <= spans[before][1])
    return count


def _silences(index: HistoryIndex, event: EventStory, consumer: str) -> Iterator[tuple[int, int]]:
    """Yield where and when a consumer fell silent, until a lease may have ended, since the event was known."""
    known_at, half = index.times[event.first_known], -(-index.terms.lease // 2)
    for since, until in within(index.silences(consumer), known_at, event.dead_at + 1):
        begin = max(since, known_at)
        if index.store_clock.due(begin, half) <= min(until, event.dead_at):
            yield bisect_right(index.times, begin) - 1, begin


def _grantable_at(index: HistoryIndex, event: EventStory) -> int:
    """Return from when on a consumer can have been granted an event: before that it had to wait for its leader."""
    known_at, leader = index.times[event.first_known], index.leader_of(event)
    if leader is None or leader.incomplete or index.store_lost(event.name, NEVER, event.dead):
        return known_at
    ends = [handling.end_at for handling in leader.effects]
    if leader.dead != NEVER:  # the engine may report it later
        ends.append(leader.dead_at - index.terms.lease - index.terms.sweep_interval)
    return max(known_at, min([*ends, index.store_clock.due(known_at, index.terms.lookback)]))


def _unread(index: HistoryIndex, event: EventStory) -> int:
    """Count how often a consumer could not read the event when the engine, and not the broker, handed it out.

    If the last attempt ended so, the dead letter has to state it.
    """
    crashes = [number for consumer in index.consumers.values() for number, _ in consumer.crashes]
    last = max((at for at in (*crashes, *(h.start for h in event.handlings)) if at < event.dead), default=0)
    rejected = [delivery for delivery in event.deliveries if delivery.closing == "rejected"]
    return sum(
        at < last and not any(d.index < at < d.closed and d.consumer == name for d in rejected)
        for at, name in event.unread
    )


def _needed_by_broker(index: HistoryIndex, event: EventStory) -> int:
    """Return how many handlings must go before a dead letter of the broker: one, if only the engine can be to blame."""
    rejected = any(
        delivery.closing == "rejected" and delivery.because.lower() not in REFUSALS for delivery in event.deliveries
    )
    blameless = index.window or set(index.faults) - OF_ONE_EVENT or (index.faults and _is_odd(index, event))
    return 1 if rejected and not blameless else 0


def _is_odd(index: HistoryIndex, event: EventStory | None) -> bool:
    """Say whether a fault that concerns one event alone struck this one, or one that it follows."""
    seen = set[str]()
    while event is not None and event.name not in seen and event.name not in index.odd_events:
        seen.add(event.name)
        event = index.leader_of(event)
    return event is not None and event.name in index.odd_events


def _violation(event: EventStory, tries: int) -> Violation:
    often = "never" if tries == 0 else "only once" if tries == 1 else f"only {tries} times"
    who = f"the {event.dead_by}"
    because = (
        f"because {who} gave event {event.name} up at {moment(event.dead_at)},"
        f" though it had {often} been tried without success, and stated no refusal"
    )
    witness = {event.dead, *(handling.start for handling in event.handlings if handling.start < event.dead)}
    return Violation(NAME, event.dead_at, (event.name,), (), because, tuple(sorted(witness)))


INVARIANT = Invariant(
    name=NAME,
    summary=(
        "a dead letter follows at least `max_attempts` failed or vanished handlings of the event, or a stated refusal"
        " (unreadable, unknown schema), and it is reported"
    ),
    excuses=(
        "the store lost what it held of the event by an injected fault; a consumer could not read what others can; "
        "a consumer died between the grant of the event and its handler; "
        "it was silent there until its lease had ended; the last holder was silent until its lease had ended; "
        "a holder crashed or was cut off between its effect and the recording"
    ),
    subjects=subjects,
    check=check,
    exercised_by=("dead-lettered", "handler-failed"),
    reading=(
        "The time is that of the dead letter. Count the handlings of the event before it: that is how often it was "
        "tried."
    ),
    needs=frozenset({"outcomes"}),
    holds_for_trivial=True,
    order_is_known=True,
    examples={
        "accepted": """\
{"causim-history":1,"terms":{"max_attempts":2}}
{"at":1000000,"kind":"delivered","event":"a","consumer":"c1"}
{"at":1000000,"kind":"started","event":"a","consumer":"c1","handling":1,"via":"delivered"}
{"at":2000000,"kind":"ended","event":"a","consumer":"c1","handling":1,"outcome":"failed"}
{"at":10000000,"kind":"started","event":"a","consumer":"c1","handling":2,"via":"delivered"}
{"at":11000000,"kind":"ended","event":"a","consumer":"c1","handling":2,"outcome":"failed"}
{"at":11000000,"kind":"dead-lettered","event":"a","consumer":"c1","by":"engine"}
{"at":20000000,"kind":"started","event":"z","consumer":"c1","handling":9}
{"at":21000000,"kind":"ended","event":"z","consumer":"c1","handling":9,"outcome":"ok"}
""",
        "excused": """\
{"at":0,"kind":"published","event":"a"}
{"at":1000000,"kind":"delivered","event":"a","consumer":"c1"}
{"at":1000000,"kind":"dead-lettered","event":"a","consumer":"c1","by":"engine","because":"unreadable"}
{"at":1000000,"kind":"acknowledged","event":"a","consumer":"c1"}
{"at":20000000,"kind":"started","event":"z","consumer":"c1","handling":9}
{"at":21000000,"kind":"ended","event":"z","consumer":"c1","handling":9,"outcome":"ok"}
""",
        "rejected": """\
{"at":0,"kind":"published","event":"a"}
{"at":1000000,"kind":"delivered","event":"a","consumer":"c1"}
{"at":1000000,"kind":"dead-lettered","event":"a","consumer":"c1","by":"engine"}
{"at":1000000,"kind":"acknowledged","event":"a","consumer":"c1"}
""",
    },
)
