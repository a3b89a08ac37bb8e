"""A real redis-server and fakeredis for the engine's own tests, in real time, with short policies."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import fakeredis
import pytest
import redis.asyncio

from ordering import CausalOrdering, Policy, ReceivedEvent
from tests.ordering.clusters import cluster, nodes

__all__ = ["cluster", "nodes"]

START = datetime(2024, 1, 1, tzinfo=UTC)


@pytest.fixture(params=["server", "embedded"])
async def connect(request: pytest.FixtureRequest, socket: str) -> AsyncIterator[Any]:
    """Returns new clients of one empty store."""
    clients = []
    server = fakeredis.FakeServer(version=(7,))

    def make() -> Any:
        if request.param == "embedded":
            client: Any = fakeredis.FakeAsyncRedis(server=server)
        else:
            client = redis.asyncio.Redis(unix_socket_path=socket)
        clients.append(client)
        return client

    await make().flushall()
    yield make
    for client in clients:
        await client.aclose()


class Fleet:
    """Several processes of one scope, and events to give them."""

    def __init__(self, connect: Any) -> None:
        self._connect = connect
        self._tokens = itertools.count(1)

    def engine(self, policy: Policy | None = None, scope: str = "test", **options: Any) -> CausalOrdering:
        """Return an engine in a process of its own."""
        options.setdefault("token", lambda: f"t{next(self._tokens)}")
        return CausalOrdering(scope, redis=self._connect(), policy=policy or Policy(), **options)


@pytest.fixture
def fleet(connect: Any) -> Fleet:
    """Several processes of one scope."""
    return Fleet(connect)


def event(number: int, follows: int = 0, occurred: int | None = None, **more: Any) -> ReceivedEvent:
    """Return event `number`, which follows event `follows`."""
    moment = START + timedelta(seconds=number if occurred is None else occurred)
    leader = UUID(int=follows) if follows else None
    return ReceivedEvent(id=UUID(int=number), follows=leader, occurred=moment, received=moment, **more)


def number(one: Any) -> int:
    """Return an event's number."""
    return int(one.id.int)


class Recorder:
    """A handler that writes down what it handled; plain, or entering the engine again."""

    def __init__(self, engine: CausalOrdering, *, reentrant: bool = True) -> None:
        self.engine = engine
        self.reentrant = reentrant
        self.handled: list[int] = []
        self.depths: list[int] = []
        self.failing: dict[int, int] = {}

    async def __call__(self, one: Any, depth: int = 0) -> None:
        if depth and not self.reentrant:
            await self._work(one, depth)
            return
        async with self.engine.preceding_event_confirmed(self, one, depth):
            await self._work(one, depth)

    async def _work(self, one: Any, depth: int) -> None:
        if self.failing.get(number(one), 0):
            self.failing[number(one)] -= 1
            raise RuntimeError(f"event {number(one)} is hard")
        self.handled.append(number(one))
        self.depths.append(depth)


async def expire(engine: CausalOrdering) -> None:
    """Let all leases and claims run out, as if their holders had died long ago, and rests be over."""
    client = engine.redis
    for key in await client.keys(engine._key("processing:*")):
        await client.delete(key)
    for name in ("claims", "releases", "untold"):
        for member in await client.zrange(engine._key(name), 0, -1):
            await client.zadd(engine._key(name), {member: 0})


async def wait_out(engine: CausalOrdering) -> None:
    """Let the lookback of everything that is parked be over."""
    for name in ("heads", "waitlist"):
        for member in await engine.redis.zrange(engine._key(name), 0, -1):
            await engine.redis.zadd(engine._key(name), {member: 1})


async def sweep(handler: Recorder) -> list[int]:
    """Handle overdue events, whatever their outcome, and return their numbers."""
    lost = await handler.engine.get_lost_followers()
    for one in lost:
        with suppress(Exception):
            await handler(one)
    return [number(one) for one in lost]
