"""A leader by SET NX PX with a token; a task of its own renews the lease, and only the leader works."""

from __future__ import annotations

import asyncio
import contextlib
import uuid
from typing import Any

import redis.asyncio

RENEW = "if redis.call('get', KEYS[1]) == ARGV[1] then return redis.call('pexpire', KEYS[1], ARGV[2]) else return 0 end"
RELEASE = "if redis.call('get', KEYS[1]) == ARGV[1] then return redis.call('del', KEYS[1]) else return 0 end"
TTL = 30.0


async def publish(client: Any, body: bytes) -> None:
    await client.rpush("work", body)


class Election:
    def __init__(self, client: Any) -> None:
        self.client, self.token = client, str(uuid.uuid4())

    async def win(self) -> bool:
        return bool(await self.client.set("leader", self.token, nx=True, px=int(TTL * 1000)))

    async def keep(self, lost: asyncio.Event) -> None:
        while not lost.is_set():
            await asyncio.sleep(TTL / 3)
            if not await self.client.eval(RENEW, 1, "leader", self.token, int(TTL * 1000)):
                lost.set()

    async def release(self) -> None:
        await self.client.eval(RELEASE, 1, "leader", self.token)


async def lead(client: Any, effect: Any, lost: asyncio.Event) -> None:
    while not lost.is_set():
        body = await client.lindex("work", 0)
        if body is None:
            await asyncio.sleep(0.2)
            continue
        await effect(body)
        await client.lpop("work")


async def main(redis_url: str, effect: Any) -> None:
    client = redis.asyncio.from_url(redis_url)
    election = Election(client)
    while True:
        if not await election.win():
            await asyncio.sleep(0.5)
            continue
        lost = asyncio.Event()
        keeper = asyncio.create_task(election.keep(lost))
        try:
            await lead(client, effect, lost)
        finally:
            keeper.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await keeper
            await election.release()
