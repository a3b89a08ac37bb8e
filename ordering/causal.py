"""Causal ordering: events that follow another are handled after it, whatever the queue and the consumers do.

The decisions are made in Redis (`lua/`); this file is the part that runs in the consumer: it asks for a lease, keeps
it alive while the handler works, completes the event, and then goes on with what the event has released, one after
the other, until nothing of the closure is left. It holds no state but what its own attempts need.
"""

from __future__ import annotations

import asyncio
import json
import logging
import secrets
from calendar import timegm
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import lru_cache
from hashlib import sha1
from typing import Any, Protocol
from uuid import UUID
from weakref import WeakKeyDictionary

from ordering.errors import (
    EventAlreadySeen,
    EventArrivedEarly,
    EventBeingProcessed,
    LeaseLost,
    MaxDepthExceeded,
)
from ordering.events import ReceivedEvent
from ordering.policy import Policy
from ordering.scripts import call, text, words

logger = logging.getLogger(__name__)


class Handler(Protocol):
    """What handles an event; it may enter `preceding_event_confirmed` itself or not."""

    def __call__(self, event: Any, depth: int = 0) -> Awaitable[Any]:
        """Handle the event."""
        ...


@dataclass(frozen=True, slots=True)
class Errors:
    """The exceptions that an ordering raises: a drop-in for another engine raises that engine's."""

    early: type[Exception] = EventArrivedEarly
    seen: type[Exception] = EventAlreadySeen
    held: type[Exception] = EventBeingProcessed
    depth: type[Exception] = MaxDepthExceeded
    lost: type[Exception] = LeaseLost


class EventProcessingCompletion:
    """What completing an event has released; filled after success."""

    def __init__(self) -> None:
        self.followers: list[Any] = []


@dataclass(slots=True)
class _Desk:
    """What one process remembers of its own attempts, for one scope."""

    held: dict[str, Grant] = field(default_factory=dict)
    """Leases taken one step at a time, by event."""
    claims: dict[str, str] = field(default_factory=dict)
    """Tokens of claims on events that a sweep or a completion returned."""
    queues: dict[str, str] = field(default_factory=dict)
    """Tokens of claims on the queues of leaders."""


@dataclass(slots=True)
class Grant:
    """A lease on one event."""

    event: Any
    token: str
    fence: int
    desk: _Desk
    lost: bool = False
    handed: bool = False
    """Whether the handler was called with the event and may still enter the engine for it, once."""


_desks: WeakKeyDictionary[Any, dict[str, _Desk]] = WeakKeyDictionary()
_current: ContextVar[Grant | None] = ContextVar("_current", default=None)


def fencing_token() -> int | None:
    """Return the fencing token of the event that is being handled here: later holders have greater ones."""
    grant = _current.get()
    return grant.fence if grant else None


