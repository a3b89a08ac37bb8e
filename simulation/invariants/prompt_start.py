"""prompt-start: an event that need not wait does not wait.

An event need not wait if it has no leader, or a leader that was done when it was delivered first, and whose mark the
store has not lost in between, nor before the event was parked: the engine can have asked after the loss. Nor may the
time have been over then, by the clock of Redis, for which an engine keeps the mark: the retention, or the policy's
memory if that is longer. An effect of the leader that cannot have been recorded
does not count, since no engine knows of it. While an engine or a consumer has it (a delivery is open, or it was parked)
and no handler has begun with it, at most the release bound may pass, in idle time.

As in prompt-release, the bound is longer, once, by what deaths and silences of consumers can have cost, and by one
lookback and one sweep if the store lost what it held of the event and a copy that follows another one may be all that
an engine knows; and time in which no consumer could work does not count. Nor does time in which

- the consumer that it was delivered to was handling something: it may have had no room,
- others that its leader had released were being handled: a late event is behind its siblings,
- the consumer that found it in a sweep was handling what the same sweep had found before.

A delivery that was refused or rejected is the queue's to offer again.

The release bound is that of the scenario (`judge.release_bound`); by default it is what a lease, a wait for a leader,
two sweeps and all redeliveries can add up to. It is a bound on all that happens in that time, so the latency of each
request counts, and that of a request that is repeated. A slow network is no excuse: it was stated how fast is fast
enough. A scenario with one raises the bound.
"""

from __future__ import annotations

from collections.abc import Iterator

from simulation.history.index import HistoryIndex
from simulation.history.intervals import Span, merge
from simulation.history.records import NEVER, EventStory
from simulation.invariants.cascades import closure, found_last, span_of
from simulation.invariants.copies import misled
from simulation.invariants.idle_time import Wait, idle_clock, retries, takeovers, until_handled
from simulation.invariants.recorded_effects import completion, mark_over, unrecorded
from simulation.invariants.time_format import moments
from simulation.invariants.verdict import Invariant, Violation

NAME = "prompt-start"


def subjects(index: HistoryIndex) -> int:
    """Count the events that were delivered."""
    return index.trivial.events + sum(1 for event in index.nontrivial if event.deliveries)


def check(index: HistoryIndex) -> Iterator[Violation]:
    """Yield a violation for each event that need not wait, and waited too long."""
    bound = index.terms.release_bound
    work: dict[str, list[Span]] | None = None
    for event in index.nontrivial:
        if event.incomplete or not event.deliveries:
            continue
        for wait, consumer in _waits(index, event):
            if index.clock.elapsed(wait.begin_at, wait.stop_at) <= bound or not _waits_for_no_leader(index, wait):
                continue
            work = _work(index) if work is None else work
            if _idle(index, wait, work.get(consumer, [])) > bound + _excused(index, wait):
                if not index.loss_allowed(event, wait.stop):
                    yield _violation(wait, consumer)
                break


def _waits(index: HistoryIndex, event: EventStory) -> Iterator[tuple[Wait, str]]:
    """Yield the spans in which an event had a holder before its first handling, each with the holder's name."""
    for delivery in event.deliveries:
        wait = until_handled(index, event, delivery.index, delivery.at)
        if wait is None:
            return
        closed = delivery.closed
        if not delivery.parked and NEVER < closed < wait.stop:
            wait = Wait(event, wait.begin, wait.begin_at, closed, index.times[closed])
        yield wait, delivery.consumer


def _waits_for_no_leader(index: HistoryIndex, wait: Wait) -> bool:
    event = wait.event
    leader = index.leader_of(event)
    if leader is None:
        return True
    done = None if leader.incomplete else completion(index, leader)
    if done is None or leader.dead != NEVER:
        return False
    asked = wait.begin
    if event.parked > asked and index.clock.elapsed(wait.begin_at, event.parked_at) <= index.terms.release_bound:
        asked = event.parked
    if unrecorded(index, done, wait.stop):
        return False
    if mark_over(index, done, index.times[asked]):
        return False
    return done.end < event.first_known and not index.store_lost(leader.name, done.end, asked)


