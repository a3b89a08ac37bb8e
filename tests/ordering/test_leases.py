"""Leases and claims: one owner at a time; a dead owner is replaced, a late one learns it."""

import asyncio
from datetime import timedelta
from functools import partial
from typing import Any

import pytest
from redis.exceptions import ReadOnlyError

from ordering import (
    EventAlreadySeen,
    EventArrivedEarly,
    EventBeingProcessed,
    LeaseLost,
    Policy,
    fencing_token,
)
from ordering.leases import RENEWALS, Grant, LeaseRenewer, ProcessState
from ordering.scripts import words
from ordering.terms import rules_of
from simulation.kernel.event_loop import SimulatedLoop
from tests.ordering.conftest import Fleet, Recorder, event, expire, number, wait_out

# Lookbacks and leases are long, and are ended by `wait_out` and `expire`: a busy machine ends none of them too soon.
EAGER = Policy(retry_delay=timedelta(milliseconds=20))
SHORT = Policy(lease=timedelta(seconds=4))


async def park(handler: Recorder, *events: Any) -> None:
    for one in events:
        with pytest.raises(EventArrivedEarly):
            await handler(one)


async def sweep(handler: Recorder) -> list[int]:
    lost = await handler.engine.get_lost_followers()
    for one in lost:
        try:
            await handler(one)
        except (EventArrivedEarly, EventAlreadySeen):
            continue
    return [number(one) for one in lost]


async def test_two_cannot_hold_one_event(fleet: Fleet) -> None:
    one, two = fleet.engine(), fleet.engine()
    assert await one.record_event_as_processing(event(1)) is True
    assert await two.record_event_as_processing(event(1)) is False
    with pytest.raises(EventBeingProcessed):
        await Recorder(two)(event(1))
    await one.forget_event_is_processing(event(1))
    assert await two.record_event_as_processing(event(1)) is True


async def test_only_the_holder_gives_back(fleet: Fleet) -> None:
    one, two = fleet.engine(), fleet.engine()
    await one.record_event_as_processing(event(1))
    await two.forget_event_is_processing(event(1))
    assert await one.event_has_started_processing(event(1))


async def test_handled_duplicate_is_refused(fleet: Fleet) -> None:
    """A duplicate of a handled event is refused in the step that would grant it."""
    handler = Recorder(fleet.engine())
    await handler(event(1))
    with pytest.raises(EventAlreadySeen):
        await handler(event(1))
    assert handler.handled == [1]


async def test_lease_is_renewed(fleet: Fleet) -> None:
    """A lease is renewed while the handler works."""
    one, two, renewed = fleet.engine(SHORT), Recorder(fleet.engine(SHORT)), asyncio.Event()
    call = one._call

    async def noted(name: str, *args: Any, **options: Any) -> Any:
        reply = await call(name, *args, **options)
        if name == "renew":
            renewed.set()
        return reply

    one._call = noted  # type: ignore[method-assign]
    async with one.preceding_event_confirmed(two, event(1)):
        lease = one._key(f"processing:{event(1).id}")
        ends = await one.redis.pexpiretime(lease)
        await asyncio.wait_for(renewed.wait(), 60)
        assert await one.redis.pexpiretime(lease) > ends
        with pytest.raises(EventBeingProcessed):
            await two(event(1))


def test_refused_renewal_is_repeated() -> None:
    """A renewal that is refused is repeated until just before the lease is over."""
    loop, asked = SimulatedLoop(), list[float]()
    grant = Grant(event(1), "1", "t", 1, ProcessState(), "")

    async def renew(*_: Any) -> None:
        asked.append(loop.time())
        if 2 <= len(asked) < 13:
            raise ReadOnlyError("a replica takes no writes")

    async def work() -> None:
        renewer = LeaseRenewer([grant], (), renew, 4 / RENEWALS)
        await asyncio.sleep(6.5)
        renewer.stop()

    loop.run_until_complete(work())
    refused = [2 + 0.25 * i for i in range(11)]
    assert asked == [1, *refused, 4.75, 5.75]


