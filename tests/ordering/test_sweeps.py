"""Sweeps of many consumers: they share the work, siblings keep their order, no chain is split."""

import asyncio
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from ordering import EventAlreadySeen, EventArrivedEarly, Policy
from tests.ordering.conftest import Fleet, Recorder, event, expire, number, wait_out

# Lookbacks and leases are long, and are ended by `wait_out` and `expire`: a busy machine ends none of them too soon.
LONG = Policy(lease=timedelta(minutes=1), retry_delay=timedelta(milliseconds=20))
SHORT = replace(LONG, lease=timedelta(seconds=4))


class Gate(Recorder):
    """A handler that stays in its work until it is let go on."""

    def __init__(self, engine: Any) -> None:
        super().__init__(engine)
        self.begun, self.open = asyncio.Event(), asyncio.Event()

    async def _work(self, one: Any, depth: int) -> None:
        self.begun.set()
        await self.open.wait()
        await super()._work(one, depth)


async def overdue(fleet: Fleet, *events: Any) -> None:
    parking = Recorder(fleet.engine(LONG))
    for one in events:
        with pytest.raises(EventArrivedEarly):
            await parking(one)
    await wait_out(parking.engine)


async def go_through(handler: Recorder, found: list[Any]) -> list[str]:
    """Handle what a sweep has found, and return the names of the errors."""
    errors = []
    for one in found:
        try:
            await handler(one)
        except (EventArrivedEarly, EventAlreadySeen) as error:
            errors.append(type(error).__name__)
    return errors


async def found_by(handler: Recorder) -> list[int]:
    return [number(one) for one in await handler.engine.get_lost_followers()]


async def test_second_sweep_helps(fleet: Fleet) -> None:
    """A second sweep helps with the queues of the first, in their order."""
    slow, other = Gate(fleet.engine(LONG)), Recorder(fleet.engine(LONG))
    await overdue(fleet, *(event(n, 1) for n in range(10, 20)))
    found = await slow.engine.get_lost_followers()
    at_work = asyncio.create_task(go_through(slow, found))
    await slow.begun.wait()
    rest = await other.engine.get_lost_followers()
    assert [number(one) for one in rest] == list(range(11, 20))
    assert await go_through(other, rest[:5]) == []
    slow.open.set()
    assert len(await at_work) == 5
    assert await go_through(other, rest[5:]) == ["EventAlreadySeen"] * 4
    assert (other.handled, slow.handled) == ([11, 12, 13, 14, 15], [10, 16, 17, 18, 19])


async def test_just_given_is_kept(fleet: Fleet) -> None:
    one, other = Recorder(fleet.engine(LONG)), Recorder(fleet.engine(LONG))
    await overdue(fleet, event(10, 1), event(11, 2))
    assert await found_by(one) == [10, 11]
    assert await found_by(other) == []


async def test_helped_event_is_early(fleet: Fleet) -> None:
    """An event that a helper holds is early for the sweep that found it."""
    finder, helper = Recorder(fleet.engine(LONG)), Gate(fleet.engine(LONG))
    await overdue(fleet, event(10, 1), event(11, 1))
    first, second = await finder.engine.get_lost_followers()
    await finder(first)
    [shared] = await helper.engine.get_lost_followers()
    at_work = asyncio.create_task(helper(shared))
    await helper.begun.wait()
    with pytest.raises(EventArrivedEarly):
        await finder(second)
    helper.open.set()
    await at_work
    assert (finder.handled, helper.handled) == ([10], [11])


async def test_siblings_beyond_a_batch_wait(fleet: Fleet) -> None:
    """Siblings beyond a batch wait for those that were just given to another."""
    few = replace(LONG, batch=3)
    one, other = Recorder(fleet.engine(few)), Recorder(fleet.engine(few))
    await overdue(fleet, *(event(n, 1) for n in (15, 14, 13, 12, 11, 10)))
    first = await one.engine.get_lost_followers()
    assert [number(lost) for lost in first] == [10, 11, 12]
    assert await found_by(other) == []
    await one(first[0])
    await asyncio.sleep(1.05)  # who waits for his siblings is looked at again after a second
    assert await found_by(other) == [11, 12, 13]  # a batch: the next one comes along
    await one(first[1])
    assert await found_by(other) == [12]


async def test_backlog_drains_in_order(fleet: Fleet) -> None:
    """A backlog of one leader drains batch by batch in order."""
    handler = Recorder(fleet.engine(replace(LONG, batch=4)))
    await overdue(fleet, *(event(n, 1) for n in reversed(range(10, 22))))
    for _ in range(3):
        assert await go_through(handler, await handler.engine.get_lost_followers()) == []
    assert handler.handled == list(range(10, 22))


async def test_no_chain_is_split(fleet: Fleet) -> None:
    slow, other = Gate(fleet.engine(LONG)), Recorder(fleet.engine(LONG))
    await overdue(fleet, event(12, 11), event(11, 10), event(10, 1), event(22, 21), event(21, 20), event(20, 2))
    found = await slow.engine._lost_followers(chains=True)
    assert [number(one) for one in found] == [10, 11, 12, 20, 21, 22]
    at_work = asyncio.create_task(go_through(slow, found))
    await slow.begun.wait()
    rest = await other.engine._lost_followers(chains=True)
    assert [number(one) for one in rest] == [20, 21, 22]
    assert await go_through(other, rest) == []
    slow.open.set()
    await at_work
    assert (slow.handled, other.handled) == ([10, 11, 12], [20, 21, 22])


