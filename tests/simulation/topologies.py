"""Programs that bring a client of their own for sentinels or a cluster."""

from __future__ import annotations

from typing import Any

import redis.asyncio
from redis.asyncio.cluster import RedisCluster
from redis.asyncio.sentinel import Sentinel


async def _drain(client: Any, effect: Any) -> None:
    while True:
        found = await client.blpop(["orders"], timeout=2)
        if found:
            await effect(found[1])


async def by_sentinel(effect: Any) -> None:
    """Read a list of the primary that sentinels name."""
    sentinels = [("sentinel-1", 26379), ("sentinel-2", 26379)]
    await _drain(Sentinel(sentinels, socket_timeout=None).master_for("mymaster"), effect)


async def by_cluster(redis_url: str, effect: Any) -> None:
    """Read a list of a cluster."""
    await _drain(RedisCluster.from_url(redis_url, socket_timeout=None), effect)


async def elsewhere(effect: Any) -> None:
    """Read at an address that no topology has."""
    await _drain(redis.asyncio.Redis(host="somewhere", socket_timeout=None), effect)


async def administrator(redis_url: str, effect: Any) -> None:
    """Change the cluster."""
    await redis.asyncio.from_url(redis_url).execute_command("CLUSTER SETSLOT", 1, "STABLE")
