"""An engine whose order of work hangs on the hash seed of its process."""

from __future__ import annotations

from typing import Any

from simulation.engines import EngineContext


class Unsteady:
    def __init__(self, context: EngineContext) -> None:
        self._redis = context.connect()
        self._effect = context.effect

    async def handle(self, event: Any) -> None:
        for turn in range(hash("a name") % 50):
            await self._redis.set(f"key-{turn}", 1, ex=10)
        await self._effect(event)

    async def sweep(self) -> int:
        return 0


class CountsForEver:
    """Handles each event twice or three times, in turns that last beyond a run."""

    handled = 0
    in_memory = True

    def __init__(self, context: EngineContext) -> None:
        self._effect = context.effect

    async def handle(self, event: Any) -> None:
        type(self).handled += 1
        for _ in range(2 + type(self).handled // 3 % 2):
            await self._effect(event)

    async def sweep(self) -> int:
        return 0
