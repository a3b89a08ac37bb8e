"""Copies of an event that follow another event than the first one does, and that may mislead an engine.

An engine knows of an event what it keeps in the store. If that is lost, and a copy of the event was delivered that
follows another one, that copy may be all that an engine knows.
"""

from __future__ import annotations

from collections.abc import Iterator

from simulation.history.index import HistoryIndex
from simulation.history.records import NEVER, EventStory
from simulation.invariants.idle_time import Wait


def misleading(index: HistoryIndex, event: EventStory, before: int) -> list[str]:
    """Return the names of the events that an engine may take for an event's leader at an index; "" for none at all.

    A copy counts if the event was delivered once more after it had been published, or if the history has no deliveries.
    """
    if not event.copies or not index.store_lost(event.name, event.first_known, before):
        return []
    has_deliveries = index.counts["delivered"] > 0
    last = max(
        (one.index for one in event.deliveries if one.index < before), default=NEVER if has_deliveries else before
    )
    return [follows for published, follows in event.copies if published < last]


def leaders_in_copies(index: HistoryIndex, event: EventStory, before: int) -> Iterator[EventStory | None]:
    """Yield the stories of those events; None for one of which the history says nothing else, and for none at all."""
    for name in misleading(index, event, before):
        yield index.events.get(name) if name != event.name else None


def misled(index: HistoryIndex, wait: Wait) -> int:
    """Return how much longer an event waits if all that the store knows of it is a copy that follows another event."""
    others = leaders_in_copies(index, wait.event, wait.stop)
    if any(other is None or not _knows_done(index, other, wait) for other in others):
        return index.terms.lookback + index.terms.sweep_interval
    return 0


def _knows_done(index: HistoryIndex, leader: EventStory, wait: Wait) -> bool:
    """Say whether an engine knows since the begin of a wait that an event was done."""
    done = leader.effects[0] if leader.effects else None
    return done is not None and done.end <= wait.begin and not index.store_lost(leader.name, done.end, wait.stop)
