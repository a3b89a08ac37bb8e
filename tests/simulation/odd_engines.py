"""Engines that an invariant must convict, or must not: their faults are known by design."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import Any

from ordering.scripts import text
from simulation.engines import EngineContext, Outcome
from tests.simulation.engines import MinimalEngine

SECOND = 1_000_000


class AcknowledgesOnly(MinimalEngine):
    """Says that it has handled what it never touched."""

    async def handle(self, event: Any) -> Outcome | None:
        return "handled"


class GivesUpUntried(MinimalEngine):
    """Writes a dead letter for each follower, at first sight, and reports it."""

    async def handle(self, event: Any) -> Outcome | None:
        if not event.follows:
            return await super().handle(event)
        self.context.given_up(event)
        return "handled"


class KeepsItInADict(MinimalEngine):
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


class InOneLine(MinimalEngine):
    """One lock for all, renewed while its holder works, and followers that poll for their leader. Slow, and right."""

    in_memory = False

    def __init__(self, context: EngineContext) -> None:
        super().__init__(context)
        self.redis = context.connect()
        self.prefix = context.scope
        self.lease = context.policy.lease // 1000

    async def handle(self, event: Any) -> Outcome | None:
        await self.wait(event)
        async with self.lock():
            if await self.seen(event.id):
                return "seen"
            await self.take_effect(event)
        return "handled"

    async def wait(self, event: Any) -> None:
        while event.follows and not await self.seen(event.follows):  # noqa: ASYNC110
            await asyncio.sleep(0.25)

    async def seen(self, identity: str) -> bool:
        return bool(await self.redis.exists(f"{self.prefix}:seen:{identity}"))

    async def take_effect(self, event: Any) -> None:
        await self.context.effect(event)
        await self.redis.set(f"{self.prefix}:seen:{event.id}", 1, px=self.context.policy.retention // 1000)

    @asynccontextmanager
    async def lock(self) -> AsyncIterator[None]:
        token = self.context.token()
        while not await self.redis.set(f"{self.prefix}:lock", token, nx=True, px=self.lease):  # noqa: ASYNC110
            await asyncio.sleep(0.25)
        renewing = asyncio.create_task(self.renew())
        try:
            yield
        finally:
            renewing.cancel()
            await self.redis.delete(f"{self.prefix}:lock")

    async def renew(self) -> None:
        while True:
            await asyncio.sleep(self.lease / 3000)
            await self.redis.pexpire(f"{self.prefix}:lock", self.lease)


class PollsForALookback(InOneLine):
    """The same, but it polls ever more seldom, and for no longer than the lookback for a leader that was not delivered.

    A consumer waits for an event once, however often it is delivered. What the queue gives up is done with.
    """

    def __init__(self, context: EngineContext) -> None:
        super().__init__(context)
        self.mine: set[str] = set()

    async def handle(self, event: Any) -> Outcome | None:
        if event.id in self.mine:
            return "busy"
        self.mine.add(event.id)
        try:
            return await super().handle(event)
        finally:
            self.mine.remove(event.id)

    async def wait(self, event: Any) -> None:
        keep = self.context.policy.retention // 1000
        await self.redis.set(f"{self.prefix}:known:{event.id}", 1, px=keep)
        leader = event.follows if event.follows != event.id else None
        waited, pause, lookback = 0.0, 0.25, self.context.policy.lookback / SECOND
        while leader and not await self.seen(leader):
            if waited > lookback and not await self.redis.exists(f"{self.prefix}:known:{leader}"):
                break
            await asyncio.sleep(pause)
            waited, pause = waited + pause, min(2 * pause, 5.0)

    async def give_up(self, event: Any) -> bool:
        await self.redis.set(f"{self.prefix}:seen:{event.id}", 1, px=self.context.policy.retention // 1000)
        return True


class ParksUnderItsOwnKeys(InOneLine):
    """Keeps followers in Redis under keys of its own, beside one lock for all, until their leader is done."""

    async def handle(self, event: Any) -> Outcome | None:
        async with self.lock():
            if await self.seen(event.id):
                return "seen"
            if event.follows not in (None, event.id) and not await self.seen(event.follows):
                await self.park(event)
                return "parked"
            await self.run(event)
        return "handled"

    def waiting(self, leader: str) -> str:
        return f"{self.prefix}:behind:{leader}"

    async def park(self, event: Any) -> None:
        now, _ = await self.redis.time()
        said = json.dumps({"since": now, "event": vars(event)})
        await self.redis.hsetnx(self.waiting(event.follows), event.id, said)
        await self.redis.pexpire(self.waiting(event.follows), self.context.policy.retention // 1000)

    async def run(self, event: Any) -> None:
        await self.take_effect(event)
        await self.release(event.id, 0)

    async def release(self, leader: str, before: float) -> int:
        """Handle the followers of a leader that is done, or those that have waited since before a time."""
        kept = map(json.loads, await self.redis.hvals(self.waiting(leader)))
        ripe = [one["event"] for one in kept if not before or one["since"] < before]
        ripe.sort(key=lambda event: (event["occurred"], event["id"]))
        await self.run_all(leader, ripe)
        return len(ripe)

    async def run_all(self, leader: str, ripe: list[dict[str, Any]]) -> None:
        for event in ripe:
            await self.run_parked(leader, event)

    async def run_parked(self, leader: str, event: dict[str, Any]) -> None:
        if not await self.seen(event["id"]):
            await self.run(SimpleNamespace(**event))
        await self.redis.hdel(self.waiting(leader), event["id"])

    async def sweep(self) -> int:
        found = 0
        async with self.lock():
            now, _ = await self.redis.time()
            overdue = now - self.context.policy.lookback / SECOND
            keys = sorted([text(key) async for key in self.redis.scan_iter(self.waiting("*"))])
            for leader in (key.rpartition(":")[2] for key in keys):
                found += await self.release(leader, 0 if await self.seen(leader) else overdue)
        return found


class ReleasesInParallel(ParksUnderItsOwnKeys):
    """The same, but siblings do not wait for each other, and start as they come."""

    async def run_all(self, leader: str, ripe: list[dict[str, Any]]) -> None:
        await asyncio.gather(*(self.run_parked(leader, event) for event in reversed(ripe)))


class SleepsInItsHandler(InOneLine):
    """Holds its whole process up for longer than its lease lasts."""

    async def take_effect(self, event: Any) -> None:
        time.sleep(2 * self.lease / 1000)  # noqa: ASYNC251
        await super().take_effect(event)


class LeaseTimesHundred(InOneLine):
    """Holds its lock for a hundred times the lease that it promises: who dies with it holds up all others."""

    def __init__(self, context: EngineContext) -> None:
        super().__init__(context)
        self.lease *= 100


class TenYears(InOneLine):
    """The same, but its markers live for ten years."""

    async def handle(self, event: Any) -> Outcome | None:
        await self.redis.set(f"{self.prefix}:mark:{event.id}", 1, ex=10 * 365 * 86_400)
        return await super().handle(event)
