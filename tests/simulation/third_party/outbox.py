"""An outbox: a relay, elected by a lock that it extends, moves rows into a stream that a group of workers reads."""

from __future__ import annotations

import asyncio
import json
import logging
from typing import Any

import redis.asyncio
from redis.exceptions import LockError, ResponseError

log = logging.getLogger(__name__)


async def publish(client: Any, body: bytes) -> None:
    row = json.loads(body)["id"]
    async with client.pipeline(transaction=True) as pipe:
        pipe.hset(f"outbox:{row}", mapping={"body": body, "state": "new"})
        pipe.zadd("outbox", {row: 0})
        await pipe.execute()


async def move(client: Any, row: bytes) -> None:
    key = f"outbox:{row.decode()}"
    body = await client.hget(key, "body")
    async with client.pipeline(transaction=True) as pipe:
        pipe.xadd("orders", {"body": body}, maxlen=1000, approximate=True)
        pipe.zrem("outbox", row)
        pipe.delete(key)
        await pipe.execute()


async def relay(client: Any) -> None:
    lock = client.lock("relay", timeout=5, blocking=False)
    while True:
        if not await lock.acquire():
            await asyncio.sleep(1)
            continue
        try:
            while True:
                for row in await client.zrange("outbox", 0, 9):
                    await move(client, row)
                await lock.extend(5, replace_ttl=True)
                await asyncio.sleep(0.2)
        except LockError:
            log.warning("lost the lock of the relay")


async def work(client: Any, effect: Any, name: str) -> None:
    try:
        await client.xgroup_create("orders", "billing", "0", mkstream=True)
    except ResponseError as error:
        if "BUSYGROUP" not in str(error):
            raise
    while True:
        _, mine, _ = await client.xautoclaim("orders", "billing", name, min_idle_time=20_000, start_id="0-0")
        fresh = await client.xreadgroup("billing", name, {"orders": ">"}, count=5, block=1_000)
        for number, fields in mine + [message for _, messages in fresh for message in messages]:
            await effect(fields[b"body"])
            await client.xack("orders", "billing", number)


async def main(redis_url: str, effect: Any, consumer: str) -> None:
    async with redis.asyncio.from_url(redis_url, socket_timeout=None) as client, asyncio.TaskGroup() as tasks:
        tasks.create_task(relay(client))
        tasks.create_task(work(client, effect, consumer))
