"""An attempt counts when it is granted: a handler that kills its process is given up, and its siblings go on."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from ordering import EventAlreadySeen, EventArrivedEarly, EventGivenUp, Policy
from tests.ordering.conftest import Fleet, Recorder, event, expire, number, sweep


async def die_in(engine: Any, one: Any) -> None:
    """Begin with an event, and never come back."""
    answer, _ = await engine._begin(one)
    assert answer == "granted"
    await expire(engine)


async def attempts(engine: Any, one: Any) -> float:
    """Return how often an event was tried; behind that stands its last fence."""
    said = await engine.redis.get(engine._key(f"tried:{one.id}")) or b"0"
    return float(said.partition(b"|")[0])


async def park(handler: Recorder, *events: Any) -> None:
    for one in events:
        with pytest.raises(EventArrivedEarly):
            await handler(one)


async def test_deadly_delivery_is_given_up(fleet: Fleet) -> None:
    """A delivery that kills its processes is given up."""
    letters: list[Any] = []
    poison, handler = event(1, text="what it says"), Recorder(fleet.engine(on_dead_letter=letters.append))
    await park(handler, event(2, 1))
    for _ in range(Policy().max_attempts):
        await die_in(fleet.engine(), poison)
    with pytest.raises(EventGivenUp):
        await handler(poison)
    [letter] = letters
    assert (letter.id, letter.reason, letter.attempts) == (str(poison.id), "exhausted", 4)
    assert b"what it says" in letter.payload, "though it was never parked"
    assert await sweep(handler) == [2], "its follower waits no longer"
    with pytest.raises(EventAlreadySeen):
        await handler(poison)
    assert handler.handled == [2]


async def test_retried_event_is_kept(fleet: Fleet) -> None:
    """Two consumers find that an event is exhausted; the second gives it up when an operator has retried it."""
    poison, handler = event(1), Recorder(fleet.engine())
    for _ in range(Policy().max_attempts):
        await die_in(fleet.engine(), poison)
    with pytest.raises(EventGivenUp):
        await handler(poison)
    assert await handler.engine.retry(poison)
    assert not await fleet.engine()._give_up_exhausted(poison)
    assert await sweep(handler) == [1]


async def test_deadly_parked_event_is_given_up(fleet: Fleet) -> None:
    """A parked event that kills its processes is given up and its siblings go on."""
    handler = Recorder(fleet.engine())
    await park(handler, event(2, 1), event(3, 1), event(4, 2))
    leader = fleet.engine()
    await leader.record_event_as_processing(event(1))
    await leader.complete_event_and_get_followers(event(1))
    for _ in range(4):
        await expire(handler.engine)
        dying = fleet.engine()
        lost = await dying.get_lost_followers()
        await dying._begin(next(one for one in lost if number(one) == 2))
    await expire(handler.engine)
    while await sweep(handler):
        await expire(handler.engine)
    assert sorted(handler.handled) == [3, 4]
    [letter] = await handler.engine.dead_letters()
    assert (letter.id, letter.follows, letter.reason) == (str(event(2).id), str(event(1).id), "exhausted")


async def test_drain_passes_an_exhausted_event(fleet: Fleet) -> None:
    """A drain goes past an event that has used its attempts up."""
    handler = Recorder(fleet.engine())
    await park(handler, event(2, 1), event(3, 1))
    await handler.engine.redis.set(handler.engine._key(f"tried:{event(2).id}"), 4)
    await handler(event(1))
    assert handler.handled == [1, 3]
    assert [letter.id for letter in await handler.engine.dead_letters()] == [str(event(2).id)]


async def test_queue_counts_failures_it_hears_of(fleet: Fleet) -> None:
    """A failure that the queue hears of is the queue's to count."""
    handler = Recorder(fleet.engine())
    handler.failing = {1: 10}
    for _ in range(10):
        with pytest.raises(RuntimeError):
            await handler(event(1))
        assert await attempts(handler.engine, event(1)) == 0
    await handler(event(1))
    assert handler.handled == [1]


async def test_shutdown_counts_no_attempt(fleet: Fleet) -> None:
    """What is given back by a shutdown has had no attempt."""
    engine, begun = fleet.engine(), asyncio.Event()

    async def work(one: Any, depth: int = 0) -> None:
        async with engine.preceding_event_confirmed(work, one, depth):
            begun.set()
            await asyncio.Event().wait()

    task = asyncio.create_task(work(event(1)))
    await begun.wait()
    assert await attempts(engine, event(1)) == 1
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await attempts(engine, event(1)) == 0
    assert await engine.record_event_as_processing(event(1))
    await engine.forget_event_is_processing(event(1))
    assert await attempts(engine, event(1)) == 0


async def test_what_is_known_of_attempts_ends(fleet: Fleet) -> None:
    engine = fleet.engine()
    await engine.record_event_as_processing(event(1))
    assert 0 < await engine.redis.ttl(engine._key(f"tried:{event(1).id}")) <= 15 * 60
    await engine.complete_event_and_get_followers(event(1))
    assert not await engine.redis.exists(engine._key(f"tried:{event(1).id}"))
