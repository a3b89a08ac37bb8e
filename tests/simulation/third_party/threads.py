"""A worker written as if it were synchronous: the work is done in threads, with time stamps and temporary files."""

import asyncio
import datetime as dt
import hashlib
import json
import pathlib
import random
import sqlite3
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor

import redis.asyncio as redis


def crunch(raw):
    t = time.perf_counter()
    with tempfile.TemporaryDirectory() as d:
        p = pathlib.Path(d, "x")
        p.write_bytes(raw)
        db = sqlite3.connect(":memory:")
        db.execute("create table t(a)")
        db.execute("insert into t values(?)", (p.read_text(),))
        out = db.execute("select a from t").fetchone()[0]
        db.close()
    return out, time.perf_counter() - t, dt.datetime.now(dt.UTC).isoformat()


async def main(redis_url, effect):
    r = redis.Redis.from_url(redis_url)
    pool = ThreadPoolExecutor(4)
    loop = asyncio.get_event_loop()
    while True:
        got = await r.blmpop(3, 1, "work", direction="LEFT", count=3)
        if not got:
            await asyncio.to_thread(time.monotonic)
            continue
        for raw in got[1]:
            text, _took, _at = await loop.run_in_executor(pool, crunch, raw)
            _a, _b = await asyncio.gather(asyncio.to_thread(hashlib.sha256, raw), asyncio.to_thread(json.loads, text))
            await asyncio.sleep(random.uniform(0.001, 0.01))
            await effect(text)


async def publish(client, body):
    await client.rpush("work", body)
