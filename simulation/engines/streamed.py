"""The engine of this project, given a stream: one event is completed and the next one begun in the same round trip.

The workers of a consumer feed one stream. The first of them drives it, in its own task, until no worker waits for an
outcome; so a fault that cancels a handler cancels its delivery, as with the other engines.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from typing import Any

from simulation.engines import EngineContext, Interrupted, Outcome
from simulation.engines.interruption import CancelledIn
from simulation.engines.native import NativeEngine

OUTCOMES: dict[str, Outcome] = {"handled": "handled", "parked": "parked", "seen": "seen", "held": "busy"}
INTERRUPTED = "interrupted"
"""The outcome in a cancelled stream of events whose own handler was not cancelled."""


class StreamFailed(Exception):
    """The handler of an event of the stream failed, its lease was lost, or the stream ended: offer the event again."""


class StreamEngine(NativeEngine):
    """One consumer of `ordering` that hands over a stream."""

    def __init__(self, context: EngineContext) -> None:
        super().__init__(context)
        self._effect = self._cancelled_in = CancelledIn(context.effect)
        self._arrived: deque[Any] = deque()
        self._outcomes: dict[int, tuple[Any, asyncio.Future[Outcome]]] = {}
        """Of each event object that has no outcome yet, by its address: the event, and the future of its outcome."""
        self._changed = asyncio.Event()
        self._driven = False

    async def handle(self, event: Any) -> Outcome:
        """Handle one delivery as a part of the consumer's stream."""
        outcome: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        self._outcomes[id(event)] = event, outcome
        self._arrived.append(event)
        self._changed.set()
        if not self._driven:
            await self._drive()
        return await outcome

    async def sweep(self) -> int:
        """Handle the events whose leader did not come."""
        lost = await self._ordering.get_lost_followers()

        async def ignore(event: Any, outcome: str) -> None:
            """A sweep acknowledges nothing: an event that failed waits for the next one."""

        await self._ordering.handle_stream(self._handler, lost, ignore)
        return len(lost)

    async def _drive(self) -> None:
        self._driven = True
        ended = ""
        try:
            while self._arrived:  # some may have come when the stream had ended, and its driver had not
                await self._ordering.handle_stream(self._handler, self._events(), self._report)
        except Exception as error:
            ended = repr(error)
        finally:
            self._driven = False
            self._arrived.clear()
            for event, outcome in self._outcomes.values():
                _settle(outcome, ended or self._end_of_cancelled(event))
            self._outcomes.clear()

    def _end_of_cancelled(self, event: Any) -> str:
        return "cancelled" if self._cancelled_in.failed(event) else INTERRUPTED

    async def _events(self) -> AsyncIterator[Any]:
        while self._outcomes:
            while self._arrived:
                yield self._arrived.popleft()
            self._changed.clear()
            await self._changed.wait()

    async def _report(self, event: Any, word: str) -> None:
        _, outcome = self._outcomes.pop(id(event))
        _settle(outcome, word)
        self._changed.set()


def _settle(outcome: asyncio.Future[Outcome], word: str) -> None:
    if outcome.done():  # the worker that waited for it was cancelled
        return
    if word in OUTCOMES:
        outcome.set_result(OUTCOMES[word])
    else:
        outcome.set_exception(Interrupted() if word == INTERRUPTED else StreamFailed(word))
        outcome.exception()  # a worker that drives the stream does not look at it if it was cancelled itself
