"""The Redis clients that engines are given: redis-py's, which send no greeting unless an engine asks for one."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from inspect import signature
from typing import Any

import redis.asyncio
from redis.asyncio import BlockingConnectionPool, ConnectionPool
from redis.asyncio.cluster import RedisCluster
from redis.asyncio.sentinel import Sentinel
from redis.exceptions import ReadOnlyError

from simulation.kernel.environment import SECOND
from simulation.scenario.model import ClientTable, Scenario

# RESP2, and no word about the driver, by its name of today or that of older clients: a connection takes no greeting.
_NEW = "driver_info" in signature(redis.asyncio.Redis).parameters


_ERRORS = {"READONLY": ReadOnlyError}
"""The exceptions by which redis-py reports errors that it does not retry by itself."""

_UNGREETED = {"protocol": 2, **({"driver_info": None} if _NEW else {"lib_name": None, "lib_version": None})}


def _client(**options: Any) -> redis.asyncio.Redis:
    """Return a client with an engine's own options, which may ask for a greeting."""
    return redis.asyncio.Redis(host="redis", port=6379, **{**_UNGREETED, **options})


@cache
def _settings() -> Mapping[str, Any]:
    """Return the connection settings of a client without options; computing them is its slowest part."""
    return _client().connection_pool.connection_kwargs


def connect(scenario: Scenario, **options: Any) -> Any:
    """Return a client into the simulated network, as the scenario has it, with an engine's own options if any.

    It is a `Redis`, one that asks the sentinels for the primary, or a `RedisCluster`.
    """
    table, topology = scenario.client, scenario.topology
    options = {**_options(table), **options}
    match topology.kind:
        case "sentinel":
            sentinel: Any = Sentinel  # which has no types
            known = sentinel(topology.sentinel_addresses, sentinel_kwargs=_UNGREETED, **{**_UNGREETED, **options})
            return known.master_for(topology.primary)
        case "cluster":
            host, port = topology.server_addresses[0]
            return RedisCluster(host=host, port=port, **{**_UNGREETED, **options})
    return _single(table, options)


def _single(table: ClientTable, options: dict[str, Any]) -> redis.asyncio.Redis:
    if table.pool == "raise":
        return _client(**options) if options else redis.asyncio.Redis.from_pool(ConnectionPool(**_settings()))
    most = options.pop("max_connections", None)
    settings = _client(**options).connection_pool.connection_kwargs if options else _settings()
    limit = {} if most is None else {"max_connections": most}
    return redis.asyncio.Redis.from_pool(BlockingConnectionPool(**limit, **settings))


def _options(table: ClientTable) -> dict[str, Any]:
    options: dict[str, Any] = {}
    if table.max_connections is not None:
        options["max_connections"] = table.max_connections
    if table.timeout is not None:
        options["socket_timeout"] = table.timeout / SECOND
    if table.retry_on:
        options["retry_on_error"] = [_ERRORS[name] for name in table.retry_on]
    return options
