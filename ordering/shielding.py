"""Brings to its end what has begun on the server, also when the consumer is stopped meanwhile, or Redis refuses.

A consumer that is shut down in good order cancels its tasks. A cancellation between a request and its reply would
leave an effect unrecorded, or a lease that no process knows of. So would a Redis that refuses a completion: short of
memory, in the middle of a failover, or while a cluster moves the scope's slot. Every script gives the same token the
same answer, so a request that was stopped or refused is asked again.

Every call ends. A request that is not cancelled ends as the user's client ends it. After a cancellation, all that is
still asked, in however many layers, ends within one lease (`bounded`); what was granted then lapses by itself.
"""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from contextvars import ContextVar
from typing import TypeVar

from redis.exceptions import (
    ClusterDownError,
    ClusterError,
    ConnectionError,  # noqa: A004
    NoPermissionError,
    OutOfMemoryError,
    ReadOnlyError,
    RedisClusterException,
    RedisError,
    ResponseError,
    SlotNotCoveredError,
    TimeoutError,  # noqa: A004
    TryAgainError,
)

from ordering.waiting import INSTANT

Answer = TypeVar("Answer")

logger = logging.getLogger(__name__)

_CLOSING = (AttributeError, TypeError)
"""Raised by redis-py and by Python instead of an error of the network. A cluster client that learns of a moved slot
closes the connections of a node, also one that another task is opening just then (AttributeError), or is writing to
(TypeError, from the transports of Python 3.13.0)."""
REFUSALS = (RedisError, RedisClusterException, OSError, *_CLOSING)
"""Exceptions that a client raises instead of an answer."""
_MOVING = (ClusterDownError, ClusterError, SlotNotCoveredError, TryAgainError, *_CLOSING)
_BETWEEN_NODES_TEXTS = ("during rehashing of the slot", "access a non local key")
_MOVING_TEXTS = (*_BETWEEN_NODES_TEXTS, "while the cluster is down")
"""Error texts of scripts whose slot moves while they run; no version of Redis or Valkey has a code for them."""
_PASSING = (
    ConnectionError,
    TimeoutError,
    OSError,
    OutOfMemoryError,
    ReadOnlyError,
    NoPermissionError,
    RedisClusterException,
)
"""A permission was there when the event began: its user is being changed. The last is what a cluster client raises that
reaches none of its nodes."""
_PASSING_CODES = ("BUSY", "MISCONF", "NOREPLICAS")
_FIRST_PAUSE, _LONGEST_PAUSE = 0.1, 1.0
_DEADLINE = "ordering_must_end_by"
_must_end_by: ContextVar[float] = ContextVar("must_end_by", default=math.inf)
"""The deadline of cleanups in this context after a cancellation, in the loop's time."""


def is_moving(refusal: Exception) -> bool:
    """Return whether a cluster refused a request because it moves the slot, or has lost the node that had it."""
    return isinstance(refusal, _MOVING) or any(said in str(refusal) for said in _MOVING_TEXTS)


def is_between_nodes(refusal: Exception) -> bool:
    """Return whether a node refused a request because it has some of the slot's keys, and another node the rest."""
    ends_with_the_move = isinstance(refusal, TryAgainError) or "TTL exhausted" in str(refusal)
    return ends_with_the_move or any(said in str(refusal) for said in _BETWEEN_NODES_TEXTS)


def passes(refusal: Exception) -> bool:
    """Return whether Redis may say otherwise in a moment; an error of a script stays."""
    if isinstance(refusal, ResponseError) and str(refusal).startswith(_PASSING_CODES):
        return True
    return isinstance(refusal, _PASSING) or is_moving(refusal)


async def asked_again(
    ask: Callable[[], Awaitable[Answer]],
    timeout_s: float,
    again_if: Callable[[Exception], bool] = passes,
    outlasts: Callable[[Exception], bool] = lambda _: False,
) -> Answer:
    """Return the answer to a request that was refused before: ask again for so many seconds, then raise the refusal.

    The seconds start again with each refusal that `outlasts`.
    """
    clock = asyncio.get_running_loop().time
    end, pause = clock() + timeout_s, _FIRST_PAUSE
    while True:
        await asyncio.sleep(min(pause, max(INSTANT, end - clock())))
        pause = min(2 * pause, _LONGEST_PAUSE)
        try:
            return await ask()
        except REFUSALS as refusal:
            if outlasts(refusal):
                end = clock() + timeout_s
            if not again_if(refusal) or clock() >= end:
                raise


async def brought_to_its_end(
    ask: Callable[[], Awaitable[Answer]],
    timeout_s: float,
    undo: Callable[[Answer], Awaitable[object]] | None = None,
) -> Answer:
    """Return the answer to a request. If cancelled meanwhile, ask again, undo the effect of the answer, and end then.

    That takes `timeout_s` seconds at most. A second cancellation ends it at once.
    """
    try:
        return await ask()
    except asyncio.CancelledError as stopped:
        await end_after(stopped, ask, timeout_s, undo)
        raise


async def end_after(
    stopped: asyncio.CancelledError,
    ask: Callable[[], Awaitable[Answer]],
    timeout_s: float,
    undo: Callable[[Answer], Awaitable[object]] | None = None,
) -> None:
    """Ask again what a cancellation has interrupted, and undo what the answer gave, in so many seconds at most."""
    async with bounded(stopped, timeout_s):
        answer = await ask()
        if undo is not None:
            await undo(answer)


@asynccontextmanager
async def bounded(error: BaseException, timeout_s: float) -> AsyncIterator[None]:
    """Let the body clean up after an error. After a cancellation it ends in time, and no refusal hides it.

    The time is counted from where the cancellation was first seen: it travels with the exception, through every layer
    that has something to clean up. The end of that time is a cancellation, too, of the body's requests: they take no
    time of their own.
    """
    if not isinstance(error, asyncio.CancelledError):
        yield
        return
    deadline = vars(error).setdefault(_DEADLINE, asyncio.get_running_loop().time() + timeout_s)
    deadline = min(deadline, _must_end_by.get())
    before = _must_end_by.set(deadline)
    try:
        async with asyncio.timeout_at(deadline):
            yield
    except REFUSALS as refusal:  # the builtin TimeoutError of the limit is an OSError
        logger.warning(
            "Redis has not answered what was asked after a cancellation (%r, at most %s s); what was granted lapses",
            refusal,
            timeout_s,
        )
    finally:
        with suppress(ValueError):  # closed by the garbage collector, in another context, where nothing was set
            _must_end_by.reset(before)
