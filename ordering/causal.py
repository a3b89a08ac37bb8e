"""Causal ordering: events that follow another are handled after it, whatever the queue and the consumers do.

The decisions are made in Redis (`lua/`); this file is the part that runs in the consumer: it asks for a lease,
completes the event, and has `drain.py` go on with what the event has released. `leases.py` keeps leases alive.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any, NamedTuple
from uuid import UUID

from ordering.describing import describe
from ordering.drain import Drain, Handler
from ordering.errors import (
    REFUSALS,
    EventAlreadySeen,
    EventArrivedEarly,
    EventBeingProcessed,
    EventGivenUp,
    LeaseLost,
    MaxDepthExceeded,
)
from ordering.events import ReceivedEvent
from ordering.leases import RENEWALS, Cohort, Desk, Grant, Keeper, Work, current_grant, desk_of
from ordering.lines import Ask, Word, asking
from ordering.observing import Notifier, Observer
from ordering.operations import OnDeadLetter, Operations
from ordering.policy import Policy
from ordering.scripts import call, script, text, words
from ordering.shielding import asked_until_answered, brought_to_its_end, passes
from ordering.terms import (
    digest_of,
    id_of,
    leader_of,
    microseconds,
    milliseconds,
    occurred_at,
    order_of,
    rules_of,
)
from ordering.tokens import unique_token
from ordering.waiting import answer_in_time

logger = logging.getLogger(__name__)

Queues = tuple[tuple[str, str], ...]
"""Queues that are being drained, each by its leader and the token of the claim on it; the one to go on with is last."""
_UNRECORDED = (
    "was handled, but Redis has refused for %s to record it (%s): its effect is repeated when it is offered again. "
    "See to it that Redis takes writes, and that the effect is one that may be repeated"
)


class Asked(NamedTuple):
    """What the scripts must know about an event to decide about it: the words of `read_event`, in their order."""

    identity: str
    token: str
    claim: str
    given: str
    """"1" if the claim is one on the event itself, by a sweep or a completion, and not on its leader's queue."""
    leader: str
    occurred: str
    received: str
    digest: str
    """That of the leader."""
    payload: str
    """What the event says, if it may have to be kept."""


@dataclass(frozen=True, slots=True)
class Errors:
    """The exceptions that an ordering raises: a drop-in for another engine raises that engine's."""

    early: type[Exception] = EventArrivedEarly
    seen: type[Exception] = EventAlreadySeen
    dead: type[Exception] = EventGivenUp
    held: type[Exception] = EventBeingProcessed
    depth: type[Exception] = MaxDepthExceeded
    lost: type[Exception] = LeaseLost


class EventProcessingCompletion:
    """What completing an event has released; filled after success."""

    def __init__(self) -> None:
        self.followers: list[Any] = []


