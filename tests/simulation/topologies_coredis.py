"""The same programs with another client: coredis, which has transports by anyio."""

from __future__ import annotations

import asyncio
from typing import Any

import coredis
from coredis.sentinel import Sentinel


async def _drain(client: Any, effect: Any) -> None:
    while True:
        found = await client.blpop(["orders"], timeout=2)
        if found:
            await effect(found[1])


async def by_sentinel(effect: Any) -> None:
    """Read a list of the primary that sentinels name."""
    sentinels = [("sentinel-1", 26379), ("sentinel-2", 26379)]
    async with Sentinel(sentinels, stream_timeout=None) as sentinel, sentinel.primary_for("mymaster") as client:
        await _drain(client, effect)


async def by_cluster(effect: Any) -> None:
    """Read a list of a cluster."""
    async with coredis.RedisCluster("redis-1", 6379, stream_timeout=None) as client:
        await _drain(client, effect)


async def moved(effect: Any) -> None:
    """Keep a counter beside a list while its slot moves; both are asked for without blocking."""
    async with coredis.RedisCluster("redis-1", 6379, stream_timeout=None) as client:
        while True:
            if (found := await client.lpop("orders")) is not None:
                await client.incr("{orders}handled")
                await effect(found)
            await asyncio.sleep(0.05)
