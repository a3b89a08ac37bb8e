"""Engines of which one call waits for something that never happens."""

from __future__ import annotations

import asyncio
from typing import Any

from simulation.engines import EngineContext


class Sound:
    """Handles an event once, and returns from every call."""

    def __init__(self, context: EngineContext) -> None:
        self.context, self.redis = context, context.connect()

    async def start(self) -> None:
        await self.redis.ping()

    async def handle(self, event: Any) -> str | None:
        if not await self.redis.set(f"{self.context.scope}:{event.id}", 1, nx=True, ex=60):
            return "seen"
        await self.context.effect(event)
        return None

    async def sweep(self) -> int:
        await self.redis.ping()
        return 0

    async def close(self) -> None:
        await self.redis.ping()

    async def hang(self) -> None:
        """Wait for ever, in one of the two consumers."""
        if self.context.consumer == "c1":
            await asyncio.get_running_loop().create_future()


class Starting(Sound):
    async def start(self) -> None:
        await self.hang()


class Closing(Sound):
    async def close(self) -> None:
        await self.hang()


class Sweeping(Sound):
    async def sweep(self) -> int:
        await self.hang()
        return 0


class Handling(Sound):
    """Hangs before it says that it has an event in hand, so that another consumer gets it."""

    async def handle(self, event: Any) -> str | None:
        await self.hang()
        return await super().handle(event)


class HandlingLate(Sound):
    """Has done its work when it hangs."""

    async def handle(self, event: Any) -> str | None:
        outcome = await super().handle(event)
        await asyncio.get_running_loop().create_future()
        return outcome


class Locking(Sound):
    """Takes two locks in either order, as two workers of a process do that are about to wait for each other."""

    def __init__(self, context: EngineContext) -> None:
        super().__init__(context)
        self.locks = [asyncio.Lock(), asyncio.Lock()]

    async def handle(self, event: Any) -> str | None:
        first, second = self.locks if self.context.consumer == "c2" else self.locks[::-1]
        self.locks = self.locks[::-1]
        async with first:
            await asyncio.sleep(1)
            async with second:
                return await super().handle(event)


class Crossing(Sound):
    """Two handlers of one process take two locks in opposite orders, with a request in between."""

    def __init__(self, context: EngineContext) -> None:
        super().__init__(context)
        self.locks = {"c1.1": asyncio.Lock(), "c2.1": asyncio.Lock()}

    async def handle(self, event: Any) -> str | None:
        first, second = sorted(self.locks, key=lambda name: name != event.payload["name"])
        async with self.locks[first]:
            await self.redis.set(f"{self.context.scope}:{event.id}", 1, ex=60)
            async with self.locks[second]:
                await self.context.effect(event)
        return None


class SlowToClose(Sound):
    """Takes five seconds to close."""

    async def close(self) -> None:
        await asyncio.sleep(5)
