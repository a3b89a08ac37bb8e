"""What the scripts must know about events and policies, in the form in which they read it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import lru_cache
from hashlib import sha1
from typing import Any
from uuid import UUID

from ordering.policy import Policy

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def id_of(event: UUID | Any) -> str:
    """Return the id of an event, or of an id itself, as text."""
    return str(getattr(event, "id", event))


def is_follower(event: Any) -> bool:
    """Return whether an event follows another than itself."""
    return event.follows is not None and event.follows != event.id


def leader_of(event: Any) -> str:
    """Return the id of the event that this one follows, empty if that is none but itself."""
    return str(event.follows) if is_follower(event) else ""


@lru_cache(maxsize=16)
def rules_of(policy: Policy) -> tuple[int, int, int, int]:
    """Return a policy's numbers, as the scripts read them."""
    return (
        milliseconds(policy.lookback),
        milliseconds(policy.lease),
        milliseconds(policy.retention),
        milliseconds(policy.memory),
    )


@lru_cache(maxsize=4096)  # a leader's is asked for again by its followers
def digest_of(identity: str) -> str:
    """Return what an event is remembered by: 64 bits, too many for two events of a day to share."""
    return sha1(identity.encode(), usedforsecurity=False).hexdigest()[:16]


def occurred_at(event: Any) -> int:
    """Return when an event occurred, in microseconds since 1970."""
    return microseconds(event.occurred)


def microseconds(moment: datetime) -> int:
    """Return a moment in microseconds since 1970; one that says nothing of its zone is UTC's."""
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    # Exact, and for every kind of datetime: Prefect's may be pendulum's, whose arithmetic is its own.
    since = datetime.__sub__(moment, _EPOCH)
    return (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds


def order_of(event: Any) -> tuple[datetime, str]:
    """Return the place of an event among its siblings: by when it occurred, ties by its id as text."""
    return event.occurred, str(event.id)


def milliseconds(duration: timedelta) -> int:
    """Return a duration in whole milliseconds."""
    return round(duration.total_seconds() * 1000)
