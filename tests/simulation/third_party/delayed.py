"""A delayed queue: due times in a sorted set, bodies in a hash, claimed by a script that reads the server's clock."""

import asyncio
import contextlib
import json
import time

import redis.asyncio as redis

CLAIM = """
local t = redis.call('TIME'); local now = t[1]*1000 + math.floor(t[2]/1000)
local due = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', now, 'LIMIT', 0, tonumber(ARGV[1]))
local out = {}
for _, id in ipairs(due) do
  redis.call('ZADD', KEYS[1], now + tonumber(ARGV[2]), id)
  table.insert(out, id); table.insert(out, redis.call('HGET', KEYS[2], id) or '')
end
return out"""


async def main(redis_url, effect):
    try:
        import uvloop

        asyncio.set_event_loop_policy(uvloop.EventLoopPolicy())
    except ImportError:
        pass
    r = redis.from_url(redis_url, single_connection_client=False, max_connections=5)
    claim = r.register_script(CLAIM)
    sem = asyncio.Semaphore(3)
    bg = set()

    async def one(i, body):
        async with sem:
            async with asyncio.timeout(50):
                await effect(body)
            async with r.pipeline() as p:
                p.zrem("delayed", i)
                p.hdel("bodies", i)
                await p.execute()

    while True:
        flat = await claim(keys=["delayed", "bodies"], args=[10, 60000])
        for i, body in zip(flat[::2], flat[1::2], strict=False):
            if body:
                t = asyncio.ensure_future(one(i, body))
                bg.add(t)
                t.add_done_callback(bg.discard)
        if not flat:
            nxt = await r.zrange("delayed", 0, 0, withscores=True)
            wait = min(5, max(0.05, nxt[0][1] / 1000 - time.time())) if nxt else 0.5
            with contextlib.suppress(asyncio.TimeoutError):
                await asyncio.wait_for(asyncio.Event().wait(), wait)


async def publish(client, body):
    i = json.loads(body)["id"]
    await client.hset("bodies", i, body)
    await client.zadd("delayed", {i: int(time.time() * 1000) + 2000})