async def test_claim_is_renewed(fleet: Fleet) -> None:
    """The claim on what is in hand is prolonged."""
    slow, other, renewed = Gate(fleet.engine(SHORT)), Recorder(fleet.engine(SHORT)), asyncio.Event()
    call = slow.engine._call

    async def noted(name: str, *args: Any, **options: Any) -> Any:
        reply = await call(name, *args, **options)
        if name == "renew":
            renewed.set()
        return reply

    slow.engine._call = noted  # type: ignore[method-assign]
    await overdue(fleet, event(10, 1), event(11, 1))
    at_work = asyncio.create_task(go_through(slow, await slow.engine.get_lost_followers()))
    await slow.begun.wait()
    claims, first, second = slow.engine._key("claims"), str(event(10).id), str(event(11).id)
    ends = await slow.engine.redis.zscore(claims, first)
    await asyncio.wait_for(renewed.wait(), 60)
    assert await slow.engine.redis.zscore(claims, first) > ends
    await slow.engine.redis.zadd(claims, {second: 0})  # the next event is claimed again by the sweep that comes to it
    assert await found_by(other) == [11]  # it helps, and does not take over
    slow.open.set()
    assert await at_work == []
    assert slow.handled == [10, 11]


async def test_found_again_by_another(fleet: Fleet) -> None:
    """What another sweep has found again is still there for the sweep that had it before."""
    slow, later = Recorder(fleet.engine(LONG)), Gate(fleet.engine(LONG))
    await overdue(fleet, *(event(n, 1) for n in range(10, 14)))
    found = await slow.engine.get_lost_followers()
    await expire(slow.engine)  # something else takes it longer than its claims last
    again = await later.engine.get_lost_followers()
    assert [number(one) for one in again] == list(range(10, 14))
    at_work = asyncio.create_task(go_through(later, again))
    await later.begun.wait()
    assert await go_through(slow, found) == ["EventArrivedEarly"]
    later.open.set()
    assert await at_work == ["EventAlreadySeen"] * 3
    assert (slow.handled, later.handled) == ([11, 12, 13], [10])


async def test_delivered_event_keeps_sweep_order(fleet: Fleet) -> None:
    """What is delivered is not taken out of the order of a sweep."""
    sweeping, other = Recorder(fleet.engine(LONG)), Recorder(fleet.engine(LONG))
    await overdue(fleet, event(10, 1), event(11, 1))
    found = await sweeping.engine.get_lost_followers()
    with pytest.raises(EventArrivedEarly):
        await other(event(11, 1))
    assert await go_through(sweeping, found) == []
    assert sweeping.handled == [10, 11]


async def test_found_queue_is_shared_whole(fleet: Fleet) -> None:
    """A queue that another sweep has found is shared as a whole."""
    dying, slow, other = fleet.engine(LONG), Gate(fleet.engine(LONG)), Recorder(fleet.engine(LONG))
    await overdue(fleet, event(10, 1), event(11, 1), event(20, 2), event(21, 2))
    for leader in (1, 2):
        await dying.record_event_as_processing(event(leader))
        await dying._complete(dying._state.held[str(event(leader).id)])  # …and dies
    await expire(dying)
    found = await slow.engine.get_lost_followers()
    assert [number(one) for one in found] == [10, 20]
    at_work = asyncio.create_task(go_through(slow, found))
    await slow.begun.wait()
    shared = await other.engine.get_lost_followers()
    assert [number(one) for one in shared] == [20]
    assert await go_through(other, shared) == []
    slow.open.set()
    await at_work
    assert (slow.handled, other.handled) == ([10, 11], [20, 21])


async def test_nothing_is_left_of_a_sweep(fleet: Fleet) -> None:
    one, other = Recorder(fleet.engine(LONG)), Recorder(fleet.engine(LONG))
    await overdue(fleet, event(10, 1), event(11, 1), event(12, 2))
    found = await one.engine.get_lost_followers()
    await one(found[0])
    await go_through(other, await other.engine.get_lost_followers())
    left = {key.decode().split(":")[1]: await one.engine.redis.pttl(key) for key in await one.engine.redis.keys()}
    assert "sweeps" in left
    assert all(0 < rest <= 60_000 for name, rest in left.items() if name not in {"seen", "handled"})
    assert all(left[name] > 60_000 for name in ("seen", "handled"))


async def test_passed_on_events_do_not_add_up(fleet: Fleet, monkeypatch: pytest.MonkeyPatch) -> None:
    """Events that are passed on do not add up in the process that sweeps."""
    monkeypatch.setattr("ordering.leases.MAX_CLAIMS", 5)
    policy = replace(LONG, batch=2)
    await overdue(fleet, *(event(n, 100 + n) for n in range(1, 13)))
    sweeping, passed_on = fleet.engine(policy), []
    for _ in range(6):
        passed_on += await sweeping.get_lost_followers()
    assert sorted(number(one) for one in passed_on) == list(range(1, 13))
    assert list(sweeping._state.claims) == [str(one.id) for one in passed_on[-5:]]
    leader, engine = event(50), fleet.engine(LONG)
    parking = Recorder(engine)
    for n in range(60, 72):
        with pytest.raises(EventArrivedEarly):
            await parking(event(n, 50))
    assert await engine.record_event_as_processing(leader)
    assert len(await engine.complete_event_and_get_followers(leader)) == 12
    assert len(engine._state.claims) == len(engine._state.claim_groups) == 12, "a list is remembered whole"
