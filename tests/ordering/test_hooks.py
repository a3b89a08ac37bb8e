"""Each hook of an observer is called in each way to consume: one by one, in batches, in streams, step by step."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from datetime import timedelta
from typing import Any

import pytest

from ordering import CausalOrdering, EventAlreadySeen, EventArrivedEarly, Policy
from tests.ordering.conftest import Fleet, Recorder, event, expire, number, sweep, wait_out
from tests.ordering.test_observing import Diary

Consume = Callable[[CausalOrdering[Any], Any, Sequence[Any]], Awaitable[object]]
SHORT = Policy(lease=timedelta(milliseconds=400))
ONCE = Policy(max_attempts=1)


async def one_by_one(engine: CausalOrdering[Any], work: Any, events: Sequence[Any]) -> None:
    for one in events:
        with suppress(Exception):
            async with engine.preceding_event_confirmed(work, one):
                await work(one)


async def in_a_batch(engine: CausalOrdering[Any], work: Any, events: Sequence[Any]) -> None:
    await engine.handle_batch(work, events)


async def in_a_stream(engine: CausalOrdering[Any], work: Any, events: Sequence[Any]) -> None:
    async def report(one: Any, outcome: str) -> None:
        pass

    await engine.handle_stream(work, events, report)


async def step_by_step(engine: CausalOrdering[Any], work: Any, events: Sequence[Any]) -> None:
    for one in events:
        with suppress(Exception):
            async with engine.event_is_processing(one) as completion:
                await engine.wait_for_leader(one)
                await work(one)
            await step_by_step(engine, work, completion.followers)


WAYS: list[Any] = [one_by_one, in_a_batch, in_a_stream, step_by_step]
ways = pytest.mark.parametrize("consume", WAYS, ids=lambda way: way.__name__)


class Work:
    """A handler that fails for some events, and may do something else first."""

    def __init__(self, *, failing: Sequence[int] = ()) -> None:
        self.failing = set(failing)
        self.first: Callable[[], Awaitable[object]] | None = None
        self.handled: list[int] = []

    async def __call__(self, one: Any, depth: int = 0) -> None:
        if self.first is not None:
            await self.first()
        if number(one) in self.failing:
            raise RuntimeError("too hard")
        self.handled.append(number(one))


@ways
async def test_a_follower_that_comes_first(fleet: Fleet, consume: Consume) -> None:
    diary, work = Diary(), Work()
    engine = fleet.engine(observer=diary)
    await consume(engine, work, [event(2, 1)])
    # Of the single steps, the first takes the lease.
    begins = ["granted"] if consume is step_by_step else []
    assert diary.of(2) == [*begins, "parked"]
    await consume(engine, work, [event(1)])
    assert diary.of(1) == ["granted"]
    assert diary.of(2) == [*begins, "parked", "released", "granted"]
    assert work.handled == [1, 2]


@ways
async def test_a_follower_that_a_sweep_releases(fleet: Fleet, consume: Consume) -> None:
    """The consumer of the leader died in between."""
    diary, work = Diary(), Work()
    engine = fleet.engine(observer=diary)
    await consume(fleet.engine(), work, [event(2, 1)])
    await fleet.engine().record_event_as_seen(event(1))
    await consume(engine, work, await engine.get_lost_followers())
    assert diary.of(2) == ["released", "granted"]


@ways
async def test_a_follower_of_a_missing_leader(fleet: Fleet, consume: Consume) -> None:
    diary, work = Diary(), Work()
    engine = fleet.engine(observer=diary)
    await consume(fleet.engine(), work, [event(2, 1)])
    await expire(engine)
    await wait_out(engine)
    await consume(engine, work, await engine.get_lost_followers())
    assert diary.of(2) == ["rescued", "granted"]


async def test_one_sweep_notifies_of_an_event(fleet: Fleet) -> None:
    """Sweeps share their lists; an event that two of them return was rescued once."""
    diaries = [Diary(), Diary()]
    first, second = (fleet.engine(observer=diary) for diary in diaries)
    for n in (2, 3):
        with pytest.raises(EventArrivedEarly):
            await Recorder(first)(event(n, 1))
    await expire(first)
    await wait_out(first)
    [begun, _] = await first.get_lost_followers()
    async with first.preceding_event_confirmed(Recorder(first), begun):
        assert [number(one) for one in await second.get_lost_followers()] == [3]
    assert diaries[0].of(3) == ["parked", "rescued"]
    assert diaries[1].of(3) == []


@ways
async def test_a_duplicate(fleet: Fleet, consume: Consume) -> None:
    diary = Diary()
    engine = fleet.engine(observer=diary)
    await consume(engine, Work(), [event(1)])
    await consume(engine, Work(), [event(1)])
    assert diary.of(1) == ["granted", "refused"]


@ways
async def test_an_event_held_elsewhere(fleet: Fleet, consume: Consume) -> None:
    diary = Diary()
    await fleet.engine().record_event_as_processing(event(1))
    await consume(fleet.engine(observer=diary), Work(), [event(1)])
    assert diary.of(1) == ["refused"]


@ways
async def test_an_event_held_by_this_process(fleet: Fleet, consume: Consume) -> None:
    diary, begun, may_end = Diary(), asyncio.Event(), asyncio.Event()
    engine = fleet.engine(observer=diary)

    async def slowly() -> None:
        async with engine.event_is_processing(event(1)):
            begun.set()
            await may_end.wait()

    working = asyncio.create_task(slowly())
    await begun.wait()
    await consume(engine, Work(), [event(1)])
    may_end.set()
    await working
    assert diary.of(1) == ["granted", "refused"]


@ways
async def test_a_dead_letter(fleet: Fleet, consume: Consume) -> None:
    diary, work = Diary(), Work(failing=[2])
    engine = fleet.engine(ONCE, observer=diary)
    await consume(fleet.engine(ONCE), work, [event(2, 1)])
    await consume(engine, work, [event(1)])
    await consume(engine, work, [event(2, 1)])
    assert diary.of(2) == ["released", "granted", "dead", "refused"]


@ways
async def test_an_event_that_kills_its_processes(fleet: Fleet, consume: Consume) -> None:
    diary, dying = Diary(), fleet.engine(ONCE)
    assert await dying.record_event_as_processing(event(1))
    await expire(dying)
    await consume(fleet.engine(ONCE, observer=diary), Work(), [event(1)])
    assert diary.of(1) == ["refused", "dead"]


@ways
async def test_an_event_that_its_queue_gave_up(fleet: Fleet, consume: Consume) -> None:
    diary = Diary()
    engine = fleet.engine(observer=diary)
    assert await engine.give_up(event(1))
    await consume(engine, Work(), [event(1)])
    assert diary.of(1) == ["dead", "refused"]


@ways
async def test_a_released_event_that_failed(fleet: Fleet, consume: Consume) -> None:
    diary, work = Diary(), Work(failing=[2])
    engine = fleet.engine(observer=diary)
    await consume(engine, work, [event(2, 1)])
    await consume(engine, work, [event(1)])
    work.failing.clear()
    await expire(engine)
    await consume(engine, work, await engine.get_lost_followers())
    assert diary.of(2)[-4:] == ["released", "granted", "retried", "granted"]
    assert work.handled == [1, 2]


@ways
@pytest.mark.parametrize("failing", [[], [1]], ids=["succeeds", "fails"])
async def test_a_lease_lost_at_work(fleet: Fleet, consume: Consume, failing: list[int]) -> None:
    diary, work = Diary(), Work(failing=failing)
    engine, other = fleet.engine(observer=diary), fleet.engine()

    async def lose() -> None:
        await expire(other)
        assert await other.record_event_as_processing(event(1))

    work.first = lose
    await consume(engine, work, [event(1)])
    assert diary.of(1) == ["granted", "lease_lost"]


async def test_a_lease_lost_before_its_turn(fleet: Fleet) -> None:
    """An event of a batch whose turn comes too late is not begun."""
    diary, work = Diary(), Work()
    engine, other = fleet.engine(SHORT, observer=diary), fleet.engine(SHORT)

    async def lose() -> None:
        work.first = None
        await other.redis.delete(other._key(f"processing:{event(2).id}"))
        assert await other.record_event_as_processing(event(2))
        await asyncio.sleep(1.5 * SHORT.lease.total_seconds())  # a renewal finds out

    work.first = lose
    assert await engine.handle_batch(work, [event(1), event(2)]) == ["handled", "lost"]
    assert diary.of(2) == ["granted", "lease_lost"]


async def test_an_event_asked_about_twice(fleet: Fleet) -> None:
    """An event of a batch that was granted before is asked about by itself, and was never parked."""
    diary, dying = Diary(), fleet.engine()
    assert await dying.record_event_as_processing(event(1))
    await expire(dying)
    outcomes = await fleet.engine(observer=diary).handle_batch(Work(), [event(1), event(2)])
    assert outcomes == ["handled", "handled"]
    assert diary.of(1) == ["granted"]


async def test_waiting_for_a_leader(fleet: Fleet) -> None:
    """The end of a wait without a lease calls a hook, too."""
    diary = Diary()
    engine = fleet.engine(observer=diary)
    with pytest.raises(EventArrivedEarly):
        await engine.wait_for_leader(event(2, 1))
    await engine.record_event_as_seen(event(2))
    with pytest.raises(EventAlreadySeen):
        await engine.wait_for_leader(event(2, 1))
    await engine.record_follower(event(3, 1))
    assert diary.of(2) == ["parked", "refused"]
    assert diary.of(3) == ["parked"]
    assert await sweep(Recorder(engine)) == []
