"""Errors for an event that the engine does not handle now. Each carries the event; its docstring says the fix."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


class OrderingError(Exception):
    """Something about one event: its `event` is the one. Its message names the event alone."""

    def __init__(self, event: Any) -> None:
        super().__init__(event)
        self.event = event

    def __str__(self) -> str:
        return f"event {getattr(self.event, 'id', self.event)}"

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self})"


class EventArrivedEarly(OrderingError):
    """The event waits for the one that it follows. Acknowledge its message: the engine keeps it, and hands it out."""


class EventBeingProcessed(OrderingError):
    """The event is held by another consumer. Leave its message unacknowledged and ask again later."""


class EventAlreadySeen(OrderingError):
    """The event was handled before. Acknowledge its message."""


class EventGivenUp(EventAlreadySeen):
    """The event is a dead letter. Acknowledge its message: the engine keeps it until it is retried or discarded."""


class MaxDepthExceeded(OrderingError):
    """Handlers have called each other too deeply for this event: do events follow each other in a circle?"""


class LeaseLost(OrderingError):
    """The lease ran out while the handler worked, and another consumer has the event.

    Undo, or rely on the fencing token.
    """


@dataclass(frozen=True, slots=True)
class Errors:
    """The exceptions that an ordering raises: a drop-in for another engine raises that engine's."""

    early: type[Exception] = EventArrivedEarly
    seen: type[Exception] = EventAlreadySeen
    dead: type[Exception] = EventGivenUp
    held: type[Exception] = EventBeingProcessed
    depth: type[Exception] = MaxDepthExceeded
    lost: type[Exception] = LeaseLost
