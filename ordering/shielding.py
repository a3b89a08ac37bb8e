"""What has begun on the server is brought to its end, also when the consumer is stopped meanwhile, or Redis refuses.

A consumer that is shut down in good order cancels its tasks. A cancellation between a request and its reply would
leave an effect unrecorded, or a lease with nobody who knows of it. So would a Redis that refuses a completion, short of
memory or in the middle of a failover. Every script gives the same token the same answer, so whoever was stopped or
refused asks again, and then knows.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from redis.exceptions import (
    ClusterDownError,
    ConnectionError,  # noqa: A004
    OutOfMemoryError,
    ReadOnlyError,
    ResponseError,
    TimeoutError,  # noqa: A004
    TryAgainError,
)

from ordering.errors import REFUSALS
from ordering.waiting import INSTANT

Answer = TypeVar("Answer")

_PASSING = (ConnectionError, TimeoutError, OSError, ClusterDownError, OutOfMemoryError, ReadOnlyError, TryAgainError)
_PASSING_CODES = ("BUSY", "MISCONF", "NOREPLICAS")
_FIRST_PAUSE, _LONGEST_PAUSE = 0.1, 1.0


def passes(refusal: Exception) -> bool:
    """Return whether Redis may say otherwise in a moment; an error of a script, or of a permission, stays."""
    if isinstance(refusal, ResponseError) and str(refusal).startswith(_PASSING_CODES):
        return True
    return isinstance(refusal, _PASSING)


async def asked_until_answered(ask: Callable[[], Awaitable[Answer]], patience: float) -> Answer:
    """Return the answer to a request that was refused before: ask again for so many seconds, then raise the refusal."""
    clock = asyncio.get_running_loop().time
    end, pause = clock() + patience, _FIRST_PAUSE
    while True:
        await asyncio.sleep(min(pause, max(INSTANT, end - clock())))
        pause = min(2 * pause, _LONGEST_PAUSE)
        try:
            return await ask()
        except REFUSALS as refusal:
            if not passes(refusal) or clock() >= end:
                raise


async def brought_to_its_end(
    ask: Callable[[], Awaitable[Answer]], undo: Callable[[Answer], Awaitable[object]] | None = None
) -> Answer:
    """Return the answer to a request. If cancelled meanwhile, ask again, undo what the answer gave, and end then.

    A second cancellation ends it at once.
    """
    try:
        return await ask()
    except asyncio.CancelledError:
        answer = await ask()
        if undo is not None:
            await undo(answer)
        raise
