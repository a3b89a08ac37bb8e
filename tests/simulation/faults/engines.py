"""An engine that looks at the clock."""

from __future__ import annotations

import asyncio
import time
from typing import Any, ClassVar

from tests.simulation.engines import MinimalEngine


class Watch(MinimalEngine):
    shown = 0.0

    async def handle(self, event: Any) -> None:
        type(self).shown = time.time()
        await super().handle(event)


class Asking(MinimalEngine):
    """Asks its client five things at a time."""

    def __init__(self, context: Any) -> None:
        super().__init__(context)
        self._client = context.connect()

    async def handle(self, event: Any) -> None:
        await asyncio.gather(*(self._client.get("anything") for _ in range(5)))
        await super().handle(event)


class Messages(MinimalEngine):
    """Keeps the events that it handles, as their messages have them."""

    seen: ClassVar[list[dict[str, Any]]] = []

    async def handle(self, event: Any) -> None:
        type(self).seen.append(vars(event))
        await super().handle(event)


class Given(MinimalEngine):
    """Notes the types of what it is given."""

    types: ClassVar[list[str]] = []

    async def handle(self, event: Any) -> None:
        """Note the type."""
        type(self).types.append(type(event).__name__)
        await super().handle(event)


class GivesUpSlowly(MinimalEngine):
    """Fails at the first delivery, and takes long to give the event up; handles what is delivered meanwhile."""

    deliveries = 0

    async def handle(self, event: Any) -> None:
        """Fail once."""
        type(self).deliveries += 1
        if self.deliveries == 1:
            raise RuntimeError("the first")
        await super().handle(event)

    async def give_up(self, event: Any) -> bool:
        """Take longer than the queue waits before it delivers again."""
        await asyncio.sleep(5)
        return True
