"""A saga of three steps: its state is advanced by WATCH and MULTI, and a worker goes on where another one died."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import redis.asyncio
from redis.exceptions import ResponseError, WatchError

STEPS = ("reserve", "charge", "ship")


async def publish(client: Any, body: bytes) -> None:
    await client.xadd("sagas", {"event": body})


async def advance(client: Any, order: str, step: int) -> bool:
    async with client.pipeline() as pipe:
        while True:
            try:
                await pipe.watch(f"saga:{order}")
                if int(await pipe.hget(f"saga:{order}", "step") or 0) != step:
                    await pipe.unwatch()
                    return False
                pipe.multi()
                pipe.hset(f"saga:{order}", "step", step + 1)
                pipe.expire(f"saga:{order}", 3600)
                await pipe.execute()
                return True
            except WatchError:
                continue


async def perform(client: Any, effect: Any, body: bytes) -> None:
    order = json.loads(body)["id"]
    step = int(await client.hget(f"saga:{order}", "step") or 0)
    while step < len(STEPS):
        await asyncio.sleep(0.005)
        if STEPS[step] == "charge":
            await effect(body)
        if not await advance(client, order, step):
            return
        step += 1


async def main(redis_url: str, effect: Any, consumer: str) -> None:
    client = redis.asyncio.from_url(redis_url, health_check_interval=30)
    try:
        await client.xgroup_create("sagas", "g", id="0", mkstream=True)
    except ResponseError as error:
        if "BUSYGROUP" not in str(error):
            raise
    while True:
        entries = (await client.xautoclaim("sagas", "g", consumer, 20_000))[1]
        if not entries:
            got = await client.xreadgroup("g", consumer, {"sagas": ">"}, count=1, block=1_500)
            entries = [entry for _, found in got for entry in found]
        for number, fields in entries:
            await perform(client, effect, fields[b"event"])
            await client.xack("sagas", "g", number)
