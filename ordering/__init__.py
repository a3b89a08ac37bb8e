"""The engine: causal ordering of events on Redis, for asyncio.

    ordering = CausalOrdering("orders", redis=redis.asyncio.Redis())

    async def handler(event, depth=0):
        async with ordering.preceding_event_confirmed(handler, event, depth):
            ...  # what must happen once, after what the event follows

Read next: `causal.py` (what runs in the consumer), then `lua/shared/` (the data in Redis).
"""

from ordering.causal import CausalOrdering, EventProcessingCompletion
from ordering.errors import (
    EventAlreadySeen,
    EventArrivedEarly,
    EventBeingProcessed,
    EventGivenUp,
    LeaseLost,
    MaxDepthExceeded,
)
from ordering.events import Event, ReceivedEvent
from ordering.leases import fencing_token
from ordering.letters import DeadLetter
from ordering.observing import Observer
from ordering.operations import Stats
from ordering.partitions import PartitionedOrdering, by_resource
from ordering.policy import (
    IN_FLIGHT_EVENT_TIMEOUT,
    MAX_DEPTH_OF_PRECEDING_EVENT,
    PRECEDING_EVENT_LOOKBACK,
    PROCESSED_EVENT_LOOKBACK,
    SEEN_EXPIRATION,
    Policy,
)
from ordering.requests import Outcome

__all__ = [
    "IN_FLIGHT_EVENT_TIMEOUT",
    "MAX_DEPTH_OF_PRECEDING_EVENT",
    "PRECEDING_EVENT_LOOKBACK",
    "PROCESSED_EVENT_LOOKBACK",
    "SEEN_EXPIRATION",
    "CausalOrdering",
    "DeadLetter",
    "Event",
    "EventAlreadySeen",
    "EventArrivedEarly",
    "EventBeingProcessed",
    "EventGivenUp",
    "EventProcessingCompletion",
    "LeaseLost",
    "MaxDepthExceeded",
    "Observer",
    "Outcome",
    "PartitionedOrdering",
    "Policy",
    "ReceivedEvent",
    "Stats",
    "by_resource",
    "fencing_token",
]
