"""What a table of events says of each, in plain Python: the rows of which `tables.py` makes columns."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, NamedTuple

from reports.lives import Lives

if TYPE_CHECKING:
    from reports.lives import Life
    from simulation.history.history import History


class EventRows(NamedTuple):
    """A row an event, with values in the order of EVENT_COLUMNS; `attrs` tell of the run."""

    rows: list[tuple[Any, ...]]
    attrs: dict[str, Any]


def event_rows(history: History) -> EventRows:
    """Return one row an event, in the order in which the events first appear."""
    lives = Lives(history)
    return rows_of(lives, history, lives.events.values())


def rows_of(lives: Lives, history: History, some: Iterable[Life]) -> EventRows:
    """Return the rows of some of the events of lives that were gathered already."""
    header = history.header
    attrs = {"scenario": header.scenario, "engine": header.engine, "seed": header.seed, "end_s": lives.end / 1e6}
    return EventRows([_event_row(lives, life) for life in some], attrs)


def seconds(at: int | None) -> float:
    """Return a moment in seconds; `NaN` for one that never came."""
    return float("nan") if at is None else at / 1e6


def _span(start: int | None, end: int | None) -> float:
    return float("nan") if start is None or end is None else (end - start) / 1e6


def _event_row(lives: Lives, life: Life) -> tuple[Any, ...]:
    told, effects = life.telling, life.effects
    effect = effects[0].ended if effects else None
    return (
        life.event,
        life.follows,
        seconds(life.published),
        seconds(life.first_delivered),
        len(life.deliveries),
        seconds(life.parked),
        seconds(told.started if told else None),
        seconds(effect),
        len(life.handlings),
        len(effects),
        told.via if told else "",
        told.consumer if told else "",
        seconds(life.dead_lettered),
        life.dead_lettered is not None,
        _span(life.published, effect),
        _wait(lives, life),
        life.is_lost,
    )


def _wait(lives: Lives, life: Life) -> float:
    """Return how long a follower that was handled had waited for its release, in seconds; `NaN` for others."""
    told = life.telling
    if not life.follows or told is None:
        return float("nan")
    leader = lives.leader(life)
    ready = [life.first_delivered, *(h.ended for h in (leader.effects[:1] if leader else ()))]
    known = [at for at in ready if at is not None and at <= told.started]
    return _span(max(known), told.started) if known else float("nan")
