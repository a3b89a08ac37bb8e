"""Events one by one from a stream: one event is completed and the next one begun in the same round trip.

A consumer that has its events at hand, as an iterator, hands that over. The promises are those of one event at a time:
a crash repeats at most the effect of the event that was being completed, and at most one event is leased ahead, kept
alive while its turn comes, and given back when the stream is stopped.

1. The stream reads ahead, `read_ahead` events at most. Events that are only read are not leased.
2. When an event's handler is done, one script completes it. If that releases followers, they are handled first.
3. If nothing is left to go on with, the same script decides about the next events of the stream, until it has granted
   one. Those before it were parked, were seen, or are held.
4. The number of events offered to the script depends on the numbers last taken: one if events come in order.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import islice
from typing import Any

from ordering.describing import describe
from ordering.drain import Drain
from ordering.handled_alone import asked_of, outcome_of, refused
from ordering.leases import Grant, is_own_failure
from ordering.requests import E, Handler, Outcome, Requests
from ordering.scripts import words
from ordering.shielding import REFUSALS, bounded, brought_to_its_end, end_after
from ordering.terms import Asked, id_of, listed

logger = logging.getLogger(__name__)
READ_AHEAD = 64
"""Events that are read ahead of the one that is being handled, unless the caller says otherwise."""
MAX_OFFERED = 32
"""Events that one script decides about: those behind the one that it grants have travelled for nothing."""

Report = Callable[[E, Outcome], Awaitable[object]]
"""Takes an event of the stream and its outcome, once that is certain: the place to acknowledge its message."""


async def handle_stream(
    ordering: Requests[Any],
    handler: Handler[Any],
    events: AsyncIterable[Any] | Iterable[Any],
    report: Report[Any],
    read_ahead: int = READ_AHEAD,
) -> None:
    """Handle the events of a stream and the followers that they release, one by one; return when the stream ends.

    Args:
        ordering: the engine.
        handler: called with each event that may be handled now, and with the followers that those release. It need
            not enter the engine again.
        events: the stream. It is read from a task of its own if it is asynchronous.
        report: called with each event and its outcome. The outcomes are those of a batch.
        read_ahead: number of events that are read ahead, at least 1.

    An exception of the handler concerns its event alone, and so does an event that cannot be written down. An
    exception of the stream is raised when the events read before it are done. Raises ValueError, the client's errors
    when Redis does not answer, and the exceptions of `report`, too. Events that were not reported by then are to be
    offered again.
    """
    if read_ahead < 1:
        raise ValueError(f"read_ahead must be at least 1, not {read_ahead}")
    source = ReadAhead(events, read_ahead)
    try:
        await _Stream(ordering, handler, source, report).run(None)
    except BaseException as error:
        async with bounded(error, ordering._lease_s):
            await source.close(ordering._lease_s)
        raise


@dataclass(slots=True, eq=False)
class _Item:
    """An event that was read ahead, and the question to the script about it, always under the same token."""

    event: Any
    identity: str
    """The event's id, empty if it has none."""
    asked: Asked | None = None
    impossible: bool = False
    """Whether it cannot be written down."""


def _identity_of(event: Any) -> str:
    try:
        return id_of(event)
    except Exception:  # it is raised when the event is asked for
        return ""


