"""The facts about events and policies that the scripts need, in the form in which they read them."""

from __future__ import annotations

import math
import struct
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from hashlib import sha1
from itertools import chain
from typing import Any, NamedTuple
from uuid import UUID

from ordering.policy import Policy

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MAX_SHARED_BYTES = 262_144
"""A request with a longer last word travels by itself: a server that refuses its length closes the connection, and what
has travelled with it has no answer either.
"""


class Asked(NamedTuple):
    """The facts that the scripts need to decide about an event: the words of `read_event`, in their order."""

    identity: str
    token: str
    claim: str
    given: str
    """"1" if the claim is one on the event itself, by a sweep or a completion, and not on its leader's queue."""
    leader: str
    occurred: str
    received: str
    digest: str
    """The digest of the leader's id."""
    payload: str
    """The payload of the event, if it may have to be kept."""

    @property
    def is_large(self) -> bool:
        """Whether the event is too large to be in one request with others."""
        return len(self.payload) > MAX_SHARED_BYTES


def hash_tag(scope: str) -> str:
    """Return a scope that can be the hash tag of its keys: they must be in one slot. Raises ValueError."""
    if not scope or scope.startswith("}"):
        raise ValueError(f"a scope must not be empty or begin with a closing brace, and {scope!r} does")
    return scope


def last_of(asked: Asked) -> Sequence[str]:
    """Return the words about an event that end a request, without the empty words at the end."""
    return asked if asked.leader else asked[:4] if asked.claim else asked[:2]


def listed(asked: Sequence[Asked]) -> tuple[str, ...]:
    """Return the words about several events that end a request; at least one."""
    *others, last = asked
    return (*chain.from_iterable(others), *last_of(last))


def id_of(event: UUID | str | Any) -> str:
    """Return the id of an event, or of an id itself, as text. Raises ValueError if it is empty or None."""
    value = event if isinstance(event, (UUID, str)) else getattr(event, "id", event)
    identity = "" if value is None else str(value)
    if not identity:
        raise ValueError("the id of an event must not be empty")
    return identity


def names_of(event: Any) -> tuple[str, str]:
    """Return the id of an event, and that of the one that it follows, as text; empty if that is none but itself.

    Raises ValueError if one of them is empty. Writing an id as text takes longer than most that is done with it.
    """
    identity = id_of(event)
    if event.follows is None:
        return identity, ""
    leader = id_of(event.follows)
    return identity, "" if leader == identity else leader


def leader_of(event: Any) -> str:
    """Return the id of the event that this one follows, empty if that is none but itself. Raises ValueError."""
    return "" if event.follows is None else names_of(event)[1]


@lru_cache(maxsize=16)
def rules_of(policy: Policy) -> bytes:
    """Return a policy's numbers as one word, as the scripts read them: in milliseconds, but for the attempts."""
    lease = milliseconds(policy.lease)
    numbers = (
        milliseconds(policy.lookback),
        lease,
        milliseconds(policy.retention),
        milliseconds(policy.memory),
        max(milliseconds(policy.redelivery or policy.lookback), 2 * lease),
        policy.max_attempts,
        milliseconds(policy.dead_retention),
    )
    return " ".join(map(str, numbers)).encode()


@lru_cache(maxsize=4096)  # a leader's is asked for again by its followers
def digest_of(identity: str) -> str:
    """Return the digest by which an event is remembered: 64 bits, too many for two events of a day to share."""
    return sha1(as_bytes(identity), usedforsecurity=False).hexdigest()[:16]


_EXACT = 2**53
"""Up to here, every whole number of microseconds is a double: from the year 1684 to 2255."""
_BITS_OF_EXACT = int.from_bytes(struct.pack(">d", float(_EXACT)), "big")


def occurred_at(event: Any) -> str:
    """Return the place of an event among its siblings, as the score of a sorted set: a double, written out.

    It is when the event occurred, in microseconds since 1970, if that is a double. Beyond, each further microsecond is
    the next greater double, so that no two moments of the years 1 to 9999 have one score.
    """
    moment = microseconds(event.occurred)
    beyond = abs(moment) - _EXACT
    if beyond <= 0:
        return str(moment)
    [score] = struct.unpack(">d", (_BITS_OF_EXACT + beyond).to_bytes(8, "big"))
    return repr(math.copysign(score, moment))


def microseconds(moment: datetime) -> int:
    """Return a moment in microseconds since 1970; one that says nothing of its zone is UTC's."""
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    # Exact, and for every kind of datetime: Prefect's may be pendulum's, whose arithmetic is its own.
    since = datetime.__sub__(moment, _EPOCH)
    return (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds


def order_of(event: Any) -> tuple[int, bytes]:
    """Return the place of an event among its siblings: by when it occurred, ties by its id as Redis sorts text."""
    return microseconds(event.occurred), as_bytes(id_of(event))


def as_bytes(text: str) -> bytes:
    """Return text as UTF-8; any text can be an id, also half a surrogate pair."""
    try:
        return text.encode()  # several times faster than with an error handler named
    except UnicodeEncodeError:
        return text.encode("utf-8", "surrogatepass")


def milliseconds(duration: timedelta) -> int:
    """Return a duration in whole milliseconds."""
    return round(duration.total_seconds() * 1000)
