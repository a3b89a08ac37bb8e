"""Leases: the memory of one process about its own attempts, and the task that keeps a lease alive.

The memory belongs to a Redis client and a scope, not to an engine: some callers make a new engine for every event.
"""

from __future__ import annotations

import asyncio
import logging
import math
import os
from collections.abc import Awaitable, Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, TypeVar
from weakref import WeakKeyDictionary

logger = logging.getLogger(__name__)
Value = TypeVar("Value")
MAX_CLAIMS = 10_000
"""Claims that a process remembers at least, and of a longer list twice as many. Events that it was given and has
passed on to other processes would add up for ever; a claim that is forgotten lapses after a lease."""
MAX_UNREADABLE = 1_000
"""Events that a process remembers as unreadable for it: all of them travel with each sweep. If it forgets one, it tries
to read it again."""
UNREADABLE_LEASES = 4
"""Number of leases, after the rest that follows any failure, for which a process remembers an event that it could not
read. Each time that it may be claimed meanwhile, the process leaves it to others for half a lease: see `sweep.lua`."""
RENEWALS = 4
"""Number of renewals of a lease within its length; `wait.lua` relies on it."""


@dataclass(slots=True)
class ProcessState:
    """The memory of one process about its own attempts, for one scope."""

    held: dict[str, Grant] = field(default_factory=dict)
    """Leases taken one step at a time, by event."""
    active: dict[str, Grant] = field(default_factory=dict)
    """Leases under which this process works, or has worked and not completed the event, and those of a batch: it never
    takes its own lease over, even when that has run out."""
    asking: set[asyncio.Future[None]] = field(default_factory=set)
    """Requests that may grant a lease, and are not answered yet; each is done when its answer is read."""
    claims: dict[str, str] = field(default_factory=dict)
    """Tokens of claims on events that a sweep or a completion returned."""
    queues: dict[str, str] = field(default_factory=dict)
    """Tokens of claims on the queues of leaders."""
    claim_groups: dict[str, ClaimGroup] = field(default_factory=dict)
    """The group in which an event was claimed by a completion, by event."""
    unreadable: dict[str, float] = field(default_factory=dict)
    """Events that this process could not read, and until when it remembers that, in the loop's time."""

    def goes_on(self, identity: str, token: str) -> bool:
        """Return whether this process has begun with an event that it was granted just now: the work goes on under the
        later lease, as the first has run out. The first lease is lost if nothing was begun under it.
        """
        grant = self.active.get(identity)
        if grant is None:
            return False
        if not grant.begun:
            grant.lost = True
            self.leave(grant)
            return False
        grant.token, grant.lost = token, False
        return True

    def leave(self, grant: Grant) -> None:
        """Note that this process does not work on an event any more."""
        if self.active.get(grant.identity) is grant:
            del self.active[grant.identity]

    @contextmanager
    def asks_for_leases(self) -> Iterator[None]:
        """Note that the request of the body may grant a lease; its answer is read in the turn in which that ends."""
        answered = asyncio.get_running_loop().create_future()
        self.asking.add(answered)
        try:
            yield
        finally:
            self.asking.discard(answered)
            if not answered.done():
                answered.set_result(None)

    async def was_granted_again(self, grant: Grant, token: str, timeout_s: float) -> bool:
        """Return whether this process has been granted an event again that it has worked on under a token.

        The answer that says so may be read later than the one that says that the lease is lost: it is waited for.
        """
        if grant.token == token and self.asking and self.active.get(grant.identity) is grant:
            await asyncio.wait(self.asking, timeout=timeout_s)
        return grant.token != token

    def leave_to_others(self, event: str, until: float) -> None:
        """Remember until some time that an event is to be left to others, because this process could not read it."""
        _add_newest(self.unreadable, {event: until}, MAX_UNREADABLE)

    def left_to_others(self, now: float) -> list[str]:
        """Return the events that are to be left to others now."""
        self.unreadable = {event: until for event, until in self.unreadable.items() if until > now}
        return list(self.unreadable)

    def remember_claims(self, claims: Mapping[str, str]) -> None:
        """Remember claims on events, by event; the oldest are forgotten if they are too many."""
        _add_newest(self.claims, claims, MAX_CLAIMS)

    def remember_claim_group(self, group: ClaimGroup, events: Collection[str]) -> None:
        """Remember with which others events were claimed, and by which claim."""
        self.remember_claims(dict.fromkeys(events, group.claim))
        _add_newest(self.claim_groups, dict.fromkeys(events, group), MAX_CLAIMS)

    def remember_queue(self, leader: str, claim: str) -> None:
        """Remember a claim on a leader's queue that a sweep has returned."""
        _add_newest(self.queues, {leader: claim}, MAX_CLAIMS)

    def forget(self) -> None:
        """Remember nothing any more."""
        for memory in (
            self.held, self.active, self.asking, self.claims, self.queues, self.claim_groups, self.unreadable,
        ):  # fmt: skip
            memory.clear()


def _add_newest(memory: dict[str, Value], news: Mapping[str, Value], most: int) -> None:
    for key in news:
        memory.pop(key, None)
    memory.update(news)
    excess = len(memory) - max(most, 2 * len(news))
    for key in list(islice(memory, max(0, excess))):
        del memory[key]


@dataclass(slots=True)
class ClaimGroup:
    """Followers that were claimed together, when their leader was completed."""

    leader: str
    claim: str
    left: int
    """Number of them that are not done."""


