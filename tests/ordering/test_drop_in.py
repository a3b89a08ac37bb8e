"""`ordering.prefect` beside prefect_redis 0.3.0: the same calls have the same answers and exceptions."""

from __future__ import annotations

import inspect
from collections.abc import AsyncIterator
from datetime import timedelta
from importlib.util import find_spec
from typing import Any

import pytest
import redis.asyncio

from tests.ordering.test_change_over import event, handle

pytestmark = [
    pytest.mark.prefect,
    pytest.mark.skipif(find_spec("prefect_redis") is None, reason="needs the prefect extra"),
]


@pytest.fixture(params=["original", "ours"])
async def engine(request: pytest.FixtureRequest, socket: str) -> AsyncIterator[Any]:
    import prefect_redis.ordering

    import ordering.prefect

    async with redis.asyncio.Redis(unix_socket_path=socket, decode_responses=True) as client:
        await client.flushall()
        if request.param == "ours":
            yield ordering.prefect.CausalOrdering("both", redis=client)
        else:
            original: Any = prefect_redis.ordering.CausalOrdering("both")
            original.redis = client
            yield original


async def test_a_second_completion_returns_nothing(engine: Any) -> None:
    follower = event(2, follows=1)
    await engine.record_event_as_processing(event(1))
    await engine.record_follower(follower)
    assert await engine.complete_event_and_get_followers(event(1)) == [follower]
    assert await engine.complete_event_and_get_followers(event(1)) == []


async def test_followers_are_lost_by_when_they_were_received(engine: Any) -> None:
    """An event that was in a backlog for the lookback is lost at once, and they come in the order they occurred."""
    late, later, fresh = event(2, follows=1), event(3, follows=1), event(4, follows=1)
    for one, minutes in ((late, 16), (later, 17), (fresh, 10)):
        one.received -= timedelta(minutes=minutes)
    later.occurred += timedelta(minutes=1)
    for one in (later, fresh, late):
        await engine.record_follower(one)
    assert await engine.get_lost_followers() == [late, later]


async def test_a_sweep_returns_whole_chains(engine: Any) -> None:
    """A follower of a missing leader comes together with what waits for it."""
    chain = [event(2, follows=1), event(3, follows=2), event(4, follows=3)]
    for minute, one in enumerate(chain):
        one.received -= timedelta(minutes=16)
        one.occurred += timedelta(minutes=minute)
    for one in reversed(chain):
        await engine.record_follower(one)
    assert await engine.get_lost_followers() == chain


async def test_an_old_event_is_not_held_back(engine: Any) -> None:
    old = event(2, follows=1)
    old.received -= timedelta(minutes=16)
    assert await handle(engine, old) == [2]


async def test_the_exceptions_are_prefects(engine: Any) -> None:
    from prefect.server.events.ordering import EventArrivedEarly, MaxDepthExceeded
    from prefect.server.events.ordering.memory import EventBeingProcessed

    async def handler(one: Any, depth: int = 0) -> None:
        """Do nothing."""

    async def enter(one: Any, depth: int = 0) -> None:
        async with engine.preceding_event_confirmed(handler, one, depth):
            pass

    with pytest.raises(EventArrivedEarly) as early:
        await enter(event(2, follows=1))
    assert early.value.event == event(2, follows=1).model_copy(update={"received": early.value.event.received})
    with pytest.raises(MaxDepthExceeded):
        await enter(event(3), depth=21)
    async with engine.event_is_processing(event(4)):
        with pytest.raises(EventBeingProcessed):
            await enter(event(4))


def test_further_exceptions_as_prefects() -> None:
    from ordering import prefect

    assert issubclass(prefect.EventAlreadySeen, prefect.EventArrivedEarly)
    assert issubclass(prefect.EventGivenUp, prefect.EventArrivedEarly)
    assert issubclass(prefect.LeaseLost, prefect.EventBeingProcessed)


def test_the_interface_is_the_originals() -> None:
    import prefect_redis.ordering

    import ordering.prefect

    theirs, ours = prefect_redis.ordering.CausalOrdering, ordering.prefect.CausalOrdering
    for name, method in inspect.getmembers(theirs, inspect.isfunction):
        if name.startswith("_"):
            continue
        expected, found = inspect.signature(method).parameters, inspect.signature(getattr(ours, name)).parameters
        assert list(found)[: len(expected)] == list(expected), name
        assert [found[one].default for one in expected] == [one.default for one in expected.values()], name


async def test_scope_without_a_name(socket: str) -> None:
    """A scope may have no name, as in the original: what one engine parks behind a leader, the other finds."""
    import prefect_redis.ordering

    import ordering.prefect

    async with redis.asyncio.Redis(unix_socket_path=socket, decode_responses=True) as client:
        await client.flushall()
        ours, original = ordering.prefect.CausalOrdering("", redis=client), prefect_redis.ordering.CausalOrdering("")
        original.redis = client
        followers = [event(2, follows=1), event(3, follows=1)]
        followers[1].occurred += timedelta(minutes=1)
        await ours.record_follower(followers[0])
        await original.record_follower(followers[1])
        assert await original.get_followers(event(1)) == followers
        assert await handle(ours, event(1)) == [1, 2, 3]
        assert await original.event_has_been_seen(event(2))
