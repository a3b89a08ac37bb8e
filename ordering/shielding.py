"""What has begun on the server is brought to its end, also when the consumer is stopped meanwhile.

A consumer that is shut down in good order cancels its tasks. A cancellation between a request and its reply would leave
an effect unrecorded, or a lease with nobody who knows of it. Every script gives the same token the same answer, so
whoever was stopped asks again, and then knows.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

Answer = TypeVar("Answer")


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