async def test_lost_lease_completes_nothing(fleet: Fleet) -> None:
    """A holder that lost its lease learns it and completes nothing."""
    one, two = fleet.engine(), fleet.engine()
    held, taken = asyncio.Event(), asyncio.Event()

    async def late() -> None:
        async with one.event_is_processing(event(1)):
            await one.redis.delete(one._key(f"processing:{event(1).id}"))  # the lease ran out
            held.set()
            await taken.wait()

    task = asyncio.create_task(late())
    await held.wait()
    assert await two.record_event_as_processing(event(1))
    taken.set()
    with pytest.raises(LeaseLost):
        await task
    assert await two.event_has_started_processing(event(1)), "the successor's lease must survive"
    assert not await two.event_has_been_seen(event(1))


async def test_fences_grow(fleet: Fleet) -> None:
    one, two = fleet.engine(), fleet.engine()
    fences = []
    for engine in (one, two, one):
        with pytest.raises(RuntimeError):
            async with engine.preceding_event_confirmed(Recorder(engine), event(1)):
                fences.append(fencing_token())
                raise RuntimeError
    assert fences == sorted(set(fences))
    assert fencing_token() is None


async def test_failure_gives_the_event_back(fleet: Fleet) -> None:
    """A failing handler gives its event back at once."""
    handler = Recorder(fleet.engine())
    handler.failing = {1: 1}
    with pytest.raises(RuntimeError):
        await handler(event(1))
    assert not await handler.engine.event_has_started_processing(event(1))
    await handler(event(1))
    assert handler.handled == [1]


async def test_failing_follower_delays_no_sibling(fleet: Fleet) -> None:
    """One failing follower delays no sibling and is tried again."""
    handler = Recorder(fleet.engine(EAGER))
    await park(handler, event(2, 1), event(3, 1), event(4, 2))
    handler.failing = {2: 1}
    await handler(event(1))
    assert handler.handled == [1, 3]
    await asyncio.sleep(0.03)  # at least the rest of a failed event
    assert await sweep(handler) == [2]
    assert handler.handled == [1, 3, 2, 4]


async def test_failing_follower_is_dead_lettered(fleet: Fleet, caplog: pytest.LogCaptureFixture) -> None:
    """A follower that always fails is dead lettered and its followers go on."""
    handler = Recorder(fleet.engine(EAGER))
    await park(handler, event(2, 1), event(3, 2))
    handler.failing = {2: 99}
    await handler(event(1))
    for _ in range(5):
        await asyncio.sleep(0.03)  # at least the rest of a failed event
        try:
            await sweep(handler)
        except RuntimeError:
            continue
    assert handler.handled == [1, 3]
    assert "was given up after 4 failed attempts" in caplog.text
    assert await handler.engine.redis.get(handler.engine._key(f"dead:{event(2).id}"))


async def test_dead_completer_followers_are_offered(
    fleet: Fleet,
) -> None:
    """Followers of a leader whose consumer died after completing it are offered within a lease."""
    dying, other = fleet.engine(EAGER), Recorder(fleet.engine(EAGER))
    await park(other, event(3, 1), event(2, 1))
    await dying.record_event_as_processing(event(1))
    await dying.complete_event_and_get_followers(event(1))  # …and dies here
    assert await sweep(other) == []
    await expire(other.engine)
    assert await sweep(other) == [2, 3]
    assert other.handled == [2, 3]


async def test_sibling_after_the_claimed_does_not_wait(fleet: Fleet) -> None:
    """A sibling that comes after those that were claimed does not wait."""
    steps, other = fleet.engine(), Recorder(fleet.engine())
    await park(other, event(2, 1), event(3, 1))
    await steps.record_event_as_processing(event(1))
    claimed = await steps.complete_event_and_get_followers(event(1))
    assert [number(one) for one in claimed] == [2, 3]
    for one in claimed:
        await steps.record_event_as_processing(one)
        assert await steps.complete_event_and_get_followers(one) == []
    await other(event(4, 1))
    assert other.handled == [4]


