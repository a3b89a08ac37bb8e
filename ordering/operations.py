"""The interface of an ordering for operators: its numbers, and its dead letters.

1. A dead letter is written in the step that gives the event up, together with a note that it was not reported.
2. The consumer that has reported it removes the note.
3. A sweep finds the notes that are left. So each dead letter is reported at least once.
"""

from __future__ import annotations

import asyncio
import inspect
import logging
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from functools import cached_property
from typing import Any
from uuid import UUID

from ordering.describing import describe
from ordering.leases import UNREADABLE_LEASES, ProcessState, is_own_failure, state_of
from ordering.letters import DeadLetter, read_letter
from ordering.observing import Notifier
from ordering.policy import Policy
from ordering.scripts import text, words
from ordering.shielding import REFUSALS
from ordering.terms import digest_of, id_of, leader_of, milliseconds, occurred_at, rules_of

logger = logging.getLogger(__name__)

OnDeadLetter = Callable[[DeadLetter], Awaitable[object] | object]
"""Called with each dead letter, at least once; if it raises or is not done after a lease, again by a later sweep."""


@dataclass(frozen=True, slots=True)
class Stats:
    """The numbers of a scope, of all its consumers together."""

    parked: int
    """Events that the engine keeps, whose messages were acknowledged: all of the following but the dead and in hand."""
    claimed: int
    """Of those, events that a consumer has, or that rest after a failure."""
    overdue: int
    """Of those, events whose leader has not come within the lookback, which a sweep has not found."""
    unreadable: int
    """Of those, events that a consumer could not read."""
    in_hand: int
    """Events that a consumer holds the lease on, parked or not."""
    releasing: int
    """Leaders that were handled, and have followers that wait for their turn."""
    dead: int
    """Dead letters that were neither retried nor discarded."""
    oldest: datetime | None
    """Since when the parked event has waited that has waited for the longest."""

    def as_dict(self) -> dict[str, Any]:
        """Return the numbers as plain data."""
        return asdict(self) | {"oldest": self.oldest.isoformat() if self.oldest else None}

    @staticmethod
    def read(reply: Sequence[int]) -> Stats:
        """Return the numbers from the script's reply."""
        *numbers, oldest = map(int, reply)
        since = datetime.fromtimestamp(oldest / 1000, UTC) if oldest >= 0 else None
        names = [name for name in Stats.__slots__ if name != "oldest"]
        return Stats(**dict(zip(names, numbers, strict=True)), oldest=since)

    @staticmethod
    def total(parts: Sequence[Stats]) -> Stats:
        """Return the numbers of several scopes together."""
        names = [name for name in Stats.__slots__ if name != "oldest"]
        sums = {name: sum(getattr(part, name) for part in parts) for name in names}
        return Stats(**sums, oldest=min((part.oldest for part in parts if part.oldest), default=None))


