"""A key for each job; workers hear of it by notifications and race with SET NX; a poll finds what was missed."""

import asyncio

import redis.asyncio as redis


async def claim(r, key, effect, me):
    body = await r.get(key)
    if body is None:
        return
    if not await r.set("lock:" + key, me, nx=True, px=20000):
        return
    body = await r.get(key)
    if body is None:
        return
    await effect(body)
    async with r.pipeline(transaction=True) as p:
        await p.delete(key, "lock:" + key).execute()


async def main(redis_url, effect, consumer):
    r = redis.from_url(redis_url, protocol=3, decode_responses=True)
    await r.config_set("notify-keyspace-events", "K$g")
    async with r.pubsub() as ps:
        await ps.psubscribe("__keyspace@0__:job:*")
        async with asyncio.TaskGroup() as tg:

            async def poll():
                while True:
                    async for key in r.scan_iter("job:*"):
                        await claim(r, key, effect, consumer)
                    await asyncio.sleep(10)

            tg.create_task(poll())
            async for m in ps.listen():
                if m["type"] == "pmessage" and m["data"] == "set":
                    tg.create_task(claim(r, m["channel"].split(":", 1)[1], effect, consumer))


async def publish(client, body):
    import json

    await client.set("job:" + json.loads(body)["id"], body)
