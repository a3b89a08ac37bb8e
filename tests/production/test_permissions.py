"""The rights of the engine's user are replaced while it works: what was handled is recorded all the same."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import pytest

from ordering import CausalOrdering, EventArrivedEarly, Policy
from tests.production.servers import Server, event

POLICY = Policy(lease=timedelta(seconds=5))


@pytest.mark.parametrize("way", ["one", "batch", "stream"])
async def test_permission_that_is_lost_for_a_moment(own: Server, connect: Any, way: str) -> None:
    """A completion that lacks a permission is sent again until it has it: no effect is repeated, no follower waits."""
    ordering = CausalOrdering("test", redis=connect(own.port), policy=POLICY)
    leader, handled = event(), []
    follower = event(leader.id)

    async def handler(one: Any, depth: int = 0) -> None:
        async with ordering.preceding_event_confirmed(handler, one, depth):
            handled.append(one.id)
            if one is leader:
                own.ask("ACL", "SETUSER", "default", "-evalsha")
                asyncio.get_running_loop().call_later(0.3, own.ask, "ACL", "SETUSER", "default", "+evalsha")

    async def report(one: Any, outcome: str) -> None:
        assert outcome == "handled"

    with pytest.raises(EventArrivedEarly):
        await handler(follower)
    if way == "one":
        await handler(leader)
    elif way == "batch":
        assert await ordering.handle_batch(handler, [leader]) == ["handled"]
    else:
        await ordering.handle_stream(handler, [leader], report)
    assert handled == [leader.id, follower.id]
    assert await ordering.event_has_been_seen(leader)
