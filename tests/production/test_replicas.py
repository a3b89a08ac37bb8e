"""A client that reads from replicas: one that is behind knows nothing of what the engine has just written."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
import redis.asyncio
from redis.cluster import READ_COMMANDS, LoadBalancingStrategy

from ordering import CausalOrdering, EventArrivedEarly, Policy
from tests.production.servers import Cluster, Recorder, Server, event, servers, until

READS = 10
"""The client reads from the master and its replica by turns."""


async def every_step(client: Any) -> None:
    """Have events fail and wait, and read all that can be read about them; assert that nothing is missed."""
    reported: list[str] = []
    once = Policy(max_attempts=1, retry_delay=timedelta(milliseconds=1))
    ordering: Any = CausalOrdering(
        "test", redis=client, policy=once, on_dead_letter=lambda one: reported.append(one.id)
    )
    leaders = [event() for _ in range(READS)]
    failing = [event(one.id) for one in leaders]

    async def handler(one: Any, depth: int = 0) -> None:
        async with ordering.preceding_event_confirmed(handler, one, depth):
            if one in failing:
                raise ValueError

    for one in failing:
        with pytest.raises(EventArrivedEarly):
            await handler(one)
    for one in leaders:
        await handler(one)
    assert reported == [str(one.id) for one in failing]
    leader, waiting = event(), Recorder(ordering)
    follower = event(leader.id)
    with pytest.raises(EventArrivedEarly):
        await waiting(follower)
    for _ in range(READS):
        assert await ordering.event_has_been_seen(leaders[0])
        assert not await ordering.event_has_started_processing(leaders[0])
        assert await ordering.get_followers(leader) == [follower]
        assert await ordering.followers_by_id([follower.id]) == [follower]
        assert await ordering.dead_letter(reported[0]) is not None
        assert len(await ordering.dead_letters()) == READS
        assert (await ordering.stats()).parked == 1
    late = event(leader.id)
    await ordering.handle_batch(waiting, [leader, late])
    assert waiting.handled == [leader.id, follower.id, late.id]


async def test_no_command_of_the_engine_only_reads(shared: Server, connect: Any) -> None:
    """No command of the engine is one that a client may send to a replica."""
    client, sent = connect(shared.port), set[str]()
    execute = client.execute_command

    async def noted(name: str, *words: Any, **options: Any) -> Any:
        sent.add(name)
        return await execute(name, *words, **options)

    client.execute_command = noted
    await every_step(client)
    assert "EVALSHA" in sent
    assert sent & READ_COMMANDS == set()


@pytest.fixture
def behind() -> Iterator[int]:
    """The port of a master whose replica hears nothing any more, and still answers."""
    with servers(2, "--cluster-enabled", "yes", "--cluster-node-timeout", "2000") as (master, replica):
        Cluster([master]).add_replica(replica, master)
        master.ask("ACL", "SETUSER", "default", "-psync", "-sync")
        master.ask("CLIENT", "KILL", "TYPE", "replica")
        until(lambda: b"master_link_status:down" in replica.ask("INFO", "replication"))
        until(lambda: str(replica.port) in str(master.ask("CLUSTER", "SLOTS")))
        yield master.port


@pytest.mark.nightly
async def test_replica_that_is_behind(behind: int, connect: Any) -> None:
    """Every dead letter is reported, and every step of the interface says what the master knows."""
    reads = LoadBalancingStrategy.ROUND_ROBIN
    client = connect(behind, kind=redis.asyncio.RedisCluster, load_balancing_strategy=reads)
    await client.set("written", 1)
    assert {await client.get("written") for _ in range(READS)} == {b"1", None}
    await every_step(client)