class ReadAhead:
    """Reads a stream ahead of its consumer, some events at most: an asynchronous one in a task of its own."""

    def __init__(self, events: AsyncIterable[Any] | Iterable[Any], limit: int) -> None:
        self.items: deque[_Item] = deque()
        self._limit = limit
        self._ended = self._closed = False
        self._error: BaseException | None = None
        self._changed = asyncio.Event()
        self._iterator: Iterator[Any] | None = None
        self._task: asyncio.Task[None] | None = None
        if isinstance(events, AsyncIterable):
            self._task = asyncio.get_running_loop().create_task(self._read(events))
        else:
            self._iterator = iter(events)

    async def _read(self, events: AsyncIterable[Any]) -> None:
        iterator: Any = None
        try:
            iterator = aiter(events)
            async for event in iterator:
                if self._closed:  # the stream has swallowed the cancellation
                    break
                self.items.append(_Item(event, _identity_of(event)))
                self._changed.set()
                while len(self.items) >= self._limit:
                    self._changed.clear()
                    await self._changed.wait()
        except asyncio.CancelledError as error:
            if is_own_failure(error):  # not by `close`: something that the stream waits for was cancelled
                self._error = error
        except Exception as error:
            self._error = error
        finally:
            if self._closed:
                await _end(iterator)
            self._ended = True
            self._changed.set()

    def top_up(self) -> None:
        """Read up to the limit: a plain iterator now, an asynchronous one as soon as its task has its turn.

        That one goes on when half of the events are taken: to wake its task for each event costs more than reading.
        """
        if self._iterator is None:
            if len(self.items) <= self._limit // 2:
                self._changed.set()
            return
        try:
            for event in self._iterator:
                self.items.append(_Item(event, _identity_of(event)))
                if len(self.items) >= self._limit:
                    return
        except BaseException as error:  # raised in its turn: an event may be waiting to be completed
            self._error = error
            if not isinstance(error, Exception):  # the process is to stop: nothing more is begun
                self.items.clear()
        self._ended = True

    async def wait(self) -> bool:
        """Wait for an event; return False if none will come. Raises what reading the stream has raised."""
        if not self.items and not self._ended:
            self.top_up()
        while not self.items:
            if self._error is not None:
                raise self._error
            if self._ended:
                return False
            self._changed.clear()
            await self._changed.wait()
        return True

    async def __aiter__(self) -> AsyncIterator[Any]:
        while await self.wait():
            yield self.items.popleft().event

    async def close(self, timeout_s: float) -> None:
        """Stop reading, and wait for so many seconds at most until what the stream does at its end is done."""
        self._closed = True
        if self._task is None:
            return
        self._task.cancel()
        _, pending = await asyncio.wait([self._task], timeout=timeout_s)
        if pending:
            logger.warning("A stream was cancelled, and has not ended within %s s; it is left alone", timeout_s)


async def _end(iterator: Any) -> None:
    """Have a stream that waits for its reader do what it does at its end: the reader is cancelled, not it."""
    aclose = getattr(iterator, "aclose", None)
    try:
        if aclose is not None:
            await aclose()
    except Exception as error:
        logger.warning("A stream has failed at its end: %s", describe(error))


