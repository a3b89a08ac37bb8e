"""The engine of this project by the original's own steps: the lease first, and within it the wait for the leader."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from ordering import EventAlreadySeen, EventArrivedEarly, EventBeingProcessed, fencing_token
from simulation.engines import Outcome
from simulation.engines.native import NativeEngine


class WaitingEngine(NativeEngine):
    """One consumer of `ordering` that waits for a leader that is being handled, instead of parking at once."""

    async def handle(self, event: Any) -> Outcome:
        """Handle one delivery, and the followers that it releases."""
        ordering = self._ordering
        try:
            async with ordering.event_is_processing(event) as completion:
                await ordering.wait_for_leader(event)
                await self._effect(event, fencing_token())
        except EventAlreadySeen:
            return "seen"
        except EventArrivedEarly:
            return "parked"
        except EventBeingProcessed:
            return "busy"
        for follower in completion.followers:
            # A follower that fails is found again by a sweep. Neither its leader nor its siblings fail with it.
            with suppress(Exception):
                await self.handle(follower)
        return "handled"
