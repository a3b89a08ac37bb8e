"""The requests that one by one, batches and drains share: each asks a script, and reads what it says about an event.

The decisions are made in Redis (`lua/`), and the commands travel as `sending.py` says. This module knows nothing of
the order in which a consumer asks: that is for `causal.py`, `batch.py` and `drain.py`.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection, Sequence
from functools import cached_property, partial
from itertools import chain
from typing import Any, Generic, Literal, Protocol, TypeVar

from ordering.describing import describe, field_of
from ordering.errors import Errors
from ordering.events import ReceivedEvent
from ordering.leases import RENEWALS, ClaimGroup, Grant, LeaseRenewer, Work, is_counted
from ordering.observing import Notifier, Observer
from ordering.operations import OnDeadLetter, Operations
from ordering.policy import Policy
from ordering.renewing import renew
from ordering.scripts import check, run, script, words
from ordering.sending import Joint, Word, send
from ordering.shielding import REFUSALS, asked_again, bounded, end_after, is_between_nodes, is_moving, passes
from ordering.terms import (
    Asked,
    digest_of,
    hash_tag,
    id_of,
    last_of,
    leader_of,
    listed,
    microseconds,
    milliseconds,
    names_of,
    occurred_at,
    order_of,
)
from ordering.tokens import unique_token

logger = logging.getLogger(__name__)

E = TypeVar("E")
"""The class of a scope's events."""
E_contra = TypeVar("E_contra", contravariant=True)
Queues = tuple[tuple[str, str], ...]
"""Queues that are being drained, each by its leader and the token of the claim on it; the one to go on with is last."""
Outcome = Literal["handled", "parked", "seen", "dead", "held", "failed", "lost"]
"""The outcome of an event. `handled`, `parked`, `seen`, `dead` are to be acknowledged, others to be offered again."""
REFUSED = ("seen", "held", "dead", "exhausted")
"""Answers about an event that is not to be handled here now."""
GRANTING = ("begin", "begin_many", "complete", "complete_and_begin", "advance")
"""The scripts that grant leases."""
_UNRECORDED = (
    "was handled, but Redis has refused for %s to record it (%s): its effect is repeated when it is offered again. "
    "See to it that Redis takes writes, and that the effect is one that may be repeated"
)


class Handler(Protocol[E_contra]):
    """A callable that handles an event; it may enter `preceding_event_confirmed` itself or not."""

    def __call__(self, event: E_contra, depth: int = 0) -> Awaitable[Any]:
        """Handle the event."""
        ...


