"""Several deliveries in one call of an engine, and the cancellation of the handler of one.

A queue counts the failures of an event by its rejected deliveries. A cancelled handler is a failure of its own event;
every other delivery of the same call goes back to the queue uncounted.
"""

from __future__ import annotations

import asyncio
from typing import Any

from simulation.engines import Effect


class CancelledIn:
    """An effect that remembers the event whose handler was cancelled last."""

    def __init__(self, effect: Effect) -> None:
        self._effect = effect
        self._identity: Any = None

    async def __call__(self, event: Any, fence: int | None = None) -> None:
        """Handle the event."""
        try:
            await self._effect(event, fence)
        except asyncio.CancelledError:
            self._identity = event.id
            raise

    def failed(self, event: Any) -> bool:
        """Return whether this event's own handler was the one that was cancelled."""
        return bool(event.id == self._identity)