class Operations:
    """The part of an ordering that is for its operators."""

    scope: str
    redis: Any
    policy: Policy
    _notify: Notifier
    _on_dead_letter: OnDeadLetter | None
    _call: Callable[..., Awaitable[Any]]
    _ask: Callable[..., Awaitable[Any]]
    _key: Callable[[str], str]
    _now: Callable[[], float]
    _token: Callable[[], str]

    _read: tuple[Policy | None, bytes, float] = (None, b"", 0.0)
    """The policy that was read last, its numbers, and its lease in seconds: each event asks for them several times."""

    @cached_property
    def _state(self) -> ProcessState:
        """The memory of this process; it outlives this object, which some callers make for every event."""
        return state_of(self.redis, self.scope)

    def _read_policy(self) -> tuple[Policy | None, bytes, float]:
        policy = self.policy  # the drop-in's may be another one each time: its constants may change
        if self._read[0] is not policy:
            self._read = policy, rules_of(policy), policy.lease.total_seconds()
        return self._read

    @property
    def _rules(self) -> bytes:
        """The policy's numbers, as the scripts read them: those of now, as the policy may change."""
        return self._read_policy()[1]

    @property
    def _lease_s(self) -> float:
        """The lease, in seconds: after a cancellation, nothing takes longer."""
        return self._read_policy()[2]

    async def _look(self, what: str, *ids: str, once: bool = False) -> list[Any]:
        """Return what the scope's keys say about some events, as the script `look` reads it."""
        return list(await self._call("look", what, *ids, once=once))

    async def stats(self) -> Stats:
        """Return the scope's numbers, in one round trip."""
        times = (milliseconds(self.policy.lookback), milliseconds(self.policy.dead_retention))
        return Stats.read(await self._call("stats", *times))

    async def dead_letters(self, *, limit: int = 100, first: int = 0) -> list[DeadLetter]:
        """Return dead letters, the oldest first: at most `limit`, after the `first` ones."""
        if limit < 1:
            return []
        rows = await self._call("letters", first, first + limit - 1)
        return [letter for _, raw in rows if (letter := read_letter(raw))]

    async def dead_letter(self, event: UUID | str | Any) -> DeadLetter | None:
        """Return the dead letter of an event, or of an id; None if there is none."""
        [raw] = await self._look("dead", id_of(event))
        return read_letter(raw)

    async def retry(self, event: UUID | str | Any) -> bool:
        """Offer a dead event again, to the next sweep, with all its attempts; return False if it is not dead.

        A client that repeats the request by itself, because the reply was lost, gets the same answer.
        """
        answer = await self._call("revive", id_of(event), self._token(), milliseconds(self.policy.lease))
        return words(answer)[0] == "revived"

    async def discard(self, event: UUID | str | Any) -> bool:
        """Throw a dead letter away; return False if there is none. The event counts as handled.

        A client that repeats the request by itself, because the reply was lost, gets the same answer.
        """
        identity, policy = id_of(event), self.policy
        times = (milliseconds(policy.retention), milliseconds(policy.memory), milliseconds(policy.lease))
        reply = await self._call("discard", identity, self._token(), *times, digest_of(identity))
        return words(reply)[0] == "discarded"

    async def give_up(self, event: Any, reason: str = "given up by the queue") -> bool:
        """Record that the queue will not offer an event again: its followers need not wait for it.

        Any sweep finds them from now on. The event becomes a dead letter of the engine, to be retried or discarded.
        Return False if it was handled, or is held by a consumer: then nothing is given up.
        """
        given_up = await self._give_up(event, reason, report=False)
        if given_up:
            self._notify("dead", id_of(event))
        return given_up

    async def _give_up(self, event: Any, reason: str, *, report: bool) -> bool:
        about = (id_of(event), leader_of(event), occurred_at(event), reason, "", event.model_dump_json(), int(report))
        answer = words(await self._call("give_up", self._rules, *about))
        return answer[0] == "dead"

    async def _give_up_exhausted(self, event: Any) -> bool:
        """Give an event up that was granted as often as it may be, and never given back: it kills its processes.

        Return False if that is not so any more: another consumer has it, or an operator has retried it.
        """
        given_up = await self._give_up(event, "exhausted", report=True)
        if given_up:
            await self._report_dead_letter(id_of(event))
        return given_up

    async def _report_dead_letter(self, identity: str) -> None:
        """Report a dead letter that this process has written. If Redis refuses, a sweep does it."""
        try:
            [raw] = await self._look("dead", identity)
            await self._report_and_clear(identity, raw)
        except REFUSALS as refusal:
            self._log_unreported(identity, refusal)

    def _log_unreported(self, identity: str, refusal: Exception) -> None:
        logger.warning("Of dead event %s of scope %r, a later sweep reports: %s", identity, self.scope, refusal)

    async def _report_found(self, letters: Iterable[tuple[str, bytes | str]]) -> None:
        """Report dead letters that a sweep has found, for a lease's time in all: those left are for later sweeps.

        The events that the sweep has claimed for its caller wait for the end of this, and no refusal withholds them.
        """
        end = self._now() + self._lease_s
        for identity, raw in letters:
            if self._now() >= end:
                return
            try:
                await self._report_and_clear(identity, raw, end)
            except REFUSALS as refusal:
                self._log_unreported(identity, refusal)
                return

    async def _report_and_clear(self, identity: str, raw: bytes | str, end: float | None = None) -> None:
        letter = read_letter(raw)
        if letter is not None and not await self._is_reported(letter, end or self._now() + self._lease_s):
            return
        await self._ask("ZREM", self._key("untold"), identity)

    async def _is_reported(self, letter: DeadLetter, end: float) -> bool:
        """Report a dead letter to the log, the observer and the user's callback; return whether the callback has
        succeeded until `end`, in the loop's time.
        """
        logger.error(
            "Event %s of scope %r was given up after %s failed attempts: %s%s; it is kept under %s until it is retried "
            "or discarded, and its followers are released",
            letter.id,
            self.scope,
            letter.attempts,
            letter.why,
            f" ({letter.error})" if letter.error else "",
            self._key(f"dead:{letter.id}"),
            extra={"event_id": letter.id, "follows": letter.follows, "scope": self.scope},
        )
        self._notify("dead", letter.id)
        if self._on_dead_letter is None:
            return True
        limit = asyncio.timeout_at(end)  # a callback that never returns would hold its sweep for ever
        try:
            async with limit:
                reported = self._on_dead_letter(letter)
                if inspect.isawaitable(reported):
                    await reported
        except BaseException as error:
            if not is_own_failure(error):
                raise
            said = "it was not done after a lease" if limit.expired() else describe(error)
            message = "on_dead_letter of scope %r has failed for event %s (%s); a later sweep calls it again"
            logger.warning(message, self.scope, letter.id, said)
            return False
        return True

    def _log_missing_payload(self, identity: str) -> None:
        message = "Event %s of scope %r was parked, but what it said is gone from Redis; it cannot be handled"
        logger.error(message, identity, self.scope)

    def _leave_to_others(self, identity: str) -> None:
        """Have others come first, in the next sweeps of this process, with an event that it could not read."""
        timeout_s = self.policy.retry_delay.total_seconds() + UNREADABLE_LEASES * self._lease_s
        self._state.leave_to_others(identity, self._now() + timeout_s)

    async def _unread(self, identity: str, token: str, error: Exception, claim: str = "") -> None:
        """Leave an event to others that this process cannot read; at the last attempt, it is a dead letter."""
        policy, said = self.policy, describe(error)
        self._leave_to_others(identity)
        about = (identity, token, "unread", milliseconds(policy.retry_delay), said, claim)
        try:
            reply = words(await self._call("fail", self._rules, *about))
        except REFUSALS as refusal:  # no reason to withhold what else a sweep has found
            message = "Event %s of scope %r cannot be read (%s) or given back (%s); it is offered to others in a lease"
            logger.warning(message, identity, self.scope, said, refusal)
            return
        if reply[0] == "retry":
            logger.error(
                "Event %s of scope %r cannot be read from Redis (%s), at attempt %s of %s; it stays there, under %s, "
                "and is offered to others",
                identity,
                self.scope,
                said,
                text(reply[1]),
                policy.max_attempts,
                self._key(f"event:{identity}"),
                extra={"event_id": identity, "scope": self.scope},
            )
        elif reply[0] == "dead":
            await self._report_dead_letter(identity)
