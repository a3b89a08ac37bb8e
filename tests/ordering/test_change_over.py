"""One fleet of prefect_redis and `ordering.prefect`: either may release or rescue what the other has parked."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from importlib.util import find_spec
from typing import Any

import pytest

from ordering.terms import occurred_at

pytestmark = [
    pytest.mark.prefect,
    pytest.mark.skipif(find_spec("prefect_redis") is None, reason="needs the prefect extra"),
]

MOMENTS = [
    datetime(2024, 2, 29, 23, 59, 59, 999_999, UTC),
    datetime(2100, 3, 1, tzinfo=UTC),
    datetime(2000, 12, 31, 1, 2, 3, 40, UTC),
    datetime(1969, 7, 20, 20, 17, 40, tzinfo=UTC),
    datetime(2024, 1, 1, 0, 30, tzinfo=timezone(timedelta(hours=5, minutes=45))),
    datetime(2024, 12, 31, 23, 30, 0, 500_000, timezone(-timedelta(hours=3, minutes=30))),
]


@pytest.fixture
def ours(connect: Any) -> Any:
    """The drop-in, in a scope of its own."""
    from ordering.prefect import CausalOrdering

    return CausalOrdering("both", redis=connect())


def event(number: int, follows: int | None = None, occurred: datetime = MOMENTS[0]) -> Any:
    from prefect.server.events.schemas.events import ReceivedEvent

    return ReceivedEvent.model_validate(
        {
            "id": f"{number:032x}",
            "follows": follows and f"{follows:032x}",
            "event": "happened",
            "resource": {"prefect.resource.id": "one"},
            "occurred": occurred,
            "received": datetime.now(UTC) - timedelta(minutes=1),
        }
    )


async def park_as_original(ours: Any, one: Any) -> None:
    """Do what `record_follower` of prefect_redis 0.3.0 does."""
    async with ours.redis.pipeline() as pipeline:
        pipeline.set(ours._key(f"event:{one.id}"), one.model_dump_json())
        pipeline.sadd(ours._key(f"followers:{one.follows}"), str(one.id))
        pipeline.zadd(ours._key("waitlist"), {str(one.id): one.received.timestamp()})
        await pipeline.execute()


async def complete_as_original(ours: Any, leader: Any) -> list[str]:
    """Run the script of prefect_redis 0.3.0 by which a leader is completed; return the followers that it has taken."""
    from prefect_redis.ordering import COMPLETE_PROCESSING_SCRIPT

    keys = (ours._key(f"{name}:{leader.id}") for name in ("seen", "followers", "processing"))
    taken = await ours.redis.eval(COMPLETE_PROCESSING_SCRIPT, 3, *keys, 60)
    return sorted(one.decode() for one in taken)


async def handle(ours: Any, *events: Any) -> list[int]:
    """Hand events over, and return the numbers of what is handled."""
    handled: list[int] = []

    async def handler(one: Any, depth: int = 0) -> None:
        async with ours.preceding_event_confirmed(handler, one, depth):
            handled.append(one.id.int)

    for one in events:
        await handler(one)
    return handled


@pytest.mark.parametrize("moment", MOMENTS, ids=str)
async def test_parked_by_the_original_among_siblings(ours: Any, moment: datetime) -> None:
    """What the original parked takes its place among siblings."""
    follower = event(2, follows=1, occurred=moment)
    await park_as_original(ours, follower)
    await ours.record_event_as_seen(event(1))
    place = await ours.redis.zscore(ours._key(f"queue:{event(1).id}"), str(follower.id))
    assert place == float(occurred_at(follower))


async def test_leader_completed_by_us(ours: Any) -> None:
    """A leader completed by us releases what either engine parked."""
    from ordering.prefect import EventArrivedEarly

    await park_as_original(ours, event(3, follows=1, occurred=MOMENTS[0] + timedelta(seconds=2)))
    with pytest.raises(EventArrivedEarly):
        await handle(ours, event(2, follows=1, occurred=MOMENTS[0] + timedelta(seconds=1)))
    assert await handle(ours, event(1)) == [1, 2, 3]
    assert [key for key in await ours.redis.keys("*") if await ours.redis.ttl(key) < 0] == []


async def test_leader_completed_by_the_original(ours: Any) -> None:
    """A leader completed by the original releases what we parked."""
    from ordering.prefect import EventArrivedEarly

    follower = event(2, follows=1)
    with pytest.raises(EventArrivedEarly):
        await handle(ours, follower)
    assert await complete_as_original(ours, event(1)) == [str(follower.id)]
    assert await ours.get_lost_followers() == [], "it is the original's for the lookback"


async def test_an_overdue_event_is_one_engine_s_only(ours: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    import ordering.prefect
    from ordering.prefect import EventArrivedEarly

    with pytest.raises(EventArrivedEarly):
        await handle(ours, event(2, follows=1))
    await park_as_original(ours, event(4, follows=3))
    monkeypatch.setattr(ordering.prefect, "PRECEDING_EVENT_LOOKBACK", timedelta(seconds=30))
    taken = await ours.redis.zrem(ours._key("waitlist"), str(event(2).id))  # as the original's sweep does
    assert taken == 1
    assert [one.id.int for one in await ours.get_lost_followers()] == [4]
    overdue = (datetime.now(UTC) - timedelta(seconds=30)).timestamp()
    assert await ours.redis.zrangebyscore(ours._key("waitlist"), 0, overdue) == [], "the original's sweep finds neither"


@pytest.mark.parametrize("taken", [False, True])
async def test_going_back_leaves_nothing(ours: Any, taken: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing of ours is left for ever after going back."""
    import ordering.prefect
    from ordering.prefect import EventArrivedEarly

    with pytest.raises(EventArrivedEarly):
        await handle(ours, event(2, follows=1))
    if taken:  # by the original's sweep: ours leaves it, and may be the last that it does
        monkeypatch.setattr(ordering.prefect, "PRECEDING_EVENT_LOOKBACK", timedelta(seconds=30))
        await ours.redis.zrem(ours._key("waitlist"), str(event(2).id))
        assert await ours.get_lost_followers() == []
        assert await ours.redis.exists(ours._key("claims"))
    shared = {"event", "followers", "waitlist"}
    for key in await ours.redis.keys("*"):
        assert key.decode().split(":")[1] in shared or await ours.redis.ttl(key) > 0, key
