"""Waiting for a leader that is being handled: without polling, and without holding anything meanwhile.

1. The waiting consumer asks to be notified.
2. The consumer that ends the leader's handling publishes that, if it was asked for.
3. A holder that dies publishes nothing; but the end of its lease is known, and the question is repeated then.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any
from weakref import WeakKeyDictionary

INSTANT = 0.001
"""The shortest wait, in seconds: Redis counts in milliseconds, and the difference of two times may be almost zero."""

_listeners: WeakKeyDictionary[Any, int] = WeakKeyDictionary()
"""Number of events that wait for their leaders, by client: each takes a connection for its subscription."""

Ask = Callable[[bool], Awaitable[list[str]]]
"""Asks whether an event may be handled. If not, and given True, the answer may be `wait`; given False, it is parked."""


def most_listeners(redis: Any) -> int:
    """Return how many connections a client may listen on: a quarter of its pool; requests take at most half of it."""
    pool = getattr(redis, "connection_pool", None)
    return int(getattr(pool, "max_connections", 100)) // 4


async def answer_in_time(redis: Any, channel: str, ask: Ask, timeout_s: float) -> list[str]:
    """Return the answer to the question whether an event may be handled, within so many seconds.

    Args:
        redis: a client. One that cannot listen, as those of clusters long could not, has its event parked at once; so
            has one with so many listeners that the requests of others would find no connection in its pool.
        channel: where it is published that the handling of the leader has ended.
        ask: asks.
        timeout_s: for how long to wait for the end of the leader's handling.
    """
    answer = await ask(True)
    if answer[0] != "waiting":
        return answer
    if not hasattr(redis, "pubsub") or _listeners.get(redis, 0) >= most_listeners(redis):
        return await ask(False)
    clock = asyncio.get_running_loop().time
    end = clock() + timeout_s
    async with _listening(redis, channel, timeout_s) as next_message:
        while answer[0] == "waiting":
            answer = await ask(end - clock() >= INSTANT)
            if answer[0] == "waiting":
                await next_message(max(INSTANT, min(end - clock(), int(answer[1]) / 1000)))
    return answer


@asynccontextmanager
async def _listening(redis: Any, channel: str, timeout_s: float) -> AsyncIterator[Callable[[float], Awaitable[object]]]:
    _listeners[redis] = _listeners.get(redis, 0) + 1
    try:
        async with redis.pubsub() as subscription:
            await subscription.subscribe(channel)
            # When the server has taken note, nothing is missed from here on. No timeout of the client's ends this wait.
            await subscription.get_message(timeout=timeout_s)

            async def next_message(seconds: float) -> object:
                return await subscription.get_message(timeout=seconds)

            yield next_message
    finally:
        _listeners[redis] -= 1
