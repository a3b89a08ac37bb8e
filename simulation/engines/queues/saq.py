"""saq: one worker, and a job for each event, keyed by the event's id."""

from __future__ import annotations

from typing import Any

from redis.asyncio import Redis
from saq import Worker
from saq.queue.redis import RedisQueue

from simulation.engines.queues.event_ids import event_id

NAME = "causim-saq"
_SWEEP_SECONDS = 5
_RETRIES = 5


async def main(redis_url: str, effect: Any) -> None:
    """Run one worker until it is asked to stop. The queue waits for jobs by BLMOVE, longer than a client's timeout."""

    async def perform(context: Any, *, body: str) -> None:
        await effect(body)

    queue = RedisQueue(Redis.from_url(redis_url, socket_timeout=None), name=NAME)
    timers: Any = {"sweep": _SWEEP_SECONDS}
    worker: Any = Worker(queue, functions=[("perform", perform)], concurrency=2, timers=timers)
    await worker.start()


async def publish(client: Any, body: bytes) -> None:
    """Enqueue a job that is retried when its worker is lost."""
    queue = RedisQueue(client, name=NAME)
    await queue.enqueue("perform", key=event_id(body), body=body.decode(), timeout=16, retries=_RETRIES, ttl=1_800)
