"""taskiq: one receiver on the broker of taskiq-redis that reads a stream, and a task for each event."""

from __future__ import annotations

from typing import Any

from taskiq.acks import AcknowledgeType
from taskiq.api import run_receiver_task
from taskiq_redis import RedisStreamBroker

from simulation.engines.program import URL

NAME = "causim-taskiq"


def _broker(url: str, policy: Any = None, consumer: str = "producer") -> Any:
    idle = 60_000 if policy is None else policy.lease // 1_000
    # `0`: a group that begins with what is there; by default it would skip what was sent before its first worker.
    options: dict[str, Any] = {"consumer_id": "0", "idle_timeout": idle, "unacknowledged_lock_timeout": 10}
    return RedisStreamBroker(url, queue_name=NAME, consumer_name=consumer, xread_count=1, **options)


async def main(redis_url: str, effect: Any, consumer: str, policy: Any) -> None:
    """Run one receiver; it does not return."""
    broker = _broker(redis_url, policy, consumer)

    @broker.task(task_name="perform")  # type: ignore[untyped-decorator]
    async def perform(body: str) -> None:
        await effect(body)

    await run_receiver_task(broker, run_startup=True, max_async_tasks=2, ack_time=AcknowledgeType.WHEN_EXECUTED)


async def publish(client: Any, body: bytes) -> None:
    """Kick a task."""
    broker = _broker(URL)

    @broker.task(task_name="perform")  # type: ignore[untyped-decorator]
    async def perform(body: str) -> None:
        """Stand for the workers' task of this name."""

    await broker.startup()
    try:
        await perform.kiq(body.decode())
    finally:
        await broker.shutdown()
