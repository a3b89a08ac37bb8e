"""no-stuck-worker: no consumer works on one delivery for longer than the bound without a sign of life.

A sign of life is any entry of the consumer about an event. Time in which it was paused or cut off does not count, and
a run that ends while the delivery is open is judged by how long that was.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator

from simulation.invariants.chronicle import Chronicle
from simulation.invariants.phrases import moments
from simulation.invariants.records import NEVER, Delivery
from simulation.invariants.spans import Clock
from simulation.invariants.verdict import Invariant, Violation

NAME = "no-stuck-worker"


def subjects(told: Chronicle) -> int:
    """Count the deliveries."""
    return sum(len(event.deliveries) for event in told)


def check(told: Chronicle) -> Iterator[Violation]:
    """Yield a violation for each delivery that its consumer sat on."""
    clocks: dict[str, Clock] = {}
    bound = told.terms.stuck_bound
    for event in told:
        for delivery in event.deliveries:
            end = told.end_at if delivery.closed == NEVER else delivery.closed_at
            if end - delivery.at <= bound:
                continue
            clock = clocks.setdefault(delivery.consumer, Clock(told.silences(delivery.consumer)))
            still = _silence(told, delivery, clock)
            if still is not None:
                yield _violation(told, delivery, *still)


def _silence(told: Chronicle, delivery: Delivery, clock: Clock) -> tuple[int, int] | None:
    """Return the first stretch without a sign of life that is too long, as the times of its ends."""
    work = told.consumers[delivery.consumer].work
    last = told.end - 1 if delivery.closed == NEVER else delivery.closed
    since = delivery.at
    for position in range(bisect_right(work, delivery.index), len(work)):
        index = work[position]
        if index > last:
            break
        at = told.entries[index].at
        if clock.elapsed(since, at) > told.terms.stuck_bound:
            return since, at
        since = at
    at = told.entries[last].at
    return (since, at) if clock.elapsed(since, at) > told.terms.stuck_bound else None


def _violation(told: Chronicle, delivery: Delivery, since: int, until: int) -> Violation:
    got, began, ended = moments(delivery.at, since, until)
    closed = () if delivery.closed == NEVER else (delivery.closed,)
    return Violation(
        NAME,
        until,
        (delivery.event,),
        (delivery.consumer,),
        f"because consumer {delivery.consumer} was given event {delivery.event} at {got}"
        f" and showed no sign of life from {began} to {ended}",
        (delivery.index, *closed),
    )


INVARIANT = Invariant(
    name=NAME,
    summary="no consumer works on a delivery for longer than the stated bound without a sign of life",
    excuses="time in which the consumer was paused or cut off does not count",
    subjects=subjects,
    check=check,
)
