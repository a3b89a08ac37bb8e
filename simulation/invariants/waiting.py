"""How long an event has waited, idle, for its first handling to start.

Time does not count while no consumer was alive, unpaused and in reach of Redis, nor while others whose turn came first
were being handled. An event that is still waiting when the history ends has waited until then.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from simulation.invariants.chronicle import Chronicle
from simulation.invariants.records import NEVER, EventStory
from simulation.invariants.spans import Clock, Span, within


@dataclass(frozen=True, slots=True)
class Wait:
    """A stretch of time in which an event waited; `stop` is an index, one past the last entry if it still waits."""

    event: EventStory
    begin: int
    begin_at: int
    stop: int
    stop_at: int

    @property
    def rescued(self) -> bool:
        """Whether the wait was ended by a sweep."""
        first = self.event.first_start
        return first is not None and first.start == self.stop and first.via == "rescued"


def until_handled(told: Chronicle, event: EventStory, begin: int, begin_at: int) -> Wait | None:
    """Return the wait from an entry until the event was first handled or given up; none if that was before."""
    stop, stop_at = told.end, told.end_at
    if event.handlings:
        stop, stop_at = event.handlings[0].start, event.handlings[0].start_at
    if NEVER < event.dead < stop:
        stop, stop_at = event.dead, event.dead_at
    return Wait(event, begin, begin_at, stop, stop_at) if stop > begin else None


def idle(told: Chronicle, begin_at: int, stop_at: int, busy: Iterable[Span] = ()) -> int:
    """Return how much of some time counts as waiting, if others were served in the `busy` spans."""
    still = [*within(told.clock.still, begin_at, stop_at), *busy]
    return Clock(still).elapsed(begin_at, stop_at)
