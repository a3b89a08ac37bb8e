"""One scope spread over several hash slots, so that the nodes of a Redis Cluster share its load.

Keys that an ordering uses at once must lie in one hash slot, so one `CausalOrdering` is the load of one node. Chains of
events that have nothing to do with each other need not be decided together: here each event belongs to one of several
orderings, its partition, by a rule that the user chooses.

The rule must put an event and the one that it follows into the same partition. Prefect's events follow events of the
same resource, so `by_resource` does; a rule that names the root of an event's chain does too. A follower that its rule
has put apart from its leader waits for the lookback, as for a leader that never came, and is reported then.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable, Collection, Iterable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from hashlib import sha1
from typing import Any, Final, TypeVar
from uuid import UUID

from ordering.causal import CausalOrdering, EventProcessingCompletion
from ordering.describing import describe
from ordering.letters import DeadLetter
from ordering.operations import Stats
from ordering.requests import Handler, Outcome
from ordering.shielding import REFUSALS, bounded
from ordering.stream import READ_AHEAD, ReadAhead, Report
from ordering.terms import leader_of, order_of

logger = logging.getLogger(__name__)
Answer = TypeVar("Answer")
_ENDED: Final = object()
MAX_PARTITIONS = 16_384
"""The slots of a cluster: more partitions share them, and cost each sweep a request."""


def by_resource(event: Any) -> str:
    """Return the id of the resource that an event is about, as Prefect's events name it.

    Raises ValueError if it names none.
    """
    identity = event.resource.get("prefect.resource.id")
    if (
        not identity
    ):  # all such events would share one partition, and the reason for the uneven load would be hard to find
        raise ValueError(f"event {event.id} names no resource: give PartitionedOrdering a rule of your own, by=…")
    return str(identity)


class PartitionedOrdering:
    """An ordering with the interface of `CausalOrdering`, of which each event belongs to one of several partitions.

    Args:
        scope: separates this ordering from others on the same cluster.
        partitions: number of partitions. All consumers must agree; to change it, let the waitlist run empty first.
        by: a rule that names the group of an event; events of the same group are in the same partition.
        options: the arguments of every partition: `redis`, `policy`, `event_type`, `token`.

    Raises ValueError if there is no partition.
    """

    ordering: type[CausalOrdering[Any]] = CausalOrdering
    """The class of each partition."""

    def __init__(self, scope: str, *, partitions: int, by: Callable[[Any], str] = by_resource, **options: Any) -> None:
        if not 1 <= partitions <= MAX_PARTITIONS:
            raise ValueError(f"partitions must be at least 1 and at most {MAX_PARTITIONS}, not {partitions}")
        self.scope = scope
        self.partitions = [self.ordering(f"{scope}:{i}", **options) for i in range(partitions)]
        self._by = by

    def partition_of(self, event: Any) -> CausalOrdering[Any]:
        """Return the ordering that an event belongs to: the same in every process."""
        name = str(self._by(event)).encode()
        return self.partitions[int(sha1(name, usedforsecurity=False).hexdigest()[:8], 16) % len(self.partitions)]

    def _partition_if_any(self, event: Any) -> CausalOrdering[Any] | None:
        """Return the ordering that an event of many belongs to; None, and log why, if the rule cannot say."""
        try:
            return self.partition_of(event)
        except Exception as error:
            message = "Event %s of scope %r cannot be handled: the rule that divides events has failed (%s)"
            logger.error(message, getattr(event, "id", ""), self.scope, describe(error))
            return None

    # -- one step at a time ----------------------------------------------------------------------------------

    async def event_has_been_seen(self, event: UUID | Any) -> bool:
        """Return whether the event was handled, as far as that is remembered."""
        return any(await _all(p.event_has_been_seen(event) for p in self._where(event)))

    async def event_has_started_processing(self, event: UUID | Any) -> bool:
        """Return whether the event is held."""
        return any(await _all(p.event_has_started_processing(event) for p in self._where(event)))

    def _where(self, event: UUID | str | Any) -> Sequence[CausalOrdering[Any]]:
        """Return the partitions in which an event may be: an id alone says nothing about it."""
        return self.partitions if isinstance(event, UUID | str) else [self.partition_of(event)]

    async def record_event_as_processing(self, event: Any) -> bool:
        """Take the lease on an event, without regard to its leader; return False if it is held or was handled."""
        return await self.partition_of(event).record_event_as_processing(event)

    async def forget_event_is_processing(self, event: Any) -> None:
        """Give the lease on an event back, if it is ours."""
        await self.partition_of(event).forget_event_is_processing(event)

    async def record_event_as_seen(self, event: Any) -> None:
        """Remember that an event was handled."""
        await self.partition_of(event).record_event_as_seen(event)

    async def record_follower(self, event: Any) -> None:
        """Park an event until the one that it follows was handled."""
        await self.partition_of(event).record_follower(event)

    async def forget_follower(self, follower: Any) -> None:
        """Forget that an event is parked."""
        await self.partition_of(follower).forget_follower(follower)

    async def get_followers(self, leader: Any) -> list[Any]:
        """Return the events that are parked behind this one, in the order they occurred."""
        return await self.partition_of(leader).get_followers(leader)

    async def followers_by_id(self, follower_ids: list[UUID]) -> list[Any]:
        """Return the parked events with these ids, in the order they occurred."""
        found = await _all(p.followers_by_id(follower_ids) for p in self.partitions)
        return sorted((event for events in found for event in events), key=order_of)

    async def complete_event_and_get_followers(self, event: Any) -> list[Any]:
        """Mark the event as handled, give its lease back, and claim its followers, in one step. Raises LeaseLost."""
        return await self.partition_of(event).complete_event_and_get_followers(event)

    async def get_lost_followers(self) -> list[Any]:
        """Return the overdue events of all partitions, claimed for the caller.

        A partition that cannot be reached is reported and left out. Raises its error if all of them cannot be reached.
        """
        asked = (p.get_lost_followers() for p in self.partitions)
        answers = await asyncio.gather(*asked, return_exceptions=True)
        lost: list[Any] = []
        errors: list[BaseException] = []
        for partition, answer in zip(self.partitions, answers, strict=True):
            if isinstance(answer, BaseException):
                errors.append(answer)
                logger.error(
                    "The sweep of scope %r failed, so its overdue followers are not returned: %r",
                    partition.scope,
                    answer,
                )
                continue
            lost += answer
            await self._report_misplaced(partition, answer)
        if len(errors) == len(self.partitions):
            raise errors[0]
        return sorted(lost, key=order_of)

    async def _report_misplaced(self, partition: CausalOrdering[Any], lost: Sequence[Any]) -> None:
        try:
            apart = await self._handled_apart(partition, dict.fromkeys(filter(None, map(leader_of, lost))))
        except REFUSALS as refusal:  # the events are claimed for the caller, and do not wait for a report
            logger.warning("Whether the rule of scope %r puts events apart is not known: %s", self.scope, refusal)
            return
        for event in lost:
            leader = leader_of(event)
            if leader in apart:
                logger.error(
                    "Event %s of scope %r has waited for %s, which was handled in another partition: "
                    "the rule that divides events puts an event and the one that it follows apart",
                    event.id,
                    self.scope,
                    leader,
                    extra={"event_id": str(event.id), "follows": leader, "scope": self.scope},
                )

    async def _handled_apart(self, partition: CausalOrdering[Any], leaders: Collection[str]) -> set[str]:
        """Return those of the leaders that were handled in other partitions than this one, in two round trips."""
        if not leaders:
            return set()
        here = await partition._look("seen", *leaders)
        left = [leader for leader, seen in zip(leaders, here, strict=True) if not seen]
        if not left:
            return set()
        found = await _all(p._look("seen", *left) for p in self.partitions)
        return {leader for answers in found for leader, seen in zip(left, answers, strict=True) if seen}

    # -- for operators ---------------------------------------------------------------------------------------

    async def stats(self) -> Stats:
        """Return the numbers of all partitions together; those of one are its own `stats()`."""
        return Stats.total(await _all(p.stats() for p in self.partitions))

    async def dead_letters(self, *, limit: int = 100, first: int = 0) -> list[DeadLetter]:
        """Return dead letters of all partitions, the oldest first: at most `limit`, after the `first` ones."""
        pages = await _all(p.dead_letters(limit=first + limit) for p in self.partitions)
        letters = sorted((letter for page in pages for letter in page), key=lambda letter: (letter.at, letter.id))
        return letters[first : first + limit]

    async def dead_letter(self, event: UUID | str | Any) -> DeadLetter | None:
        """Return the dead letter of an event, or of an id; None if there is none."""
        return next(filter(None, await _all(p.dead_letter(event) for p in self._where(event))), None)

    async def retry(self, event: UUID | str | Any) -> bool:
        """Offer a dead event again, to the next sweep; return False if it is not dead."""
        return any(await _all(p.retry(event) for p in self._where(event)))

    async def discard(self, event: UUID | str | Any) -> bool:
        """Throw a dead letter away; return False if there is none."""
        return any(await _all(p.discard(event) for p in self._where(event)))

    async def give_up(self, event: Any, reason: str = "given up by the queue") -> bool:
        """Record that the queue will not offer an event again; see `CausalOrdering.give_up`."""
        return await self.partition_of(event).give_up(event, reason)

    # -- leaders in flight -----------------------------------------------------------------------------------

    async def wait_for_leader(self, event: Any) -> None:
        """Return if the event may be handled now, else park it. Raises EventArrivedEarly."""
        await self.partition_of(event).wait_for_leader(event)

    # -- the whole of it -------------------------------------------------------------------------------------

    @asynccontextmanager
    async def event_is_processing(self, event: Any) -> AsyncIterator[EventProcessingCompletion[Any]]:
        """Hold the lease on an event inside the context, and complete it after success."""
        async with self.partition_of(event).event_is_processing(event) as completion:
            yield completion

    def preceding_event_confirmed(
        self, handler: Handler[Any], event: Any, depth: int = 0
    ) -> AbstractAsyncContextManager[None]:
        """Let the body handle the event, if what it follows was handled; then handle what it has released."""
        return self.partition_of(event).preceding_event_confirmed(handler, event, depth)

    async def handle_batch(self, handler: Handler[Any], events: Sequence[Any]) -> list[Outcome]:
        """Handle many events at once, those of different partitions at the same time; see `ordering.batch`.

        An event that the rule cannot place is `failed`, and no other.
        """
        parts: dict[CausalOrdering[Any], list[int]] = {}
        for place, event in enumerate(events):
            if (partition := self._partition_if_any(event)) is not None:
                parts.setdefault(partition, []).append(place)
        answers = await _all(
            partition.handle_batch(handler, [events[place] for place in places]) for partition, places in parts.items()
        )
        outcomes: list[Outcome] = ["failed"] * len(events)
        for places, words in zip(parts.values(), answers, strict=True):
            for place, word in zip(places, words, strict=True):
                outcomes[place] = word
        return outcomes

    async def handle_stream(
        self,
        handler: Handler[Any],
        events: AsyncIterable[Any] | Iterable[Any],
        report: Report[Any],
        *,
        read_ahead: int = READ_AHEAD,
    ) -> None:
        """Handle a stream: the events of a partition one by one, different partitions at the same time.

        So `report` may be called for several events at a time. A partition that has `read_ahead` events waiting for it
        keeps the stream from being read. An event that the rule cannot place is `failed`, and no other. Raises what
        `ordering.stream` does; the first error ends all partitions.
        """
        queues = {partition: asyncio.Queue[Any](max(1, read_ahead)) for partition in self.partitions}
        source, lease_s = ReadAhead(events, 1), self.partitions[0]._lease_s
        try:
            async with asyncio.TaskGroup() as group:
                for partition, queue in queues.items():
                    group.create_task(
                        partition.handle_stream(handler, _until_ended(queue), report, read_ahead=read_ahead)
                    )
                async for event in source:
                    if (place := self._partition_if_any(event)) is None:
                        await report(event, "failed")
                    else:
                        await queues[place].put(event)
                for queue in queues.values():
                    await queue.put(_ENDED)
        except BaseException as error:
            async with bounded(error, lease_s):
                await source.close(lease_s)
            if isinstance(error, BaseExceptionGroup):
                raise error.exceptions[0] from None
            raise


async def _until_ended(queue: asyncio.Queue[Any]) -> AsyncIterator[Any]:
    while (event := await queue.get()) is not _ENDED:
        yield event


async def _all(asked: Iterable[Awaitable[Answer]]) -> list[Answer]:
    """Ask several partitions at once; if one fails, end only when all have answered."""
    answers: list[Answer] = []
    for answer in await asyncio.gather(*asked, return_exceptions=True):
        if isinstance(answer, BaseException):
            raise answer
        answers.append(answer)
    return answers