class _Stream(Drain):
    """A drain whose lowest queue is the stream: followers of an event go before the next one of the stream."""

    def __init__(self, ordering: Requests[Any], handler: Handler[Any], source: ReadAhead, report: Report[Any]) -> None:
        super().__init__(ordering, handler, 0, ())
        self._source = source
        self._report = report
        self._outcomes: list[tuple[Any, Outcome]] = []
        """Outcomes that are certain and not reported yet, with their events."""
        self._exhausted: set[str] = set()
        """The ids of those of them that are to be given up before: their handlers have killed their processes."""
        self._answers: tuple[Sequence[Asked], Sequence[Any]] = ((), ())
        """A script's answers about the next events that were offered, not read yet."""
        self._own: Grant | None = None
        """The event of the stream that is being handled, or whose followers are."""
        self._width = 1
        self._taken = 0
        """Number of events that the scripts have taken of the stream since they granted the last one."""

    async def _next(self) -> tuple[Grant | None, int]:
        """Take the next event that was released; if there is none, the next one of the stream."""
        while True:
            self._own = self._read()
            if self._own is not None:
                return self._own, 0
            grant, level = await super()._next()
            if grant is not None:
                return grant, level
            await self._report_outcomes()
            if not await self._source.wait():
                return None, 0
            await self._begin()

    async def _prepare(self) -> None:
        await self._report_outcomes()

    def _settle(self, grant: Grant, outcome: Outcome) -> None:
        if grant is self._own:
            self._outcomes.append((grant.event, outcome))

    async def _report_outcomes(self) -> None:
        while self._outcomes:
            event, outcome = self._outcomes[0]
            if self._exhausted and (identity := _identity_of(event)) in self._exhausted:
                if not await self._ordering._give_up_exhausted(event):
                    outcome = "held"
                self._exhausted.discard(identity)
            self._outcomes.pop(0)
            await self._report(event, outcome)

    # -- beginning -------------------------------------------------------------------------------------------

    async def _completed(self, grant: Grant, following: str, level: int) -> list[str]:
        """Complete an event. If nothing is left to go on with, the next one of the stream is begun with it."""
        offered = self._offer(grant.identity) if len(self._stack) <= 1 else []
        if not offered:
            return await super()._completed(grant, following, level)
        ordering, queues = self._ordering, self._queues
        self._asked_at = ordering._now()
        try:
            completion, *answers = await ordering._complete(grant, queues, following, offered)
        except asyncio.CancelledError as stopped:

            async def give_back(answer: Any) -> None:
                await self._give_back(words(answer[0]), following, grant.identity, level)
                await self._return(offered, answer[1:])

            ask = partial(ordering._complete, grant, queues, following, offered)
            await end_after(stopped, ask, ordering._lease_s, give_back)
            raise
        self._answers = offered, answers
        return words(completion)

    async def _begin(self) -> None:
        """Begin the next event of the stream by itself."""
        ordering = self._ordering
        offered = self._offer("")
        if not offered:
            await asyncio.sleep(0)  # a stream of nothing but events that are held would keep others from ending them
            return
        nothing = ("",) * 6
        ask = partial(ordering._call, "complete_and_begin", ordering._rules, *nothing, *listed(offered))

        async def give_back(answer: Any) -> None:
            await self._return(offered, answer[1:])

        self._asked_at = ordering._now()
        try:
            _, *answers = await brought_to_its_end(ask, ordering._lease_s, give_back)
        except REFUSALS as refusal:
            if not offered[0].is_large:
                raise
            event = self._source.items.popleft().event
            self._outcomes.append((event, refused(ordering, event, refusal)))
        else:
            self._answers = offered, answers

    def _offer(self, completed: str) -> list[Asked]:
        """Return the questions to the script about the next events, as many as it is likely to take.

        An event that this process still handles is `held` and not offered; the event that is being completed may come
        again behind itself.
        """
        items, offered = self._source.items, list[Asked]()
        self._source.top_up()
        while items and not completed and (outcome := self._unasked(items[0], completed)):
            if outcome == "held":
                self._ordering._notify("refused", items[0].identity)
            self._outcomes.append((items.popleft().event, outcome))
        for item in islice(items, self._width):
            if self._unasked(item, completed) or item.asked is None:
                break
            if item.asked.is_large:  # by itself
                return offered or ([] if completed else [item.asked])
            offered.append(item.asked)
        return offered

    def _unasked(self, item: _Item, completed: str) -> Outcome | None:
        """Return the outcome of an event for which no script is called; None if one is called for it."""
        ordering, identity = self._ordering, item.identity
        if identity != completed and ordering._works_on(identity):
            return "held"
        if item.asked is None and not item.impossible:
            item.asked = asked_of(ordering, item.event)
            item.impossible = item.asked is None
            if not item.impossible:
                ordering._forget_claim_group(item.event)
        return "failed" if item.impossible else None

    def _read(self) -> Grant | None:
        """Note what the script has decided about the first of those that were offered; return what it has granted."""
        ordering, granted = self._ordering, None
        (offered, answers), self._answers = self._answers, ((), ())
        for one, reply in zip(offered, answers, strict=False):
            event = self._source.items.popleft().event
            answer, granted = ordering._answered(event, one, words(reply), self._asked_at)
            word, *rest = answer.split()
            if granted is not None:
                granted.handed = True
                self._stack += [(leader, token, 0) for leader, token in ordering._came_along(event)]
            else:
                if word == "exhausted":
                    self._exhausted.add(one.identity)
                    word = "dead"
                self._outcomes.append((event, outcome_of(word)))
                if answer.startswith("drain"):
                    self._stack.append((one.leader, rest[0], 0))
        self._taken += len(answers)
        if granted is not None:
            self._width, self._taken = min(MAX_OFFERED, self._taken), 0
        elif offered and len(answers) == len(offered):
            self._width = min(MAX_OFFERED, 2 * self._width)
        return granted

    async def _return(self, offered: Sequence[Asked], answers: Sequence[Any]) -> None:
        """Give back what was begun for a stream that was stopped meanwhile; its queues are left by `run`."""
        self._answers = offered, answers
        if (granted := self._read()) is not None:
            await self._ordering._fail(granted, counts=False)
