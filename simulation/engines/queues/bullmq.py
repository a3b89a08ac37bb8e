"""bullmq: one worker, and a job for each event, whose id is the event's."""

from __future__ import annotations

import asyncio
from typing import Any

from bullmq import Queue, Worker

from simulation.engines.program import URL
from simulation.engines.queues.event_ids import event_id

NAME = "causim-bullmq"


async def main(redis_url: str, effect: Any) -> None:
    """Run one worker; it does not return."""

    async def perform(job: Any, token: str) -> None:
        await effect(job.data["body"])

    Worker(NAME, perform, {"connection": redis_url, "concurrency": 2, "maxStalledCount": 5})
    await asyncio.Event().wait()


async def publish(client: Any, body: bytes) -> None:
    """Add a job, unless its id is known."""
    queue: Any = Queue(NAME, {"connection": URL})
    try:
        await queue.add("perform", {"body": body.decode()}, {"jobId": event_id(body), "attempts": 5})
    finally:
        await queue.close()