class CausalOrdering:
    """The ordering of the events of one scope.

    Args:
        scope: separates this ordering from others on the same server.
        redis: a `redis.asyncio` client, standalone or cluster.
        policy: how long to wait for what.
        event_type: parses what was parked; anything with pydantic's `model_validate_json`.
        token: a source of unique tokens.
    """

    errors = Errors()

    def __init__(
        self,
        scope: str,
        *,
        redis: Any,
        policy: Policy | None = None,
        event_type: type[Any] = ReceivedEvent,
        token: Callable[[], str] = lambda: secrets.token_hex(8),
    ) -> None:
        self.scope = scope
        self.redis = redis
        self.policy = policy or Policy()
        self.event_type = event_type
        self._token = token

    @property
    def _desk(self) -> _Desk:
        """What this process remembers; it outlives this object, which may be made anew for every event."""
        return _desks.setdefault(self.redis, {}).setdefault(self.scope, _Desk())

    def _key(self, name: str) -> str:
        return f"{{{self.scope}}}:{name}"

    async def _call(self, name: str, *args: str | int | bytes) -> Any:
        return await call(self.redis, name, self._key("waitlist"), *args)

    # -- one step at a time ----------------------------------------------------------------------------------

    async def event_has_been_seen(self, event: UUID | Any) -> bool:
        """Return whether the event was handled, as far as that is remembered."""
        return bool(await self.redis.exists(self._key(f"seen:{_id(event)}")))

    async def event_has_started_processing(self, event: UUID | Any) -> bool:
        """Return whether somebody holds the event."""
        return bool(await self.redis.exists(self._key(f"processing:{_id(event)}")))

    async def record_event_as_processing(self, event: Any) -> bool:
        """Take the lease on an event, whatever it follows; return False if it is held or was handled."""
        answer, grant = await self._begin(event, causal=False)
        if grant is None:
            return False
        self._desk.held[_id(event)] = grant
        return answer == "granted"

    async def forget_event_is_processing(self, event: Any) -> None:
        """Give the lease on an event back, if it is ours."""
        grant = self._desk.held.pop(_id(event), None)
        if grant is not None:
            await self._fail(grant, counts=False)

    async def record_event_as_seen(self, event: Any) -> None:
        """Remember that an event was handled."""
        times = (_ms(self.policy.retention), _ms(self.policy.memory))
        await self._call("mark", _id(event), *times, _digest(_id(event)))

    async def record_follower(self, event: Any) -> None:
        """Park an event until the one that it follows was handled."""
        assert event.follows
        await self._call("park", _id(event), str(event.follows), _occurred(event), event.model_dump_json())

    async def forget_follower(self, follower: Any) -> None:
        """Forget that an event is parked."""
        await self._call("unpark", _id(follower))

    async def get_followers(self, leader: Any) -> list[Any]:
        """Return the events that are parked behind this one, in the order they occurred."""
        ids = await self.redis.zrange(self._key(f"queue:{_id(leader)}"), 0, -1)
        return await self.followers_by_id([UUID(text(i)) for i in ids])

    async def followers_by_id(self, follower_ids: list[UUID]) -> list[Any]:
        """Return the parked events with these ids, in the order they occurred."""
        if not follower_ids:
            return []
        payloads = await self.redis.mget([self._key(f"event:{i}") for i in follower_ids])
        found = [self._parse(str(i), payload) for i, payload in zip(follower_ids, payloads, strict=True) if payload]
        return sorted((event for event in found if event is not None), key=_order)

    async def complete_event_and_get_followers(self, event: Any) -> list[Any]:
        """Mark the event as handled, give its lease back, and claim its followers, in one step. Raises LeaseLost."""
        grant = self._desk.held.pop(_id(event), None)
        token = grant.token if grant else self._token()
        reply = words(await self._complete(_id(event), token, "", "", ""))
        if reply[0] == "lost":
            raise self.errors.lost(event)
        claim = self._token()
        ids = [text(i) for i in await self._call("claim", _id(event), claim, _ms(self.policy.lease))]
        self._desk.claims.update(dict.fromkeys(ids, claim))
        return await self.followers_by_id([UUID(i) for i in ids])

    async def get_lost_followers(self) -> list[Any]:
        """Return events that wait in vain, claimed for the caller: handle each, as if it had been delivered.

        They are followers of leaders that never came, and events whose holder died or whose handler failed.
        """
        return await self._lost_followers(chains=False)

    async def _lost_followers(self, *, chains: bool) -> list[Any]:
        claim = self._token()
        policy = self.policy
        found = []
        rows = await self._call("sweep", claim, _ms(policy.lookback), _ms(policy.lease), policy.batch, int(chains))
        for identity, payload, leader, why in (words(row) for row in rows):
            event = self._parse(identity, payload)
            if event is None:
                continue
            if why == "cycle":
                self._log(logging.WARNING, event, "follows itself by way of others; the circle is broken here")
            if why == "released":
                self._desk.queues[leader] = claim
            self._desk.claims[identity] = claim
            found.append(event)
        return sorted(found, key=_order)

    async def wait_for_leader(self, event: Any) -> None:
        """Return if the event may be handled now, else park it. Raises EventArrivedEarly."""
        _, grant = await self._begin(event)
        if grant is None:
            raise self.errors.early(event)
        await self._fail(grant, counts=False)

    # -- the whole of it -------------------------------------------------------------------------------------

    @asynccontextmanager
    async def event_is_processing(self, event: Any) -> AsyncIterator[EventProcessingCompletion]:
        """Hold the lease on an event inside the context, and complete it after success.

        Raises EventBeingProcessed if somebody holds it, EventAlreadySeen if it was handled, LeaseLost if the lease
        ran out and somebody else took the event over.
        """
        answer, grant = await self._begin(event, causal=False)
        if grant is None:
            raise self.errors.seen(event) if answer == "seen" else self.errors.held(event)
        completion = EventProcessingCompletion()
        async with self._working(grant, ()):
            yield completion
        self._desk.held[_id(event)] = grant
        completion.followers = await self.complete_event_and_get_followers(event)

    @asynccontextmanager
    async def preceding_event_confirmed(self, handler: Handler, event: Any, depth: int = 0) -> AsyncIterator[None]:
        """Let the body handle the event, if what it follows was handled; then handle what it has released.

        Args:
            handler: called with each event that is released, and its depth in the closure.
            event: the event to handle.
            depth: how deep handlers have called each other.

        Raises EventArrivedEarly, EventAlreadySeen, EventBeingProcessed, MaxDepthExceeded, LeaseLost.
        """
        if self._is_handed(event):
            yield  # the drain that called the handler holds the lease, and completes the event afterwards
            return
        if depth > self.policy.max_depth:
            self._log(logging.WARNING, event, "has exceeded the maximum recursion depth %s", self.policy.max_depth)
            raise self.errors.depth(event)
        leader = _leader(event)
        answer, grant = await self._begin(event)
        queue = self._desk.queues.pop(leader, "")
        if grant is None:
            await self._refuse(handler, event, answer, depth)
        assert grant is not None
        try:
            async with self._working(grant, ((leader, queue),) if queue else ()):
                yield
        except BaseException:
            if queue:
                await self._abandon(leader)
            raise
        await _Drain(self, handler, depth, [(leader, queue)] if queue else []).run(grant)

    def _is_handed(self, event: Any) -> bool:
        grant = _current.get()
        if grant is None or not grant.handed or grant.desk is not self._desk or _id(grant.event) != _id(event):
            return False
        grant.handed = False
        return True

    async def _refuse(self, handler: Handler, event: Any, answer: str, depth: int) -> None:
        match answer.split():
            case ["seen"]:
                raise self.errors.seen(event)
            case ["held"]:
                raise self.errors.held(event)
            case ["drain", token]:
                # Earlier siblings wait and nobody is at work on them: this event is parked behind them, and so
                # whoever brought it goes through the queue.
                await _Drain(self, handler, depth, [(_leader(event), token)]).run(None)
        raise self.errors.early(event)

    async def handle_batch(self, handler: Handler, events: Sequence[Any]) -> list[Any]:
        """Handle many events at once; see `ordering.batch`."""
        from ordering.batch import handle_batch

        return list(await handle_batch(self, handler, events))

    # -- leases ----------------------------------------------------------------------------------------------

    async def _begin(self, event: Any, *, causal: bool = True) -> tuple[str, Grant | None]:
        token = self._token()
        asked = json.dumps(self._asked(event, token))
        mode = "causal" if causal else "alone"
        reply = await self._call("begin", asked, _payload(event), _rules(self.policy), mode)
        return self._answered(event, token, words(reply))

    def _asked(self, event: Any, token: str) -> tuple[str, ...]:
        """Return what the scripts must know about an event to decide about it."""
        identity, leader = _id(event), _leader(event)
        return (
            identity,
            token,
            self._desk.claims.pop(identity, "") or self._desk.queues.get(leader, ""),
            leader,
            str(_occurred(event)),
            str(self._received(event)),
            _digest(leader) if leader else "",
        )

    def _answered(self, event: Any, token: str, reply: list[str]) -> tuple[str, Grant | None]:
        if reply[0] != "granted":
            return " ".join(reply), None
        if len(reply) == 3:
            self._desk.queues[_leader(event)] = reply[2]
        return "granted", Grant(event, token, int(reply[1]), self._desk)

    def _received(self, event: Any) -> str | int:
        """Return since when an event is to be old, in milliseconds, empty if that is for the engine to know."""
        return "" if self.policy.age_by == "known" else _micros(event.received) // 1000

    @asynccontextmanager
    async def _working(self, grant: Grant, queues: tuple[tuple[str, str], ...]) -> AsyncIterator[None]:
        """Keep a lease alive while its handler works, and give it back if the handler fails."""
        keeper = _Keeper(self, (grant,), queues)
        before = _current.set(grant)
        try:
            yield
        except BaseException as error:
            keeper.stop()
            await self._fail(grant, counts=isinstance(error, Exception))
            raise
        finally:
            keeper.stop()
            _current.reset(before)

    async def _fail(self, grant: Grant, *, counts: bool) -> str:
        policy = self.policy
        reply = words(
            await self._call(
                "fail",
                _id(grant.event),
                grant.token,
                "1" if counts else "0",
                _ms(policy.retry_delay) if counts else 0,
                policy.max_attempts,
                _ms(policy.retention),
            )
        )
        if reply[0] == "dead":
            self._log(
                logging.ERROR,
                grant.event,
                "was given up after %s failed attempts and is kept under %s; its followers are released",
                reply[1],
                self._key(f"dead:{_id(grant.event)}"),
            )
        return reply[0]

    async def _abandon(self, leader: str) -> None:
        await self.redis.zadd(self._key("releases"), {leader: 0}, xx=True)

    async def _complete(self, identity: str, token: str, leader: str, drain: str, following: str) -> Any:
        event = json.dumps((identity, token, _digest(identity), leader, drain, following))
        return await self._call("complete", event, _rules(self.policy))

    def _lament(self, identity: str) -> None:
        logger.error(
            "Event %s of scope %r was parked, but what it said is gone from Redis; it cannot be handled",
            identity,
            self.scope,
        )

    def _parse(self, identity: str, payload: str | bytes) -> Any:
        try:
            return self.event_type.model_validate_json(payload)
        except ValueError as error:
            logger.error(
                "Event %s of scope %r cannot be read from Redis and was left out: %s; look at %s",
                identity,
                self.scope,
                error,
                self._key(f"event:{identity}"),
            )
            return None

    def _log(self, level: int, event: Any, message: str, *args: Any) -> None:
        logger.log(
            level,
            "Event %r (%s) of scope %r " + message,
            getattr(event, "event", ""),
            event.id,
            self.scope,
            *args,
            extra={"event_id": str(event.id), "follows": str(event.follows), "scope": self.scope},
        )


