"""The engine of this project, given many events at a time: those of a consumer's workers within a moment."""

from __future__ import annotations

import asyncio
from typing import Any

from simulation.engines import EngineContext, Interrupted, Outcome
from simulation.engines.interruption import CancelledIn
from simulation.engines.native import NativeEngine

MOMENT = 0.002
"""Time for which the first event of a batch waits for others, in seconds."""
INTERRUPTED = "interrupted"
"""The outcome in a cancelled batch of events whose own handler was not cancelled."""
OUTCOMES: dict[str, Outcome] = {
    "handled": "handled",
    "parked": "parked",
    "seen": "seen",
    "dead": "seen",
    "held": "busy",
}


class BatchFailed(Exception):
    """The handler of an event of a batch failed, or its lease was lost: the event is to be offered again."""


class BatchEngine(NativeEngine):
    """One consumer of `ordering` that hands over batches."""

    def __init__(self, context: EngineContext) -> None:
        super().__init__(context)
        self._batch: list[tuple[Any, asyncio.Future[Outcome]]] = []
        self._effect = self._cancelled_in = CancelledIn(context.effect)

    async def handle(self, event: Any) -> Outcome:
        """Handle one delivery together with others that come within a moment."""
        done: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        self._batch.append((event, done))
        if len(self._batch) == 1:
            await asyncio.sleep(MOMENT)
            batch, self._batch = self._batch, []
            await self._handle_all(batch)
        return await done

    async def sweep(self) -> int:
        """Handle the events whose leader did not come."""
        lost = await self._ordering.get_lost_followers()
        if lost:
            await self._ordering.handle_batch(self._handler, lost)
        return len(lost)

    async def _handle_all(self, batch: list[tuple[Any, asyncio.Future[Outcome]]]) -> None:
        words: list[str] = []  # no caller may wait for ever, however it ends
        try:
            words = await self._ordering.handle_batch(self._handler, [event for event, _ in batch])
        except Exception as error:
            words = [repr(error)] * len(batch)
        finally:
            words = words or [self._end_of_cancelled(event) for event, _ in batch]
            for word, (_, done) in zip(words, batch, strict=True):
                _settle(done, word)

    def _end_of_cancelled(self, event: Any) -> str:
        return "cancelled" if self._cancelled_in.failed(event) else INTERRUPTED


def _settle(done: asyncio.Future[Outcome], word: str) -> None:
    if done.done():  # the waiting caller was cancelled
        return
    if word in OUTCOMES:
        done.set_result(OUTCOMES[word])
    else:
        done.set_exception(Interrupted() if word == INTERRUPTED else BatchFailed(word))
        done.exception()  # the caller that has handed over the batch does not look at it if it was cancelled
