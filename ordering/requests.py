"""The requests that one by one, batches and drains share: each asks a script, and reads what it says about an event.

The decisions are made in Redis (`lua/`), and the commands travel as `sending.py` says. This module knows nothing of
the order in which a consumer asks: that is for `causal.py`, `batch.py` and `drain.py`.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Collection, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any, NamedTuple, Protocol

from ordering.errors import (
    EventAlreadySeen,
    EventArrivedEarly,
    EventBeingProcessed,
    LeaseLost,
    MaxDepthExceeded,
)
from ordering.events import ReceivedEvent
from ordering.leases import ClaimGroup, Grant, LeaseRenewer, ProcessState, Work, state_of
from ordering.policy import Policy
from ordering.scripts import call, script, text, words
from ordering.sending import Word, send
from ordering.shielding import REFUSALS, asked_until_answered, brought_to_its_end, passes
from ordering.terms import digest_of, id_of, leader_of, microseconds, milliseconds, occurred_at, rules_of
from ordering.tokens import unique_token

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
    held: type[Exception] = EventBeingProcessed
    depth: type[Exception] = MaxDepthExceeded
    lost: type[Exception] = LeaseLost


class Handler(Protocol):
    """What handles an event; it may enter `preceding_event_confirmed` itself or not."""

    def __call__(self, event: Any, depth: int = 0) -> Awaitable[Any]:
        """Handle the event."""
        ...


class Requests:
    """Asks the scripts about the events of one scope, and keeps what this process knows of them.

    Args:
        scope: separates this ordering from others on the same server.
        redis: a `redis.asyncio` client, standalone or cluster.
        policy: how long to wait for what.
        event_type: parses what was parked; anything with pydantic's `model_validate_json`.
        token: a source of unique tokens.
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
    ) -> None:
        self.scope = scope
        self.redis = redis
        self.policy = policy or Policy()
        self.event_type = event_type
        self._token = token

    @cached_property
    def _state(self) -> ProcessState:
        """What this process remembers; it outlives this object, which some callers make for every event."""
        return state_of(self.redis, self.scope)

    def _key(self, name: str) -> str:
        return f"{{{self.scope}}}:{name}"

    async def _ask(self, *words: Word) -> Any:
        """Return the reply to one command of the user's client, its text as bytes."""
        return await send(self.redis, str(words[0]), *words[1:])

    async def _call(self, name: str, *args: Word) -> Any:
        return await call(self._ask, self.scripts(name), self._key("waitlist"), *args)

    async def _claim(self, leader: str) -> list[str]:
        """Claim the followers of an event that was handled, and return their ids."""
        claim = self._token()
        ids = [text(i) for i in await self._call("claim", leader, claim, milliseconds(self.policy.lease))]
        self._state.claims.update(dict.fromkeys(ids, claim))
        self._state.claim_groups.update(dict.fromkeys(ids, ClaimGroup(leader, claim, len(ids))))
        return ids

    def _leave_claim_group(self, event: Any) -> ClaimGroup | None:
        """Return those with which an event was claimed by a completion, if it was, without the event."""
        claim_groups = self._state.claim_groups
        claim_group = claim_groups.pop(id_of(event), None) if claim_groups else None
        if claim_group is not None:
            claim_group.left -= 1
        return claim_group

    def _forget_claim_group(self, event: Any) -> None:
        """Forget with which others an event was claimed: nobody will know when it is done, and its claim lapses."""
        if self._state.claim_groups:
            self._state.claim_groups.pop(id_of(event), None)

    async def _begin(self, event: Any, *, causal: bool = True) -> tuple[str, Grant | None]:
        active = self._state.active
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
                await self._release_queue(leader)

        return self._answered(event, asked, words(await brought_to_its_end(ask, give_back)))

    def _asked(self, event: Any, token: str, *, keeps_claim: bool = False) -> Asked:
        identity, leader, state = id_of(event), leader_of(event), self._state
        claim = state.claims.get(identity, "") if keeps_claim else state.claims.pop(identity, "")
        return Asked(
            identity,
            token,
            claim or state.queues.get(leader, ""),
            "1" if claim else "",
            leader,
            str(occurred_at(event)),
            str(self._received(event)),
            digest_of(leader) if leader else "",
            event.model_dump_json() if leader else "",
        )

    def _answered(self, event: Any, asked: Asked, reply: list[str]) -> tuple[str, Grant | None]:
        if reply[0] != "granted":
            return " ".join(reply), None
        if len(reply) == 3:
            self._state.queues[asked.leader] = reply[2]
        return "granted", Grant(event, asked.identity, asked.token, int(reply[1]), self._state, asked.claim)

    def _received(self, event: Any) -> str | int:
        """Return since when an event is to be old, in milliseconds, empty if that is for the engine to know."""
        return "" if self.policy.age_by == "known" else -(-microseconds(event.received) // 1000)

    def _came_along(self, event: Any) -> Queues:
        """Take the claim on the queue of an event's leader, if one was given together with the event."""
        queues = self._state.queues
        leader = leader_of(event) if queues else ""
        token = queues.pop(leader, "")
        return ((leader, token),) if token else ()

    def _working(self, grant: Grant, queues: Queues) -> AbstractAsyncContextManager[None]:
        return Work(grant, self._renewer((grant,), queues), lambda counts: self._fail(grant, counts=counts))

    def _renewer(self, grants: Collection[Grant], queues: Sequence[tuple[str, str]] = ()) -> LeaseRenewer:
        lease = self.policy.lease

        async def renew(grant: Grant) -> bool:
            names = [word for pair in queues for word in pair]  # a batch claims more of them as it goes on
            reply = await self._call("renew", grant.identity, grant.token, milliseconds(lease), grant.claim, *names)
            return words(reply)[0] == "renewed"

        return LeaseRenewer(grants, renew, lease.total_seconds() / 3)

    async def _fail(self, grant: Grant, *, counts: bool) -> str:
        """Give an event back. If Redis refuses that, its lease runs out by itself: no reason to hide what failed."""
        policy = self.policy
        delay = milliseconds(policy.retry_delay) if counts else 0
        times = (delay, policy.max_attempts, milliseconds(policy.retention), milliseconds(policy.lease))
        try:
            reply = words(await self._call("fail", grant.identity, grant.token, int(counts), *times))
        except REFUSALS as refusal:
            message = "could not be given back (%s); it is offered again when its lease of %s is over"
            self._log(logging.WARNING, grant.event, message, refusal, policy.lease)
            return "refused"
        if reply[0] == "dead":
            self._log(
                logging.ERROR,
                grant.event,
                "was given up after %s failed attempts and is kept under %s; its followers are released",
                reply[1],
                self._key(f"dead:{grant.identity}"),
            )
        return reply[0]

    async def _release_queue(self, leader: str) -> None:
        """Leave a queue to the next sweep. If Redis refuses that, it is left to the first one after a lease."""
        try:
            await self._ask("ZADD", self._key("releases"), "XX", 0, leader)
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
            self._state.active.pop(identity, None)

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
        renewer = self._renewer(grants, queues)
        try:
            return await asked_until_answered(ask, self.policy.lease.total_seconds())
        except REFUSALS as refusal:
            for grant in grants:
                self._log(logging.ERROR, grant.event, _UNRECORDED, self.policy.lease, refusal)
            raise
        finally:
            renewer.stop()

    def _log_missing_payload(self, identity: str) -> None:
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