class _Keeper:
    """Prolongs leases, and the claims that go with it, for as long as somebody works under it."""

    def __init__(
        self, ordering: CausalOrdering, grants: Sequence[Grant], queues: tuple[tuple[str, str], ...] = ()
    ) -> None:
        self._ordering = ordering
        self._grants = grants
        self._queues = queues
        self._task: asyncio.Task[None] | None = None
        self._loop = asyncio.get_running_loop()
        self._timer = self._loop.call_later(self._interval, self._start)

    @property
    def _interval(self) -> float:
        return self._ordering.policy.lease.total_seconds() / 3

    def _start(self) -> None:
        self._task = self._loop.create_task(self._renew())

    async def _renew(self) -> None:
        ordering = self._ordering
        names = [word for pair in self._queues for word in pair]
        lease = _ms(ordering.policy.lease)
        for grant in self._grants:
            try:
                reply = words(await ordering._call("renew", _id(grant.event), grant.token, lease, "", *names))
                grant.lost = reply[0] == "lost"
            except Exception as error:
                logger.warning("The lease on event %s could not be renewed: %r; trying again", grant.event.id, error)
        if not all(grant.lost for grant in self._grants):
            self._timer = self._loop.call_later(self._interval, self._start)

    def stop(self) -> None:
        """Prolong nothing any more."""
        self._timer.cancel()
        if self._task is not None:
            self._task.cancel()


