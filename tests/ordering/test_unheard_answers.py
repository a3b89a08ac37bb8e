"""What is granted to a consumer that does not hear of it: siblings that come meanwhile do not overtake it."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Any

import pytest
from redis.exceptions import ConnectionError  # noqa: A004

from ordering.scripts import script

from .conftest import Fleet, Recorder, event, expire


def disturb(client: Any, after: str, error: BaseException, *, before: str = "") -> None:
    """Have a client raise an error after the first request to run one script, and instead of each to run another."""
    send, errors = client.execute_command, [error]

    async def disturbed(command: str, called: bytes = b"", *words: Any, **options: Any) -> Any:
        def runs(name: str) -> bool:
            return bool(name) and called in (script(name).digest.encode(), script(name).text.encode())

        if runs(before):
            raise ConnectionError("no answer")
        reply = await send(command, called, *words, **options)
        if errors and runs(after):
            raise errors.pop()
        return reply

    client.execute_command = disturbed


async def leave_a_queue(fleet: Fleet, *followers: int) -> None:
    """Complete event 1 by a consumer that dies then, with followers parked behind it."""
    engine = fleet.engine()
    for number in followers:
        await engine.record_follower(event(number, 1))
    _, grant = await engine._begin(event(1))
    assert grant is not None
    await engine._complete(grant)
    await expire(engine)


async def arrives(fleet: Fleet, number: int) -> list[int]:
    """Deliver a follower of event 1 to another consumer, and return what that has handled."""
    handler = Recorder(fleet.engine())
    with suppress(Exception):
        await handler(event(number, 1))
    return handler.handled


async def test_handed_out_and_not_heard(fleet: Fleet) -> None:
    await leave_a_queue(fleet, 2, 3)
    handler = Recorder(fleet.engine())
    handler.failing = {2: 1}
    disturb(handler.engine.redis, "advance", ConnectionError("the reply is lost"))
    with pytest.raises(ConnectionError):
        await handler.engine.handle_batch(handler, [event(2, 1)])
    assert await arrives(fleet, 4) == []
    await expire(handler.engine)
    assert await arrives(fleet, 4) == [2, 3, 4]


async def test_not_given_back(fleet: Fleet) -> None:
    """A lease that a consumer cannot give back when it is stopped."""
    await leave_a_queue(fleet, 2)
    engine = fleet.engine()
    handler = Recorder(engine)
    disturb(engine.redis, "begin", asyncio.CancelledError(), before="fail")
    with pytest.raises(asyncio.CancelledError):
        await handler(event(2, 1))
    assert await arrives(fleet, 4) == []
    await expire(engine)
    assert await arrives(fleet, 4) == [2, 4]


async def test_claimed_and_not_heard(fleet: Fleet) -> None:
    """In single steps, a claim whose reply is lost."""
    engine = fleet.engine()
    await engine.record_follower(event(2, 1))
    disturb(engine.redis, "claim", ConnectionError("the reply is lost"))
    with pytest.raises(ConnectionError):
        await engine.complete_event_and_get_followers(event(1))
    assert await arrives(fleet, 4) == []


async def test_claimed_again(fleet: Fleet) -> None:
    """A claim that is repeated, since its reply was lost, gives what it has claimed and no consumer has begun since."""
    engine, other = fleet.engine(), Recorder(fleet.engine())
    for number in (2, 3):
        await engine.record_follower(event(number, 1))
    _, grant = await engine._begin(event(1))
    assert grant is not None
    await engine._complete(grant)
    request = ("claim", grant.identity, "claim", 60_000, grant.token)
    claimed = await engine._call(*request)
    assert len(claimed) == 2
    assert await engine._call(*request) == claimed
    assert await other.engine._call("claim", grant.identity, "another", 60_000, "") == []
