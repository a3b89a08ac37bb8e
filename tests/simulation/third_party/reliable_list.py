"""A list is moved to one of the worker's own; a reaper returns what workers without a heartbeat have left."""

import asyncio
import json
import logging
import os
import socket
import uuid

import redis.asyncio as redis
from redis import exceptions

log = logging.getLogger("celeryish")
Q = "celery"


class App:
    def __init__(self, url, effect):
        self.r = redis.from_url(
            url, decode_responses=True, health_check_interval=30, socket_keepalive=True, socket_timeout=20
        )
        self.id = f"{socket.gethostname()}-{os.getpid()}-{uuid.uuid4().hex[:6]}"
        self.effect = effect

    async def heartbeat(self):
        while True:
            try:
                await self.r.set(f"hb:{self.id}", "1", ex=15)
            except (exceptions.ConnectionError, exceptions.TimeoutError):
                log.warning("heartbeat failed")
            await asyncio.sleep(5)

    async def reap(self):
        while True:
            await asyncio.sleep(10)
            try:
                for key in await self.r.keys("proc:*"):
                    w = key.split(":", 1)[1]
                    if await self.r.exists(f"hb:{w}"):
                        continue
                    while await self.r.rpoplpush(key, Q):
                        log.info("returned one of %s", w)
            except (exceptions.ConnectionError, exceptions.TimeoutError):
                continue

    async def work(self):
        while True:
            try:
                item = await self.r.brpoplpush(Q, f"proc:{self.id}", timeout=5)
            except (exceptions.ConnectionError, exceptions.TimeoutError):
                await asyncio.sleep(1)
                continue
            if item is None:
                continue
            m = json.loads(item)
            done = f"done:{m['id']}"
            if not await self.r.exists(done):
                await self.effect(item)
                await self.r.set(done, 1, ex=3600)
            await self.r.lrem(f"proc:{self.id}", 1, item)
            log.info("done %s", m["id"])


async def main(redis_url, effect):
    app = App(redis_url, effect)
    await app.r.set(f"hb:{app.id}", "1", ex=15)
    await asyncio.gather(app.heartbeat(), app.reap(), *(app.work() for _ in range(2)))


async def publish(client, body):
    await client.lpush(Q, body)