async def test_sibling_before_the_last_claimed_is_next(fleet: Fleet) -> None:
    """A sibling that comes before the last of those that were claimed is done is next."""
    steps, other = fleet.engine(), Recorder(fleet.engine())
    await park(other, event(2, 1), event(3, 1), event(5, 3))
    await steps.record_event_as_processing(event(1))
    two, three = await steps.complete_event_and_get_followers(event(1))
    await steps.record_event_as_processing(two)
    await park(other, event(4, 1))
    assert await steps.complete_event_and_get_followers(two) == []
    async with steps.event_is_processing(three) as completion:
        pass
    assert [number(one) for one in completion.followers] == [4, 5]


async def test_steps_through_a_found_queue(fleet: Fleet) -> None:
    """A consumer that takes single steps goes through a queue that a sweep has found."""
    dying, steps, other = fleet.engine(), fleet.engine(), Recorder(fleet.engine())
    await park(other, event(2, 1), event(3, 1), event(4, 1))
    await dying.record_event_as_seen(event(1))  # …and dies
    [found] = await steps.get_lost_followers()
    async with steps.event_is_processing(found) as completion:
        await steps.wait_for_leader(found)  # those behind it are no reason to wait
    assert (number(found), [number(one) for one in completion.followers]) == (2, [3, 4])


async def test_repeated_wait_has_the_same_answer(fleet: Fleet) -> None:
    """A wait whose answer was lost is answered alike though the leader is done by then."""
    one, two = fleet.engine(), fleet.engine()
    await one.record_event_as_processing(event(2, 1))
    asked = one._asked(event(2, 1), one._state.held[str(event(2).id)].token)
    ask = partial(one._call, "wait", rules_of(one.policy), *asked, 0, 1)
    assert words(await ask()) == ["parked"]
    await two.record_event_as_seen(event(1))
    assert words(await ask()) == ["parked"]
    assert not await one.event_has_started_processing(event(2, 1))


async def test_lost_followers_in_causal_order(fleet: Fleet) -> None:
    """Lost followers surface after the lookback in causal order."""
    handler = Recorder(fleet.engine(EAGER))
    await park(handler, event(4, 3), event(3, 2), event(2, 1))
    assert await sweep(handler) == []
    await wait_out(handler.engine)
    assert await sweep(handler) == [2]
    assert handler.handled == [2, 3, 4]


async def test_many_sweeps_at_once_share_the_work(fleet: Fleet) -> None:
    handlers = [Recorder(fleet.engine(EAGER)) for _ in range(4)]
    await park(handlers[0], *(event(n, 1) for n in range(10, 30)))
    await wait_out(handlers[0].engine)
    found = await asyncio.gather(*(handler.engine.get_lost_followers() for handler in handlers))
    assert sorted(number(one) for lost in found for one in lost) == list(range(10, 30))


async def test_claim_of_a_dead_sweeper(fleet: Fleet) -> None:
    """What a dead sweeper had claimed is offered again."""
    dying, other = Recorder(fleet.engine(EAGER)), Recorder(fleet.engine(EAGER))
    await park(dying, event(2, 1), event(3, 1))
    await wait_out(other.engine)
    assert len(await dying.engine.get_lost_followers()) == 2  # …and dies before it handles them
    assert await sweep(other) == []
    await expire(other.engine)
    assert await sweep(other) == [2, 3]
    assert other.handled == [2, 3]


async def test_a_circle_ends_each_member_once_loudly(fleet: Fleet, caplog: pytest.LogCaptureFixture) -> None:
    handler = Recorder(fleet.engine(EAGER))
    await park(handler, event(1, 3), event(2, 1), event(3, 2))
    await wait_out(handler.engine)
    for _ in range(3):
        await sweep(handler)
    assert sorted(handler.handled) == [1, 2, 3]
    assert "the circle is broken here" in caplog.text


async def test_late_leader_and_sweep(fleet: Fleet) -> None:
    """A late leader and the sweep do not both handle a follower."""
    sweeper, late = Recorder(fleet.engine(EAGER)), Recorder(fleet.engine(EAGER))
    await park(sweeper, event(2, 1))
    await wait_out(sweeper.engine)
    [held] = await sweeper.engine.get_lost_followers()
    await late(event(1))
    await sweeper(held)
    assert (late.handled, sweeper.handled) == ([1], [2])