class _Drain:
    """Goes through what an event has released: depth first, siblings in the order they occurred, without recursion."""

    def __init__(self, ordering: CausalOrdering, handler: Handler, depth: int, queues: list[tuple[str, str]]) -> None:
        self._ordering = ordering
        self._handler = handler
        self._stack = [(leader, token, depth) for leader, token in queues]
        self._depth = depth
        self._told = False

    async def run(self, first: Grant | None) -> None:
        try:
            grant, level = await self._after(first, self._depth) if first else await self._next()
            while grant is not None:
                grant, level = await self._handle(grant, level)
        except BaseException:
            for leader, _, _ in self._stack:
                await self._ordering._abandon(leader)
            raise

    async def _handle(self, grant: Grant, level: int) -> tuple[Grant | None, int]:
        ordering = self._ordering
        if level > ordering.policy.max_depth and not self._told:
            self._told = True
            ordering._log(
                logging.INFO,
                grant.event,
                "reached its max depth of %s followers processed; the rest is handled all the same",
                ordering.policy.max_depth,
            )
        try:
            async with ordering._working(grant, tuple((leader, token) for leader, token, _ in self._stack)):
                await self._handler(grant.event, depth=level)
        except Exception as error:
            ordering._log(logging.ERROR, grant.event, "failed in its handler (%r); it will be tried again", error)
            return await self._next()
        try:
            return await self._after(grant, level)
        except ordering.errors.lost:
            ordering._log(logging.ERROR, grant.event, "outlived its lease; somebody else has handled it meanwhile")
            return await self._next()

    async def _after(self, grant: Grant, level: int) -> tuple[Grant | None, int]:
        """Complete an event, and take the next."""
        leader, token, _ = self._stack[-1] if self._stack else ("", "", 0)
        following = self._ordering._token()
        reply = words(await self._ordering._complete(_id(grant.event), grant.token, leader, token, following))
        if reply[0] == "lost":
            raise self._ordering.errors.lost(grant.event)
        return await self._take(reply, following, _id(grant.event), level) or await self._next()

    async def _next(self) -> tuple[Grant | None, int]:
        """Take the next event of the queue that is drained, or of those below it."""
        ordering, policy = self._ordering, self._ordering.policy
        while self._stack:
            leader, token, level = self._stack[-1]
            following = ordering._token()
            reply = words(
                await ordering._call("advance", leader, token, following, _ms(policy.lease), _ms(policy.retention))
            )
            if reply[0] == "lost":  # somebody took the queue over: it is his now
                self._stack.pop()
            elif taken := await self._take(reply, following, "", level):
                return taken
        return None, 0

    async def _take(self, reply: list[str], token: str, completed: str, level: int) -> tuple[Grant, int] | None:
        """Read what was handed out, and keep the stack to the queues that are unfinished."""
        ordering = self._ordering
        word, left, *rest = reply
        if left == "0" and self._stack:
            self._stack.pop()
        if word == "done":
            return None
        identity, leader = rest[0], rest[-1]
        if leader == completed:
            self._stack.append((leader, token, level + 1))
        if word == "missing":
            ordering._lament(identity)
            return None
        event = ordering._parse(identity, rest[2])
        if event is None:
            await ordering._call("unpark", identity)
            return None
        return Grant(event, token, int(rest[1]), ordering._desk, handed=True), self._stack[-1][2]


