"""Causal ordering of events on Redis."""

from ordering.causal import CausalOrdering, EventProcessingCompletion, fencing_token
from ordering.errors import EventAlreadySeen, EventArrivedEarly, EventBeingProcessed, LeaseLost, MaxDepthExceeded
from ordering.events import Event, ReceivedEvent
from ordering.policy import (
    IN_FLIGHT_EVENT_TIMEOUT,
    MAX_DEPTH_OF_PRECEDING_EVENT,
    PRECEDING_EVENT_LOOKBACK,
    PROCESSED_EVENT_LOOKBACK,
    SEEN_EXPIRATION,
    Policy,
)

__all__ = [n for n in dir() if n[0] != "_"]
