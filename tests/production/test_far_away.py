"""A consumer that is far from Redis keeps what it holds."""

from __future__ import annotations

import asyncio
from collections import Counter
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest

from ordering import CausalOrdering, EventBeingProcessed, Policy
from tests.production.servers import Recorder, Server, event, proxy


async def test_large_batch_keeps_its_leases(own: Server, connect: Any) -> None:
    """A large batch keeps its leases while its first handler works."""
    policy = Policy(lease=timedelta(seconds=2))
    async with proxy(own, delay=0.01) as far:
        batch = CausalOrdering("test", redis=connect(far.port), policy=policy)
        other = Recorder(CausalOrdering("test", redis=connect(own.port), policy=policy))
        call, renewed = batch._call, asyncio.Semaphore(0)

        async def noted(name: str, *args: Any, **options: Any) -> Any:
            reply = await call(name, *args, **options)
            if name == "renew_many":
                renewed.release()
            return reply

        batch._call = noted  # type: ignore[method-assign]
        events, handled = [event() for _ in range(2500)], Counter[UUID]()
        refused = 0

        async def work(one: Any, depth: int = 0) -> None:
            nonlocal refused
            handled[one.id] += 1
            if one is events[0]:
                for _ in range(4 * 3):  # slices; each lease is prolonged four times, so for longer than it lasts
                    await renewed.acquire()
                for late in events[-20:]:
                    try:
                        await other(late)
                    except EventBeingProcessed:
                        refused += 1

        outcomes = await batch.handle_batch(work, events)
    assert Counter(outcomes) == {"handled": 2500}
    assert (refused, other.handled) == (20, [])
    assert set(handled.values()) == {1}


async def test_batch_with_lost_leases(own: Server, connect: Any) -> None:
    """A batch begins no handler whose lease was lost."""
    policy = Policy(lease=timedelta(seconds=2))
    batch = CausalOrdering("test", redis=connect(own.port), policy=policy)
    events, handled = [event() for _ in range(3)], []

    renew, renewed = batch._renew, asyncio.Event()

    async def noted(*args: Any) -> None:
        await renew(*args)
        renewed.set()

    async def work(one: Any, depth: int = 0) -> None:
        handled.append(one.id)
        if one is events[0]:
            await batch.redis.delete(f"{{test}}:processing:{events[1].id}")
            renewed.clear()
            await renewed.wait()

    batch._renew = noted  # type: ignore[method-assign]
    assert await batch.handle_batch(work, events) == ["handled", "lost", "handled"]
    assert handled == [events[0].id, events[2].id]


async def test_no_second_grant_to_itself(own: Server, connect: Any) -> None:
    """A process grants itself nothing that it still works on."""
    ordering = CausalOrdering("test", redis=connect(own.port))
    one, outcomes = event(), []

    async def again(same: Any, depth: int = 0) -> None:
        await ordering.redis.flushall()
        outcomes.extend(await ordering.handle_batch(never, [same]))

    async def never(same: Any, depth: int = 0) -> None:
        raise AssertionError

    assert await ordering.handle_batch(again, [one]) == ["handled"]
    assert outcomes == ["held"]


@pytest.mark.nightly
@pytest.mark.parametrize("way", ["batch", "stream"])
async def test_ten_thousand_events(own: Server, connect: Any, way: str) -> None:
    """Chains of five, half of them backwards, 20 ms from Redis; a second consumer asks for all of them, too."""
    events = []
    for number in range(2_000):
        chain = [event()]
        while len(chain) < 5:
            chain.append(event(chain[-1].id))
        events += chain if number % 2 else reversed(chain)
    policy, handled = Policy(lease=timedelta(seconds=10)), Counter[UUID]()
    first = {one.id: one.follows for one in events}

    async def work(one: Any, depth: int = 0) -> None:
        handled[one.id] += 1
        assert not first[one.id] or handled[first[one.id]]

    async def report(one: Any, outcome: str) -> None:
        outcomes[outcome] += 1

    outcomes = Counter[str]()
    async with proxy(own, delay=0.02) as far:
        fleet = [CausalOrdering("test", redis=connect(far.port), policy=policy) for _ in range(2)]
        if way == "batch":
            for results in await asyncio.gather(*(one.handle_batch(work, events) for one in fleet)):
                outcomes.update(results)
        else:
            await asyncio.gather(*(one.handle_stream(work, events[::-1], report) for one in fleet))
        while len(handled) < len(events):  # what both were refused is offered again
            for one in fleet:
                await one.handle_batch(
                    work, [*await one.get_lost_followers(), *(e for e in events if not handled[e.id])]
                )
    assert set(handled.values()) == {1}
    assert outcomes["failed"] + outcomes["lost"] == 0, outcomes
