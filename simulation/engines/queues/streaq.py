"""streaq: one worker, and a task for each event, whose id is the event's."""

from __future__ import annotations

from typing import Any

from streaq import Worker

from simulation.engines.program import URL

NAME = "causim-streaq"
_effects: dict[str, Any] = {}


async def main(redis_url: str, effect: Any, consumer: str) -> None:
    """Run one worker; it does not return."""
    worker: Any = Worker(redis_url=redis_url, queue_name=NAME, concurrency=2, id=consumer, handle_signals=False)

    @worker.task(name="perform")  # type: ignore[untyped-decorator]
    async def perform(body: str) -> None:
        await effect(body)

    await worker.run_async()


async def publish(client: Any, body: bytes) -> None:
    """Enqueue a task, unless its id is known."""
    worker: Any = Worker(redis_url=URL, queue_name=NAME)
    async with worker:
        await worker.enqueue_unsafe("perform", body.decode()).start()