@dataclass(slots=True)
class Grant:
    """A lease on one event."""

    event: Any
    identity: str
    """The event's id, as text."""
    token: str
    fence: int
    state: ProcessState
    leader: str
    """The id of the event that it follows, empty if that is none."""
    claim: str = ""
    """The token of the claim under which the lease was taken, if there was one."""
    proven_until: float = math.inf
    """The earliest end of the lease, in the loop's time: counted from the sending of its last renewal."""
    lost: bool = False
    begun: bool = False
    """Whether the handler was called with the event."""
    parked: bool = False
    """Whether the event was parked while its holder worked: there is nothing to give back any more."""
    handed: bool = False
    """Whether the handler was called with the event and may still enter the engine for it, once: not a task that it has
    started and that outlives it.
    """


_states: WeakKeyDictionary[Any, dict[str, ProcessState]] = WeakKeyDictionary()
current_grant: ContextVar[Grant | None] = ContextVar("current_grant", default=None)


def _forget_all() -> None:
    for states in _states.values():
        for state in states.values():
            state.forget()


os.register_at_fork(after_in_child=_forget_all)  # what the parent works on, a forked process does not


def state_of(redis: Any, scope: str) -> ProcessState:
    """Return what this process remembers for a client and a scope."""
    states = _states.setdefault(redis, {})
    return states.get(scope) or states.setdefault(scope, ProcessState())


def fencing_token() -> int | None:
    """Return the fencing token of the event that is being handled here: later holders have greater ones."""
    grant = current_grant.get()
    return grant.fence if grant else None


Queue = tuple[str, str]
"""The queue of a leader, and the token of the claim on it."""
Renew = Callable[[Sequence[Grant], Sequence[Queue]], Awaitable[None]]
"""Prolongs leases and the claims on queues; notes of each lease whether it is lost, or until when it is proven."""


class LeaseRenewer:
    """Renews the leases that handlers hold: `RENEWALS` times within a lease.

    A refused request is repeated after a quarter of that pause: Redis may take writes just before a lease is over.
    """

    def __init__(self, grants: Collection[Grant], queues: Sequence[Queue], renew: Renew, interval: float) -> None:
        self._grants = grants
        self._queues = queues  # a batch claims more as it goes on
        self._renew = renew
        self._interval = interval
        self.answered = True
        """Whether the last request to prolong them was answered."""
        self._task: asyncio.Task[None] | None = None
        self._loop = asyncio.get_running_loop()
        self._timer = self._loop.call_later(interval, self._start)

    def _start(self) -> None:
        self._task = self._loop.create_task(self._keep())

    async def _keep(self) -> None:
        await self.renew()
        pause = self._interval if self.answered else self._interval / RENEWALS
        self._timer = self._loop.call_later(pause, self._start)  # also if all are lost: one may be granted again

    async def renew(self) -> None:
        """Prolong all leases that are not lost, now."""
        held = [grant for grant in self._grants if not grant.lost]  # a batch takes those away that are done
        if not held:
            return
        try:
            await self._renew(held, self._queues)
            self.answered = True
        except Exception as error:
            self.answered = False
            names = ", ".join(grant.identity for grant in held[:3])
            more = f" and {len(held) - 3} more" if len(held) > 3 else ""
            logger.warning("The lease on event %s%s could not be renewed: %r; trying again", names, more, error)

    def stop(self) -> None:
        """Prolong nothing any more."""
        self._timer.cancel()
        if self._task is not None:
            self._task.cancel()


def is_own_failure(error: BaseException) -> bool:
    """Return whether what runs in this task has failed by itself: an error, or something that it awaits was cancelled.

    Otherwise the task itself is being cancelled.
    """
    if isinstance(error, asyncio.CancelledError):
        task = asyncio.current_task()
        return task is not None and task.cancelling() == 0
    return isinstance(error, Exception)


def is_counted(error: BaseException) -> bool:
    """Return whether an attempt that has ended so is one: a handler that exits ends its process with every attempt."""
    return is_own_failure(error) or isinstance(error, SystemExit)


class Work:
    """The time in which a handler works under a lease: it is kept alive meanwhile, and given back if the handler fails.

    An async context manager of its own, and no generator: events enter it one by one. Nothing is waited for but when a
    lease is given back, so who enters it from a context manager of its own may use `begin` and `end`.
    """

    def __init__(
        self, grant: Grant, renewer: LeaseRenewer, give_back: Callable[[Grant, BaseException], Awaitable[object]]
    ) -> None:
        self._grant = grant
        self._renewer = renewer
        self._give_back = give_back

    def begin(self) -> None:
        """Let the handler begin."""
        grant = self._grant
        self._before = current_grant.set(grant)
        grant.begun = True
        grant.state.active[grant.identity] = grant

    def end(self) -> None:
        """Take note that the handler has succeeded."""
        self._renewer.stop()
        self._grant.handed = False
        with suppress(ValueError):  # closed by the garbage collector, in another context, where nothing was set
            current_grant.reset(self._before)

    async def fail(self, error: BaseException) -> None:
        """Give the lease back: the handler has failed, or was stopped."""
        grant = self._grant
        self._renewer.stop()
        grant.handed = False
        try:
            grant.state.leave(grant)
            if not grant.parked:
                await self._give_back(grant, error)
        finally:
            self.end()

    async def __aenter__(self) -> None:
        self.begin()

    async def __aexit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        if error is not None:
            await self.fail(error)
        else:
            self.end()
