"""Orderings with a method or a command wrapped wrongly: the base classes of the mutants of `wrapped.py`.

They are apart from the table of the mutants, so that reading the table does not import the engine.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from redis.exceptions import ConnectionError, NoPermissionError, TimeoutError  # noqa: A004

from ordering import CausalOrdering
from ordering.leases import Grant
from ordering.requests import Queues
from ordering.scripts import text, words
from ordering.shielding import is_between_nodes
from ordering.terms import Asked, id_of, leader_of, milliseconds, order_of


class LocalClock(CausalOrdering[Any]):
    """Passes its own time to the scripts."""

    async def _call(self, name: str, *args: str | int | bytes, once: bool = False) -> Any:
        verb = self.scripts(name)
        return await self.redis.eval(verb.text, 1, self._key("waitlist"), *args, time.time_ns() // 1000)


class LooksThenParks(CausalOrdering[Any]):
    """Parks in a step of its own."""

    async def _begin(self, event: Any, *, causal: bool = True) -> tuple[str, Grant | None]:
        leader, claimed = leader_of(event), id_of(event) in self._state.claims
        if causal and leader and not claimed and not await self.event_has_been_seen(leader):
            await self.record_follower(event)
            return "parked", None
        return await super()._begin(event, causal=causal)


class LooksThenTakes(CausalOrdering[Any]):
    """Takes the lease in a step of its own."""

    async def _begin(self, event: Any, *, causal: bool = True) -> tuple[str, Grant | None]:
        if await self.event_has_started_processing(event):
            return "held", None
        await self.redis.delete(self._key(f"processing:{id_of(event)}"))
        return await super()._begin(event, causal=causal)


class DrainsItsOwn(CausalOrdering[Any]):
    """Forgets what it works on."""

    def _works_on(self, identity: str) -> bool:
        return False

    def _goes_on(self, identity: str, token: str) -> bool:
        return False


class BeginsWhatItAskedFor(CausalOrdering[Any]):
    """Forgets what it works on when it reads an answer."""

    def _answered(self, event: Any, asked: Asked, reply: list[str], sent: float) -> tuple[str, Grant | None]:
        active, self._state.active = self._state.active, {}
        try:
            return super()._answered(event, asked, reply, sent)
        finally:
            self._state.active = active


class FreesWhatItMayHold(CausalOrdering[Any]):
    """Leaves a queue to sweeps, whether or not it was handed an event of it."""

    async def _release_queues(
        self, queues: Sequence[tuple[str, str]], error: BaseException, *, but_the_last: bool = False
    ) -> None:
        await super()._release_queues(queues, error)


class BelievesTheFirstAnswer(CausalOrdering[Any]):
    """Keeps no account of what it has asked."""

    async def _call(self, name: str, *args: str | int | bytes, once: bool = False) -> Any:
        return await self._ask_script(name, args, once)


class RenewsNoQueue(CausalOrdering[Any]):
    """Prolongs its leases alone."""

    async def _renew(self, grants: Sequence[Grant], queues: Sequence[tuple[str, str]]) -> None:
        await super()._renew(grants, ())


class LooksOnceForSiblings(CausalOrdering[Any]):
    """Takes every queue to be empty."""

    async def _look(self, what: str, *ids: str, once: bool = False) -> list[Any]:
        return [0] if what == "queue" else await super()._look(what, *ids, once=once)


class TrustsLateGrants(CausalOrdering[Any]):
    """Begins with an event however long the reply that granted it was under way."""

    async def _proven(self, grant: Grant) -> tuple[str, Grant | None]:
        return "granted", grant


class BeginsAfterABlock(CausalOrdering[Any]):
    """Takes a lease to begin when the reply that granted it is read, and makes the fencing token then."""

    async def _proven(self, grant: Grant) -> tuple[str, Grant | None]:
        grant.fence = time.time_ns() // 1000
        return "granted", grant


class Rests(CausalOrdering[Any]):
    """Waits five minutes before it begins an event without a leader."""

    async def _begin(self, event: Any, *, causal: bool = True) -> tuple[str, Grant | None]:
        if not leader_of(event):
            await asyncio.sleep(300)
        return await super()._begin(event, causal=causal)


class Waits(CausalOrdering[Any]):
    """Waits for the leader of an early event."""

    async def _begin(self, event: Any, *, causal: bool = True) -> tuple[str, Grant | None]:
        answer, grant = await super()._begin(event, causal=causal)
        while answer.split()[0] in ("parked", "waiting"):
            await asyncio.sleep(1)
            answer, grant = await super()._begin(event, causal=causal)
        return answer, grant


class Rounds(CausalOrdering[Any]):
    """Reads an event without its microseconds."""

    def _parse(self, payload: str | bytes) -> Any:
        event = super()._parse(payload)
        return event.model_copy(update={"occurred": event.occurred.replace(microsecond=0)})


class ForgivesHandlers(CausalOrdering[Any]):
    """Completes an event whose handler has failed."""

    async def _failed(self, grant: Grant, error: BaseException) -> None:
        if isinstance(error, Exception):
            await self._complete(grant)
        else:
            await super()._failed(grant, error)


class TakesNoForAnAnswer(CausalOrdering[Any]):
    """Asks once to record handled events."""

    async def _record(
        self, grants: Sequence[Grant], ask: Callable[[], Awaitable[Any]], refusal: Exception, queues: Queues = ()
    ) -> Any:
        raise refusal


class TakesADenialForAnAnswer(CausalOrdering[Any]):
    """Asks once to record handled events, if the user of the client may not run the script."""

    async def _record(
        self, grants: Sequence[Grant], ask: Callable[[], Awaitable[Any]], refusal: Exception, queues: Queues = ()
    ) -> Any:
        if isinstance(refusal, NoPermissionError):
            raise refusal
        return await super()._record(grants, ask, refusal, queues)


class TakesAMovingSlotForAnAnswer(CausalOrdering[Any]):
    """Asks once to record handled events, if their slot is being moved."""

    async def _record(
        self, grants: Sequence[Grant], ask: Callable[[], Awaitable[Any]], refusal: Exception, queues: Queues = ()
    ) -> Any:
        if is_between_nodes(refusal):
            raise refusal
        return await super()._record(grants, ask, refusal, queues)


class SendsDigestsAlone(CausalOrdering[Any]):
    """Sends each script in full once, and then its digest alone."""

    def __init__(self, scope: str, **options: Any) -> None:
        super().__init__(scope, **options)
        self._sent = set[str]()

    async def _call(self, name: str, *args: str | int | bytes, once: bool = False) -> Any:
        verb, words = self.scripts(name), (1, self._key("waitlist"), *args)
        if name not in self._sent:
            self._sent.add(name)
            return await self._ask("EVAL", verb.text, *words)
        return await self._ask("EVALSHA", verb.digest, *words)


class ClaimsThenCompletes(CausalOrdering[Any]):
    """Claims followers before their leader is marked."""

    async def complete_event_and_get_followers(self, event: Any) -> list[Any]:
        """Claim the followers, and only then mark their leader. Raises LeaseLost."""
        grant, claim = self._state.held.pop(id_of(event)), self._token()
        claimed = await self._call("claim", id_of(event), claim, milliseconds(self.policy.lease), "")
        ids = [text(i) for i in claimed]
        self._state.claims.update(dict.fromkeys(ids, claim))
        if words(await self._complete(grant))[0] == "lost":
            raise self.errors.lost(event)
        return await self.followers_by_id(ids)


class OwnConnection(CausalOrdering[Any]):
    """Sends its scripts on one connection of its own, past the client and its handling of errors."""

    ignored_errors: tuple[type[Exception], ...] = ()
    """Errors after which it waits for ever for the reply: the connection is not read any more."""

    def __init__(self, scope: str, **options: Any) -> None:
        super().__init__(scope, **options)
        self._turn, self._connection = asyncio.Lock(), None

    async def _call(self, name: str, *args: str | int | bytes, once: bool = False) -> Any:
        async with self._turn:
            if self._connection is None:
                self._connection = await self.redis.connection_pool.get_connection()
            connection: Any = self._connection
            try:
                await connection.send_command("EVAL", self.scripts(name).text, 1, self._key("waitlist"), *args)
                return await connection.read_response()
            except self.ignored_errors:
                return await asyncio.Event().wait()


class KeepsConnections(CausalOrdering[Any]):
    """Takes a connection out of the pool for each script, and gives none back."""

    async def _call(self, name: str, *args: str | int | bytes, once: bool = False) -> Any:
        connection: Any = await self.redis.connection_pool.get_connection()
        await connection.send_command("EVAL", self.scripts(name).text, 1, self._key("waitlist"), *args)
        return await connection.read_response()


class WaitsOnAClosedConnection(OwnConnection):
    """Waits without a limit for a reply on a connection that the server has closed."""

    ignored_errors = (ConnectionError,)


class WaitsOnASilentServer(OwnConnection):
    """Waits without a limit for a reply that has not come within the client's timeout."""

    ignored_errors = (TimeoutError,)


