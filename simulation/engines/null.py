"""The control group: no ordering at all. The violations that an engine prevents must happen here."""

from __future__ import annotations

from typing import Any

from simulation.engines import EngineContext, Outcome


class NullEngine:
    """Handles every delivery at once."""

    in_memory = True

    def __init__(self, context: EngineContext) -> None:
        self._effect = context.effect

    async def handle(self, event: Any) -> Outcome:
        """Handle the event, without regard to its leader."""
        await self._effect(event)
        return "handled"

    async def sweep(self) -> int:
        """Find nothing: nothing is ever parked."""
        return 0
