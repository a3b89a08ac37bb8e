"""A replica of a private redis-server: it speaks the replication protocol, and keeps what it was sent, by time.

The server sends its replicas the effects of what it executes, in order: scripts and expiries as the plain writes that
they came to, with absolute deadlines. What a replica knew at some moment is a prefix of that stream, cut between two
transactions; promoting it means to go on with exactly those writes.
"""

from __future__ import annotations

import select
import time
from collections.abc import Callable, Iterator
from typing import Protocol

import hiredis

_PATIENCE = 10.0
"""Seconds of real time in which the server must have sent its first, empty data set."""

_BOOKKEEPING = frozenset({b"SELECT", b"PING", b"MULTI", b"EXEC", b"FLUSHALL", b"REPLCONF", b"PUBLISH", b"SCRIPT"})

Words = list[bytes]


class Channel(Protocol):
    """A connection to the server."""

    def send(self, request: bytes) -> None:
        """Send bytes."""
        ...

    def pushed(self) -> bytes:
        """Return what has arrived."""
        ...


class NoReplication(Exception):
    """The server does not replicate to us. The message says what it answered."""


class Replica:
    """What a replica would have been sent until now."""

    def __init__(self, channel: Channel, ask: Callable[..., object]) -> None:
        self._channel = channel
        self._log: list[tuple[int, Words]] = []
        # Virtual time may leap for hours: a replica that says nothing must not be given up for that.
        for setting in (("repl-timeout", 2_000_000_000), ("repl-diskless-sync", "no"), ("hz", 100)):
            ask("CONFIG", "SET", *setting)
        self._reader = hiredis.Reader()
        self._reader.feed(self._synchronise())
        ask("CONFIG", "SET", "hz", 10)

    def _synchronise(self) -> bytes:
        """Ask for everything from the start; return what follows the first data set."""
        self._channel.send(b"PSYNC ? -1\r\n")
        received = b""
        deadline = time.monotonic() + _PATIENCE  # real time: this waits for a real process
        while time.monotonic() < deadline:
            received += self._channel.pushed()
            greeting, _, rest = received.lstrip(b"\n").partition(b"\r\n")
            if greeting.startswith(b"-"):
                raise NoReplication(greeting.decode("utf-8", "replace"))
            size, end, data = rest.lstrip(b"\n").partition(b"\r\n")
            if end and size.startswith(b"$") and len(data) >= int(size[1:]):
                return data[int(size[1:]) :]
            select.select([], [], [], 0.001)
        raise NoReplication(f"no data set within {_PATIENCE:g} s, but {received[:80]!r}")

    def begin(self) -> None:
        """Start from an empty data set, which the server has now."""
        self._receive()
        self._log.clear()

    def catch_up(self, moment: int) -> None:
        """Take what was written since the last time; it was written at this moment of the run."""
        self._log += [(moment, words) for words in self._receive()]

    def forget_echo(self) -> None:
        """Ignore what was sent since the last time: the server was told it by us."""
        self._receive()

    def divide(self, moment: int) -> tuple[list[Words], list[str]]:
        """Keep what was written until a moment. Returns it, and the keys of everything after it, which is lost."""
        kept = [(at, words) for at, words in self._log if at <= moment]
        lost = [words for at, words in self._log if at > moment]
        self._log = kept
        return [words for _, words in kept if words[0].upper() != b"PING"], list(_keys(lost))

    def _receive(self) -> list[Words]:
        self._reader.feed(self._channel.pushed())
        found: list[Words] = []
        while (words := self._reader.gets()) is not False:
            if isinstance(words, list):
                found.append(words)
        return found


def _keys(writes: list[Words]) -> Iterator[str]:
    for verb, *words in writes:
        if verb.upper() in _BOOKKEEPING:
            continue
        named = words if verb.upper() in (b"DEL", b"UNLINK") else words[:1]
        yield from (word.decode("utf-8", "backslashreplace") for word in named)
