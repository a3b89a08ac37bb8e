"""Hooks for operators of the engine: calls an object of theirs at each step of an event."""

from __future__ import annotations

import logging
from typing import Any, Literal, Protocol

from ordering.describing import describe

logger = logging.getLogger(__name__)

Happening = Literal["granted", "parked", "released", "rescued", "retried", "dead", "lease_lost", "refused"]
"""The names of the hooks."""


class Observer(Protocol):
    """Its methods are called at each step of an event in this process, with its scope and its id. Each may be left
    out.

    A hook is called in the event loop, between two requests, so it must not block. An exception of a hook is logged.
    """

    def granted(self, scope: str, event: str) -> None:
        """Hear that this process holds the event, and is about to handle it."""

    def parked(self, scope: str, event: str) -> None:
        """Hear that the event was delivered, and waits for its leader."""

    def released(self, scope: str, event: str) -> None:
        """Hear that the event was handed out because its leader is done."""

    def rescued(self, scope: str, event: str) -> None:
        """Hear that a sweep has found the event: its leader has not come within the lookback, or is in a circle.

        Other sweeps may return the event, too, to share the work: they do not call this.
        """

    def retried(self, scope: str, event: str) -> None:
        """Hear that a sweep has found the event: its handler has failed before, or its holder is gone."""

    def dead(self, scope: str, event: str) -> None:
        """Hear that the event was given up, and is a dead letter: at least once in the fleet."""

    def lease_lost(self, scope: str, event: str) -> None:
        """Hear that the lease on the event ran out: while its handler worked, and another consumer has taken the event,
        or before its handler began.
        """

    def refused(self, scope: str, event: str) -> None:
        """Hear that the event is not to be handled here now: it was handled, is held elsewhere, or is a dead letter."""


class Notifier:
    """Calls the hooks of an observer, if there is one."""

    def __init__(self, observer: Any, scope: str) -> None:
        self._observer = observer
        self._scope = scope

    def __call__(self, what: Happening, identity: str) -> None:
        """Call the observer's method for a step of an event."""
        hook = getattr(self._observer, what, None)
        if hook is None:
            return
        try:
            hook(self._scope, identity)
        except Exception as error:
            message = "The observer of scope %r has failed for event %s, which is %s: %s"
            logger.warning(message, self._scope, identity, what, describe(error))
