"""The engine in Prefect: name this module in `PREFECT_SERVER_EVENTS_CAUSAL_ORDERING`, and nothing else changes.

It takes Prefect's Redis settings, event classes and exceptions, and the key names of the original where they mean the
same. So consumers of both may run in one fleet: an event that one engine has parked is released or rescued by the first
to come. As in the original, the constants below are read when they are used, and an event is old by its `received`.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

from prefect.server.events.ordering import (
    MAX_DEPTH_OF_PRECEDING_EVENT,
    PRECEDING_EVENT_LOOKBACK,
    SEEN_EXPIRATION,
    EventArrivedEarly,
    MaxDepthExceeded,
)
from prefect.server.events.ordering import CausalOrdering as _PrefectOrdering
from prefect.server.events.ordering.memory import EventBeingProcessed
from prefect.server.events.schemas.events import ReceivedEvent
from prefect_redis.client import cluster_key_prefix, get_async_redis_client

from ordering import causal
from ordering.causal import EventProcessingCompletion
from ordering.errors import Errors
from ordering.observing import Observer
from ordering.operations import OnDeadLetter
from ordering.policy import IN_FLIGHT_EVENT_TIMEOUT, Policy
from ordering.tokens import unique_token

__all__ = [
    "IN_FLIGHT_EVENT_TIMEOUT",
    "MAX_DEPTH_OF_PRECEDING_EVENT",
    "PRECEDING_EVENT_LOOKBACK",
    "SEEN_EXPIRATION",
    "CausalOrdering",
    "EventAlreadySeen",
    "EventArrivedEarly",
    "EventBeingProcessed",
    "EventGivenUp",
    "EventProcessingCompletion",
    "LeaseLost",
    "MaxDepthExceeded",
]


class EventAlreadySeen(EventArrivedEarly):
    """The event was handled before. Prefect acknowledges what arrives early, and so it does with this."""


class EventGivenUp(EventAlreadySeen):
    """The event is a dead letter of the engine's. Prefect acknowledges it, for the same reason."""


class LeaseLost(EventBeingProcessed):
    """The lease ran out while the handler worked, and another consumer has the event. Prefect does not acknowledge."""


class _Numbers(Policy):
    """A policy with the original's numbers. There, a lookback may be negative: then followers are overdue at once."""

    def __post_init__(self) -> None:
        if self.lookback > timedelta(0):
            super().__post_init__()


class CausalOrdering(causal.CausalOrdering[Any], _PrefectOrdering):
    """The engine, as Prefect makes it: for every event, from nothing but a scope."""

    errors = Errors(
        early=EventArrivedEarly,
        seen=EventAlreadySeen,
        dead=EventGivenUp,
        held=EventBeingProcessed,
        depth=MaxDepthExceeded,
        lost=LeaseLost,
    )

    _waitlist = "parked"

    def __init__(
        self,
        scope: str,
        *,
        redis: Any = None,
        token: Callable[[], str] = unique_token,
        observer: Observer | None = None,
        on_dead_letter: OnDeadLetter | None = None,
    ) -> None:
        named = scope or "prefect:events:ordering"  # as the original calls a scope without a name
        self._prefix = cluster_key_prefix(named)
        super().__init__(
            named,
            redis=redis or get_async_redis_client(),
            event_type=ReceivedEvent,
            token=token,
            observer=observer,
            on_dead_letter=on_dead_letter,
        )
        self.scope = scope

    @property
    def policy(self) -> Policy:
        """The policy that the constants of this module add up to now."""
        lookback = PRECEDING_EVENT_LOOKBACK
        return _Numbers(
            lookback=lookback,
            retention=max(SEEN_EXPIRATION, lookback, timedelta(seconds=1)),
            lease=2 * IN_FLIGHT_EVENT_TIMEOUT,
            max_depth=MAX_DEPTH_OF_PRECEDING_EVENT,
            age_by="received",
        )

    @policy.setter
    def policy(self, _: Policy) -> None:
        """Ignore the default: the constants decide."""

    def _key(self, key: str) -> str:
        if not self.scope and not self._prefix.startswith("{"):
            return key
        return f"{self._prefix}:{key}"

    async def get_lost_followers(self) -> list[Any]:
        """Return overdue events, with all that wait below them, in the order they occurred."""
        return await self._lost_followers(chains=True)
