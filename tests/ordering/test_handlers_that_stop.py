"""Handlers that end in other ways than by returning or by an error: no other handler stops, and attempts count."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from ordering import EventArrivedEarly, EventGivenUp, Policy
from ordering.shielding import bounded, brought_to_its_end
from tests.ordering.conftest import Fleet, Recorder, event, number, sweep

TWICE = Policy(max_attempts=2)


async def await_something_cancelled() -> None:
    """Raise CancelledError, although this task was not cancelled: some clients of other services do that."""
    inner = asyncio.ensure_future(asyncio.sleep(0))
    inner.cancel()
    await inner


class Stopping(Recorder):
    """A recorder for which some events have an end of their own."""

    ends: dict[int, Any]

    async def _work(self, one: Any, depth: int) -> None:
        await super()._work(one, depth)
        if end := self.ends.get(number(one)):
            await end()


def stopping(fleet: Fleet, policy: Policy = TWICE, **ends: Any) -> Stopping:
    handler = Stopping(fleet.engine(policy), reentrant=False)
    handler.ends = {int(name[1:]): end for name, end in ends.items()}
    return handler


async def sys_exit() -> None:
    raise SystemExit(1)


async def due(handler: Recorder) -> None:
    for identity in await handler.engine.redis.zrange(handler.engine._key("claims"), 0, -1):
        await handler.engine.redis.zadd(handler.engine._key("claims"), {identity: 0})


async def test_cancelled_inside_released_handler(fleet: Fleet) -> None:
    """A cancellation inside a released handler is its failure."""
    handler = stopping(fleet, e2=await_something_cancelled)
    for one in (event(2, 1), event(3, 1)):
        with pytest.raises(EventArrivedEarly):
            await handler(one)
    await handler(event(1))
    assert handler.handled == [1, 2, 3], "its sibling goes on"
    await due(handler)
    with pytest.raises(asyncio.CancelledError):  # the caller that handles a single event sees it
        await sweep(handler)
    assert [letter.id for letter in await handler.engine.dead_letters()] == [str(event(2).id)]


@pytest.mark.parametrize("way", ["batch", "stream"])
async def test_cancelled_inside_handler(fleet: Fleet, way: str) -> None:
    """A cancellation inside a handler concerns its event alone."""
    handler, events = stopping(fleet, e2=await_something_cancelled), [event(1), event(2), event(3)]
    outcomes: list[str] = []

    async def report(one: Any, outcome: str) -> None:
        outcomes.append(outcome)

    async def plain(one: Any, depth: int = 0) -> None:
        await handler._work(one, depth)

    if way == "batch":
        outcomes += await handler.engine.handle_batch(plain, events)
    else:
        await handler.engine.handle_stream(plain, events, report)
    assert outcomes == ["handled", "failed", "handled"]


async def test_cancelled_from_outside(fleet: Fleet) -> None:
    """A call that is cancelled from outside ends and counts no attempt."""
    begun = asyncio.Event()

    async def rest() -> None:
        begun.set()
        await asyncio.Event().wait()

    handler = stopping(fleet, e1=rest)
    task = asyncio.create_task(handler.engine.handle_batch(handler, [event(1)]))
    await begun.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    said = await handler.engine.redis.get(handler.engine._key(f"tried:{event(1).id}"))
    assert said.partition(b"|")[0] == b"0"


@pytest.mark.parametrize("way", ["one", "batch", "stream"])
async def test_a_handler_that_exits_is_given_up(fleet: Fleet, way: str) -> None:
    exits = 0

    async def exit_once(one: Any, depth: int = 0) -> None:
        nonlocal exits
        exits += 1
        raise SystemExit(1)

    async def report(one: Any, outcome: str) -> None:
        outcomes.append(outcome)

    outcomes: list[str] = []
    while not outcomes:
        engine = fleet.engine(TWICE)
        try:
            if way == "one":
                async with engine.preceding_event_confirmed(exit_once, event(1)):
                    await exit_once(event(1))
            elif way == "batch":
                outcomes += await engine.handle_batch(exit_once, [event(1)])
            else:
                await engine.handle_stream(exit_once, [event(1)], report)
        except SystemExit:
            assert exits < 10
        except EventGivenUp:
            outcomes.append("dead")
    assert outcomes == ["dead"]
    assert exits == (3 if way == "batch" else 2), "a batch does not know at first which of its events it was"
    [letter] = await fleet.engine().dead_letters()
    assert letter.reason == "exhausted"


async def test_parked_handler_exits(fleet: Fleet) -> None:
    """A parked handler that exits is given up and says why."""
    handler = stopping(fleet, e2=sys_exit)
    with pytest.raises(EventArrivedEarly):
        await handler(event(2, 1))
    with pytest.raises(SystemExit):
        await handler(event(1))
    await due(handler)
    with pytest.raises(SystemExit):
        await sweep(handler)
    [letter] = await handler.engine.dead_letters()
    assert (letter.id, letter.attempts, letter.error) == (str(event(2).id), 2, "SystemExit: 1")


async def test_no_time_limit_after_cancellation() -> None:
    """What is asked after a cancellation has no time of its own."""
    asked = list[str]()

    async def record() -> None:
        asked.append("silence" if not asked else "again")
        await asyncio.sleep(3600 if asked == ["silence"] else 0.001)
        asked.append("answered")

    stopped = asyncio.CancelledError()
    async with bounded(stopped, 0.01):
        await brought_to_its_end(record, 60)
    assert asked == ["silence", "again"]
