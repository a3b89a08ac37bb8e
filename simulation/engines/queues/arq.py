"""arq: one worker, and a job for each event, whose id is the event's."""

from __future__ import annotations

from typing import Any

from arq import create_pool, func
from arq.connections import RedisSettings
from arq.worker import Worker

from simulation.engines.program import URL
from simulation.engines.queues.event_ids import event_id

_TIMEOUT_SECONDS = 16


async def main(redis_url: str, effect: Any) -> None:
    """Run one worker until it is asked to stop."""

    async def perform(context: Any, body: str) -> None:
        await effect(body)

    worker: Any = Worker(
        functions=[func(perform, name="perform")],
        redis_settings=RedisSettings.from_dsn(redis_url),
        job_timeout=_TIMEOUT_SECONDS,
        max_jobs=2,
    )
    await worker.async_run()


async def publish(client: Any, body: bytes) -> None:
    """Enqueue a job, unless its id is known."""
    pool = await create_pool(RedisSettings.from_dsn(URL))
    try:
        await pool.enqueue_job("perform", body.decode(), _job_id=event_id(body))
    finally:
        await pool.aclose()
