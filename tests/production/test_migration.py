"""A cluster moves the slot of a scope while consumers are at work."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import pytest
import redis.asyncio

from ordering import (
    CausalOrdering,
    EventAlreadySeen,
    EventArrivedEarly,
    EventBeingProcessed,
    PartitionedOrdering,
    Policy,
)
from tests.production.servers import Cluster, event, servers

POLICY = Policy(lease=timedelta(seconds=5))


def chains(count: int) -> list[Any]:
    """Return chains of three, each backwards."""
    made = []
    for _ in range(count):
        resource = {"prefect.resource.id": str(event().id)}
        first = event(resource=resource)
        second = event(first.id, resource=resource)
        made += [event(second.id, resource=resource), second, first]
    return made


def in_order(handled: list[Any], events: list[Any]) -> None:
    """Assert that the first effect of each event comes after that of its leader."""
    place = {identity: i for i, identity in reversed([*enumerate(handled)])}
    assert all(place[one.follows] < place[one.id] for one in events if one.follows)


async def consume(ordering: Any, events: list[Any], handled: list[Any]) -> None:
    async def handler(one: Any, depth: int = 0) -> None:
        async with ordering.preceding_event_confirmed(handler, one, depth):
            handled.append(one.id)

    for one in events:
        while True:
            try:
                await handler(one)
            except (EventArrivedEarly, EventAlreadySeen, EventBeingProcessed):
                pass
            except Exception:  # what a client says where a topology changes; a queue offers the event again
                # (not only ConnectionError: Python 3.13.0's transports raise TypeError when they have just closed)
                continue
            break


@pytest.mark.parametrize("lease", [16.0, 0.3])
async def test_refused_completion_is_repeated(masters: Cluster, connect: Any, lease: float) -> None:
    """Also if the move lasts for longer than the lease: it takes a second, and one more for the client's patience."""
    client = connect(masters.masters[0].port, kind=redis.asyncio.RedisCluster)
    ordering = CausalOrdering(f"half-{lease}", redis=client, policy=Policy(lease=timedelta(seconds=lease)))
    slot, moving, handled = masters.slot_of(f"{{half-{lease}}}:waitlist"), [], []
    refused, ask = asyncio.Event(), ordering._ask

    async def noted(name: str, *words: Any, **options: Any) -> Any:
        try:
            return await ask(name, *words, **options)
        except Exception:
            if moving:
                refused.set()
            raise

    async def handler(one: Any, depth: int = 0) -> None:
        async with ordering.preceding_event_confirmed(handler, one, depth):
            handled.append(one.id)
            if one is leader:
                moving.append(masters.begin_migration(slot))

    async def end_migration() -> None:
        await refused.wait()
        await asyncio.sleep(1)
        await asyncio.to_thread(masters.end_migration, slot, *moving[0])

    ordering._ask = noted  # type: ignore[method-assign]
    leader = event()
    follower = event(leader.id)
    with pytest.raises(EventArrivedEarly):
        await handler(follower)
    end = asyncio.create_task(end_migration())
    await handler(leader)
    await end
    assert handled == [leader.id, follower.id]


def ordering_of(way: str, client: Any) -> tuple[Any, str]:
    """Return an ordering, plain or in partitions, and a key of the scope, or of one of its partitions."""
    if way == "plain":
        return CausalOrdering(way, redis=client, policy=POLICY), "{plain}:waitlist"
    return PartitionedOrdering(way, partitions=4, redis=client, policy=POLICY), "{partitioned:0}:waitlist"


WAYS = pytest.mark.parametrize("way", ["plain", "partitioned"])


@WAYS
async def test_three_migrations_under_load(masters: Cluster, connect: Any, way: str) -> None:
    """Three migrations under load double nothing and leave nothing."""
    client = connect(masters.masters[0].port, kind=redis.asyncio.RedisCluster)
    ordering, key = ordering_of(way, client)
    slot = masters.slot_of(key)
    handled: list[Any] = []
    events: list[Any] = []
    stop = asyncio.Event()

    async def load() -> None:
        while not stop.is_set():
            more = chains(5)
            events.extend(more)
            await consume(ordering, more, handled)

    tasks = [asyncio.create_task(load()) for _ in range(5)]
    for _ in range(3):
        source, target = await asyncio.to_thread(masters.begin_migration, slot)
        await asyncio.sleep(0.3)  # requests meet the slot half-way
        await asyncio.to_thread(masters.end_migration, slot, source, target)
        await asyncio.sleep(0.1)
    stop.set()
    await asyncio.gather(*tasks)
    while set(handled) != {one.id for one in events}:  # what a consumer has left behind is due after a lease
        await consume(ordering, await ordering.get_lost_followers(), handled)
        await asyncio.sleep(0.1)
    assert len(handled) == len(set(handled))
    assert set(handled) == {one.id for one in events}
    in_order(handled, events)
    keys = [key async for key in client.scan_iter(match=f"{{{way}*}}:waitlist")]
    assert keys == []


@pytest.mark.nightly
@WAYS
@pytest.mark.parametrize("dies", ["source", "target"])
async def test_master_dies_during_migration(connect: Any, dies: str, way: str) -> None:
    """The third migration under load loses a master. A crash explains: its replica may lack the last writes, and each
    may repeat an effect."""
    options = ("--cluster-enabled", "yes", "--cluster-node-timeout", "1000", "--cluster-replica-validity-factor", "0")
    with servers(4, *options) as (*masters, replica):
        cluster = Cluster(masters)
        slot = cluster.slot_of(ordering_of(way, None)[1])
        first = masters.index(cluster.owner_of(slot))
        source, target, survivor = (masters[(first + further) % 3] for further in (2, 3, 1))  # of the third migration
        dying = source if dies == "source" else target
        await asyncio.to_thread(cluster.add_replica, replica, dying)
        client = connect(survivor.port, kind=redis.asyncio.RedisCluster, socket_timeout=2)
        ordering, _ = ordering_of(way, client)
        handled: list[Any] = []
        events: list[Any] = []
        stop = asyncio.Event()

        async def load() -> None:
            while not stop.is_set():
                more = chains(5)
                events.extend(more)
                await consume(ordering, more, handled)

        tasks = [asyncio.create_task(load()) for _ in range(5)]
        await asyncio.sleep(0.3)
        for _ in range(2):
            await asyncio.to_thread(
                cluster.end_migration, slot, *await asyncio.to_thread(cluster.begin_migration, slot)
            )
        assert await asyncio.to_thread(cluster.begin_migration, slot) == (source, target)
        await asyncio.to_thread(cluster.fail_over, dying, replica)
        pair = (replica, target) if dies == "source" else (source, replica)
        await asyncio.to_thread(cluster.announce_migration, slot, *pair)
        await asyncio.to_thread(cluster.end_migration, slot, *pair)
        await asyncio.sleep(0.5)
        stop.set()
        await asyncio.gather(*tasks)
        while set(handled) != {one.id for one in events}:
            await consume(ordering, await ordering.get_lost_followers(), handled)
            await asyncio.sleep(0.1)
        keys = [key async for key in client.scan_iter(match=f"{{{way}*}}:waitlist")]
    assert len(handled) - len(set(handled)) <= len(tasks)
    in_order(handled, events)
    assert keys == []
