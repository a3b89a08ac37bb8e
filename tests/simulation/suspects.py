"""Engines that are guilty or innocent by design: who judges them wrongly is the judge's fault."""

from __future__ import annotations

import asyncio
from typing import Any

from simulation.engines import EngineContext, Outcome
from tests.simulation.engines import TrivialCounts

SECOND = 1_000_000


class AcknowledgesOnly(TrivialCounts):
    """Says that it has handled what it never touched."""

    async def handle(self, event: Any) -> Outcome | None:
        return "handled"


class GivesUpUntried(TrivialCounts):
    """Writes a dead letter for each follower, at first sight, and tells everybody."""

    async def handle(self, event: Any) -> Outcome | None:
        if not event.follows:
            return await super().handle(event)
        self.context.given_up(event)
        return "handled"


class KeepsItInADict(TrivialCounts):
    """Parks followers in its own memory, and handles them with the next sweep."""

    def __init__(self, context: EngineContext) -> None:
        super().__init__(context)
        self.parked: dict[str, Any] = {}

    async def handle(self, event: Any) -> Outcome | None:
        if not event.follows:
            return await super().handle(event)
        self.parked[event.id] = event
        return "parked"

    async def sweep(self) -> int:
        found, self.parked = self.parked, {}
        for event in found.values():
            await self.context.effect(event)
        return len(found)


class ParksRoots(KeepsItInADict):
    """Parks what follows nothing, for ten minutes."""

    def __init__(self, context: EngineContext) -> None:
        super().__init__(context)
        self.sweeps = 0

    async def handle(self, event: Any) -> Outcome | None:
        self.parked[event.id] = event
        return "parked"

    async def sweep(self) -> int:
        self.sweeps += 1
        interval = self.context.policy.lease // 3
        return await super().sweep() if self.sweeps * interval >= 600 * SECOND else 0


class InOneLine(TrivialCounts):
    """One lock for all, renewed while its holder works, and followers that poll for their leader. Slow, and right."""

    in_memory = False

    def __init__(self, context: EngineContext) -> None:
        super().__init__(context)
        self.redis = context.connect()
        self.prefix = context.scope
        self.lease = context.policy.lease // 1000

    async def handle(self, event: Any) -> Outcome | None:
        while event.follows and not await self.redis.exists(f"{self.prefix}:seen:{event.follows}"):  # noqa: ASYNC110
            await asyncio.sleep(0.25)
        token = self.context.token()
        while not await self.redis.set(f"{self.prefix}:lock", token, nx=True, px=self.lease):  # noqa: ASYNC110
            await asyncio.sleep(0.25)
        renewing = asyncio.create_task(self.renew())
        try:
            if await self.redis.exists(f"{self.prefix}:seen:{event.id}"):
                return "seen"
            await self.context.effect(event)
            await self.redis.set(f"{self.prefix}:seen:{event.id}", 1, px=self.context.policy.retention // 1000)
        finally:
            renewing.cancel()
            await self.redis.delete(f"{self.prefix}:lock")
        return "handled"

    async def renew(self) -> None:
        while True:
            await asyncio.sleep(self.lease / 3000)
            await self.redis.pexpire(f"{self.prefix}:lock", self.lease)


class TenYears(InOneLine):
    """The same, but its markers live for ten years."""

    async def handle(self, event: Any) -> Outcome | None:
        await self.redis.set(f"{self.prefix}:mark:{event.id}", 1, ex=10 * 365 * 86_400)
        return await super().handle(event)
