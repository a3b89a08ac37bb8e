"""Lines: connections of the client's own pool that are kept at hand for scripts.

Most of what a short request costs redis-py goes into taking a connection out of the pool, into timers and tasks for its
timeouts and into telling its observers. A line is a connection that was taken out once and stays out: the handshake,
the encryption, the decoding and the errors are redis-py's, and closing the client closes it. Where a line breaks, the
request goes the ordinary way, with all the retries that the client was given: a script gives the same token the same
answer, so it may have been executed before.

Whoever watches what a client sends (by a class of his own, or a patched `execute_command`), shares one connection, or
has a small pool, is served the ordinary way always; so is a client of a cluster.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

import hiredis
from redis.asyncio import Redis
from redis.exceptions import ConnectionError, ResponseError, TimeoutError  # noqa: A004

Word = str | int | bytes
Ask = Callable[..., Awaitable[Any]]
"""Sends one command, given as its words, and returns the reply as it came: clients reshape some, none of scripts."""

MOST = 32
"""How many lines a client has at most, and never more than half of its pool; what comes beside them goes the ordinary
way."""
_BROKEN = (ConnectionError, TimeoutError, OSError)
_ORDINARY = Redis.execute_command
_PLACE = "_lines_of_causal_ordering"


class Lines:
    """The lines of one client."""

    def __init__(self, pool: Any, most: int) -> None:
        self._pool = pool
        self._patience: float | None = pool.connection_kwargs.get("socket_timeout")
        self._free: list[Any] = []
        self._left = most

    async def ask(self, client: Any, *words: Word) -> Any:
        """Return the reply to one command, as it came. Raises what the client would raise."""
        line = self._free.pop() if self._free else await self._another()
        if line is not None:
            with suppress(*_BROKEN):
                return await self._ask_by(line, words)
        return await client.execute_command(*words)

    async def _ask_by(self, line: Any, words: Any) -> Any:
        whole = False
        try:
            async with asyncio.timeout(self._patience):
                await line.send_packed_command(hiredis.pack_command(words))
                reply = await line.read_response()
            whole = True
            return reply
        except ResponseError:
            whole = True
            raise
        finally:
            await self._put_back(line, whole)

    async def _another(self) -> Any:
        """Take one more connection out of the pool, if there may be one more."""
        if not self._left:
            return None
        self._left -= 1
        try:
            line = await self._pool.get_connection()
        except BaseException:
            self._left += 1
            raise
        line.socket_timeout = None  # each request has a timeout of its own, which takes no task
        return line

    async def _put_back(self, line: Any, whole: bool) -> None:
        """Keep a line for the next request; give it back to the pool if it broke, or if it must connect anew."""
        if whole and not _must_reconnect(line):
            self._free.append(line)
            return
        self._left += 1
        line.socket_timeout = self._patience
        with suppress(KeyError):  # a pool that was reset does not know it any more
            await self._pool.release(line)


def asking(client: Any) -> Ask:
    """Return what sends commands for a client: by its lines, or the ordinary way."""
    lines = _lines_of(client) if _is_plain(client) else None
    if lines is None:
        ordinary: Ask = client.execute_command
        return ordinary

    async def ask(*words: Word) -> Any:
        return await lines.ask(client, *words)

    return ask


def _lines_of(client: Any) -> Lines | None:
    # They are kept by the client itself: a table elsewhere would keep alive whatever their connections lead to.
    kept: dict[str, Any] = vars(client)
    if _PLACE not in kept:
        kept[_PLACE] = _open(client)
    lines: Lines | None = kept[_PLACE]
    return lines


def _open(client: Any) -> Lines | None:
    if client.single_connection_client:
        return None
    pool = client.connection_pool
    most = min(MOST, pool.max_connections // 2)
    return Lines(pool, most) if most and pool.get_encoder().encoding in ("utf-8", "utf8") else None


def _is_plain(client: Any) -> bool:
    """Whether nobody but redis-py has a say in how a client's commands are sent."""
    return getattr(type(client), "execute_command", None) is _ORDINARY and "execute_command" not in vars(client)


def _must_reconnect(line: Any) -> bool:
    """Whether the server has asked for a new connection: something that older clients do not listen to."""
    return hasattr(line, "should_reconnect") and bool(line.should_reconnect())
