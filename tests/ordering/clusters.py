"""A real cluster of three servers, in real time."""

from __future__ import annotations

import socket as sockets
import subprocess
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
import redis
import redis.asyncio
from redis.asyncio.cluster import RedisCluster

from simulation.stores.bundled import bundled_server

SLOTS = 16_384


def free_ports(count: int) -> list[int]:
    """Return free ports whose ports of the cluster bus (10,000 above) exist, too."""
    found: set[int] = set()
    while len(found) < count:
        with sockets.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            if (port := probe.getsockname()[1]) <= 55_000:
                found.add(port)
    return sorted(found)


def eventually(true: Any) -> None:
    """Wait for a real cluster to agree."""
    for _ in range(2_000):
        try:
            if true():
                return
        except redis.RedisError:
            pass
        time.sleep(0.01)
    raise TimeoutError("the cluster does not come up")


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[redis.Redis]]:
    """Three masters that share the slots."""
    ports = free_ports(3)
    with ExitStack() as running:
        nodes = [node(running, tmp_path_factory.mktemp(f"node{i}"), ports[i]) for i in range(3)]
        for i, one in enumerate(nodes):
            eventually(one.ping)
            one.execute_command("CLUSTER", "ADDSLOTS", *range(i * SLOTS // 3, (i + 1) * SLOTS // 3))
            one.execute_command("CLUSTER", "SET-CONFIG-EPOCH", i + 1)
        for i in (1, 2):
            nodes[0].execute_command("CLUSTER", "MEET", "127.0.0.1", ports[i])
        eventually(lambda: all(b"cluster_state:ok" in one.execute_command("CLUSTER", "INFO") for one in nodes))
        yield nodes


def node(running: ExitStack, folder: Path, port: int) -> redis.Redis:
    """Start a server that can be part of a cluster."""
    arguments = [
        *(str(bundled_server()), "--bind", "127.0.0.1", "--port", str(port)),
        *("--cluster-enabled", "yes", "--save", "", "--dir", str(folder), "--cluster-node-timeout", "5000"),
    ]
    process = subprocess.Popen(arguments, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    running.callback(process.wait)
    running.callback(process.kill)
    client = redis.Redis(port=port)
    running.callback(client.close)
    return client


@pytest.fixture
async def nodes(cluster: list[redis.Redis]) -> AsyncIterator[RedisCluster]:
    """A client of an empty cluster."""
    for one in cluster:
        one.flushall()
    client = RedisCluster(host="127.0.0.1", port=cluster[0].connection_pool.connection_kwargs["port"])
    yield client
    await client.aclose()
