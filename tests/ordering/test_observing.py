"""The numbers of a scope, and the hooks of an observer."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from ordering import (
    EventAlreadySeen,
    EventArrivedEarly,
    EventBeingProcessed,
    LeaseLost,
    Observer,
    PartitionedOrdering,
    Policy,
    Stats,
)
from tests.ordering.conftest import Fleet, Recorder, event, expire, sweep

SOON = Policy(lookback=timedelta(milliseconds=1), max_attempts=1)


class Diary(Observer):
    """Writes everything down."""

    def __init__(self) -> None:
        self.pages: list[tuple[str, int]] = []

    def __getattribute__(self, name: str) -> Any:
        if name in ("pages", "of") or name.startswith("_"):
            return super().__getattribute__(name)
        return lambda scope, identity: self.pages.append((name, int(identity[-12:], 16)))

    def of(self, number: int) -> list[str]:
        return [what for what, event in self.pages if event == number]


async def test_stats_count_what_is_there(fleet: Fleet) -> None:
    engine = fleet.engine(SOON)
    handler = Recorder(engine)
    assert await engine.stats() == Stats(0, 0, 0, 0, 0, 0, 0, None)
    for one in (event(2, 1), event(3, 1), event(4, 9)):
        with pytest.raises(EventArrivedEarly):
            await handler(one)
    await engine.record_event_as_processing(event(1))
    stats = await engine.stats()
    assert (stats.parked, stats.claimed, stats.in_hand, stats.releasing, stats.dead) == (3, 0, 1, 0, 0)
    assert stats.oldest is not None
    assert abs(datetime.now(UTC) - stats.oldest) < timedelta(minutes=1)
    await engine.complete_event_and_get_followers(event(1))
    stats = await engine.stats()
    assert (stats.parked, stats.claimed, stats.in_hand) == (3, 2, 0)


async def test_overdue_is_counted(fleet: Fleet) -> None:
    """What is overdue is counted until a sweep finds it."""
    engine = fleet.engine(SOON)
    with pytest.raises(EventArrivedEarly):
        await Recorder(engine)(event(4, 9))
    await engine.redis.zadd(engine._key("heads"), {str(event(4).id): 1})
    assert (await engine.stats()).overdue == 1
    await engine.redis.zadd(engine._key("waitlist"), {str(event(4).id): 1})
    await engine.get_lost_followers()
    assert (await engine.stats()).overdue == 0


async def test_stats_are_one_round_trip(fleet: Fleet) -> None:
    """Stats are one round trip of constant size."""
    engine = fleet.engine()
    assert (await engine.stats()).parked == 0
    asked: list[str] = []
    call = engine._call

    async def counted(name: str, *args: Any) -> Any:
        asked.append(name)
        return await call(name, *args)

    engine._call = counted  # type: ignore[method-assign]
    await engine.stats()
    assert asked == ["stats"]


async def test_partitions_count_together(fleet: Fleet) -> None:
    ordering = PartitionedOrdering("parts", partitions=3, by=lambda one: str(one.id), redis=fleet.engine().redis)
    for n in range(1, 9):
        with pytest.raises(EventArrivedEarly):
            async with ordering.preceding_event_confirmed(Recorder(fleet.engine()), event(n, 99)):
                pass
    total, parts = await ordering.stats(), [await part.stats() for part in ordering.partitions]
    assert (total.parked, len(parts)) == (8, 3)
    assert total == Stats.total(parts)


async def test_each_hook_is_called(fleet: Fleet) -> None:
    diary = Diary()
    engine = fleet.engine(SOON, observer=diary)
    handler = Recorder(engine)
    with pytest.raises(EventArrivedEarly):
        await handler(event(2, 1))
    with pytest.raises(EventArrivedEarly):
        await handler(event(3, 1))
    handler.failing = {3: 1}
    await handler(event(1))
    with pytest.raises(EventAlreadySeen):
        await handler(event(1))
    assert diary.of(1) == ["granted", "refused"]
    assert diary.of(2) == ["parked", "released", "granted"]
    assert diary.of(3) == ["parked", "released", "granted", "dead"]

    with pytest.raises(EventArrivedEarly):
        await handler(event(5, 4))
    await expire(engine)
    await engine.redis.zadd(engine._key("heads"), {str(event(5).id): 1})
    await engine.redis.zadd(engine._key("waitlist"), {str(event(5).id): 1})
    await sweep(handler)
    assert diary.of(5) == ["parked", "rescued", "granted"]

    await engine.retry(event(3).id)
    await sweep(handler)
    assert diary.of(3)[4:] == ["retried", "granted"]


async def test_lost_lease(fleet: Fleet) -> None:
    diary, begun, on = Diary(), asyncio.Event(), asyncio.Event()
    engine, other = fleet.engine(observer=diary), fleet.engine()

    async def work() -> None:
        async with engine.preceding_event_confirmed(Recorder(engine), event(1)):
            begun.set()
            await on.wait()

    task = asyncio.create_task(work())
    await begun.wait()
    await expire(engine)
    await other.record_event_as_processing(event(1))
    on.set()
    with pytest.raises(LeaseLost):
        await task
    assert diary.of(1) == ["granted", "lease_lost"]
    with pytest.raises(EventBeingProcessed):
        await Recorder(engine)(event(1))


async def test_a_hook_that_raises_disturbs_nothing(fleet: Fleet, caplog: pytest.LogCaptureFixture) -> None:
    class Broken:
        def granted(self, scope: str, event: str) -> None:
            raise RuntimeError("no room left")

    handler = Recorder(fleet.engine(observer=Broken()))
    await handler(event(1))
    assert handler.handled == [1]
    assert "no room left" in caplog.text
