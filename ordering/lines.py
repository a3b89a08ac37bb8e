"""Lines: connections of the client's own pool that are kept at hand for scripts.

Most of what a short request costs redis-py goes into taking a connection out of the pool, into timers, tasks and a
stream for its reply and into telling its observers. A line is a connection that was taken out once and stays out: the
handshake, the encryption and the errors are redis-py's, and closing the client closes it; only plain replies are
received past it (`receiving.py`). Where a line breaks, the request goes the ordinary way, with all the retries that the
client was given: a script gives the same token the same answer, so it may have been executed before.

Whoever watches what a client sends (by a class of his own, or a patched `execute_command`), shares one connection, or
has a small pool, is served the ordinary way always; so is a client of a cluster.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import partial
from typing import Any

import hiredis
from redis.asyncio import Redis
from redis.exceptions import ConnectionError, ResponseError, TimeoutError  # noqa: A004

from ordering.receiving import UNREAD, Receiver

Word = str | int | bytes
Ask = Callable[..., Awaitable[Any]]
"""Sends one command, given as its words, and returns the reply as it came: clients reshape some, none of scripts."""

MOST = 32
"""How many lines a client has at most, and never more than half of its pool; what comes beside them goes the ordinary
way."""
_BROKEN = (ConnectionError, TimeoutError, OSError)
_ORDINARY = Redis.execute_command
_PLACE = "_lines_of_causal_ordering"


class Line:
    """A connection that was taken out of its pool."""

    def __init__(self, connection: Any, patience: float | None) -> None:
        self.connection = connection
        self._patience = patience
        connection.socket_timeout = None  # each request has a timeout of its own, which takes no task
        self._receiver = _receiver_of(connection)

    async def exchange(self, request: bytes) -> Any:
        """Return the reply to a request. Raises what redis-py would raise; the line is whole after a ResponseError."""
        receiver = self._receiver
        reply = UNREAD
        if receiver is not None and receiver.receives:
            reply = await receiver.exchange(request, self._patience)
            request = b""
        if reply is UNREAD:
            async with asyncio.timeout(self._patience):
                if request:
                    await self.connection.send_packed_command(request)
                reply = await self.connection.read_response()
        return reply

    @property
    def must_reconnect(self) -> bool:
        """Whether the server has asked for a new connection: something that older clients do not listen to."""
        asked = getattr(self.connection, "should_reconnect", None)
        return asked is not None and bool(asked())

    def leave(self) -> None:
        """Make the connection one like any other."""
        self.connection.socket_timeout = self._patience
        if self._receiver is not None:
            self._receiver.leave()


class Lines:
    """The lines of one client."""

    def __init__(self, pool: Any, most: int) -> None:
        self._pool = pool
        self._patience: float | None = pool.connection_kwargs.get("socket_timeout")
        self._free: list[Line] = []
        self._left = most

    async def ask(self, client: Any, *words: Any) -> Any:
        """Return the reply to one command, as it came. Raises what the client would raise."""
        line = self._free.pop() if self._free else await self._another()
        if line is None:
            return await client.execute_command(*words)
        whole = False
        try:
            reply = await line.exchange(hiredis.pack_command(words))
            whole = True
            return reply
        except ResponseError:
            whole = True
            raise
        except _BROKEN:
            pass
        finally:
            if whole and not line.must_reconnect:
                self._free.append(line)
            else:
                await self._give_back(line, whole)
        return await client.execute_command(*words)

    async def _another(self) -> Line | None:
        """Take one more connection out of the pool, if there may be one more."""
        if not self._left:
            return None
        self._left -= 1
        try:
            return Line(await self._pool.get_connection(), self._patience)
        except BaseException:
            self._left += 1
            raise

    async def _give_back(self, line: Line, whole: bool) -> None:
        """Give a connection back to the pool that must connect anew, or is broken: a reply may still come in."""
        self._left += 1
        line.leave()
        if not whole:
            await line.connection.disconnect(nowait=True)
        with suppress(KeyError):  # a pool that was reset does not know it any more
            await self._pool.release(line.connection)


def asking(client: Any) -> Ask:
    """Return what sends commands for a client: by its lines, or the ordinary way."""
    lines = _lines_of(client) if _is_plain(client) else None
    if lines is None:
        ordinary: Ask = client.execute_command
        return ordinary
    return partial(lines.ask, client)


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


def _receiver_of(connection: Any) -> Receiver | None:
    """Return what receives a connection's replies, if it has a transport, and its health is not to be checked."""
    transport: Any = getattr(getattr(connection, "_writer", None), "transport", None)
    if not hasattr(transport, "set_protocol") or connection.health_check_interval:
        return None
    return Receiver(transport, connection.encoder)
