"""no-stuck-worker: no work and no retries go on without an end.

There are four rules, each bounded by `stuck_bound`. Time in which the consumer was paused or cut off does not count.

1. A delivery or a handling does not stay open without progress: any entry of its consumer about the event's family,
   since a cascade may take long. Other work of the same consumer is no progress. A delivery is open until it is
   answered; in a history without any acknowledgements, one counts as answered if its event was parked or handled.
2. A sweep ends: a consumer that records its empty sweeps records the next one within the sweep interval and the bound.
   Time in which it handles what a sweep found does not count.
3. A call of the engine returns. One that had not is written down at the end of a run. A call that handles an event is
   judged by the first rule, if its delivery can be seen to be open.
4. A poison event ends in a dead letter. One that was rejected and never took effect is given up before the world goes
   quiet, and before it was rejected for longer than the bound. One that kills its process is given up after
   `max_attempts` deaths in a row, or one more, since the first may be that of a batch. A death counts if no other fault
   may have killed the process, and if less than two leases lie between it and the one before: an engine may forget
   older ones.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator
from itertools import pairwise
from typing import NamedTuple

from simulation.history.index import HistoryIndex
from simulation.history.intervals import Clock
from simulation.history.records import NEVER, ConsumerStory, EventStory, Handling
from simulation.invariants.cascades import found_work
from simulation.invariants.time_format import moments
from simulation.invariants.verdict import Invariant, Violation

NAME = "no-stuck-worker"
_KILLS = "handler-kills-process"
"""The fault by which a handler, and nothing else, ends its process."""


class _Work(NamedTuple):
    """Something that a consumer is at: a delivery or a handling. `end` is -1 if it never ended."""

    event: str
    consumer: str
    begin: int
    end: int
    handles: bool


class _Silence(NamedTuple):
    """The time without a sign of progress, and the indices of the entries around it."""

    since: int
    until: int


def subjects(index: HistoryIndex) -> int:
    """Count the deliveries and the handlings."""
    trivial = index.trivial.deliveries + index.trivial.events
    return trivial + sum(len(event.deliveries) + len(event.handlings) for event in index.nontrivial)


def check(index: HistoryIndex) -> Iterator[Violation]:
    """Yield a violation for each piece of work that stood still, each sweep that did, and each poison event."""
    yield from _stuck_work(index)
    for consumer in index.consumers.values():
        if consumer.reports_all_sweeps:
            yield from _stuck_sweeps(index, consumer)
    yield from _unfinished_calls(index)
    for event in index.nontrivial:
        yield from _poison(index, event)
        yield from _deadly(index, event)


def _stuck_work(index: HistoryIndex) -> Iterator[Violation]:
    clocks: dict[str, Clock] = {}
    reported: set[tuple[str, str, int]] = set()
    for work in _works(index):
        if _at(index, work.end) - index.times[work.begin] <= index.terms.stuck_bound:
            continue
        if work.consumer not in clocks:
            clocks[work.consumer] = Clock(index.silences(work.consumer))
        silence = _silence(index, work, clocks[work.consumer])
        if silence and (work.event, work.consumer, silence.since) not in reported:
            reported.add((work.event, work.consumer, silence.since))
            yield _standstill(index, work, silence)


def _works(index: HistoryIndex) -> Iterator[_Work]:
    acknowledges = index.counts["acknowledged"] > 0
    for event in index.nontrivial:
        for handling in event.handlings:
            yield _Work(event.name, handling.consumer, handling.start, handling.end, True)
        known = acknowledges or not (event.handlings or event.parked != NEVER)
        for delivery in event.deliveries:
            if known or delivery.closed != NEVER:
                yield _Work(event.name, delivery.consumer, delivery.index, delivery.closed, False)


def _silence(index: HistoryIndex, work: _Work, clock: Clock) -> _Silence | None:
    """Return the first stretch without progress that is longer than the bound."""
    since, root = work.begin, index.roots[work.event]
    if work.consumer not in index.consumers:
        return None  # the history does not say which consumer it was
    consumer = index.consumers[work.consumer]
    indices = consumer.work
    for position in range(bisect_right(indices, work.begin), len(indices)):
        number = indices[position]
        if work.end not in (NEVER, number) and number > work.end:
            break
        if index.roots.get(consumer.worked_on[position]) != root:
            continue
        if clock.elapsed(index.times[since], index.times[number]) > index.terms.stuck_bound:
            return _Silence(since, number)
        since = number
    until = index.end - 1 if work.end == NEVER else work.end
    if clock.elapsed(index.times[since], index.times[until]) > index.terms.stuck_bound:
        return _Silence(since, until)
    return None


def _at(index: HistoryIndex, number: int) -> int:
    return index.end_at if number == NEVER else index.times[number]


def _standstill(index: HistoryIndex, work: _Work, silence: _Silence) -> Violation:
    since_at, until_at = index.times[silence.since], index.times[silence.until]
    doing = "handle" if work.handles else "work on"
    began, last, now = moments(index.times[work.begin], since_at, until_at)
    return Violation(
        NAME,
        until_at,
        (work.event,),
        (work.consumer,),
        f"because {work.consumer} began to {doing} event {work.event} at {began}"
        f" and made no progress with it from {last} to {now}",
        tuple(sorted({work.begin, silence.since, silence.until})),
    )


def _stuck_sweeps(index: HistoryIndex, consumer: ConsumerStory) -> Iterator[Violation]:
    clock = Clock([*index.silences(consumer.name), *consumer.down, *found_work(index, consumer.name)])
    bound = index.terms.sweep_interval + index.terms.stuck_bound
    sweeps = [*consumer.sweeps, (index.end - 1, index.end_at)]
    for (number, at), (after, until) in pairwise(sweeps):
        if clock.elapsed(at, until) > bound:
            last, now = moments(at, until)
            because = f"because {consumer.name} ended a sweep at {last} and had not ended another by {now}"
            yield Violation(NAME, until, (), (consumer.name,), because, (number, after))


def _unfinished_calls(index: HistoryIndex) -> Iterator[Violation]:
    for number, entry in index.unfinished:
        since, consumer = entry.details.get("since"), entry.consumer
        if type(since) is not int or not 0 <= since <= entry.at or consumer not in index.consumers:
            continue
        if entry.event and index.counts["acknowledged"]:
            continue  # its delivery is open
        if Clock(index.silences(consumer)).elapsed(since, entry.at) > index.terms.stuck_bound:
            began, now = moments(since, entry.at)
            call = str(entry.details.get("call", "a call"))
            about = f" for event {entry.event}" if entry.event else ""
            because = f"because {consumer} called {call}{about} at {began}, and it had not returned at {now}"
            events = (entry.event,) if entry.event else ()
            yield Violation(NAME, entry.at, events, (consumer,), because, (number,))


def _poison(index: HistoryIndex, event: EventStory) -> Iterator[Violation]:
    rejected = [delivery for delivery in event.deliveries if delivery.closing == "rejected"]
    if not rejected or event.incomplete or event.effects or event.dead != NEVER or index.loss_allowed(event, index.end):
        return
    first, last = rejected[0], rejected[-1]
    first_at, last_at = index.times[first.closed], index.times[last.closed]
    if index.clock.elapsed(first_at, last_at) > index.terms.stuck_bound:
        until, until_at, then = last.closed, last_at, "was still being rejected"
    elif index.quiet:
        until, until_at, then = (
            index.phases[-1].index,
            index.phases[-1].at,
            "had no dead letter when the world was quiet",
        )
    else:
        return
    began, now = moments(first_at, until_at)
    because = (
        f"because event {event.name} was rejected by {first.consumer} at {began},"
        f" never took effect, and {then} at {now}"
    )
    yield Violation(NAME, until_at, (event.name,), (first.consumer,), because, tuple(sorted({first.closed, until})))


def _deadly(index: HistoryIndex, event: EventStory) -> Iterator[Violation]:
    if event.incomplete or set(index.faults) - {_KILLS}:
        return
    for deaths in _deaths_in_a_row(index, event):
        if len(deaths) > index.terms.max_attempts + 1:
            first, last = deaths[0], deaths[-1]
            began, now = moments(first.start_at, last.end_at)
            because = (
                f"because event {event.name} was begun {len(deaths)} times from {began} to {now}, each time its"
                f" consumer died, and it was not given up after {index.terms.max_attempts} attempts"
            )
            witness = tuple(sorted({first.start, last.start, last.end}))
            yield Violation(NAME, last.end_at, (event.name,), (last.consumer,), because, witness)
            return


def _deaths_in_a_row(index: HistoryIndex, event: EventStory) -> Iterator[list[Handling]]:
    """Yield the handlings that ended with their consumers, in runs between which an engine may have forgotten them."""
    run: list[Handling] = []
    for handling in event.handlings:
        if not handling.crashed or handling.took_effect:
            continue
        if run:
            last = run[-1]
            rested = handling.start_at - last.end_at > 2 * index.terms.lease
            if rested or index.store_lost(event.name, run[0].start, handling.start):
                yield run
                run = []
        run.append(handling)
    if run:
        yield run


INVARIANT = Invariant(
    name=NAME,
    summary=(
        "every call of the engine returns; no consumer and no sweep goes without progress for longer than the stated"
        " bound; a poison event ends in a dead letter, also one that kills its process"
    ),
    excuses="time in which the consumer was paused or cut off; losses that the scenario allows",
    subjects=subjects,
    check=check,
    exercised_by=("handler-failed", "dead-lettered"),
    reading=(
        "The last two times enclose the silence: the consumer wrote nothing down about this event and its family. For "
        "a sweep they are the ends of two sweeps, or the end of one and of the history. For a call "
        "that did not return they are its begin and the end of the history. For a poison event they are "
        "its first rejection, and its last or the moment when the world went quiet. For one that kills its process "
        "they are the start of the first of those handlings, and the last death."
    ),
    needs=frozenset({"outcomes"}),
    holds_for_trivial=True,
    order_is_known=True,
    examples={
        "accepted": """\
{"at":0,"kind":"published","event":"a"}
{"at":1000000,"kind":"delivered","event":"a","consumer":"c1","delivery":1}
{"at":1000000,"kind":"started","event":"a","consumer":"c1","handling":1}
{"at":540000000,"kind":"ended","event":"a","consumer":"c1","handling":1,"outcome":"ok"}
{"at":540000000,"kind":"acknowledged","event":"a","consumer":"c1","delivery":1}
""",
        "rejected": """\
{"at":0,"kind":"published","event":"a"}
{"at":1000000,"kind":"delivered","event":"a","consumer":"c1","delivery":1}
{"at":1000000,"kind":"started","event":"a","consumer":"c1","handling":1}
{"at":1200000000,"kind":"ended","event":"a","consumer":"c1","handling":1,"outcome":"ok"}
{"at":1200000000,"kind":"acknowledged","event":"a","consumer":"c1","delivery":1}
""",
    },
)
