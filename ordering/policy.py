"""The engine's waiting times and limits. The numbers depend on each other; an unworkable policy cannot be made."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Literal

PRECEDING_EVENT_LOOKBACK = timedelta(minutes=15)
"""Duration for which a follower waits for a leader that does not come."""
PROCESSED_EVENT_LOOKBACK = timedelta(minutes=30)
"""Duration for which it is remembered that an event was handled."""
SEEN_EXPIRATION = max(PRECEDING_EVENT_LOOKBACK, PROCESSED_EVENT_LOOKBACK)
IN_FLIGHT_EVENT_TIMEOUT = timedelta(seconds=8)
"""Half of a lease."""
SHORTEST_LEASE = timedelta(milliseconds=100)
"""Below it, a round trip and a pause of the garbage collector are as long as the time until a lease is lost."""
_MILLISECOND = timedelta(milliseconds=1)
"""Redis counts in milliseconds."""
MAX_DEPTH_OF_PRECEDING_EVENT = 20
"""Greatest depth of handlers that call each other."""


@dataclass(frozen=True, slots=True)
class Policy:
    """The engine's times and limits. Raises ValueError if one of them cannot work with the others.

    - `lookback`: time for which a follower waits for a leader that does not come.
    - `retention`: time for which a duplicate of a handled event is refused.
    - `memory`: time for which a digest of each handled event is kept, so that late followers need not wait: one that
      comes after the retention of its leader finds it there. Zero turns it off.
    - `lease`: time for which an event, or a leader's queue, is held without being renewed.
    - `retry_delay`: time for which a released event rests after its handler failed.
    - `max_attempts`: greatest number of attempts. An attempt counts when it begins: a handler that kills its process
      has had one. If the event is the queue's, an attempt whose failure reaches the consumer is for the queue to count.
    - `redelivery`: time after an attempt within which the queue may offer an event again: it is still to come, and
      its followers are not lost. None: as long as the lookback.
    - `dead_retention`: time for which a dead letter is kept, to be retried or discarded.
    - `max_depth`: greatest depth of handlers that call each other.
    - `batch`: greatest number of events of a sweep; for Prefect, those that wait below the last of them come along.
    - `age_by`: whether an event is old by the time since the engine first saw it, or by its own `received`.
    """

    lookback: timedelta = PRECEDING_EVENT_LOOKBACK
    retention: timedelta = SEEN_EXPIRATION
    memory: timedelta = timedelta(hours=24)
    lease: timedelta = 2 * IN_FLIGHT_EVENT_TIMEOUT
    retry_delay: timedelta = timedelta(seconds=5)
    max_attempts: int = 4
    redelivery: timedelta | None = None
    dead_retention: timedelta = timedelta(days=7)
    max_depth: int = MAX_DEPTH_OF_PRECEDING_EVENT
    batch: int = 100
    age_by: Literal["known", "received"] = "known"

    def __post_init__(self) -> None:
        for name in ("lookback", "retention", "retry_delay", "redelivery", "dead_retention"):
            value = getattr(self, name)
            if value is not None and value < _MILLISECOND:
                raise ValueError(f"policy.{name} must be at least a millisecond, not {value}")
        if self.lease < SHORTEST_LEASE:
            raise ValueError(
                f"policy.lease must be at least {SHORTEST_LEASE}, not {self.lease}: "
                "it must be renewed four times within its length, and each renewal is a round trip"
            )
        if self.memory < timedelta(0):
            raise ValueError(f"policy.memory must not be negative, not {self.memory}; zero turns it off")
        if self.retention < self.lookback:
            raise ValueError(
                f"policy.retention ({self.retention}) must not be shorter than policy.lookback ({self.lookback}): "
                "a follower within the lookback must still find that its leader was handled"
            )
        if self.age_by not in ("known", "received"):
            raise ValueError(f"policy.age_by must be 'known' or 'received', not {self.age_by!r}")
        for name in ("max_attempts", "max_depth", "batch"):
            if getattr(self, name) < 1:
                raise ValueError(f"policy.{name} must be at least 1, not {getattr(self, name)}")
