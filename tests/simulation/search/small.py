"""Engines small enough for every order of their steps to be enumerated, each with a race of its own."""

from __future__ import annotations

from typing import Any

from simulation.engines import EngineContext
from simulation.scenario import Scenario, loads


def scenario(events: int = 2, consumers: int = 2) -> Scenario:
    """Return a world of a few events that follow nobody."""
    names = ", ".join(f'{{ name = "{name}" }}' for name in "abc"[:events])
    return loads(f'name = "small"\nworkload.events = [{names}]\nconsumers.count = {consumers}')


class _Small:
    def __init__(self, context: EngineContext) -> None:
        self._redis = context.connect()
        self._scope = context.scope
        self._effect = context.effect

    async def sweep(self) -> int:
        return 0


class Apart(_Small):
    """Each event has a key of its own: nothing in Redis conflicts."""

    async def handle(self, event: Any) -> None:
        await self._redis.set(f"{self._scope}:{event.id}", 1)
        await self._effect(event)


class FirstOnly(_Small):
    """Whoever takes the one lock has an effect; who comes second has none: the order decides what the history says."""

    async def handle(self, event: Any) -> None:
        if await self._redis.set(f"{self._scope}:lock", 1, nx=True):
            await self._effect(event)


class LostUpdate(_Small):
    """Reads a count and writes it back: two who read before either writes agree on the same number."""

    async def handle(self, event: Any) -> None:
        read = int(await self._redis.get(f"{self._scope}:count") or 0)
        await self._redis.set(f"{self._scope}:count", read + 1)
        if read % 2 == 0:
            await self._effect(event)


class Guarded(_Small):
    """A script whose keys depend on what it finds: what it touches is known only once it has run."""

    SCRIPT = """
    local turn = redis.call("INCR", KEYS[1] .. ":turn")
    if turn == 1 then return redis.call("SET", KEYS[1] .. ":first", ARGV[1]) and 1 end
    if redis.call("GET", KEYS[1] .. ":" .. ARGV[1]) then return 0 end
    redis.call("SET", KEYS[1] .. ":first", ARGV[1])
    return 1
    """

    async def handle(self, event: Any) -> None:
        if await self._redis.eval(self.SCRIPT, 1, self._scope, str(event.id)):
            await self._redis.set(f"{self._scope}:{event.id}", 1)
            await self._effect(event)
