"""The drain: goes through everything that an event has released, one after the other, without recursion."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable
from functools import partial
from typing import Any

from ordering.describing import describe
from ordering.leases import Grant, LeaseRenewer, is_own_failure
from ordering.requests import Handler, Outcome, Requests
from ordering.scripts import words
from ordering.shielding import bounded, end_after
from ordering.terms import leader_of


class Drain:
    """Goes through what an event has released: depth first, siblings in the order they occurred, without recursion."""

    def __init__(
        self, ordering: Requests[Any], handler: Handler[Any], depth: int, queues: Iterable[tuple[str, str]]
    ) -> None:
        self._ordering = ordering
        self._handler = handler
        self._stack = [(leader, token, depth) for leader, token in queues]
        self._depth = depth
        self._depth_logged = False
        self._asked_at = 0.0
        """The time of sending the last request, in the loop's time: leases count from then."""
        self._unsettled = False
        """Whether an event of the last queue may be leased that no handler begins: its siblings come after it."""

    @property
    def _queues(self) -> tuple[tuple[str, str], ...]:
        return tuple((leader, token) for leader, token, _ in self._stack) if self._stack else ()

    async def run(self, first: Grant | None) -> None:
        """Complete the first event, if there is one, and handle what is released until nothing is left."""
        try:
            grant, level = await self._after(first, self._depth) if first else await self._next()
            while grant is not None:
                grant, level = await self._handle(grant, level)
        except BaseException as error:
            await self._ordering._release_queues(self._queues, error, but_the_last=self._unsettled)
            raise

    async def _handle(self, grant: Grant, level: int) -> tuple[Grant | None, int]:
        ordering = self._ordering
        if level > ordering.policy.max_depth and not self._depth_logged:
            self._depth_logged = True
            ordering._log(
                logging.INFO,
                grant.event,
                "reached its max depth of %s followers processed; the rest is handled all the same",
                ordering.policy.max_depth,
            )
        queues = self._queues
        renewer = ordering._renewer((grant,), queues)
        if not await self._is_ready(grant, renewer):
            self._settle(grant, "lost")
            return await self._next()
        work = ordering._working(grant, queues, renewer)
        self._unsettled = False
        work.begin()
        try:
            await self._handler(grant.event, depth=level)
        except BaseException as error:
            await work.fail(error)
            if not is_own_failure(error):
                raise
            ordering._log(
                logging.ERROR, grant.event, "failed in its handler (%s); it will be tried again", describe(error)
            )
            self._settle(grant, "failed")
            return await self._next()
        work.end()
        try:
            return await self._after(grant, level)
        except ordering.errors.lost:
            ordering._log(logging.ERROR, grant.event, "outlived its lease; another consumer has handled it meanwhile")
            self._settle(grant, "lost")
            return await self._next()

    async def _is_ready(self, grant: Grant, renewer: LeaseRenewer) -> bool:
        """Prepare for a handler to begin; return False, and let the lease go, if it is lost."""
        try:
            await self._prepare()
            ready = self._ordering._lasts(grant) or await self._ordering._may_begin(grant, renewer)
        except BaseException as error:
            renewer.stop()
            async with bounded(error, self._ordering._lease_s):
                await self._return_to_queue(grant)
            raise
        if not ready:
            renewer.stop()
        return ready

    async def _return_to_queue(self, grant: Grant) -> None:
        """Give an event back that no handler has begun."""
        self._unsettled = True
        self._unsettled = await self._ordering._fail(grant, counts=False) == "refused"

    async def _prepare(self) -> None:
        """Do what is to be done before the next handler begins, while its lease is kept."""

    def _settle(self, grant: Grant, outcome: Outcome) -> None:
        """Take note of the outcome of an event: nothing to do for one that was released."""

    async def _after(self, grant: Grant, level: int) -> tuple[Grant | None, int]:
        """Complete an event, and take the next."""
        following = self._ordering._token()
        self._unsettled = True
        reply = await self._completed(grant, following, level)
        self._unsettled = False
        if reply[0] == "lost":
            self._ordering._notify("lease_lost", grant.identity)
            raise self._ordering.errors.lost(grant.event)
        self._settle(grant, "handled")
        return await self._take(reply, following, grant.identity, level) or await self._next()

    async def _completed(self, grant: Grant, following: str, level: int) -> list[str]:
        """Return the answer to the completion of an event."""
        ordering, queues = self._ordering, self._queues
        self._asked_at = ordering._now()
        try:
            return words(await ordering._complete(grant, queues, following))
        except asyncio.CancelledError as stopped:
            ask = partial(ordering._complete, grant, queues, following)
            await self._end_after(stopped, ask, following, grant.identity, level)
            raise

    async def _next(self) -> tuple[Grant | None, int]:
        """Take the next event of the queue that is drained, or of those below it."""
        ordering = self._ordering
        while self._stack:
            leader, token, level = self._stack[-1]
            following = ordering._token()
            self._unsettled = True
            ask = partial(ordering._call, "advance", ordering._rules, leader, token, following)
            reply = await self._answer(ask, following, "", level)
            self._unsettled = False
            if reply[0] == "lost":  # another consumer has taken the queue over
                self._stack.pop()
            elif taken := await self._take(reply, following, "", level):
                return taken
        return None, 0

    async def _answer(self, ask: Callable[[], Awaitable[Any]], token: str, completed: str, level: int) -> list[str]:
        """Return the answer to a request for the next event; if stopped meanwhile, give back what it gave."""
        self._asked_at = self._ordering._now()
        try:
            return words(await ask())
        except asyncio.CancelledError as stopped:
            await self._end_after(stopped, ask, token, completed, level)
            raise

    async def _end_after(
        self,
        stopped: asyncio.CancelledError,
        ask: Callable[[], Awaitable[Any]],
        token: str,
        completed: str,
        level: int,
    ) -> None:
        async def give_back(answer: Any) -> None:
            await self._give_back(words(answer), token, completed, level)

        await end_after(stopped, ask, self._ordering._lease_s, give_back)

    async def _give_back(self, reply: list[str], token: str, completed: str, level: int) -> None:
        self._unsettled = False
        if reply[0] != "lost" and (taken := await self._take(reply, token, completed, level)):
            await self._return_to_queue(taken[0])

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
        if word == "next" and ordering._goes_on(identity, token):
            return None
        if word == "missing":
            ordering._log_missing_payload(identity)
            return None
        try:
            event = ordering._parse(rest[2])
        except Exception as error:
            await ordering._unread(identity, token, error)
            return None
        ordering._notify("released", identity)
        ordering._notify("granted", identity)
        self._unsettled = True
        until = self._asked_at + ordering._lease_s
        grant = Grant(
            event, identity, token, int(rest[1]), ordering._state, leader_of(event), proven_until=until, handed=True
        )
        return grant, self._stack[-1][2]
