"""faststream: one application whose subscriber reads a stream in a group, and one that claims abandoned messages."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from faststream import AckPolicy, FastStream
from faststream.redis import RedisBroker, RedisRouter, StreamSub
from redis.asyncio import Redis
from redis.exceptions import ResponseError

from simulation.engines.program import URL

NAME = "causim-faststream"
_GROUP = "workers"


async def main(redis_url: str, effect: Any, consumer: str, policy: Any) -> None:
    """Run one application until it is asked to stop."""
    async with Redis.from_url(redis_url) as client:
        with suppress(ResponseError):  # the group is there; the library's own would skip what came before it
            await client.xgroup_create(NAME, _GROUP, "0", mkstream=True)
    broker: Any = RedisBroker(redis_url, logger=None)
    router: Any = RedisRouter()  # the broker starts its own subscribers in the order of their addresses in memory
    options: dict[str, Any] = {"group": _GROUP, "consumer": consumer, "max_records": 1, "polling_interval": 1_000}
    new, left = StreamSub(NAME, **options), StreamSub(NAME, **options, min_idle_time=policy.lease // 1_000)

    @broker.subscriber(stream=new, ack_policy=AckPolicy.NACK_ON_ERROR)  # type: ignore[untyped-decorator]
    @router.subscriber(stream=left, ack_policy=AckPolicy.NACK_ON_ERROR)  # type: ignore[untyped-decorator]
    async def perform(message: dict[str, Any]) -> None:
        await effect(message)

    broker.include_router(router)
    await FastStream(broker, logger=None).run()


async def publish(client: Any, body: bytes) -> None:
    """Publish a message to the stream."""
    async with RedisBroker(URL, logger=None) as broker:
        await broker.publish(body, stream=NAME)
