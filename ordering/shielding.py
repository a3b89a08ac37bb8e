"""What has begun on the server is brought to its end, also when the consumer is stopped meanwhile.

A consumer that is shut down in good order cancels its tasks. A cancellation between a request and its reply would leave
an effect unrecorded, or a lease with nobody who knows of it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, TypeVar

Answer = TypeVar("Answer")


async def brought_to_its_end(
    request: Coroutine[Any, Any, Answer], undo: Callable[[Answer], Awaitable[object]] | None = None
) -> Answer:
    """Return the answer to a request. If cancelled meanwhile, wait for the answer, undo what it gave, and end then.

    A second cancellation ends the wait.
    """
    try:
        asked = asyncio.get_running_loop().create_task(request)
    except RuntimeError:  # the loop has ended, and nobody will ask
        request.close()
        raise
    try:
        return await asyncio.shield(asked)
    except asyncio.CancelledError:
        if asked.cancelled():
            raise
        answer = await asked
        if undo is not None:
            await undo(answer)
        raise