class ComparesAsTheyCome(CausalOrdering[Any]):
    """Sorts the followers that a sweep has found by times with and without a zone."""

    async def get_lost_followers(self) -> list[Any]:
        """Return followers of missing leaders by their `occurred`."""
        found = await super().get_lost_followers()
        return sorted(found, key=lambda event: event.occurred)


class ReadsNoNumbers(CausalOrdering[Any]):
    """Reads numbers that JSON does not know, such as NaN, as null."""

    def _parse(self, payload: str | bytes) -> Any:
        return super()._parse(re.sub(r"-?(NaN|Infinity)", "null", text(payload)))


class DropsTheUnreadable(CausalOrdering[Any]):
    """Throws away parked events that it cannot read."""

    async def _unread(self, identity: str, token: str, error: Exception, claim: str = "") -> None:
        await self._call("unpark", identity)


class ReadsItAgainAtOnce(CausalOrdering[Any]):
    """Is offered an event that it could not read again as soon as any other consumer is."""

    def _leave_to_others(self, identity: str) -> None:
        """Leave nothing to others."""


class AskedTogether(Asked):
    """A question that says of no event that it is large."""

    @property
    def is_large(self) -> bool:
        """Whether it is to be asked about by itself: never."""
        return False


class AsksTogetherAboutLargeEvents(CausalOrdering[Any]):
    """Asks about an event of any size in one request with others."""

    def _asked(self, event: Any, token: str, **options: Any) -> Asked:
        return AskedTogether(*super()._asked(event, token, **options))


class StopsAtWhatIsNoEvent(CausalOrdering[Any]):
    """Takes for granted that a batch has nothing but events."""

    async def handle_batch(self, handler: Any, events: Any) -> Any:
        """Handle a batch. Raises what reading an id or a time raises."""
        for event in events:
            order_of(event)
        return await super().handle_batch(handler, events)


class IgnoresQueueErrors(CausalOrdering[Any]):
    """Says that it has taken note of an event that the queue has given up, and has not."""

    async def give_up(self, event: Any, reason: str = "") -> bool:
        """Do nothing."""
        return True


class SaysNothingOfLosses(CausalOrdering[Any]):
    """Goes on if the payload of an event is gone, and does not report it."""

    def _log_missing_payload(self, identity: str) -> None:
        """Log nothing."""
