"""Receives the replies of one connection of redis-py, with nothing between the socket and whoever waits.

redis-py reads its replies through a stream, a good part of what a short request costs. A receiver takes the stream's
place at the transport. It reads only what leaves nothing to decide: one whole reply to the one request that is on its
way. An error, or anything that the server says unasked, is handed to redis-py from its first byte on, as if nothing had
stood in between.
"""

from __future__ import annotations

import asyncio
from typing import Any, Final

import hiredis
from redis.exceptions import ConnectionError, TimeoutError  # noqa: A004

UNREAD: Final = object()
"""Instead of a reply: it has come, and redis-py's connection is to read it."""
_NOT_WHOLE = object()
_PUSH = b">"


class Receiver(asyncio.Protocol):
    """Sends requests on an open connection, one at a time, and receives their replies."""

    def __init__(self, transport: asyncio.Transport, encoder: Any) -> None:
        self._transport = transport
        self._stream: Any = transport.get_protocol()
        self._encoder = encoder
        self._reader = self._new_reader()
        self._waiter: asyncio.Future[Any] | None = None
        self._received: list[bytes] = []
        self._ended = False
        transport.set_protocol(self)

    @property
    def receives(self) -> bool:
        """Whether replies come here, and not to the stream."""
        return self._transport.get_protocol() is self

    async def exchange(self, request: bytes, patience: float | None) -> Any:
        """Return the reply to a request, or UNREAD. Raises ConnectionError, and TimeoutError after so many seconds."""
        if self._ended or self._transport.is_closing():
            raise ConnectionError("Connection closed by server.")
        loop = asyncio.get_running_loop()
        waiter = self._waiter = loop.create_future()
        self._transport.write(request)
        timer = None if patience is None else loop.call_later(patience, self._time_out)
        try:
            return await waiter
        finally:
            self._waiter = None
            if timer is not None:
                timer.cancel()

    def leave(self) -> None:
        """Put the stream back in its place."""
        if self.receives:
            self._transport.set_protocol(self._stream)

    # -- what the transport says -----------------------------------------------------------------------------

    def data_received(self, data: bytes) -> None:
        """Take a reply, or a part of it."""
        received = self._received
        received.append(data)
        if self._waiter is None or received[0].startswith(_PUSH):
            self._leave_to_redis_py()
            return
        try:
            self._reader.feed(data)
            reply = self._reader.gets()
        except Exception:  # what cannot be read or decoded is redis-py's to tell
            self._leave_to_redis_py()
            return
        if reply is _NOT_WHOLE:
            return
        if self._reader.has_data():
            self._leave_to_redis_py()
        elif isinstance(reply, hiredis.ReplyError):
            self._pass_on()
        else:
            received.clear()
            self._answer(reply)

    def eof_received(self) -> bool | None:
        """Tell whoever waits that no reply will come."""
        self._ended = True
        self._fail(ConnectionError("Connection closed by server."))
        keep: bool | None = self._stream.eof_received()
        return keep

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell whoever waits that no reply will come."""
        self._ended = True
        self._fail(ConnectionError(f"Connection lost: {exc or 'closed'}"))
        self._stream.connection_lost(exc)

    def pause_writing(self) -> None:
        """Tell the stream, which is who may write much."""
        self._stream.pause_writing()

    def resume_writing(self) -> None:
        """Tell the stream."""
        self._stream.resume_writing()

    # -- what becomes of it ----------------------------------------------------------------------------------

    def _answer(self, reply: Any) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(reply)

    def _time_out(self) -> None:
        self._fail(TimeoutError("Timeout reading from socket"))

    def _fail(self, error: Exception) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_exception(error)

    def _leave_to_redis_py(self) -> None:
        """Receive nothing any more: what comes next may be the rest of something that redis-py has begun to read."""
        self.leave()
        self._pass_on()

    def _pass_on(self) -> None:
        self._stream.data_received(b"".join(self._received))
        self._received.clear()
        self._reader = self._new_reader()
        self._answer(UNREAD)

    def _new_reader(self) -> Any:
        decoded = self._encoder.decode_responses
        names = {"encoding": self._encoder.encoding, "errors": self._encoder.encoding_errors} if decoded else {}
        return hiredis.Reader(notEnoughData=_NOT_WHOLE, **names)
