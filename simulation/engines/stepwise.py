"""The engine of this project by its single steps, as callers of the original's older interface take them.

It looks, parks, looks again, and claims: each step is a script of its own, and the caller must allow for
other commands between them. The scripts `park`, `unpark` and `claim` are used by such callers alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ordering import EventAlreadySeen, EventBeingProcessed, fencing_token
from simulation.engines import Outcome
from simulation.engines.native import NativeEngine


class StepwiseEngine(NativeEngine):
    """One consumer of `ordering` that takes every step itself."""

    async def handle(self, event: Any) -> Outcome:
        """Handle one delivery."""
        if await self._ordering.event_has_been_seen(event):
            return "seen"
        if await self._waits(event):
            return "parked"
        return await self._process(event)

    async def sweep(self) -> int:
        """Handle the events whose leader did not come. Raises the first error of a handler."""
        lost = await self._ordering.get_lost_followers()
        errors = await self._each(lost)
        if errors:
            raise errors[0]
        return len(lost)

    async def _waits(self, event: Any) -> bool:
        """Park an event whose leader was not handled, unless it has been meanwhile."""
        ordering = self._ordering
        if event.follows is None or await ordering.event_has_been_seen(event.follows):
            return False
        await ordering.record_follower(event)
        if not await ordering.event_has_been_seen(event.follows):
            return True
        await ordering.forget_follower(event)
        return False

    async def _process(self, event: Any) -> Outcome:
        try:
            async with self._ordering.event_is_processing(event) as completion:
                await self._effect(event, fencing_token())
        except EventAlreadySeen:
            return "seen"
        except EventBeingProcessed:
            return "busy"
        await self._each(completion.followers)
        return "handled"

    async def _each(self, events: Sequence[Any]) -> list[Exception]:
        """Handle events that were claimed, and return those that failed: a sweep finds them again once their claim has
        ended.

        Neither the leader, which was handled, nor the siblings fail with a follower: a queue counts a failure as one of
        the leader's delivery.
        """
        errors = []
        for event in events:
            try:
                await self._process(event)
            except Exception as error:
                errors.append(error)
        return errors
