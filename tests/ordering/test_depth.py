"""Ten thousand events that one leader releases, in a chain or a fan: in flat memory, without recursion."""

from __future__ import annotations

import asyncio
import gc
import traceback
from collections.abc import AsyncIterator
from typing import Any

import pytest
import redis.asyncio

from tests.ordering.conftest import Fleet, Recorder, event, number

MANY = 10_000
BATCH = 500
EARLY, LATE = 1_000, 9_000
NOISE = (LATE - EARLY) // 10
"""How many objects may come and go besides: far fewer than one for each event."""


class Gauge(Recorder):
    """A recorder that measures, early and late in a drain, how much there is of what could pile up."""

    def __init__(self, engine: Any, *, reentrant: bool) -> None:
        super().__init__(engine, reentrant=reentrant)
        self.shown: dict[int, dict[str, int]] = {}

    async def _work(self, one: Any, depth: int) -> None:
        await super()._work(one, depth)
        if number(one) in (EARLY, LATE):
            gc.collect()
            self.shown[number(one)] = {
                "objects": len(gc.get_objects()),
                "frames": sum(1 for _ in traceback.walk_stack(None)),
                "tasks": len(asyncio.all_tasks()),
            }


@pytest.fixture
async def fleet(socket: str) -> AsyncIterator[Fleet]:
    """Processes on a real server; to tell what is flat from what is not, one store will do."""
    client = redis.asyncio.Redis(unix_socket_path=socket)
    await client.flushall()
    yield Fleet(lambda: client)
    await client.aclose()


@pytest.mark.parametrize("reentrant", [True, False], ids=["reentrant", "plain"])
@pytest.mark.parametrize("shape", ["chain", "fan"])
async def test_ten_thousand_are_released_by_one(fleet: Fleet, shape: str, reentrant: bool) -> None:
    handler = Gauge(fleet.engine(), reentrant=reentrant)
    followers = [event(n, n - 1 if shape == "chain" else 1) for n in range(MANY, 1, -1)]
    for start in range(0, len(followers), BATCH):
        outcomes = await handler.engine.handle_batch(handler, followers[start : start + BATCH])
        assert set(outcomes) == {"parked"}
    await handler(event(1))
    assert handler.handled == list(range(1, MANY + 1))
    early, late = handler.shown[EARLY], handler.shown[LATE]
    assert late["frames"] == early["frames"]
    assert late["tasks"] == early["tasks"]
    assert abs(late["objects"] - early["objects"]) < NOISE
    state = handler.engine._state
    assert (state.held, state.active, state.claims, state.queues) == ({}, {}, {}, {})
    assert await fleet.engine().redis.exists("{test}:waitlist", "{test}:releases", "{test}:claims") == 0