class CausalOrdering(Operations):
    """The ordering of the events of one scope.

    Args:
        scope: separates this ordering from others on the same server.
        redis: a `redis.asyncio` client, standalone or cluster.
        policy: how long to wait for what.
        event_type: parses what was parked; anything with pydantic's `model_validate_json`.
        token: a source of unique tokens.
        observer: is told what happens to each event in this process.
        on_dead_letter: is told of each event that was given up, at least once in the fleet.

    Raises ValueError if the scope is empty.
    """

    errors = Errors()
    scripts = staticmethod(script)
    """Finds a script by its name. Who wants to see the engine fail puts another in its place, in a class of his own."""

    def __init__(
        self,
        scope: str,
        *,
        redis: Any,
        policy: Policy | None = None,
        event_type: type[Any] = ReceivedEvent,
        token: Callable[[], str] = unique_token,
        observer: Observer | None = None,
        on_dead_letter: OnDeadLetter | None = None,
    ) -> None:
        self.scope = scope
        self._notify = Notifier(observer, scope)
        self._on_dead_letter = on_dead_letter
        self.redis = redis
        self.policy = policy or Policy()
        self.event_type = event_type
        self._token = token

    @cached_property
    def _desk(self) -> Desk:
        """What this process remembers; it outlives this object, which may be made anew for every event."""
        return desk_of(self.redis, self.scope)

    def _key(self, name: str) -> str:
        return f"{{{self.scope}}}:{name}"

    @cached_property
    def _ask(self) -> Ask:
        return asking(self.redis)

    async def _call(self, name: str, *args: Word) -> Any:
        return await call(self._ask, self.scripts(name), self._key("waitlist"), *args)

    # -- one step at a time ----------------------------------------------------------------------------------

    async def event_has_been_seen(self, event: UUID | Any) -> bool:
        """Return whether the event was handled, as far as that is remembered."""
        return bool(await self.redis.exists(self._key(f"seen:{id_of(event)}")))

    async def event_has_started_processing(self, event: UUID | Any) -> bool:
        """Return whether somebody holds the event."""
        return bool(await self.redis.exists(self._key(f"processing:{id_of(event)}")))

    async def record_event_as_processing(self, event: Any) -> bool:
        """Take the lease on an event, whatever it follows; return False if it is held or was handled."""
        answer, grant = await self._begin(event, causal=False)
        if grant is None:
            self._leave_cohort(event)
            return False
        self._desk.held[id_of(event)] = grant
        return answer == "granted"

    async def forget_event_is_processing(self, event: Any) -> None:
        """Give the lease on an event back, if it is ours."""
        grant = self._desk.held.pop(id_of(event), None)
        if grant is not None:
            self._leave_cohort(event)
            await self._fail(grant, counts=False)

    async def record_event_as_seen(self, event: Any) -> None:
        """Remember that an event was handled."""
        times = (milliseconds(self.policy.retention), milliseconds(self.policy.memory))
        await self._call("mark", id_of(event), *times, digest_of(id_of(event)))

    async def record_follower(self, event: Any) -> None:
        """Park an event until the one that it follows was handled."""
        assert event.follows
        about = (id_of(event), leader_of(event), occurred_at(event), event.model_dump_json(), self._received(event))
        await self._call("park", *about)

    async def forget_follower(self, follower: Any) -> None:
        """Forget that an event is parked."""
        await self._call("unpark", id_of(follower))

    async def get_followers(self, leader: Any) -> list[Any]:
        """Return the events that are parked behind this one, in the order they occurred."""
        ids = await self.redis.zrange(self._key(f"queue:{id_of(leader)}"), 0, -1)
        return await self.followers_by_id([text(i) for i in ids])

    async def followers_by_id(self, follower_ids: Sequence[UUID | str]) -> list[Any]:
        """Return the parked events with these ids, in the order they occurred."""
        if not follower_ids:
            return []
        payloads = await self.redis.mget([self._key(f"event:{i}") for i in follower_ids])
        found = []
        for identity, payload in zip(follower_ids, payloads, strict=True):
            try:
                found += [self._parse(payload)] if payload else []
            except Exception as error:  # a sweep finds it, and offers it to others
                message = "Event %s of scope %r cannot be read from Redis (%s); it stays there"
                logger.warning(message, identity, self.scope, describe(error))
        return sorted(found, key=order_of)

    async def complete_event_and_get_followers(self, event: Any) -> list[Any]:
        """Mark the event as handled, give its lease back, and claim its followers. Raises LeaseLost.

        The last of those that were claimed together claims the siblings that have come since, too, and the first of a
        queue that a sweep has found claims the rest of it. If it fails instead, or is handled elsewhere, those wait for
        the first sweep after a lease.
        """
        own = self._desk.held.pop(id_of(event), None)
        grant = own or Grant(event, id_of(event), self._token(), 0, self._desk)
        cohort = self._leave_cohort(event)
        queues = ((cohort.leader, cohort.claim),) if cohort and not cohort.left else self._came_along(event)
        reply = words(await brought_to_its_end(partial(self._complete, grant, queues)))
        if reply[0] == "lost":
            if own is None and await self.event_has_been_seen(event):
                return []  # it was completed before, and its followers were claimed then
            self._notify("lease_lost", id_of(event))
            raise self.errors.lost(event)
        ids = await self._claim(id_of(event))
        if queues and reply[1] == "1":
            ids += await self._claim(queues[0][0])
        return await self.followers_by_id(ids)

    async def _claim(self, leader: str) -> list[str]:
        """Claim the followers of an event that was handled, and return their ids."""
        claim = self._token()
        ids = [text(i) for i in await self._call("claim", leader, claim, milliseconds(self.policy.lease))]
        self._desk.claims.update(dict.fromkeys(ids, claim))
        self._desk.cohorts.update(dict.fromkeys(ids, Cohort(leader, claim, len(ids))))
        return ids

    def _leave_cohort(self, event: Any) -> Cohort | None:
        """Return those with which an event was claimed by a completion, if it was, without the event."""
        cohorts = self._desk.cohorts
        cohort = cohorts.pop(id_of(event), None) if cohorts else None
        if cohort is not None:
            cohort.left -= 1
        return cohort

    def _forget_cohort(self, event: Any) -> None:
        """Forget with which others an event was claimed: nobody will know when it is done, and its claim lapses."""
        if self._desk.cohorts:
            self._desk.cohorts.pop(id_of(event), None)

    async def get_lost_followers(self) -> list[Any]:
        """Return events that wait in vain, claimed for the caller: handle each, as if it had been delivered.

        They are followers of leaders that never came, and events whose holder died or whose handler failed. Others who
        sweep get what is left of them once one was begun with, and the caller what is left of theirs: an event that has
        begun elsewhere is EventArrivedEarly or EventAlreadySeen. What is claimed stays so for as long as anybody goes
        through it, and a lease longer.
        """
        return await self._lost_followers(chains=False)

    async def _lost_followers(self, *, chains: bool) -> list[Any]:
        policy = self.policy
        found = []
        rows = await self._call(
            "sweep",
            *rules_of(policy),
            self._token(),
            policy.batch,
            int(chains),
            milliseconds(policy.retry_delay),
        )
        for identity, payload, leader, why, claim in (words(row) for row in rows):
            if why == "missing":
                self._lament(identity)
                continue
            if why == "dead":
                await self._tell(identity, payload)
                continue
            try:
                event = self._parse(payload)
            except Exception as error:
                await self._unread(identity, self._token(), error)
                if why == "released":
                    await self._abandon(leader)
                continue
            if why in ("lost", "below", "cycle"):
                self._notify("rescued", identity)
            elif why == "retried":
                self._notify("retried", identity)
            if why == "cycle":
                self._log(logging.WARNING, event, "follows itself by way of others; the circle is broken here")
            if why == "released":
                self._desk.queues[leader] = claim
            self._desk.claims[identity] = claim
            found.append(event)
        return sorted(found, key=order_of)

    async def wait_for_leader(self, event: Any) -> None:
        """Return when what an event follows lets it be handled; wait for half a lease if that is being handled now.

        Nothing is held meanwhile. When the leader's handling ends, well or not, that is known at once, and that its
        holder has died is known when the lease is over. If the event must wait for longer, it is parked, and a lease
        that the caller holds on it is given back in the same step. Raises EventArrivedEarly, EventAlreadySeen.
        """
        leader, own = leader_of(event), self._own_grant(event)
        if not leader:
            return
        asked = self._asked(event, own.token if own else self._token(), keeps_claim=True)

        async def ask(patient: bool) -> list[str]:
            return words(await self._call("wait", *rules_of(self.policy), *asked, int(patient), int(own is not None)))

        patience = self.policy.lease.total_seconds() / 2
        answer = await answer_in_time(self.redis, self._key(f"ended:{leader}"), ask, patience)
        if answer[0] == "seen":
            raise self.errors.seen(event)
        if answer[0] == "dead":
            raise self.errors.dead(event)
        if answer[0] == "parked":
            self._desk.claims.pop(id_of(event), None)
            self._desk.held.pop(id_of(event), None)
            if own:
                own.parked = True
            raise self.errors.early(event)

    def _own_grant(self, event: Any) -> Grant | None:
        """Return the lease on an event under which the caller works, or that it has taken as a step of its own."""
        grant = current_grant.get()
        if grant is not None and grant.desk is self._desk and grant.identity == id_of(event):
            return grant
        return self._desk.held.get(id_of(event))

    # -- the whole of it -------------------------------------------------------------------------------------

    @asynccontextmanager
    async def event_is_processing(self, event: Any) -> AsyncIterator[EventProcessingCompletion]:
        """Hold the lease on an event inside the context, and complete it after success.

        Raises EventBeingProcessed if somebody holds it, EventAlreadySeen if it was handled, LeaseLost if the lease
        ran out and somebody else took the event over.
        """
        answer, grant = await self._begin(event, causal=False)
        if grant is None:
            self._leave_cohort(event)
            raise {"seen": self.errors.seen, "dead": self.errors.dead}.get(answer, self.errors.held)(event)
        completion = EventProcessingCompletion()
        try:
            async with self._working(grant, ()):
                yield completion
        except BaseException:
            self._leave_cohort(event)
            raise
        self._desk.held[id_of(event)] = grant
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
        self._forget_cohort(event)
        answer, grant = await self._begin(event)
        queues = self._came_along(event)
        if grant is None:
            await self._refuse(handler, event, answer, depth)
        assert grant is not None
        try:
            async with self._working(grant, queues):
                yield
        except BaseException:
            for leader, _ in queues:
                await self._abandon(leader)
            raise
        await Drain(self, handler, depth, queues).run(grant)

    def _is_handed(self, event: Any) -> bool:
        grant = current_grant.get()
        if grant is None or not grant.handed or grant.desk is not self._desk or grant.identity != id_of(event):
            return False
        grant.handed = False
        return True

    def _came_along(self, event: Any) -> Queues:
        """Take the claim on the queue of an event's leader, if one was given together with the event."""
        queues = self._desk.queues
        leader = leader_of(event) if queues else ""
        token = queues.pop(leader, "")
        return ((leader, token),) if token else ()

    async def _refuse(self, handler: Handler, event: Any, answer: str, depth: int) -> None:
        match answer.split():
            case ["seen"]:
                raise self.errors.seen(event)
            case ["dead"]:
                raise self.errors.dead(event)
            case ["held"]:
                raise self.errors.held(event)
            case ["drain", token]:
                # Earlier siblings wait and nobody is at work on them: this event is parked behind them, and so
                # whoever brought it goes through the queue.
                await Drain(self, handler, depth, [(leader_of(event), token)]).run(None)
        raise self.errors.early(event)

    async def handle_batch(self, handler: Handler, events: Sequence[Any]) -> list[Any]:
        """Handle many events at once; see `ordering.batch`."""
        from ordering.batch import handle_batch

        return list(await handle_batch(self, handler, events))

    # -- leases ----------------------------------------------------------------------------------------------

    async def _begin(self, event: Any, *, causal: bool = True) -> tuple[str, Grant | None]:
        active = self._desk.active
        if active and id_of(event) in active:
            return "held", None
        asked = self._asked(event, self._token())
        ask = partial(self._call, "begin", *rules_of(self.policy), *asked, "causal" if causal else "alone")

        async def give_back(reply: Any) -> None:
            grant = self._answered(event, asked, words(reply))[1]
            queues = self._came_along(event)
            if grant is not None:
                await self._fail(grant, counts=False)
            for leader, _ in queues:
                await self._abandon(leader)

        answer, grant = self._answered(event, asked, words(await brought_to_its_end(ask, give_back)))
        if answer.startswith("exhausted"):
            await self._give_up_exhausted(event)
            answer = "dead"
        return answer, grant

    def _asked(self, event: Any, token: str, *, keeps_claim: bool = False) -> Asked:
        identity, leader, desk = id_of(event), leader_of(event), self._desk
        claim = desk.claims.get(identity, "") if keeps_claim else desk.claims.pop(identity, "")
        return Asked(
            identity,
            token,
            claim or desk.queues.get(leader, ""),
            "1" if claim else "",
            leader,
            str(occurred_at(event)),
            str(self._received(event)),
            digest_of(leader) if leader else "",
            event.model_dump_json() if leader else "",
        )

    def _answered(self, event: Any, asked: Asked, reply: list[str]) -> tuple[str, Grant | None]:
        if reply[0] != "granted":
            word = reply[0]
            self._notify("refused" if word in ("seen", "held", "dead", "exhausted") else "parked", asked.identity)
            return " ".join(reply), None
        self._notify("granted", asked.identity)
        if len(reply) == 3:
            self._desk.queues[asked.leader] = reply[2]
        return "granted", Grant(event, asked.identity, asked.token, int(reply[1]), self._desk, asked.claim)

    def _received(self, event: Any) -> str | int:
        """Return since when an event is to be old, in milliseconds, empty if that is for the engine to know."""
        return "" if self.policy.age_by == "known" else -(-microseconds(event.received) // 1000)

    def _working(self, grant: Grant, queues: Queues) -> AbstractAsyncContextManager[None]:
        return Work(grant, self._keeper((grant,), queues), partial(self._fail_by, grant))

    def _keeper(self, grants: Collection[Grant], queues: Sequence[tuple[str, str]] = ()) -> Keeper:
        lease = self.policy.lease

        async def renew(grant: Grant) -> bool:
            names = [word for pair in queues for word in pair]  # a batch claims more of them as it goes on
            reply = await self._call("renew", grant.identity, grant.token, milliseconds(lease), grant.claim, *names)
            return words(reply)[0] == "renewed"

        return Keeper(grants, renew, lease.total_seconds() / RENEWALS)

    async def _fail_by(self, grant: Grant, error: BaseException) -> str:
        return await self._fail(grant, counts=isinstance(error, Exception), error=error)

    async def _fail(self, grant: Grant, *, counts: bool, error: BaseException | None = None) -> str:
        """Give an event back. If Redis refuses that, its lease runs out by itself: no reason to hide what failed."""
        policy = self.policy
        delay = milliseconds(policy.retry_delay) if counts else 0
        how = "failed" if counts else "stopped"
        try:
            ask = self._call(
                "fail", *rules_of(policy), grant.identity, grant.token, how, delay, describe(error) if error else ""
            )
            reply = words(await ask)
        except REFUSALS as refusal:
            message = "could not be given back (%s); it is offered again when its lease of %s is over"
            self._log(logging.WARNING, grant.event, message, refusal, policy.lease)
            return "refused"
        if reply[0] == "dead":
            await self._tell_of(grant.identity)
        return reply[0]

    async def _abandon(self, leader: str) -> None:
        """Leave a queue to the next sweep. If Redis refuses that, it is left to the first one after a lease."""
        try:
            await self.redis.zadd(self._key("releases"), {leader: 0}, xx=True)
        except REFUSALS as refusal:
            logger.warning("The queue of event %s of scope %r rests for a lease: %s", leader, self.scope, refusal)

    async def _complete(self, grant: Grant, queues: Queues = (), following: str = "") -> Any:
        """Record that an event was handled; take the next one under the token `following`, if there is such a token."""
        identity = grant.identity
        leader, drain = queues[-1] if queues else ("", "")
        event = (identity, grant.token, digest_of(identity), leader, drain, following)
        ask = partial(self._call, "complete", *rules_of(self.policy), *event)
        try:
            return await self._record((grant,), ask, queues)
        finally:
            self._desk.active.pop(identity, None)

    async def _record(self, grants: Sequence[Grant], ask: Callable[[], Awaitable[Any]], queues: Queues = ()) -> Any:
        """Return the answer to a completion. While Redis refuses it, keep the leases and ask again: for a lease's time.

        Whatever is not recorded is done once more. Whoever loses a lease meanwhile learns it from the answer.
        """
        try:
            return await ask()
        except REFUSALS as refusal:
            if not passes(refusal):
                raise
            for grant in grants:
                message = "was handled, but Redis has refused to record it (%s); it is asked again"
                self._log(logging.WARNING, grant.event, message, refusal)
        keeper = self._keeper(grants, queues)
        try:
            return await asked_until_answered(ask, self.policy.lease.total_seconds())
        except REFUSALS as refusal:
            for grant in grants:
                self._log(logging.ERROR, grant.event, _UNRECORDED, self.policy.lease, refusal)
            raise
        finally:
            keeper.stop()

    def _lament(self, identity: str) -> None:
        logger.error(
            "Event %s of scope %r was parked, but what it said is gone from Redis; it cannot be handled",
            identity,
            self.scope,
        )

    def _parse(self, payload: str | bytes) -> Any:
        """Return an event as it was parked. Raises whatever its type raises, and if it has no place among others."""
        event = self.event_type.model_validate_json(payload)
        order_of(event)
        leader_of(event)
        return event

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
