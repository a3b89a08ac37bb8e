"""The Redis clients that engines are given: redis-py's, which send no greeting unless an engine asks for one."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from inspect import signature
from typing import Any

import redis.asyncio
from redis.asyncio import ConnectionPool

# RESP2, and no word about the driver, by its name of today or that of older clients: a connection takes no greeting.
_NEW = "driver_info" in signature(redis.asyncio.Redis).parameters


_UNGREETED = {"protocol": 2, **({"driver_info": None} if _NEW else {"lib_name": None, "lib_version": None})}


def _client(**options: Any) -> redis.asyncio.Redis:
    """Return a client with an engine's own options, which may ask for a greeting."""
    return redis.asyncio.Redis(host="redis", port=6379, **{**_UNGREETED, **options})


@cache
def _settings() -> Mapping[str, Any]:
    """Return what a client without options works out for its connections, which takes it longer than all else."""
    return _client().connection_pool.connection_kwargs


def connect(**options: Any) -> redis.asyncio.Redis:
    """Return a client into the simulated network, with an engine's own options if it has any."""
    return _client(**options) if options else redis.asyncio.Redis.from_pool(ConnectionPool(**_settings()))