async def test_fresh_sibling_waits_its_turn(fleet: Fleet) -> None:
    """A fresh sibling does not overtake those that wait."""
    one, two = Recorder(fleet.engine()), Recorder(fleet.engine())
    await park(one, event(2, 1), event(3, 1))
    order: list[int] = []

    async def slow(released: Any, depth: int = 0) -> None:
        order.append(number(released))
        if number(released) == 2:  # while event 2 is being handled, event 4 arrives elsewhere
            with pytest.raises(EventArrivedEarly):
                await two(event(4, 1))

    async with one.engine.preceding_event_confirmed(slow, event(1)):
        pass
    assert order == [2, 3, 4]
    assert two.handled == []


async def test_duplicate_of_a_released_follower(fleet: Fleet) -> None:
    """A duplicate of a released follower is not handled elsewhere."""
    one, two = Recorder(fleet.engine()), Recorder(fleet.engine())
    await park(one, event(2, 1), event(3, 1))

    async def slow(released: Any, depth: int = 0) -> None:
        if number(released) == 2:
            with pytest.raises(EventBeingProcessed):
                await two(event(2, 1))
            with pytest.raises(EventArrivedEarly):
                await two(event(3, 1))

    async with one.engine.preceding_event_confirmed(slow, event(1)):
        pass
    assert two.handled == []


async def test_old_backlog_in_order(fleet: Fleet) -> None:
    """A backlog older than the lookback stays in order."""
    handler = Recorder(fleet.engine())  # the events were received in 2024
    await park(handler, event(2, 1))
    await handler(event(1))
    assert handler.handled == [1, 2]


async def test_originals_rule_for_old_events(fleet: Fleet) -> None:
    """By the original's rule an old event is not held back."""
    handler = Recorder(fleet.engine(Policy(age_by="received")))
    await handler(event(2, 1))
    assert handler.handled == [2]


async def test_unreadable_payload(fleet: Fleet, caplog: pytest.LogCaptureFixture) -> None:
    """A payload that cannot be read concerns that event alone."""
    handler = Recorder(fleet.engine())
    await park(handler, event(2, 1), event(3, 1))
    await handler.engine.redis.set(handler.engine._key(f"event:{event(2).id}"), b"{damaged")
    await handler(event(1))
    assert handler.handled == [1, 3]
    assert str(event(2).id) in caplog.text


async def test_missing_payload(fleet: Fleet, caplog: pytest.LogCaptureFixture) -> None:
    """A payload that is gone concerns that event alone."""
    handler = Recorder(fleet.engine())
    await park(handler, event(2, 1), event(3, 1))
    await handler.engine.redis.delete(handler.engine._key(f"event:{event(2).id}"))
    await handler(event(1))
    assert handler.handled == [1, 3]
    assert str(event(2).id) in caplog.text


async def test_cancellation_gives_back(fleet: Fleet) -> None:
    """Cancellation gives everything back at once."""
    one, two = Recorder(fleet.engine()), Recorder(fleet.engine())
    await park(one, event(2, 1), event(3, 1))
    reached = asyncio.Event()

    async def slow(released: Any, depth: int = 0) -> None:
        reached.set()
        await asyncio.sleep(60)

    async def work() -> None:
        async with one.engine.preceding_event_confirmed(slow, event(1)):
            pass

    task = asyncio.create_task(work())
    await reached.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await sweep(two) == [2], "the first of the queue; the others come after it"
    assert two.handled == [2, 3]
    assert two.handled == [2, 3]


@pytest.mark.parametrize("how", ["context", "step", "batch"])
async def test_completion_record_expires(fleet: Fleet, how: str) -> None:
    """Followers of a completion are remembered no longer than they take."""
    handler = Recorder(fleet.engine())
    engine = handler.engine
    await park(handler, event(2, 1), event(3, 1))
    async with engine.event_is_processing(event(1)) as completion:
        pass
    assert len(engine._state.claim_groups) == 2
    for one in completion.followers:
        if how == "context":
            await handler(one)
        elif how == "batch":
            await engine.handle_batch(handler, [one])
        else:
            await engine.record_event_as_seen(one)
            assert not await engine.record_event_as_processing(one)
    assert engine._state.claim_groups == {}
