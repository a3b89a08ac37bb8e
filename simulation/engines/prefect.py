"""The installed prefect_redis, unmodified, called as Prefect's own consumer calls it.

Its Redis client is its own too, and only ends up in the simulated network because that is where the loop's
connections go. Its constants are set from the scenario's policy, as its own tests set them.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from datetime import timedelta
from functools import cache
from hashlib import sha1
from importlib.metadata import version
from typing import Any

os.environ.setdefault("PREFECT_LOGGING_LEVEL", "CRITICAL")
os.environ.setdefault("DO_NOT_TRACK", "1")  # a run must send nothing, and say nothing about it

import prefect_redis.client
import prefect_redis.ordering as original
from prefect.server.events.schemas.events import ReceivedEvent
from prefect_redis.client import get_async_redis_client

from simulation.engines import EngineContext, Outcome
from simulation.scenario.model import PolicyTable

# Every client reads all of Prefect's settings again, which takes longer than a short run; they do not change in here.
prefect_redis.client.RedisMessagingSettings = cache(prefect_redis.client.RedisMessagingSettings)


class PrefectEngine:
    """One consumer of Prefect's events."""

    version = version("prefect-redis")
    decode = staticmethod(ReceivedEvent.model_validate_json)

    @staticmethod
    def scripts() -> Mapping[str, str]:
        """Return the names of the engine's scripts by their digests; older releases have none."""
        script = getattr(original, "COMPLETE_PROCESSING_SCRIPT", None)
        return {sha1(script.encode(), usedforsecurity=False).hexdigest(): "complete"} if script else {}

    def __init__(self, context: EngineContext) -> None:
        _configure(context.policy)
        client = original.get_async_redis_client
        # A client is cached for each event loop there; here, hundreds of consumers share one loop.
        original.get_async_redis_client = get_async_redis_client.__wrapped__
        try:
            self._ordering = original.CausalOrdering(scope=context.scope)
        finally:
            original.get_async_redis_client = client
        self._effect = context.effect
        self._plain = context.handler == "plain"

    async def handle(self, event: Any) -> Outcome:
        """Follow Prefect's message handler: look, handle, and acknowledge an early event."""
        if await self._ordering.event_has_been_seen(event.id):
            return "seen"
        return await self._evaluate(event)

    async def sweep(self) -> int:
        """Follow Prefect's periodic evaluation: evaluate each lost follower."""
        lost = await self._ordering.get_lost_followers()
        for event in lost:
            await self._evaluate(event)
        return len(lost)

    async def _evaluate(self, event: Any) -> Outcome:
        try:
            await self._handler(event)
        except original.EventArrivedEarly:
            return "parked"
        return "handled"

    async def _handler(self, event: Any, depth: int = 0) -> None:
        if self._plain and depth:
            await self._effect(event)
            return
        async with self._ordering.preceding_event_confirmed(self._handler, event, depth):
            await self._effect(event)


def _configure(policy: PolicyTable) -> None:
    values = {
        "PRECEDING_EVENT_LOOKBACK": timedelta(microseconds=policy.lookback),
        "SEEN_EXPIRATION": timedelta(microseconds=policy.retention),
        "IN_FLIGHT_EVENT_TIMEOUT": timedelta(microseconds=policy.lease // 2),
        "MAX_DEPTH_OF_PRECEDING_EVENT": policy.max_depth,
    }
    for name, value in values.items():
        setattr(original, name, value)
