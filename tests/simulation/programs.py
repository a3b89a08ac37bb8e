"""Consumers as their users run them: functions that read a queue."""

from __future__ import annotations

import asyncio
import logging
import signal
import sys
from collections.abc import Awaitable, Callable
from importlib import import_module
from typing import Any

import redis.asyncio
from redis.exceptions import ResponseError

Effect = Callable[[Any], Awaitable[None]]
GROUP = "workers"


def client(redis_url: str) -> redis.asyncio.Redis:
    return redis.asyncio.from_url(redis_url, socket_timeout=None)


async def stream(redis_url: str, effect: Effect, consumer: str) -> None:
    """Reads a stream in a group, and claims what others have left for 10 s."""
    one = client(redis_url)
    try:
        await one.xgroup_create("orders", GROUP, "0", mkstream=True)
    except ResponseError as error:
        if "BUSYGROUP" not in str(error):
            raise
    while True:
        _, left, *_ = await one.xautoclaim("orders", GROUP, consumer, min_idle_time=10_000)
        read = await one.xreadgroup(GROUP, consumer, {"orders": ">"}, count=10, block=5_000)
        for number, fields in [*left, *(message for _, messages in read for message in messages)]:
            await effect(fields)
            await one.xack("orders", GROUP, number)


async def list_reader(redis_url: str, effect: Effect) -> None:
    """Pops from a list: what it has popped is lost if it dies."""
    one = client(redis_url)
    while item := await one.blpop(["orders"], timeout=0):
        await effect(item[1])


async def one_by_one(redis_url: str, effect: Effect) -> None:
    """Ends after each message."""
    item = await client(redis_url).blpop(["orders"], timeout=0)
    await effect(item[1])


async def polite(redis_url: str, effect: Effect) -> None:
    """Finishes what it has begun when it is asked to stop."""
    stopping = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopping.set)
    one = client(redis_url)
    while not stopping.is_set():
        item = await one.blpop(["orders"], timeout=1)
        if item:
            await effect(item[1])


async def stubborn(redis_url: str, effect: Effect) -> None:
    """Hears that it is to stop, and goes on."""
    signal.signal(signal.SIGTERM, lambda number, frame: None)
    await list_reader(redis_url, effect)


async def failing(redis_url: str, effect: Effect) -> None:
    """Raises at its first message, and handles the second."""
    one = client(redis_url)
    if await one.incr("starts") == 1:
        raise LookupError("no settings")
    await list_reader(redis_url, effect)


async def exiting(redis_url: str, effect: Effect) -> None:
    """Ends its whole process from within a task."""
    one = client(redis_url)
    if await one.incr("starts") == 1:
        await asyncio.gather(asyncio.create_task(_exit()))
    await list_reader(redis_url, effect)


async def _exit() -> None:
    sys.exit(3)


async def asking(redis_url: str, database: str) -> None:
    """Asks for an argument that is not offered."""


async def publish(client: redis.asyncio.Redis, body: bytes) -> None:
    """Puts an event where `list_reader` and its like read."""
    await client.rpush("orders", body)


async def with_dying_tasks(redis_url: str, effect: Effect) -> None:
    """Reads a list, beside a heartbeat that dies, a task whose failure is awaited, and a callback that fails."""
    loop = asyncio.get_running_loop()

    async def die(after: float, said: str) -> None:
        await asyncio.sleep(after)
        raise ConnectionError(said)

    # As some programs do, to log more: what it passes on is still one failure.
    loop.set_exception_handler(lambda _, context: loop.default_exception_handler(context))
    heartbeat = loop.create_task(die(0.2, "no heartbeat"))
    awaited = loop.create_task(die(0.1, "awaited"))
    loop.call_later(0.3, [].pop)
    await asyncio.gather(awaited, return_exceptions=True)
    await list_reader(redis_url, effect)
    heartbeat.cancel()


async def dying_and_forgotten(redis_url: str, effect: Effect) -> None:
    """As above, but no code holds the task that dies."""

    async def die() -> None:
        await asyncio.sleep(0.2)
        raise ConnectionError("no heartbeat")

    tasks = {asyncio.create_task(die())}
    tasks.clear()
    await list_reader(redis_url, effect)


class Tidy:
    """An engine of a user's whose handler awaits something while it is being ended."""

    def __init__(self, context: Any) -> None:
        self._effect = context.effect
        self._redis = context.connect()

    async def handle(self, event: Any) -> str:
        await self._redis.ping()
        try:
            await self._effect(event)
        finally:
            asyncio.get_running_loop()  # as timeouts and locks do
            await self._redis.ping()
        return "handled"

    async def sweep(self) -> None: ...


async def of_nothing(redis_url: str, effect: Effect) -> None:
    """Hands on something else than the message."""
    await client(redis_url).blpop(["orders"], timeout=0)
    await effect({"order": 1})


async def of_a_tuple(redis_url: str, effect: Effect) -> None:
    """Hands on the whole reply."""
    await effect(await client(redis_url).blpop(["orders"], timeout=0))


async def of_fields(redis_url: str, effect: Effect) -> None:
    """Hands on fields of which one holds the event."""
    while True:
        item = await client(redis_url).blpop(["orders"], timeout=0)
        await effect({b"kind": b"order", b"data": item[1]})


async def logging_one(redis_url: str, effect: Effect) -> None:
    """Logs what it does."""
    one = client(redis_url)
    while item := await one.blpop(["orders"], timeout=0):
        logging.getLogger("worker").debug("not let through")
        logging.getLogger("worker").warning("took %s bytes", len(item[1]))
        await effect(item[1])


async def with_dead_letters(redis_url: str, effect: Effect, consumer: str, given_up: Callable[[Any], None]) -> None:
    """Tries each message three times, then moves it into a dead-letter queue of its own, and says so."""
    one = client(redis_url)
    work, own = "orders", f"orders:{consumer}"
    while True:
        body = await one.lindex(own, 0) or await one.blmove(work, own, 1, "LEFT", "RIGHT")
        if body is None:
            continue
        if await one.hincrby("tries", body, 1) > 3:
            await one.lmove(own, "orders:dead", "LEFT", "RIGHT")
            given_up(body)
            continue
        try:
            await effect(body)
        except Exception:
            logging.getLogger("worker").exception("a message failed")
        else:
            await one.lpop(own)


async def without_a_word(redis_url: str, effect: Effect, consumer: str) -> None:
    """The same, but says nothing of its dead letters."""
    await with_dead_letters(redis_url, effect, consumer, lambda _: None)


async def elsewhere(effect: Effect) -> None:
    """Waits for what no other program sends: the producer alone speaks to Redis."""
    await effect(await asyncio.Queue[bytes]().get())


async def unborn(effect: Effect) -> None:
    """Does not come so far as to connect."""
    import_module("a_module_that_is_not_there")