class Requests(Operations, Generic[E]):
    """Asks the scripts about the events of one scope, and keeps this process's knowledge of them.

    Args:
        scope: separates this ordering from others on the same server; not empty.
        redis: a `redis.asyncio` client, standalone or cluster.
        policy: the waiting times and limits.
        event_type: parses parked events; anything with pydantic's `model_validate_json`.
        token: a source of unique tokens.
        observer: called at each step of an event in this process.
        on_dead_letter: called with each event that was given up, at least once in the fleet.
    """

    errors = Errors()
    scripts = staticmethod(script)
    """Finds a script by its name. A subclass may replace it, to make the engine fail."""

    _waitlist = "waitlist"
    """The name of the key that the scripts begin with: "parked" where the engine runs beside the original."""

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
        self.scope = hash_tag(scope)
        self._notify = Notifier(observer, scope)
        self._on_dead_letter = on_dead_letter
        self.redis = redis
        self.policy = policy or Policy()
        self.event_type = event_type
        self._token = token

    def _key(self, name: str) -> str:
        return f"{{{self.scope}}}:{name}"

    def _ask(self, name: str, *words: Word, joint: Joint | None = None) -> Awaitable[Any]:
        """Return, when awaited, the reply to one command of the user's client, its text as bytes."""
        return send(self.redis, name, *words, joint=joint)

    @cached_property
    def _joints(self) -> dict[str, Joint]:
        """The joints that make one request of those of several tasks, by the script that is asked for."""
        all_of_them = self.scripts("several")
        digest, whole = all_of_them.digest.encode(), all_of_them.text.encode()
        return {name: Joint(name.encode(), digest, whole) for name in ("begin", "complete")}

    async def _call(self, name: str, *args: Word, once: bool = False) -> Any:
        """Run a script. While a cluster moves the scope's slot, ask again for a lease's time, unless only `once`."""
        if name not in GRANTING:
            return await self._ask_script(name, args, once)
        with self._state.asks_for_leases():
            return await self._ask_script(name, args, once)

    async def _ask_script(self, name: str, args: Sequence[Word], once: bool) -> Any:
        verb, waitlist = self.scripts(name), self._key(self._waitlist)
        check(verb, args)
        try:
            ask = partial(self._ask, joint=self._joints[name]) if name in self._joints else self._ask
            return await run(ask, verb, waitlist, *args)
        except REFUSALS as refusal:
            if once or not is_moving(refusal):
                raise
        # Nothing was written: a script looks at every key that it may write before it writes any.
        return await asked_again(partial(run, self._ask, verb, waitlist, *args), self._lease_s, is_moving)

    def _leave_claim_group(self, event: Any) -> ClaimGroup | None:
        """Return those with which an event was claimed by a completion, if it was, without the event."""
        claim_groups = self._state.claim_groups
        claim_group = claim_groups.pop(id_of(event), None) if claim_groups else None
        if claim_group is not None:
            claim_group.left -= 1
        return claim_group

    def _forget_claim_group(self, event: Any) -> None:
        """Drop the event from its claim group; the claim then expires after one lease."""
        if self._state.claim_groups:
            self._state.claim_groups.pop(id_of(event), None)

    async def _begin(self, event: Any, *, causal: bool = True) -> tuple[str, Grant | None]:
        if self._state.active and self._works_on(identity := id_of(event)):
            self._notify("refused", identity)
            return "held", None
        asked, sent = self._asked(event, self._token()), self._now()
        request = (self._rules, "causal" if causal else "alone", *last_of(asked))
        try:
            reply = words(await self._call("begin", *request))
        except asyncio.CancelledError as stopped:

            async def give_back(reply: Any) -> None:
                await self._give_back(event, self._answered(event, asked, words(reply), sent)[1])

            await end_after(stopped, partial(self._call, "begin", *request), self._lease_s, give_back)
            raise
        answer, grant = self._answered(event, asked, reply, sent)
        if answer.startswith("exhausted"):
            answer = "dead" if await self._give_up_exhausted(event) else "held"
        if grant is not None and self._now() >= grant.proven_until - self._lease_s / RENEWALS:
            return await self._proven(grant)
        return answer, grant

    def _works_on(self, identity: str) -> bool:
        """Return whether this process works on an event, whatever has become of its lease."""
        return identity in self._state.active

    def _goes_on(self, identity: str, token: str) -> bool:
        """Return whether this process still works on an event that it was granted: it is not begun again.

        Its lease had run out, as in a process that was blocked. The work goes on, and is completed, under the new one.
        """
        return self._state.goes_on(identity, token)

    async def _proven(self, grant: Grant) -> tuple[str, Grant | None]:
        """Return a grant whose reply was under way for most of its lease, if the lease lasts; else give it back."""
        try:
            if await self._is_proven(grant, partial(self._renew, (grant,), ())):
                return "granted", grant
        except BaseException as error:
            async with bounded(error, self._lease_s):
                await self._give_back(grant.event, grant)
            raise
        await self._give_back(grant.event, grant)
        self._notify("refused", grant.identity)
        return "held", None

    async def _give_back(self, event: Any, grant: Grant | None) -> None:
        """Give a lease back with which nothing was begun, and the queue that came along with it.

        If Redis refuses the first, the queue rests as long as the lease: siblings would overtake the event.
        """
        queues = self._came_along(event)
        if grant is None or await self._fail(grant, counts=False) != "refused":
            await self._release(*queues)

    def _asked(
        self, event: Any, token: str, *, keeps_claim: bool = False, names: tuple[str, str] | None = None
    ) -> Asked:
        (identity, leader), state = names or names_of(event), self._state
        claim = ""
        if state.claims:
            claim = state.claims.get(identity, "") if keeps_claim else state.claims.pop(identity, "")
        given = "1" if claim else ""
        if not leader:  # it waits for nothing, so it is never parked
            return Asked(identity, token, claim, given, "", "", "", "", "")
        return Asked(
            identity,
            token,
            claim or state.queues.get(leader, ""),
            given,
            leader,
            occurred_at(event),
            str(self._received(event)),
            digest_of(leader),
            event.model_dump_json(),
        )

    def _answered(self, event: Any, asked: Asked, reply: list[str], sent: float) -> tuple[str, Grant | None]:
        """Read the answer to a request that was sent at a time of the loop."""
        if reply[0] != "granted":
            if reply[0] != "alone":  # it is asked about once more, by itself
                self._notify("refused" if reply[0] in REFUSED else "parked", asked.identity)
            return " ".join(reply), None
        if self._goes_on(asked.identity, asked.token):
            self._notify("refused", asked.identity)
            # If a queue came along, the event is kept in Redis, and the caller goes through that queue.
            return f"drain {reply[2]}" if len(reply) == 3 else "held", None
        self._notify("granted", asked.identity)
        if len(reply) == 3:
            self._state.queues[asked.leader] = reply[2]
        fence, until = int(reply[1]), sent + self._lease_s
        return "granted", Grant(
            event, asked.identity, asked.token, fence, self._state, asked.leader, asked.claim, until
        )

    def _received(self, event: Any) -> str | int:
        """Return since when an event is to be old, in milliseconds, empty if that is for the engine to know."""
        return "" if self.policy.age_by == "known" else -(-microseconds(event.received) // 1000)

    def _came_along(self, event: Any) -> Queues:
        """Take the claim on the queue of an event's leader, if one was given together with the event."""
        queues = self._state.queues
        leader = leader_of(event) if queues else ""
        token = queues.pop(leader, "")
        return ((leader, token),) if token else ()

    def _working(self, grant: Grant, queues: Queues, renewer: LeaseRenewer | None = None) -> Work:
        return Work(grant, renewer or self._renewer((grant,), queues), self._failed)

    async def _failed(self, grant: Grant, error: BaseException) -> None:
        async with bounded(error, self._lease_s):
            await self._fail(grant, counts=is_counted(error), error=error)

    def _renewer(self, grants: Collection[Grant], queues: Sequence[tuple[str, str]] = ()) -> LeaseRenewer:
        return LeaseRenewer(grants, queues, self._renew, self._lease_s / RENEWALS)

    async def _renew(self, grants: Sequence[Grant], queues: Sequence[tuple[str, str]]) -> None:
        """Prolong leases in one round trip, and the claims on queues; note which leases are lost."""
        await renew(self._call, self.policy.lease, self._now(), grants, queues)

    def _lasts(self, grant: Grant) -> bool:
        """Return whether a lease lasts for so long by this process's clock that it need not be renewed to be sure."""
        return not grant.lost and self._now() < grant.proven_until - self._lease_s / RENEWALS

    async def _is_proven(self, grant: Grant, renew: Callable[[], Awaitable[None]], if_lapsed: bool = True) -> bool:
        """Return whether a lease lasts, by this process's clock too; one that may be over soon, or is, is renewed."""
        now, near = self._now(), grant.proven_until - self._lease_s / RENEWALS
        if not grant.lost and near <= now and (if_lapsed or now < grant.proven_until):
            await renew()
        return not grant.lost and self._now() < grant.proven_until

    async def _may_begin(self, grant: Grant, renewer: LeaseRenewer) -> bool:
        """Return whether a handler may begin; if Redis is silent, a large batch asks no more for each of its events."""
        if await self._is_proven(grant, renewer.renew, renewer.answered):
            return True
        self._log(logging.ERROR, grant.event, "was not begun: its lease was lost before its turn came")
        self._notify("lease_lost", grant.identity)
        return False

    @staticmethod
    def _now() -> float:
        return asyncio.get_running_loop().time()

    async def _fail(self, grant: Grant, *, counts: bool, error: BaseException | None = None) -> str:
        """Give an event back. If Redis refuses that, its lease runs out by itself: no reason to hide what failed."""
        policy = self.policy
        delay = milliseconds(policy.retry_delay) if counts else 0
        how = "stopped" if not counts else "exited" if isinstance(error, SystemExit) else "failed"
        try:
            about = (grant.identity, grant.token, how, delay, describe(error) if error else "", "")
            reply = words(await self._call("fail", self._rules, *about))
        except REFUSALS as refusal:
            message = "could not be given back (%s); it is offered again when its lease of %s is over"
            self._log(logging.WARNING, grant.event, message, refusal, policy.lease)
            return "refused"
        if reply[0] == "dead":
            await self._report_dead_letter(grant.identity)
        elif reply[0] == "lost":
            self._notify("lease_lost", grant.identity)
        return reply[0]

    async def _release_queues(
        self, queues: Sequence[tuple[str, str]], error: BaseException, *, but_the_last: bool = False
    ) -> None:
        """Leave queues to the next sweep, because of an error; the last may have to rest for a lease."""
        async with bounded(error, self._lease_s):
            await self._release(*(queues[:-1] if but_the_last else queues))

    async def _release(self, *queues: tuple[str, str]) -> None:
        """Leave queues to the next sweep. If Redis refuses that, they are left to the first one after a lease."""
        if not queues:
            return
        try:
            await self._call("release", *chain.from_iterable(queues))
        except REFUSALS as refusal:
            for leader, _ in queues:
                logger.warning("The queue of event %s of scope %r rests for a lease: %s", leader, self.scope, refusal)

    async def _complete(
        self, grant: Grant, queues: Queues = (), following: str = "", offered: Sequence[Asked] | None = None
    ) -> Any:
        """Record that an event was handled; take the next one under the token `following`, if there is such a token.

        If events are offered, and nothing else is left to go on with, the first of them that may be handled is begun.
        """
        identity, state = grant.identity, self._state
        leader, drain = queues[-1] if queues else ("", "")
        name = "complete" if offered is None else "complete_and_begin"
        rest = (digest_of(identity), leader, drain, following, *(listed(offered) if offered else ()))
        try:
            while True:
                token = grant.token
                ask = partial(self._call, name, self._rules, identity, token, *rest, once=True)
                try:
                    reply = await ask()
                except REFUSALS as refusal:
                    reply = await self._record((grant,), ask, refusal, queues)
                if words(reply)[0] != "lost" or not await state.was_granted_again(grant, token, self._lease_s):
                    return reply
        finally:
            state.leave(grant)

    async def _record(
        self, grants: Sequence[Grant], ask: Callable[[], Awaitable[Any]], refusal: Exception, queues: Queues = ()
    ) -> Any:
        """Ask again for a completion that Redis has refused, for a lease's time; return the answer.

        While a slot moves, it waits, however long that takes: no lease in it is granted meanwhile. The leases are kept.
        An effect that is not recorded is repeated. A holder that has lost a lease learns it from the answer.
        """
        if not passes(refusal):
            raise refusal
        for grant in grants:
            message = "was handled, but Redis has refused to record it (%s); it is asked again"
            self._log(logging.WARNING, grant.event, message, refusal)
        renewer = self._renewer(grants, queues)
        try:
            return await asked_again(ask, self._lease_s, outlasts=is_between_nodes)
        except REFUSALS as last:
            for grant in grants:
                self._log(logging.ERROR, grant.event, _UNRECORDED, self.policy.lease, last)
            raise
        finally:
            renewer.stop()

    def _parse(self, payload: str | bytes) -> Any:
        """Return an event as it was parked. Raises what its type raises, and if it cannot be ordered."""
        event = self.event_type.model_validate_json(payload)
        order_of(event)
        leader_of(event)
        return event

    def _log(self, level: int, event: Any, message: str, *args: Any) -> None:
        logger.log(
            level,
            "Event %r (%s) of scope %r " + message,
            field_of(event, "event"),
            (identity := field_of(event, "id")),
            self.scope,
            *args,
            extra={"event_id": identity, "follows": field_of(event, "follows"), "scope": self.scope},
        )
