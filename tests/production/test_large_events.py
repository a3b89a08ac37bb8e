"""An event of a size that the server refuses, by closing the connection: no other event suffers from it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest

from ordering import CausalOrdering, EventArrivedEarly
from tests.production.servers import Recorder, Server, event, server


@pytest.fixture(scope="module")
def strict() -> Iterator[Server]:
    """A server that takes no words of more than a mebibyte."""
    with server("--proto-max-bulk-len", "1mb") as one:
        yield one


def some(count: int, large: int) -> list[Any]:
    """Return followers of different leaders, of which one is too large."""
    return [event(event().id, payload={"text": "x" * (2_000_000 if i == large else 1)}) for i in range(count)]


async def test_batch_with_an_event_that_is_refused(strict: Server, connect: Any) -> None:
    ordering = CausalOrdering("batch", redis=connect(strict.port))
    handler, events, leader = Recorder(ordering), some(5, 2), event()
    events += [leader, event(leader.id)]
    outcomes = await ordering.handle_batch(handler, events)
    assert outcomes == ["parked", "parked", "failed", "parked", "parked", "handled", "handled"]


async def test_stream_with_an_event_that_is_refused(strict: Server, connect: Any) -> None:
    ordering = CausalOrdering("stream", redis=connect(strict.port))
    handler, outcomes, leader = Recorder(ordering), list[str](), event()

    async def report(_: Any, outcome: str) -> None:
        outcomes.append(outcome)

    await ordering.handle_stream(handler, [leader, *some(5, 2), event(leader.id)], report)
    assert outcomes == ["handled", "parked", "parked", "failed", "parked", "parked", "handled"]


async def test_tasks_beside_an_event_that_is_refused(strict: Server, connect: Any) -> None:
    handler = Recorder(CausalOrdering("tasks", redis=connect(strict.port)))
    ends = await asyncio.gather(*(handler(one) for one in some(30, 20)), return_exceptions=True)
    assert [i for i, end in enumerate(ends) if not isinstance(end, EventArrivedEarly)] == [20]


async def test_large_events_in_a_batch_keep_their_order(shared: Server, connect: Any) -> None:
    """Events that are asked about by themselves, because of their size, are handled in causal order."""
    ordering = CausalOrdering("order", redis=connect(shared.port))
    chain = [event()]
    for i in range(5):
        chain.append(event(chain[-1].id, payload={"text": "x" * (400_000 if i % 2 else 1)}))
    handler, outcomes = Recorder(ordering), list[str]()

    async def report(_: Any, outcome: str) -> None:
        outcomes.append(outcome)

    assert set(await ordering.handle_batch(handler, chain[:3][::-1])) <= {"handled", "parked"}
    await ordering.handle_stream(handler, chain[3:][::-1], report)
    assert handler.handled == [one.id for one in chain]
