"""Real servers for the tests of this folder; a silent one would otherwise keep a test for ever."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest
import redis.asyncio

from tests.production.servers import Cluster, Server, cluster, server


@pytest.fixture(scope="module")
def shared() -> Iterator[Server]:
    """A server that the tests of a file share, and leave running."""
    with server() as one:
        yield one


@pytest.fixture
def own() -> Iterator[Server]:
    """A server of the test's own."""
    with server() as one:
        yield one


@pytest.fixture(scope="module")
def masters() -> Iterator[Cluster]:
    """A cluster that the tests of a file share."""
    with cluster() as one:
        yield one


@pytest.fixture
async def connect() -> AsyncIterator[Callable[..., Any]]:
    """Returns new clients, which are closed after the test."""
    clients: list[Any] = []

    def make(port: int, kind: Any = redis.asyncio.Redis, **options: Any) -> Any:
        clients.append(kind(host="127.0.0.1", port=port, **options))
        return clients[-1]

    yield make
    for client in clients:
        await client.aclose()


@pytest.fixture(autouse=True)
async def no_endless_wait(request: pytest.FixtureRequest) -> AsyncIterator[None]:
    """Fail a test that hangs: nothing here takes half a minute, and by night no more than ten."""
    task = asyncio.current_task()
    assert task is not None
    timeout_s = 600 if request.node.get_closest_marker("nightly") else 30
    timer = asyncio.get_running_loop().call_later(timeout_s, task.cancel)
    yield
    timer.cancel()
