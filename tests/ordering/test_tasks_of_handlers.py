"""Tasks that a handler starts, and that go on after it: they have no part in its lease."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from ordering import EventAlreadySeen
from tests.ordering.conftest import Fleet, event


@pytest.mark.parametrize("way", ["batch", "stream", "released"])
@pytest.mark.parametrize("fails", [False, True])
async def test_task_that_outlives_its_handler(fleet: Fleet, way: str, fails: bool) -> None:
    """A task that a handler leaves behind enters the engine like any consumer."""
    engine = fleet.engine()
    over, tasks, late = asyncio.Event(), list[asyncio.Task[None]](), list[str]()

    async def enter(one: Any, depth: int = 0) -> None:
        async with engine.preceding_event_confirmed(enter, one, depth):
            late.append(str(one.id))

    async def leave_behind(one: Any) -> None:
        await over.wait()
        await enter(one)

    async def handler(one: Any, depth: int = 0) -> None:
        if one.id == event(2).id:
            tasks.append(asyncio.create_task(leave_behind(one)))
            if fails:
                raise RuntimeError("the first attempt fails")

    async def report(one: Any, outcome: str) -> None:
        pass

    one = event(2, 1)
    assert await engine.handle_batch(handler, [one]) == ["parked"]
    if way == "released":
        await engine.handle_batch(handler, [event(1)])
    else:
        await engine.record_event_as_seen(event(1))
        await engine.forget_follower(one)
    if way == "batch":
        await engine.handle_batch(handler, [one])
    if way == "stream":
        await engine.handle_stream(handler, [one], report)
    if fails:
        await engine.record_event_as_seen(one)  # another consumer has handled it since
    over.set()
    with pytest.raises(EventAlreadySeen):
        await tasks[0]
    assert late == []
