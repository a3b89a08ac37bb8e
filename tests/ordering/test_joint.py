"""Requests that tasks of one process make together are one script, each with its own answer, error and cancellation."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any, ClassVar

import pytest
import redis.asyncio
from redis.asyncio.cluster import RedisCluster
from redis.exceptions import ResponseError

from ordering import CausalOrdering, EventArrivedEarly
from ordering.scripts import script
from ordering.sending import MAX_JOINT, MAX_JOINT_BYTES
from tests.ordering.conftest import Recorder, event, sweep

NAMES = {script(name).digest.encode(): name for name in ("begin", "complete", "several")}


class Line(redis.asyncio.UnixDomainSocketConnection):
    """A connection that notes what is sent."""

    sent: ClassVar[list[str]] = []

    def pack_command(self, *words: Any) -> Any:
        self.sent.append(NAMES.get(words[1], "") if words[0] == "EVALSHA" else str(words[0]))
        return super().pack_command(*words)


@pytest.fixture(params=["pipelines", "one connection"])
async def client(request: pytest.FixtureRequest, socket: str) -> AsyncIterator[Any]:
    """A client whose connections note what is sent, with pipelines or without."""
    pool, single = redis.asyncio.ConnectionPool(connection_class=Line, path=socket), request.param == "one connection"
    async with redis.asyncio.Redis(connection_pool=pool, single_connection_client=single) as one:
        await one.flushall()
        Line.sent.clear()
        yield one
    await pool.aclose()


async def handle(recorder: Recorder, *events: Any) -> list[Any]:
    """Handle events in tasks of their own, and return the outcome of each."""
    return await asyncio.gather(*map(recorder, events), return_exceptions=True)


async def test_tasks_ask_together(client: Any) -> None:
    recorder = Recorder(CausalOrdering("joint", redis=client))
    await handle(recorder, *map(event, range(1, 31)))
    assert sorted(recorder.handled) == list(range(1, 31))
    assert Line.sent.count("several") >= 2, "the first request goes by itself, and so may what follows it"
    assert len(Line.sent) < 15


async def test_two_scopes_are_not_joined(client: Any) -> None:
    recorders = [Recorder(CausalOrdering(scope, redis=client)) for scope in ("one", "other")]
    await asyncio.gather(*(handle(recorder, *map(event, range(1, 11))) for recorder in recorders))
    assert [sorted(recorder.handled) for recorder in recorders] == [list(range(1, 11))] * 2
    assert await client.exists("{one}:seen:" + str(event(1).id), "{other}:seen:" + str(event(1).id)) == 2


async def test_leader_with_followers(client: Any) -> None:
    """A leader and its followers come in one script."""
    recorder = Recorder(CausalOrdering("joint", redis=client))
    await handle(recorder, *(event(i, i - 1) for i in range(20, 0, -1)))
    assert sorted(recorder.handled) == list(range(1, 21))
    assert recorder.handled == sorted(recorder.handled)


async def test_own_error(client: Any) -> None:
    """A request that fails does so by itself."""
    recorder = Recorder(CausalOrdering("joint", redis=client))
    await client.rpush("{joint}:queue:" + str(event(50).id), "no queue")
    await client.set("{joint}:leaders", "no hash")  # an event that follows another looks at it
    outcomes = await handle(recorder, *map(event, range(1, 11)), event(51, 50), *map(event, range(11, 21)))
    assert [i for i, outcome in enumerate(outcomes) if outcome is not None] == [10]
    assert isinstance(outcomes[10], ResponseError)
    assert "WRONGTYPE" in str(outcomes[10])
    assert sorted(recorder.handled) == list(range(1, 21))
    assert Line.sent.count("several") >= 1


async def test_forgotten_script(client: Any) -> None:
    """A server that has forgotten the scripts receives them again."""
    recorder = Recorder(CausalOrdering("joint", redis=client))
    await handle(recorder, *map(event, range(1, 11)))
    await client.script_flush()
    await handle(recorder, *map(event, range(11, 31)))
    assert sorted(recorder.handled) == list(range(1, 31))
    assert await client.script_exists(script("several").digest) == [True]


async def test_cancelled_task(client: Any) -> None:
    """A task that is cancelled takes nothing from the others."""
    recorder = Recorder(CausalOrdering("joint", redis=client))
    tasks = [asyncio.create_task(handle(recorder, event(i))) for i in range(1, 21)]
    await asyncio.sleep(0)  # they are queued…
    tasks[5].cancel()
    await asyncio.sleep(0)  # …and on their way
    tasks[6].cancel()
    outcomes = await asyncio.gather(*tasks, return_exceptions=True)
    assert [i for i, outcome in enumerate(outcomes) if isinstance(outcome, asyncio.CancelledError)] == [5, 6]
    assert {*range(1, 21)} - {*recorder.handled} <= {6, 7}
    assert await client.exists(*(f"{{joint}}:processing:{event(i).id}" for i in range(1, 21))) == 0


async def test_bounds(client: Any) -> None:
    """Long events are not joined, nor too many."""
    recorder = Recorder(CausalOrdering("joint", redis=client))
    long = {"text": "x" * MAX_JOINT_BYTES}
    outcomes = await handle(recorder, *(event(i, 100, payload=long) for i in range(1, 6)))
    assert all(isinstance(outcome, EventArrivedEarly) for outcome in outcomes)
    assert Line.sent.count("begin") == 5
    Line.sent.clear()
    await handle(recorder, *(event(i, 300) for i in range(101, 102 + 2 * MAX_JOINT)))
    assert Line.sent.count("several") == 2
    await recorder(event(300))
    await sweep(recorder)
    assert sorted(recorder.handled) == [*range(101, 102 + 2 * MAX_JOINT), 300]


async def test_cluster(cluster: Any) -> None:
    port = cluster[0].connection_pool.connection_kwargs["port"]
    client = RedisCluster(host="127.0.0.1", port=port)
    recorder = Recorder(CausalOrdering("joint", redis=client))
    await handle(recorder, *(event(i, i - 1 if i % 5 else 0) for i in range(40, 0, -1)))
    assert sorted(recorder.handled) == list(range(1, 41))
    assert True in [found for node in cluster for found in node.script_exists(script("several").digest)]
    await client.aclose()
