"""How long an event has waited, idle, for its first handling to start.

Time does not count while no consumer was alive, unpaused and connected to Redis, nor while events whose turn came first
were being handled. An event that is still waiting when the history ends has waited until then.

The bound of such a wait does not start again. It is longer, once, by what other failures can have cost:

- one lease and one sweep for each time that a consumer died, stopped, or was paused or cut off so long that a lease may
  have ended: until another consumer has found what it held. Where such times overlap, they count once;
- `max_attempts` times the retry delay and one sweep for each event whose turn came first and whose handling failed.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate, chain, pairwise

from simulation.history.index import HistoryIndex
from simulation.history.intervals import Clock, Span, within
from simulation.history.records import NEVER, EventStory
from simulation.invariants.cascades import begun_by_finding


@dataclass(frozen=True, slots=True)
class Wait:
    """A stretch of time in which an event waited; `stop` is an index, one past the last entry if it still waits."""

    event: EventStory
    begin: int
    begin_at: int
    stop: int
    stop_at: int

    def finder(self, index: HistoryIndex) -> str:
        """Return the consumer that ended the wait because it had found the event, if that is how it ended."""
        first = self.event.first_start
        ended = first is not None and first.start == self.stop and begun_by_finding(index, first)
        return first.consumer if first and ended else ""


def until_handled(index: HistoryIndex, event: EventStory, begin: int, begin_at: int) -> Wait | None:
    """Return the wait of an event from the entry with index `begin`, at `begin_at` microseconds, until it was first
    handled or given up. None if that was before.
    """
    stop, stop_at = index.end, index.end_at
    if event.handlings:
        stop, stop_at = event.handlings[0].start, event.handlings[0].start_at
    if NEVER < event.dead < stop:
        stop, stop_at = event.dead, event.dead_at
    return Wait(event, begin, begin_at, stop, stop_at) if stop > begin else None


def idle_clock(index: HistoryIndex, begin_at: int, stop_at: int, *busy: Sequence[Span]) -> Clock:
    """Return the clock that measures idle waiting between two times, in microseconds.

    It stands still while no consumer could work, and in the `busy` spans, in which other events were handled; each of
    them is merged.
    """
    spans = (within(some, begin_at, stop_at) for some in (index.clock.still, *busy))
    return Clock(chain.from_iterable(spans))


def takeovers(index: HistoryIndex, begin_at: int, stop_at: int) -> int:
    """Return how many microseconds longer a wait between two times may last because holders died or fell silent.

    What a holder had when it died is found one lease later, so deaths up to a lease before the wait count, too.
    """
    index.interruptions = index.interruptions or _interruptions(index)
    times, costs = index.interruptions
    first, last = bisect_left(times, begin_at - index.terms.lease), bisect_left(times, stop_at)
    if first >= last:
        return 0
    return costs[last - 1] - costs[first] + index.terms.lease + index.terms.sweep_interval


def _interruptions(index: HistoryIndex) -> tuple[list[int], list[int]]:
    """Return when holders died or fell silent, and how much time those before each can have cost in all."""
    lapses = {begin for name in index.consumers for begin, _ in index.lapses(name, -1, index.end_at + 1)}
    times = sorted(lapses.union(*(one.departures for one in index.consumers.values())))
    lasts = index.terms.lease + index.terms.sweep_interval
    return times, list(accumulate((min(lasts, later - at) for at, later in pairwise(times)), initial=0))


def retries(index: HistoryIndex, failures: Sequence[int], begin_at: int, stop_at: int) -> int:
    """Return how many microseconds longer a wait between two times may last because of events that first failed at
    `failures`, in order.
    """
    failing = bisect_right(failures, stop_at) - bisect_left(failures, begin_at)
    return max(0, failing) * index.terms.max_attempts * (index.terms.retry_delay + index.terms.sweep_interval)
