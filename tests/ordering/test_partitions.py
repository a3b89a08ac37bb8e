"""An ordering in partitions, alone and on a real cluster of three servers."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter
from datetime import timedelta
from typing import Any

import pytest
import redis
import redis.asyncio
from redis.asyncio.cluster import RedisCluster

from ordering import CausalOrdering, EventArrivedEarly, PartitionedOrdering, Policy, ReceivedEvent, by_resource
from tests.ordering.conftest import event


def of(resource: str, number: int, follows: int = 0) -> ReceivedEvent:
    """Return an event about a resource."""
    return event(number, follows, resource={"prefect.resource.id": resource})


async def handled(ordering: Any, arrivals: list[ReceivedEvent]) -> list[ReceivedEvent]:
    """Deliver events, one after the other, and return them as they were handled."""
    done = []

    async def handler(event: Any, depth: int = 0) -> None:
        async with ordering.preceding_event_confirmed(handler, event, depth):
            done.append(event)

    for arrival in arrivals:
        try:
            await handler(arrival)
        except EventArrivedEarly:
            continue
    return done


@pytest.mark.parametrize("number", [0, 16_385])
def test_there_must_be_a_partition(number: int) -> None:
    with pytest.raises(ValueError, match=f"partitions must be at least 1 and at most 16384, not {number}"):
        PartitionedOrdering("test", partitions=number, redis=None)


async def test_resources_are_spread(connect: Any) -> None:
    """Events of a resource share a partition and resources are spread."""
    ordering = PartitionedOrdering("test", partitions=8, redis=connect())
    places = Counter(ordering.partition_of(of(f"flow-run.{i}", i + 1)).scope for i in range(800))
    assert len(places) == 8
    assert min(places.values()) > 60
    assert ordering.partition_of(of("one", 1)) is ordering.partition_of(of("one", 2))
    assert by_resource(of("one", 1)) == "one"
    with pytest.raises(ValueError, match=f"event {event(1).id} names no resource"):
        ordering.partition_of(event(1))


async def test_dead_letters_of_all_partitions(connect: Any) -> None:
    """Dead letters of all partitions are listed from the oldest on, page by page."""
    client = connect()
    ordering = PartitionedOrdering("test", partitions=3, redis=client, by=lambda one: str(one.id))
    order = [5, 2, 7, 1, 6]
    for number in order:
        at = await client.time()
        while await client.time() < (at[0], at[1] + 1_000):
            pass  # each is given up in a millisecond of its own
        await ordering.give_up(event(number))
    assert len({ordering.partition_of(event(number)).scope for number in order}) > 1
    listed = [*await ordering.dead_letters(limit=2), *await ordering.dead_letters(limit=9, first=2)]
    assert [letter.id for letter in listed] == [str(event(number).id) for number in order]


async def test_stream_keeps_order_within_partitions(connect: Any) -> None:
    """A stream keeps the order within each partition."""
    ordering = PartitionedOrdering("test", partitions=4, redis=connect())
    events = [of(f"r{r}", 10 * r + i, 10 * r + i - 1 if i > 1 else 0) for i in (1, 3, 2, 4) for r in range(1, 9)]
    done: list[int] = []
    outcomes: dict[int, str] = {}

    async def handler(one: Any, depth: int = 0) -> None:
        done.append(one.id.int)

    async def report(one: Any, outcome: str) -> None:
        outcomes[one.id.int] = outcome

    await ordering.handle_stream(handler, events, report, read_ahead=2)
    assert sorted(done) == sorted(one.id.int for one in events)
    assert all(done.index(one.follows.int) < done.index(one.id.int) for one in events if one.follows)
    assert Counter(outcomes.values()) == {"handled": 24, "parked": 8}

    async def broken(one: Any, outcome: str) -> None:
        raise LookupError(one.id.int)

    with pytest.raises(LookupError):
        await ordering.handle_stream(handler, [of(f"r{n}", 100 + n) for n in range(20)], broken)


async def test_order_is_kept_within_each_partition(connect: Any) -> None:
    ordering = PartitionedOrdering("test", partitions=4, redis=connect())
    arrivals = [of(f"r{r}", 10 * r + i, 10 * r + i - 1 if i > 1 else 0) for i in (3, 1, 2, 4) for r in range(1, 9)]
    done = await handled(ordering, arrivals)
    assert len(done) == 32
    for resource in {by_resource(e) for e in done}:
        ours = [e for e in done if by_resource(e) == resource]
        assert [e.follows for e in ours[1:]] == [e.id for e in ours[:-1]]


async def test_each_step_is_that_of_the_partition(connect: Any) -> None:
    ordering = PartitionedOrdering("test", partitions=3, redis=connect())
    leaders = [of(f"r{i}", i) for i in range(1, 6)]
    followers = [of(f"r{i}", 10 + i, i) for i in range(1, 6)]
    for follower in followers:
        with pytest.raises(EventArrivedEarly):
            await ordering.wait_for_leader(follower)
    assert [await ordering.get_followers(leader) for leader in leaders] == [[f] for f in followers]
    assert await ordering.followers_by_id([f.id for f in reversed(followers)]) == followers
    for leader, follower in zip(leaders, followers, strict=True):
        assert await ordering.record_event_as_processing(leader)
        assert not await ordering.record_event_as_processing(leader)
        assert await ordering.event_has_started_processing(leader.id)
        await ordering.forget_event_is_processing(leader)
        assert not await ordering.event_has_started_processing(leader)
        async with ordering.event_is_processing(leader) as completion:
            pass
        assert completion.followers == [follower]
        assert await ordering.event_has_been_seen(leader.id)
        await ordering.forget_follower(follower)
        await ordering.record_event_as_seen(follower)
        assert await ordering.event_has_been_seen(follower)
        await ordering.record_follower(of("r1", 99, 98))
    assert [e.id for e in await ordering.get_followers(of("r1", 98))] == [event(99).id]


async def test_batch_is_answered_in_order(connect: Any) -> None:
    """A batch is divided and answered in the order given."""
    ordering = PartitionedOrdering("test", partitions=4, redis=connect())
    done: list[Any] = []

    async def handler(event: Any, depth: int = 0) -> None:
        done.append(event.id)

    batch = [of(f"r{i % 7}", 100 + i, 99 if i == 3 else 0) for i in range(20)]
    outcomes = await ordering.handle_batch(handler, [*batch, batch[0]])
    assert outcomes == ["handled"] * 3 + ["parked"] + ["handled"] * 16 + [outcomes[-1]]
    assert outcomes[-1] in ("seen", "held")
    assert Counter(done) == Counter(e.id for i, e in enumerate(batch) if i != 3)


@pytest.mark.parametrize("way", ["batch", "stream"])
async def test_event_the_rule_cannot_place(connect: Any, way: str, caplog: pytest.LogCaptureFixture) -> None:
    """An event that the rule cannot place fails alone."""
    ordering = PartitionedOrdering("test", partitions=4, redis=connect())
    events = [of("one", 1), event(2), of("two", 3), of("one", 4, 1)]
    outcomes: dict[int, str] = {}

    async def handler(one: Any, depth: int = 0) -> None:
        assert one.id.int != 2

    async def report(one: Any, outcome: str) -> None:
        outcomes[one.id.int] = outcome

    if way == "batch":
        outcomes = dict(zip((1, 2, 3, 4), await ordering.handle_batch(handler, events), strict=True))
    else:
        await ordering.handle_stream(handler, events, report)
    assert outcomes == {1: "handled", 2: "failed", 3: "handled", 4: "handled"}
    assert f"Event {event(2).id} of scope 'test' cannot be handled: the rule that divides" in caplog.text


async def test_a_rule_that_divides_a_chain_is_reported(connect: Any, caplog: pytest.LogCaptureFixture) -> None:
    ordering = PartitionedOrdering(
        "test", partitions=2, redis=connect(), by=lambda e: e.id, policy=Policy(lookback=timedelta(milliseconds=30))
    )
    number = next(i for i in range(2, 50) if ordering.partition_of(event(i)) is not ordering.partition_of(event(1)))
    assert [e.id for e in await handled(ordering, [event(1), event(number, 1)])] == [event(1).id]
    time.sleep(0.04)  # noqa: ASYNC251  # the server's clock is the real one here
    with caplog.at_level(logging.ERROR, "ordering"):
        [lost] = await ordering.get_lost_followers()
    assert lost.id == event(number).id
    assert f"has waited for {event(1).id}, which was handled in another partition" in caplog.text


async def test_a_follower_beside_its_leader_is_not_reported(connect: Any, caplog: pytest.LogCaptureFixture) -> None:
    """A follower that is tried again is no sign of a rule that divides chains."""
    ordering = PartitionedOrdering("test", partitions=2, redis=connect(), by=lambda e: "one")
    assert await handled(ordering, [event(1)])
    assert await ordering.give_up(event(2, 1))
    assert await ordering.retry(event(2, 1))
    [again] = await ordering.get_lost_followers()
    assert again.id == event(2).id
    assert "another partition" not in caplog.text


async def test_sweep_outlives_its_report(connect: Any, caplog: pytest.LogCaptureFixture) -> None:
    """What a sweep has claimed is returned, also if Redis then refuses to say whether the rule divides chains."""
    policy = Policy(lookback=timedelta(milliseconds=1), retention=timedelta(minutes=1))
    ordering = PartitionedOrdering("test", partitions=2, redis=connect(), policy=policy)
    follower = of("b", 2, 1)
    assert await handled(ordering, [follower]) == []
    await asyncio.sleep(0.01)

    async def refuse(*_: Any, **__: Any) -> Any:
        raise redis.ConnectionError("Redis is gone")

    for partition in ordering.partitions:
        partition._look = refuse  # type: ignore[method-assign]
    assert await ordering.get_lost_followers() == [follower]
    assert "Whether the rule of scope 'test' puts events apart is not known: Redis is gone" in caplog.text


async def test_partition_out_of_reach(connect: Any, caplog: pytest.LogCaptureFixture) -> None:
    """A partition out of reach keeps no other from its sweep."""

    class Broken(CausalOrdering):
        async def get_lost_followers(self) -> list[Any]:
            if self.scope.endswith(":0") or broken == "all":
                raise redis.ConnectionError("out of reach")
            return await super().get_lost_followers()

    class Partitioned(PartitionedOrdering):
        ordering = Broken

    broken = "one"
    ordering = Partitioned("test", partitions=2, redis=connect(), policy=Policy(lookback=timedelta(milliseconds=20)))
    stray = [of(f"r{i}", 10 + i, 1) for i in range(8)]
    assert await handled(ordering, stray) == []
    time.sleep(0.03)  # noqa: ASYNC251  # the server's clock is the real one here
    expected = [e for e in stray if ordering.partition_of(e).scope == "test:1"]
    assert await ordering.get_lost_followers() == expected
    assert "The sweep of scope 'test:0' failed" in caplog.text
    broken = "all"
    with pytest.raises(redis.ConnectionError):
        await ordering.get_lost_followers()


# -- a cluster ---------------------------------------------------------------------------------------------------


async def test_partitions_share_a_cluster(nodes: RedisCluster, cluster: list[redis.Redis]) -> None:
    ordering = PartitionedOrdering("test", partitions=12, redis=nodes)
    arrivals = [of(f"r{r}", 10 * r + i, 10 * r + i - 1 if i > 1 else 0) for i in (2, 3, 1) for r in range(1, 31)]
    done = await handled(ordering, arrivals)
    assert len(done) == 90
    places = {event.id: place for place, event in enumerate(done)}
    assert all(places[e.follows] < places[e.id] for e in done if e.follows)
    assert all(one.dbsize() > 20 for one in cluster)


async def test_cluster_batches_and_sweeps(nodes: RedisCluster) -> None:
    """One ordering runs on a cluster in batches and sweeps."""
    ordering = CausalOrdering("test", redis=nodes, policy=Policy(lookback=timedelta(milliseconds=30)))
    done: list[Any] = []

    async def handler(event: Any, depth: int = 0) -> None:
        done.append(event.id)

    assert await ordering.handle_batch(handler, [event(3, 2), event(2, 1), event(9, 8)]) == ["parked"] * 3
    assert await ordering.handle_batch(handler, [event(1)]) == ["handled"]
    assert done == [event(1).id, event(2).id, event(3).id]
    time.sleep(0.04)  # noqa: ASYNC251  # the server's clock is the real one here
    assert [e.id for e in await ordering.get_lost_followers()] == [event(9).id]


@pytest.mark.skipif(not hasattr(RedisCluster, "pubsub"), reason="this redis-py cannot listen to a cluster")
async def test_cluster_waiting_for_a_leader(nodes: RedisCluster) -> None:
    """A consumer that waits for a leader on a cluster learns of its end."""
    ordering = CausalOrdering("test", redis=nodes, policy=Policy(lease=timedelta(minutes=1)))
    begun, may_end = asyncio.Event(), asyncio.Event()

    async def lead() -> None:
        async with ordering.event_is_processing(event(1)):
            begun.set()
            await may_end.wait()

    leading = asyncio.ensure_future(lead())
    await begun.wait()
    waiting = asyncio.ensure_future(ordering.wait_for_leader(event(2, 1)))
    while not await nodes.exists(ordering._key(f"watched:{event(1).id}")):  # noqa: ASYNC110  # it is Redis'
        await asyncio.sleep(0.01)
    assert not waiting.done()
    may_end.set()
    # The end is only published: without that, the waiting ends in half a lease, by parking.
    await asyncio.wait_for(waiting, 15)
    await leading
