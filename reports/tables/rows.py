"""The facts about each event in a table of events, in plain Python: the rows of which `tables.py` makes columns."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, NamedTuple

from simulation.history.indexer import index_of
from simulation.history.records import NEVER

if TYPE_CHECKING:
    from simulation.history.history import History
    from simulation.history.index import HistoryIndex
    from simulation.history.records import EventStory


class EventRows(NamedTuple):
    """A row an event, with values in the order of EVENT_COLUMNS; `attrs` describe the run."""

    rows: list[tuple[Any, ...]]
    attrs: dict[str, Any]


def event_rows(history: History) -> EventRows:
    """Return one row an event, in the order in which the events first appear."""
    index = index_of(history)
    return rows_of(index, (event for event in index if event.is_mentioned))


def rows_of(index: HistoryIndex, some: Iterable[EventStory]) -> EventRows:
    """Return the rows of some of the events of an index."""
    header = index.header
    attrs = {"scenario": header.scenario, "engine": header.engine, "seed": header.seed, "end_s": index.end_at / 1e6}
    return EventRows([_event_row(index, event) for event in some], attrs)


def seconds(at: int) -> float:
    """Return a moment in seconds; `NaN` for one that never came."""
    return float("nan") if at == NEVER else at / 1e6


def _span(start: int, end: int) -> float:
    return float("nan") if NEVER in (start, end) else (end - start) / 1e6


def _event_row(index: HistoryIndex, event: EventStory) -> tuple[Any, ...]:
    handling, effects, deliveries = event.main_handling, event.effects, event.deliveries
    effect = effects[0].end_at if effects else NEVER
    return (
        event.name,
        event.leader,
        seconds(event.published_at),
        seconds(deliveries[0].at if deliveries else NEVER),
        len(deliveries),
        seconds(event.parked_at),
        seconds(handling.start_at if handling else NEVER),
        seconds(effect),
        len(event.handlings),
        len(effects),
        handling.via if handling else "",
        handling.consumer if handling else "",
        seconds(event.dead_at),
        event.dead != NEVER,
        _span(event.published_at, effect),
        _wait(index, event),
        event.is_lost,
    )


def _wait(index: HistoryIndex, event: EventStory) -> float:
    """Return how long a follower that was handled had waited for its release, in seconds; `NaN` for others."""
    handling, leader = event.main_handling, index.leader_of(event)
    if leader is None or handling is None:
        return float("nan")
    ready = [delivery.at for delivery in event.deliveries[:1]] + [effect.end_at for effect in leader.effects[:1]]
    known = [at for at in ready if at <= handling.start_at]
    return _span(max(known), handling.start_at) if known else float("nan")