def _id(event: UUID | Any) -> str:
    return str(getattr(event, "id", event))


def _leader(event: Any) -> str:
    return str(event.follows) if event.follows and event.follows != event.id else ""


def _payload(event: Any) -> str:
    """Return what an event says, if it may have to be kept."""
    return str(event.model_dump_json()) if _leader(event) else ""


@lru_cache(maxsize=16)
def _rules(policy: Policy) -> str:
    """Return a policy's numbers, as the scripts read them."""
    return json.dumps([_ms(policy.lookback), _ms(policy.lease), _ms(policy.retention), _ms(policy.memory)])


def _digest(identity: str) -> str:
    """Return what an event is remembered by: 64 bits, too many for two events of a day to share."""
    return sha1(identity.encode(), usedforsecurity=False).hexdigest()[:16]


def _occurred(event: Any) -> int:
    return _micros(event.occurred)


def _micros(moment: datetime) -> int:
    # Exact, and for every kind of datetime: Prefect's are pendulum's, whose arithmetic is its own.
    return timegm(moment.utctimetuple()) * 1_000_000 + int(moment.microsecond)


def _order(event: Any) -> tuple[datetime, str]:
    return event.occurred, str(event.id)


def _ms(duration: timedelta) -> int:
    return round(duration.total_seconds() * 1000)
