"""pydocket: one worker, and a task for each event, keyed by the event's id."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from docket import Docket, Worker

from simulation.engines.program import URL
from simulation.engines.queues.event_ids import event_id

NAME = "causim-docket"


async def main(redis_url: str, effect: Any, consumer: str, policy: Any) -> None:
    """Run one worker; it does not return."""

    async def perform(body: str) -> None:
        await effect(body)

    async with Docket(name=NAME, url=redis_url) as docket:
        docket.register(perform)
        redelivery = timedelta(microseconds=policy.lease)
        async with Worker(docket, name=consumer, concurrency=2, redelivery_timeout=redelivery) as worker:
            await worker.run_forever()


async def publish(client: Any, body: bytes) -> None:
    """Add a task. Adding it again under the same key does nothing while it is known."""

    async def perform(body: str) -> None:
        """Stand for the workers' task of this name."""

    async with Docket(name=NAME, url=URL) as docket:
        docket.register(perform)
        await docket.add(perform, key=event_id(body))(body.decode())
