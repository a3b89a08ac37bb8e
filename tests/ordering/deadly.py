"""A consumer in a process of its own, which is killed by the handler of event 3: one by one, or as a batch."""

from __future__ import annotations

import asyncio
import os
import sys
from contextlib import suppress
from datetime import timedelta
from typing import Any

import redis.asyncio

from ordering import CausalOrdering, EventArrivedEarly, Policy
from tests.ordering.conftest import event, number

DEADLY = 3
KILLED = 9
POLICY = Policy(lease=timedelta(seconds=1), retry_delay=timedelta(milliseconds=10), max_attempts=2)
LEADER, SIBLINGS = event(1), [event(n, 1) for n in range(2, 6)]


async def consume(socket: str, way: str) -> None:
    client = redis.asyncio.Redis(unix_socket_path=socket)
    ordering = CausalOrdering("deadly", redis=client, policy=POLICY)

    async def work(one: Any, depth: int = 0) -> None:
        if number(one) == DEADLY:
            os._exit(KILLED)
        await client.rpush("handled", number(one))

    async def handler(one: Any, depth: int = 0) -> None:
        async with ordering.preceding_event_confirmed(handler, one, depth):
            await work(one)

    if way == "batch":
        events = [LEADER, *(one.model_copy(update={"follows": None}) for one in SIBLINGS)]
        outcomes = await ordering.handle_batch(work, events)
        sys.stdout.write(" ".join(outcomes))
    elif way == "deliver":
        for one in (*SIBLINGS, LEADER):
            with suppress(EventArrivedEarly):
                await handler(one)
    else:
        while await client.zcard(ordering._key("waitlist")):
            for one in await ordering.get_lost_followers():
                with suppress(Exception):
                    await handler(one)
            await asyncio.sleep(0.05)
    await client.aclose()


if __name__ == "__main__":
    asyncio.run(consume(*sys.argv[1:]))
