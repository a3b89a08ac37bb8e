"""`ordering.prefect`, called as Prefect's own consumer calls it: it shares the original's keys, and so a fleet with it.

Its constants are set from the scenario's policy, as those of the original are.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

os.environ.setdefault("PREFECT_LOGGING_LEVEL", "CRITICAL")

from prefect.server.events.schemas.events import ReceivedEvent
from prefect_redis.client import get_async_redis_client

import ordering.prefect as drop_in
from ordering import CausalOrdering
from simulation.engines import EngineContext, Outcome
from simulation.engines.native import NativeEngine
from simulation.scenario.model import PolicyTable


class DropInEngine(NativeEngine):
    """One consumer of Prefect's events, with the drop-in in the original's place."""

    ordering: type[CausalOrdering[Any]] = drop_in.CausalOrdering
    decode = staticmethod(ReceivedEvent.model_validate_json)

    @classmethod
    def scripts(cls) -> Mapping[str, str]:
        """Return the names of the engine's scripts by their digests, so that faults can be about them."""
        return NativeEngine.scripts()

    def __init__(self, context: EngineContext) -> None:
        _configure(context.policy)
        self._ordering: Any = self.ordering(
            context.scope,
            # A client is cached for each event loop there; here, hundreds of consumers share one loop.
            redis=get_async_redis_client.__wrapped__(),
            token=context.token,
            on_dead_letter=context.given_up,
        )
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
        except drop_in.EventAlreadySeen:
            return "seen"
        except drop_in.EventArrivedEarly:
            return "parked"
        return "handled"


def _configure(policy: PolicyTable) -> None:
    drop_in.PRECEDING_EVENT_LOOKBACK = timedelta(microseconds=policy.lookback)
    drop_in.SEEN_EXPIRATION = timedelta(microseconds=policy.retention)
    drop_in.IN_FLIGHT_EVENT_TIMEOUT = timedelta(microseconds=policy.lease // 2)
    drop_in.MAX_DEPTH_OF_PRECEDING_EVENT = policy.max_depth