def _work(index: HistoryIndex) -> dict[str, list[Span]]:
    """Return the times in which each consumer was handling something, merged: two handlings may overlap."""
    work: dict[str, list[Span]] = {name: list(spans) for name, spans in index.work_left_out().items()}
    for event in index:  # a trivial event takes a consumer's time, too
        for handling in event.handlings:
            work.setdefault(handling.consumer, []).append(span_of(index, handling))
    return {name: merge(spans) for name, spans in work.items()}


def _idle(index: HistoryIndex, wait: Wait, work: list[Span]) -> int:
    leader = index.leader_of(wait.event)
    turns = closure(index, leader, wait.stop)[0] if leader else []
    finder = wait.finder(index)
    line = found_last(index, finder, wait.stop) if finder else []
    clock = idle_clock(index, wait.begin_at, wait.stop_at, turns, line, work)
    return clock.elapsed(wait.begin_at, wait.stop_at)


def _excused(index: HistoryIndex, wait: Wait) -> int:
    leader = index.leader_of(wait.event)
    failures = sorted(closure(index, leader, wait.stop)[1].values()) if leader else ()
    excused = takeovers(index, wait.begin_at, wait.stop_at)
    return excused + retries(index, failures, wait.begin_at, wait.stop_at) + misled(index, wait)


def _violation(wait: Wait, consumer: str) -> Violation:
    event = wait.event
    begun, stopped = moments(wait.begin_at, wait.stop_at)
    why_at_once = f"its leader {event.leader} was done" if event.leader else "it follows nothing"
    witness = {event.published, wait.begin, event.parked, wait.stop}
    first = event.first_start
    known = [number for number in witness if number != NEVER and (number != wait.stop or first is not None)]
    return Violation(
        NAME,
        wait.stop_at,
        (event.name,),
        (consumer,) if consumer else (),
        f"because event {event.name} was delivered to {consumer} at {begun}, {why_at_once},"
        f" and it was still waiting at {stopped}",
        tuple(sorted(known)),
    )


INVARIANT = Invariant(
    name=NAME,
    summary=(
        "an event that waits for no leader (it has none, or one that is done when it is delivered) starts within the"
        " release bound after it was delivered to a consumer with room"
    ),
    excuses=(
        "as for prompt-release; time in which the consumer that has it was handling something; an effect of its leader "
        "that cannot have been recorded; a leader's mark whose time was over; losses that the scenario allows"
    ),
    subjects=subjects,
    check=check,
    exercised_by=("handled", "crashed"),
    reading=(
        "The first time is when a consumer was given the event, the second when it started, or when the history ends. "
        "Nothing was to be waited for in between."
    ),
    needs=frozenset({"outcomes", "deliveries"}),
    holds_for_trivial=True,
    order_is_known=True,
    examples={
        "accepted": """\
{"at":0,"kind":"published","event":"a"}
{"at":1000000,"kind":"delivered","event":"a","consumer":"c1"}
{"at":2000000,"kind":"started","event":"a","consumer":"c1","handling":1,"via":"delivered"}
{"at":3000000,"kind":"ended","event":"a","consumer":"c1","handling":1,"outcome":"ok"}
{"at":3000000,"kind":"acknowledged","event":"a","consumer":"c1"}
""",
        "excused": """\
{"at":0,"kind":"published","event":"a"}
{"at":0,"kind":"published","event":"b"}
{"at":1000000,"kind":"delivered","event":"a","consumer":"c1"}
{"at":1000000,"kind":"delivered","event":"b","consumer":"c1"}
{"at":1000000,"kind":"started","event":"a","consumer":"c1","handling":1,"via":"delivered"}
{"at":301000000,"kind":"ended","event":"a","consumer":"c1","handling":1,"outcome":"ok"}
{"at":301000000,"kind":"started","event":"b","consumer":"c1","handling":2,"via":"delivered"}
{"at":302000000,"kind":"ended","event":"b","consumer":"c1","handling":2,"outcome":"ok"}
""",
        "rejected": """\
{"at":0,"kind":"published","event":"a"}
{"at":1000000,"kind":"delivered","event":"a","consumer":"c1"}
{"at":1000000,"kind":"parked","event":"a","consumer":"c1"}
{"at":3601000000,"kind":"started","event":"a","consumer":"c1","handling":1,"via":"rescued"}
{"at":3602000000,"kind":"ended","event":"a","consumer":"c1","handling":1,"outcome":"ok"}
""",
    },
)
