"""Consumers that block: one for each blocking command, alone, in a pipeline and in a transaction.

Those that read a group or move a message to a list of their own lose none if they die. The others do.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import redis.asyncio
from redis.exceptions import ReadOnlyError, ResponseError

Effect = Callable[[Any], Awaitable[None]]
Words = list[Any]
Ask = Callable[..., Awaitable[Any]]

SECONDS = 2
COMMANDS: dict[str, Callable[[str], Words]] = {
    "BLPOP": lambda me: ["BLPOP", "none", "list", SECONDS],
    "BRPOP": lambda me: ["BRPOP", "list", "0.5"],
    "BLMPOP": lambda me: ["BLMPOP", SECONDS, 2, "none", "list", "LEFT", "COUNT", 1],
    "BZPOPMIN": lambda me: ["BZPOPMIN", "sorted", SECONDS],
    "BZPOPMAX": lambda me: ["BZPOPMAX", "none", "sorted", SECONDS],
    "BZMPOP": lambda me: ["BZMPOP", SECONDS, 1, "sorted", "MAX", "COUNT", 1],
    "BLMOVE": lambda me: ["BLMOVE", "list", f"own:{me}", "LEFT", "RIGHT", SECONDS],
    "BRPOPLPUSH": lambda me: ["BRPOPLPUSH", "list", f"own:{me}", SECONDS],
    "XREAD": lambda me: ["XREAD", "COUNT", 1, "BLOCK", SECONDS * 1000, "STREAMS", "stream", "0"],
    "XREADGROUP": lambda me: [
        *["XREADGROUP", "GROUP", "g", me, "COUNT", 1, "BLOCK", SECONDS * 1000, "STREAMS", "stream", ">"]
    ],
    "WAIT": lambda me: ["WAIT", 1, 200],
}
FORMS = ("alone", "pipeline", "transaction")
KEEPS = frozenset({"BLMOVE", "BRPOPLPUSH", "XREADGROUP"})
"""Commands with which a message survives the death of the client that was given it."""


def connect(redis_url: str) -> redis.asyncio.Redis:
    # The server says UNBLOCKED and READONLY when it has become a replica: by then another one is at its address.
    return redis.asyncio.from_url(redis_url, socket_timeout=None, retry_on_error=[ReadOnlyError])


def worker(command: str, form: str) -> Callable[..., Awaitable[None]]:
    """Return `main` for a command in one of the forms."""

    async def main(redis_url: str, effect: Effect, consumer: str) -> None:
        one = connect(redis_url)
        if command == "XREADGROUP":
            await _join(one)
        async for message in _found_again(one, command, consumer):
            await _work(one, command, consumer, effect, message)
        words = COMMANDS[command](consumer)
        while True:
            try:
                found = await _ask(one, form, words)
            except ResponseError as error:
                if "UNBLOCKED" not in str(error):
                    raise
                continue
            for message in await _messages(one, command, words, found):
                await _work(one, command, consumer, effect, message)
            if form == "transaction" or command == "WAIT":
                await asyncio.sleep(0.3)

    main.__name__ = f"{command.lower()}_{form}"
    return main


async def _ask(one: redis.asyncio.Redis, form: str, words: Words) -> Any:
    if form == "alone":
        return await one.execute_command(*words)
    pipeline = one.pipeline(transaction=form == "transaction")
    pipeline.incr("asked")
    pipeline.execute_command(*words)
    pipeline.incr("answered")
    return (await pipeline.execute())[1]


async def _join(one: redis.asyncio.Redis) -> None:
    try:
        await one.xgroup_create("stream", "g", "0", mkstream=True)
    except ResponseError as error:
        if "BUSYGROUP" not in str(error):
            raise


async def _found_again(one: redis.asyncio.Redis, command: str, me: str) -> AsyncIterator[Any]:
    """Yield what this consumer had before it was started again."""
    if command in ("BLMOVE", "BRPOPLPUSH"):
        for body in await one.lrange(f"own:{me}", 0, -1):
            yield body
    elif command == "XREADGROUP":
        for _, messages in await one.xreadgroup("g", me, {"stream": "0"}):
            for message in messages:
                yield message


async def _messages(one: redis.asyncio.Redis, command: str, words: Words, found: Any) -> list[Any]:
    if command == "WAIT":
        popped = await one.lpop("list")
        return [popped] if popped else []
    if not found:
        return []
    match command:
        case "BLPOP" | "BRPOP" | "BZPOPMIN" | "BZPOPMAX":
            return [found[1]]
        case "BLMPOP":
            return list(found[1])
        case "BZMPOP":
            return [pair[0] for pair in found[1]]
        case "XREAD" | "XREADGROUP":
            messages = [message for _, several in found for message in several]
            words[-1] = messages[-1][0] if command == "XREAD" else ">"
            return messages
    return [found]


async def _work(one: redis.asyncio.Redis, command: str, me: str, effect: Effect, message: Any) -> None:
    if command == "XREAD":  # each reader reads each message
        if await one.set(b"taken:" + message[0], me, nx=True):
            await effect(message[1])
    elif command == "XREADGROUP":
        await effect(message[1])
        await one.xack("stream", "g", message[0])
    else:
        await effect(message)
        if command in KEEPS:
            await one.lrem(f"own:{me}", 1, message)


async def publish(client: redis.asyncio.Redis, body: bytes) -> None:
    """Put a message where each of them looks: a run has one kind of consumer."""
    pipeline = client.pipeline(transaction=True)
    pipeline.rpush("list", body)
    pipeline.zadd("sorted", {body: 1})
    pipeline.xadd("stream", {"event": body})
    await pipeline.execute()


for _command in COMMANDS:
    for _form in FORMS:
        globals()[f"{_command.lower()}_{_form}"] = worker(_command, _form)
