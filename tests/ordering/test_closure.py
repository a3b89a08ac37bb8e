"""What an event releases: everything, each once, in order, however deep, whichever kind of handler."""

import logging

import pytest

from ordering import EventAlreadySeen, EventArrivedEarly, MaxDepthExceeded, Policy
from tests.ordering.conftest import Fleet, Recorder, event


@pytest.fixture(params=[True, False], ids=["reentrant", "plain"])
def handler(request: pytest.FixtureRequest, fleet: Fleet) -> Recorder:
    return Recorder(fleet.engine(), reentrant=request.param)


async def deliver(handler: Recorder, *events) -> None:
    for one in events:
        try:
            await handler(one)
        except (EventArrivedEarly, EventAlreadySeen):
            continue


async def test_events_in_order_are_handled_as_they_come(handler: Recorder) -> None:
    await deliver(handler, event(1), event(2, 1), event(3, 2))
    assert handler.handled == [1, 2, 3]
    assert handler.depths == [0, 0, 0]


async def test_reversed_chain(handler: Recorder) -> None:
    """A reversed chain is released by its first event."""
    await deliver(handler, event(4, 3), event(3, 2), event(2, 1), event(1))
    assert handler.handled == [1, 2, 3, 4]


async def test_siblings_in_order(handler: Recorder) -> None:
    """Siblings are released in the order they occurred."""
    await deliver(handler, event(4, 1), event(2, 1), event(3, 1), event(1))
    assert handler.handled == [1, 2, 3, 4]


async def test_siblings_of_one_moment(handler: Recorder) -> None:
    """Siblings that occurred at once are released in the order of their ids."""
    await deliver(handler, event(4, 1, 7), event(2, 1, 7), event(3, 1, 7), event(1))
    assert handler.handled == [1, 2, 3, 4]


async def test_a_tree_is_released_whole(handler: Recorder) -> None:
    await deliver(handler, *(event(n, n // 2) for n in range(31, 0, -1)))
    position = {n: i for i, n in enumerate(handler.handled)}
    assert sorted(handler.handled) == list(range(1, 32))
    assert all(position[n] > position[n // 2] for n in range(2, 32))
    assert all(position[2 * n + 1] > position[2 * n] for n in range(1, 16))


async def test_released_follower_is_seen(handler: Recorder) -> None:
    """A released follower is remembered as seen."""
    await deliver(handler, event(2, 1), event(1))
    assert await handler.engine.event_has_been_seen(event(2))
    await deliver(handler, event(3, 2))
    assert handler.handled == [1, 2, 3]


async def test_chain_beyond_the_depth(handler: Recorder, caplog: pytest.LogCaptureFixture) -> None:
    """A chain deeper than the limit strands nothing and says so."""
    with caplog.at_level(logging.INFO):
        await deliver(handler, *(event(n, n - 1) for n in range(60, 0, -1)))
    assert handler.handled == list(range(1, 61))
    assert "reached its max depth of 20 followers processed" in caplog.text


async def test_handler_that_calls_itself(fleet: Fleet) -> None:
    """A handler that calls itself too deeply is stopped."""
    handler = Recorder(fleet.engine(Policy(max_depth=3)))
    with pytest.raises(MaxDepthExceeded) as caught:
        await handler(event(1), depth=4)
    assert caught.value.event == event(1)


@pytest.mark.parametrize("identity", [1])
async def test_event_that_follows_itself(handler: Recorder, identity: int) -> None:
    """An event that follows itself has no leader."""
    await deliver(handler, event(identity, identity))
    assert handler.handled == [identity]


async def test_after_all_only_marks_remain(handler: Recorder) -> None:
    await deliver(handler, *(event(n, n // 2) for n in range(15, 0, -1)))
    redis = handler.engine.redis
    lasting = [key async for key in redis.scan_iter("*") if await redis.ttl(key) < 0]
    assert lasting == []
    names = {key.decode().split(":")[1] for key in await redis.keys("*")}
    assert names <= {"seen", "handed", "handled"}
