"""A receiver reads plain replies; whatever else the server says reaches redis-py whole, from its first byte on."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest
from redis.exceptions import ConnectionError, TimeoutError  # noqa: A004

from ordering.receiving import UNREAD, Receiver


class Cable(asyncio.Transport):
    """A transport that keeps what is written, and hands on what the test lets arrive."""

    def __init__(self, protocol: asyncio.Protocol) -> None:
        super().__init__()
        self.written: list[bytes] = []
        self.closing = False
        self._protocol: Any = protocol

    def write(self, data: Any) -> None:
        """Keep it."""
        self.written.append(bytes(data))

    def is_closing(self) -> bool:
        """Return whether it was closed."""
        return self.closing

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        """Let somebody else receive."""
        self._protocol = protocol

    def get_protocol(self) -> Any:
        """Return who receives."""
        return self._protocol

    def arrive(self, *pieces: bytes) -> None:
        """Hand pieces to whoever receives at the moment."""
        for piece in pieces:
            self._protocol.data_received(piece)


class Stream(asyncio.Protocol):
    """What redis-py reads from."""

    def __init__(self) -> None:
        self.got = b""
        self.lost: list[Exception | None] = []

    def data_received(self, data: bytes) -> None:
        """Keep it."""
        self.got += data

    def connection_lost(self, exc: Exception | None) -> None:
        """Keep it."""
        self.lost.append(exc)


def connected(decode: bool = True) -> tuple[Cable, Stream, Receiver]:
    """Return a transport, redis-py's stream and the receiver in its place."""
    stream = Stream()
    cable = Cable(stream)
    encoder = SimpleNamespace(decode_responses=decode, encoding="utf-8", encoding_errors="strict")
    return cable, stream, Receiver(cable, encoder)


async def asked(receiver: Receiver, patience: float | None = None) -> asyncio.Task[Any]:
    """Return a request that is on its way."""
    task = asyncio.ensure_future(receiver.exchange(b"request", patience))
    await asyncio.sleep(0)
    return task  # type: ignore[return-value]


@pytest.mark.parametrize("decode", [True, False])
async def test_a_plain_reply_in_any_pieces_is_received_here(decode: bool) -> None:
    reply = "*2\r\n$5\r\ngrün\r\n:7\r\n".encode()
    for cut in range(1, len(reply)):
        cable, stream, receiver = connected(decode)
        task = await asked(receiver)
        cable.arrive(reply[:cut], reply[cut:])
        assert await task == ["grün" if decode else "grün".encode(), 7]
        assert stream.got == b""
        assert receiver.receives


async def test_an_error_is_redis_pys_to_read_and_the_next_reply_is_received_here() -> None:
    cable, stream, receiver = connected()
    task = await asked(receiver)
    cable.arrive(b"-ERR wr", b"ong\r\n")
    assert await task is UNREAD
    assert stream.got == b"-ERR wrong\r\n"
    task = await asked(receiver)
    cable.arrive(b"+OK\r\n")
    assert await task == "OK"


@pytest.mark.parametrize(
    "pieces",
    [
        [b">2\r\n+moving\r\n+soon\r\n+OK\r\n"],
        [b">2\r\n+mov", b"ing\r\n+soon\r\n", b"+OK\r\n"],
        [b"+OK\r\n>2\r\n+moving\r\n+soon\r\n"],
        [b"+OK\r\n>2\r\n+moving\r\n+so", b"on\r\n"],
    ],
)
async def test_what_the_server_says_unasked_reaches_redis_py_together_with_the_reply(pieces: list[bytes]) -> None:
    cable, stream, receiver = connected()
    task = await asked(receiver)
    cable.arrive(*pieces)
    assert await task is UNREAD
    assert stream.got == b"".join(pieces)
    assert not receiver.receives


async def test_what_comes_while_nobody_waits_reaches_redis_py() -> None:
    cable, stream, receiver = connected()
    cable.arrive(b">1\r\n+tired\r\n")
    assert stream.got == b">1\r\n+tired\r\n"
    assert not receiver.receives


async def test_what_cannot_be_decoded_is_redis_pys_to_tell() -> None:
    cable, stream, receiver = connected()
    task = await asked(receiver)
    cable.arrive(b"$1\r\n\xff\r\n")
    assert await task is UNREAD
    assert stream.got == b"$1\r\n\xff\r\n"


@pytest.mark.parametrize("how", ["eof", "lost"])
async def test_whoever_waits_learns_that_the_connection_has_ended(how: str) -> None:
    _, stream, receiver = connected()
    task = await asked(receiver)
    if how == "eof":
        receiver.eof_received()
    else:
        receiver.connection_lost(OSError("reset"))
        assert len(stream.lost) == 1
    with pytest.raises(ConnectionError):
        await task
    with pytest.raises(ConnectionError):
        await receiver.exchange(b"request", None)


async def test_a_connection_that_was_closed_takes_no_request() -> None:
    cable, _, receiver = connected()
    cable.closing = True
    with pytest.raises(ConnectionError):
        await receiver.exchange(b"request", None)
    assert cable.written == []


async def test_patience_ends() -> None:
    _, _, receiver = connected()
    with pytest.raises(TimeoutError):
        await receiver.exchange(b"request", 0.01)


async def test_whoever_leaves_puts_the_stream_back() -> None:
    cable, stream, receiver = connected()
    receiver.leave()
    assert cable.get_protocol() is stream
