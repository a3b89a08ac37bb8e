"""Engines small enough for every order of their steps to be enumerated, each with a race of its own."""

from __future__ import annotations

from typing import Any

from simulation.engines import EngineContext
from simulation.scenario.load import loads
from simulation.scenario.model import Scenario


def scenario(events: int = 2, consumers: int = 2) -> Scenario:
    """Return a world of a few events without leaders."""
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
    """The first to take the one lock has an effect, the second has none: the order decides what the history says."""

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


class Members(_Small):
    """Each event is a member of one sorted set; who comes second sees both."""

    async def handle(self, event: Any) -> None:
        key = f"{self._scope}:members"
        await self._redis.zadd(key, {str(event.id): event.occurred.timestamp()})
        if len(await self._redis.zrange(key, 0, -1)) == 1:
            await self._effect(event)


class Fields(_Small):
    """Each event has a field of its own in one hash, and no request lists them: nothing in Redis conflicts."""

    async def handle(self, event: Any) -> None:
        await self._redis.hset(f"{self._scope}:fields", str(event.id), "1")
        await self._effect(event)


class Lister(_Small):
    """Each event has a field of its own; who lists them sees which was made last."""

    async def handle(self, event: Any) -> None:
        key = f"{self._scope}:fields"
        await self._redis.hset(key, str(event.id), "1")
        if list(await self._redis.hgetall(key))[-1] == str(event.id).encode():
            await self._effect(event)


class LastMember(_Small):
    """The last member that goes takes the time to live of its set along: what comes after it stays for ever."""

    async def handle(self, event: Any) -> None:
        key = f"{self._scope}:members"
        async with self._redis.pipeline(transaction=False) as packet:
            first, _ = await packet.zadd(key, {"first": 0}, nx=True).pexpire(key, 60_000).execute()
        await (self._redis.zrem(key, "first") if first else self._redis.zadd(key, {"second": 0}))
        await self._effect(event)
