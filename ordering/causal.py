"""Causal ordering: an event that follows another is handled after it, however the queue delivers and consumers fail.

The decisions are made in Redis (`lua/`). This module is the part that runs in the consumer:

1. it asks for a lease;
2. it completes the event;
3. `drain.py` handles what the event has released; `leases.py` keeps leases alive.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from typing import Any, Generic, NoReturn, overload
from uuid import UUID

from ordering.batch import handle_batch
from ordering.describing import describe
from ordering.drain import Drain
from ordering.events import ReceivedEvent
from ordering.leases import ClaimGroup, Grant, current_grant
from ordering.observing import Happening, Observer
from ordering.operations import OnDeadLetter
from ordering.policy import Policy
from ordering.requests import E, Handler, Outcome, Requests
from ordering.scripts import text, words
from ordering.shielding import brought_to_its_end
from ordering.stream import READ_AHEAD, Report, handle_stream
from ordering.terms import (
    digest_of,
    id_of,
    leader_of,
    milliseconds,
    occurred_at,
    order_of,
)
from ordering.tokens import unique_token
from ordering.waiting import answer_in_time

logger = logging.getLogger(__name__)
_FOUND: dict[str, Happening] = {"released": "released", "retried": "retried"}
"""The hooks for what a sweep has found, by the reason; for other reasons it is `rescued`."""


class EventProcessingCompletion(Generic[E]):
    """The followers that the completion of an event has released; filled after success."""

    def __init__(self) -> None:
        self.followers: list[E] = []


class _Confirmed(AbstractAsyncContextManager[None]):
    """The context manager of `preceding_event_confirmed`: no generator, as each event enters it."""

    def __init__(self, ordering: CausalOrdering[Any], handler: Handler[Any], event: Any, depth: int) -> None:
        self._ordering, self._handler, self._event, self._depth = ordering, handler, event, depth
        self._grant: Grant | None = None

    async def __aenter__(self) -> None:
        ordering, event = self._ordering, self._event
        if ordering._is_handed(event):
            return  # the drain that called the handler holds the lease, and completes the event afterwards
        if self._depth > ordering.policy.max_depth:
            message = "has exceeded the maximum recursion depth %s"
            ordering._log(logging.WARNING, event, message, ordering.policy.max_depth)
            raise ordering.errors.depth(event)
        ordering._forget_claim_group(event)
        answer, self._grant = await ordering._begin(event)
        self._queues = ordering._came_along(event)
        if self._grant is None:
            await ordering._refuse(self._handler, event, answer, self._depth)
        else:
            self._work = ordering._working(self._grant, self._queues)
            self._work.begin()

    async def __aexit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        if self._grant is None:
            return
        if error is None:
            self._work.end()
            await Drain(self._ordering, self._handler, self._depth, self._queues).run(self._grant)
            return
        try:
            await self._work.fail(error)
        except BaseException as failed:
            await self._leave_queues(failed)
            raise
        await self._leave_queues(error)

    async def _leave_queues(self, error: BaseException) -> None:
        if self._queues:
            await self._ordering._release_queues(self._queues, error)


class CausalOrdering(Requests[E]):
    """The ordering of the events of one scope.

    Args:
        scope: separates this ordering from others on the same server.
        redis: a `redis.asyncio` client, standalone or cluster.
        policy: the waiting times and limits.
        event_type: parses parked events; anything with pydantic's `model_validate_json`.
        token: a source of unique tokens.
        observer: its methods are called at each step of an event in this process.
        on_dead_letter: is called for each event that was given up, at least once in the fleet.
    """

    @overload
    def __init__(
        self: CausalOrdering[ReceivedEvent],
        scope: str,
        *,
        redis: Any,
        policy: Policy | None = None,
        token: Callable[[], str] = unique_token,
        observer: Observer | None = None,
        on_dead_letter: OnDeadLetter | None = None,
    ) -> None: ...

    @overload
    def __init__(
        self,
        scope: str,
        *,
        redis: Any,
        policy: Policy | None = None,
        event_type: type[E],
        token: Callable[[], str] = unique_token,
        observer: Observer | None = None,
        on_dead_letter: OnDeadLetter | None = None,
    ) -> None: ...

    def __init__(self, scope: str, **options: Any) -> None:
        super().__init__(scope, **options)

    # -- one step at a time ----------------------------------------------------------------------------------

    async def event_has_been_seen(self, event: UUID | E) -> bool:
        """Return whether the event was handled, as far as that is remembered."""
        return bool((await self._look("seen", id_of(event)))[0])

    async def event_has_started_processing(self, event: UUID | E) -> bool:
        """Return whether the event is held."""
        return bool((await self._look("processing", id_of(event)))[0])

    async def record_event_as_processing(self, event: E) -> bool:
        """Take the lease on an event, without regard to its leader; return False if it is held or was handled."""
        answer, grant = await self._begin(event, causal=False)
        if grant is None:
            self._leave_claim_group(event)
            return False
        self._state.held[id_of(event)] = grant
        return answer == "granted"

    async def forget_event_is_processing(self, event: E) -> None:
        """Give the lease on an event back, if it is ours."""
        grant = self._state.held.pop(id_of(event), None)
        if grant is not None:
            self._leave_claim_group(event)
            await self._fail(grant, counts=False)

    async def record_event_as_seen(self, event: E) -> None:
        """Remember that an event was handled."""
        times = (milliseconds(self.policy.retention), milliseconds(self.policy.memory))
        await self._call("mark", id_of(event), *times, digest_of(id_of(event)))

    async def record_follower(self, event: E) -> None:
        """Park an event until the one that it follows was handled."""
        one: Any = event
        assert one.follows
        about = (id_of(one), leader_of(one), occurred_at(one), one.model_dump_json(), self._received(one))
        await self._call("park", *about)
        self._notify("parked", id_of(one))

    async def forget_follower(self, follower: E) -> None:
        """Forget that an event is parked."""
        await self._call("unpark", id_of(follower))

    async def get_followers(self, leader: E) -> list[E]:
        """Return the events that are parked behind this one, in the order they occurred."""
        [ids] = await self._look("waiting", id_of(leader))
        return await self.followers_by_id([text(i) for i in ids])

    async def followers_by_id(self, follower_ids: Sequence[UUID | str]) -> list[E]:
        """Return the parked events with these ids, in the order they occurred."""
        if not follower_ids:
            return []
        payloads = await self._look("event", *map(str, follower_ids))
        found = []
        for identity, payload in zip(follower_ids, payloads, strict=True):
            try:
                found += [self._parse(payload)] if payload else []
            except Exception as error:  # a sweep finds it, and offers it to others
                message = "Event %s of scope %r cannot be read from Redis (%s); it stays there"
                logger.warning(message, identity, self.scope, describe(error))
        return sorted(found, key=order_of)

    async def complete_event_and_get_followers(self, event: E) -> list[E]:
        """Mark the event as handled, give its lease back, and claim its followers. Raises LeaseLost.

        The last of those that were claimed together claims the siblings that have come since, too, and the first of a
        queue that a sweep has found claims the rest of it. If it fails instead, or is handled elsewhere, those wait for
        the first sweep after a lease.
        """
        own = self._state.held.pop(id_of(event), None)
        grant = own or Grant(event, id_of(event), self._token(), 0, self._state, leader_of(event))
        claim_group = self._leave_claim_group(event)
        queues = (
            ((claim_group.leader, claim_group.claim),)
            if claim_group and not claim_group.left
            else self._came_along(event)
        )
        reply = words(await brought_to_its_end(partial(self._complete, grant, queues), self._lease_s))
        if reply[0] == "lost":
            if own is None and await self.event_has_been_seen(event):
                return []  # it was completed before, and its followers were claimed then
            self._notify("lease_lost", id_of(event))
            raise self.errors.lost(event)
        ids = await self._claim(id_of(event), grant.token)
        if queues and reply[1] == "1":
            ids += await self._claim(*queues[0])
        return await self.followers_by_id(ids)

    async def _claim(self, leader: str, drain: str) -> list[str]:
        """Claim the followers of a handled event, whose queue is ours by a token; return their ids.

        If no answer comes, they may be claimed: their queue rests as long, or siblings that come would overtake them.
        """
        claim, lease = self._token(), milliseconds(self.policy.lease)
        ids = [text(i) for i in await self._call("claim", leader, claim, lease, drain)]
        self._state.remember_claim_group(ClaimGroup(leader, claim, len(ids)), ids)
        for identity in ids:
            self._notify("released", identity)
        return ids

    async def get_lost_followers(self) -> list[E]:
        """Return overdue events, claimed for the caller: handle each, as if it had been delivered.

        They are followers of leaders that never came, and events whose holder died or whose handler failed. Once one of
        them was begun, other sweeps share the rest, and this caller shares theirs: an event that has begun elsewhere is
        EventArrivedEarly or EventAlreadySeen. A claim lasts while a consumer works through its events, and one lease
        longer.
        """
        return await self._lost_followers(chains=False)

    async def _lost_followers(self, *, chains: bool) -> list[E]:
        policy = self.policy
        found, claims, own = [], dict[str, str](), self._token()
        letters: list[tuple[str, str]] = []
        how = (own, policy.batch, int(chains), milliseconds(policy.retry_delay))
        rows = await self._call("sweep", self._rules, *how, *self._state.left_to_others(self._now()))
        for row in rows:
            (identity, leader, why, claim), payload = words([row[0], *row[2:]]), row[1]
            if why == "missing":
                self._log_missing_payload(identity)
                continue
            if why == "dead":
                letters.append((identity, payload))
                continue
            try:
                event = self._parse(payload)
            except Exception as error:
                if claim != own:  # another process goes through it, and may be able to read it
                    self._leave_to_others(identity)
                    continue
                await self._unread(identity, self._token(), error, own)
                if why == "released":
                    await self._release((leader, own))
                continue
            if claim == own:  # of what another sweep has found, that notifies
                self._notify(_FOUND.get(why, "rescued"), identity)
            if why == "cycle":
                self._log(logging.WARNING, event, "follows itself by way of others; the circle is broken here")
            if why == "released":
                self._state.remember_queue(leader, claim)
            claims[identity] = claim
            found.append(event)
        self._state.remember_claims(claims)
        await self._report_found(letters)
        return sorted(found, key=order_of)

    async def wait_for_leader(self, event: E) -> None:
        """Return when the leader of an event lets it be handled; wait for half a lease if that is being handled now.

        Nothing is held meanwhile. When the leader's handling ends, well or not, that is known at once, and that its
        holder has died is known when the lease is over. If the event must wait for longer, it is parked, and a lease
        that the caller holds on it is given back in the same step. Raises EventArrivedEarly, EventAlreadySeen.
        """
        leader, own = leader_of(event), self._own_grant(event)
        if not leader:
            return
        asked = self._asked(event, own.token if own else self._token(), keeps_claim=True)

        async def ask(patient: bool) -> list[str]:
            return words(await self._call("wait", self._rules, *asked, int(patient), int(own is not None)))

        timeout_s = self.policy.lease.total_seconds() / 2
        answer = await answer_in_time(self.redis, self._key(f"ended:{leader}"), ask, timeout_s)
        if answer[0] != "ready":
            self._notify("parked" if answer[0] == "parked" else "refused", asked.identity)
        if answer[0] == "seen":
            raise self.errors.seen(event)
        if answer[0] == "dead":
            raise self.errors.dead(event)
        if answer[0] == "parked":
            self._state.claims.pop(id_of(event), None)
            self._state.held.pop(id_of(event), None)
            if own:
                own.parked = True
            raise self.errors.early(event)

    def _own_grant(self, event: Any) -> Grant | None:
        """Return the lease on an event under which the caller works, or that it has taken as a step of its own."""
        grant = current_grant.get()
        if grant is not None and grant.state is self._state and grant.identity == id_of(event):
            return grant
        return self._state.held.get(id_of(event))

    # -- the whole of it -------------------------------------------------------------------------------------

    @asynccontextmanager
    async def event_is_processing(self, event: E) -> AsyncIterator[EventProcessingCompletion[E]]:
        """Hold the lease on an event inside the context, and complete it after success.

        Raises EventBeingProcessed if it is held, EventAlreadySeen if it was handled, EventGivenUp if it is a dead
        letter, LeaseLost if the lease ran out and another consumer has taken the event over.
        """
        answer, grant = await self._begin(event, causal=False)
        if grant is None:
            self._leave_claim_group(event)
            raise {"seen": self.errors.seen, "dead": self.errors.dead}.get(answer, self.errors.held)(event)
        completion = EventProcessingCompletion[E]()
        try:
            async with self._working(grant, ()):
                yield completion
        except BaseException:
            self._leave_claim_group(event)
            raise
        self._state.held[id_of(event)] = grant
        completion.followers = await self.complete_event_and_get_followers(event)

    def preceding_event_confirmed(
        self, handler: Handler[E], event: E, depth: int = 0
    ) -> AbstractAsyncContextManager[None]:
        """Let the body handle the event, if what it follows was handled; then handle what it has released.

        Args:
            handler: called with each event that is released, and its depth in the closure.
            event: the event to handle.
            depth: how deep handlers have called each other.

        Raises EventArrivedEarly, EventAlreadySeen, EventBeingProcessed, MaxDepthExceeded, LeaseLost.
        """
        return _Confirmed(self, handler, event, depth)

    def _is_handed(self, event: Any) -> bool:
        grant = current_grant.get()
        if grant is None or not grant.handed or grant.state is not self._state or grant.identity != id_of(event):
            return False
        grant.handed = False
        return True

    async def _refuse(self, handler: Handler[Any], event: Any, answer: str, depth: int) -> NoReturn:
        match answer.split():
            case ["seen"]:
                raise self.errors.seen(event)
            case ["dead"]:
                raise self.errors.dead(event)
            case ["held"]:
                raise self.errors.held(event)
            case ["drain", token]:
                # Earlier siblings wait and no consumer handles them: this event is parked behind them, and so the
                # consumer that brought it goes through the queue.
                await Drain(self, handler, depth, [(leader_of(event), token)]).run(None)
        raise self.errors.early(event)

    async def handle_batch(self, handler: Handler[E], events: Sequence[E]) -> list[Outcome]:
        """Handle many events at once; see `ordering.batch`."""
        return await handle_batch(self, handler, events)

    async def handle_stream(
        self,
        handler: Handler[E],
        events: AsyncIterable[E] | Iterable[E],
        report: Report[E],
        *,
        read_ahead: int = READ_AHEAD,
    ) -> None:
        """Handle the events of a stream one by one, in one round trip each; see `ordering.stream`."""
        await handle_stream(self, handler, events, report, read_ahead)

    # -- leases ----------------------------------------------------------------------------------------------
