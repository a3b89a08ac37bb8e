"""Leases: what one process remembers of its own attempts, and the task that keeps a lease alive.

The memory belongs to a Redis client and a scope, not to an engine: some callers make a new engine for every event.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection
from contextlib import suppress
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any
from weakref import WeakKeyDictionary

logger = logging.getLogger(__name__)
RENEWALS = 4
"""How often a lease is prolonged within its length. Who waits for its holder knows the number: see `wait.lua`."""


@dataclass(slots=True)
class Desk:
    """What one process remembers of its own attempts, for one scope."""

    held: dict[str, Grant] = field(default_factory=dict)
    """Leases taken one step at a time, by event."""
    active: dict[str, str] = field(default_factory=dict)
    """Tokens of leases under which this process works, or has worked and not completed the event: it never takes its
    own lease over, even when that has run out."""
    claims: dict[str, str] = field(default_factory=dict)
    """Tokens of claims on events that a sweep or a completion returned."""
    queues: dict[str, str] = field(default_factory=dict)
    """Tokens of claims on the queues of leaders."""
    cohorts: dict[str, Cohort] = field(default_factory=dict)
    """With which others an event was claimed by a completion, by event."""


@dataclass(slots=True)
class Cohort:
    """Followers that were claimed together, when their leader was completed."""

    leader: str
    claim: str
    left: int
    """How many of them are not done."""


@dataclass(slots=True)
class Grant:
    """A lease on one event."""

    event: Any
    identity: str
    """The event's id, as text."""
    token: str
    fence: int
    desk: Desk
    claim: str = ""
    """The token of the claim under which the lease was taken, if there was one."""
    lost: bool = False
    parked: bool = False
    """Whether the event was parked while its holder worked: there is nothing to give back any more."""
    handed: bool = False
    """Whether the handler was called with the event and may still enter the engine for it, once."""


_desks: WeakKeyDictionary[Any, dict[str, Desk]] = WeakKeyDictionary()
current_grant: ContextVar[Grant | None] = ContextVar("current_grant", default=None)


def desk_of(redis: Any, scope: str) -> Desk:
    """Return what this process remembers for a client and a scope."""
    desks = _desks.setdefault(redis, {})
    return desks.get(scope) or desks.setdefault(scope, Desk())


def fencing_token() -> int | None:
    """Return the fencing token of the event that is being handled here: later holders have greater ones."""
    grant = current_grant.get()
    return grant.fence if grant else None


Renew = Callable[[Grant], Awaitable[bool]]
"""Prolongs a lease; returns False if it is somebody else's by now."""


class Keeper:
    """Prolongs leases for as long as somebody works under them: `RENEWALS` times within a lease."""

    def __init__(self, grants: Collection[Grant], renew: Renew, interval: float) -> None:
        self._grants = grants
        self._renew = renew
        self._interval = interval
        self._task: asyncio.Task[None] | None = None
        self._loop = asyncio.get_running_loop()
        self._timer = self._loop.call_later(interval, self._start)

    def _start(self) -> None:
        self._task = self._loop.create_task(self._keep())

    async def _keep(self) -> None:
        for grant in tuple(self._grants):  # a batch takes those away that are done
            try:
                grant.lost = not await self._renew(grant)
            except Exception as error:
                logger.warning("The lease on event %s could not be renewed: %r; trying again", grant.event.id, error)
        if not all(grant.lost for grant in self._grants):
            self._timer = self._loop.call_later(self._interval, self._start)

    def stop(self) -> None:
        """Prolong nothing any more."""
        self._timer.cancel()
        if self._task is not None:
            self._task.cancel()


class Work:
    """The time in which a handler works under a lease: it is kept alive meanwhile, and given back if the handler fails.

    An async context manager of its own, and no generator: events enter it one by one.
    """

    def __init__(self, grant: Grant, keeper: Keeper, give_back: Callable[[BaseException], Awaitable[object]]) -> None:
        self._grant = grant
        self._keeper = keeper
        self._give_back = give_back

    async def __aenter__(self) -> None:
        grant = self._grant
        self._before = current_grant.set(grant)
        grant.desk.active[grant.identity] = grant.token

    async def __aexit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        grant = self._grant
        self._keeper.stop()
        try:
            if error is not None:
                grant.desk.active.pop(grant.identity, None)
                if not grant.parked:
                    await self._give_back(error)
        finally:
            with suppress(ValueError):  # closed by the garbage collector, in another context, where nothing was set
                current_grant.reset(self._before)
