"""A stream is read in a group, in a task group of AnyIO; what was left is claimed; a signal ends it."""

import contextlib
import signal

import anyio
import redis.asyncio as redis
from redis.exceptions import ResponseError


async def consume(c, name, send):
    async with send:
        while True:
            cur = "0-0"
            while True:
                cur, msgs, _ = await c.xautoclaim("jobs", "g", name, min_idle_time=30000, start_id=cur, count=5)
                for m in msgs:
                    await send.send(m)
                if cur in (b"0-0", "0-0"):
                    break
            for _, msgs in await c.xreadgroup("g", name, {"jobs": ">"}, count=5, block=2000) or []:
                for m in msgs:
                    await send.send(m)


async def handle(c, effect, recv):
    async with recv:
        async for mid, fields in recv:
            with anyio.move_on_after(25) as scope:
                await effect(fields)
            if not scope.cancelled_caught:
                await c.xack("jobs", "g", mid)


async def main(redis_url, effect, consumer):
    async with redis.from_url(redis_url, socket_timeout=10) as c:
        with contextlib.suppress(ResponseError):
            await c.xgroup_create("jobs", "g", id="0", mkstream=True)
        send, recv = anyio.create_memory_object_stream(0)
        async with anyio.create_task_group() as tg:
            with anyio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
                async with recv:
                    for _ in range(3):
                        tg.start_soon(handle, c, effect, recv.clone())
                    tg.start_soon(consume, c, consumer, send)
                    async for _s in signals:
                        tg.cancel_scope.cancel()
                        break


async def publish(client, body):
    await client.xadd("jobs", {"event": body})
