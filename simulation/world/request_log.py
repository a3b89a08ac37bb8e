"""The requests of a run, without facts that differ between equal runs: the consumer, the commands, and the shape of
the reply.

Two orders of Redis commands that no consumer can distinguish give every consumer the same replies, so the replies say
which orders are distinct. Of a reply only its shape is kept: its types, short words, and numbers below a thousand. Ids,
payloads and times are left out, because they differ from seed to seed.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

MAX_REQUESTS = 20_000
"""Number of requests from which on a run is too long to be compared with another; then the log is dropped."""

_SCRIPTS = frozenset({b"EVALSHA", b"EVAL", b"FCALL"})
_BULK = re.compile(rb"\$\d+\r\n(.*?)\r\n", re.DOTALL)
_WORD = re.compile(rb"[A-Za-z-]{1,16}\Z")
_NUMBER = re.compile(rb":-?\d{4,}\r\n")
_ERROR = re.compile(rb"-([A-Z]+)[^\r]*\r\n")


Request = tuple[bytes, bytes]
"""The names of a packet's commands, and the shape of the answer."""


class RequestLog:
    """The requests of each consumer to Redis on each of its connections, in the order of execution."""

    def __init__(self) -> None:
        self.complete = True
        """False if the run made too many requests to keep."""
        self._requests: dict[str, dict[int, list[Request]]] = {}
        self._count = 0

    def add(self, consumer: str, connection: int, commands: Sequence[Sequence[bytes]], reply: bytes) -> None:
        """Keep one executed request. An immediate repetition with the same answer, as polling makes, is kept once."""
        if not self.complete:
            return
        self._count += 1
        if self._count > MAX_REQUESTS:
            self._requests, self.complete = {}, False
            return
        kept = self._requests.setdefault(consumer, {}).setdefault(connection, [])
        request = b" ".join(_name(words) for words in commands), shape(reply)
        if not kept or kept[-1] != request:
            kept.append(request)

    def of(self, consumer: str) -> list[tuple[Request, ...]]:
        """Return a consumer's requests by connection. Which connection is which says nothing, so they are sorted."""
        return sorted(map(tuple, self._requests.get(consumer, {}).values()))


def _name(words: Sequence[bytes]) -> bytes:
    verb = bytes(words[0]).upper()
    return verb + b" " + bytes(words[1])[:40] if verb in _SCRIPTS and len(words) > 1 else verb


def shape(reply: bytes) -> bytes:
    """Return a reply without ids, payloads and large numbers."""
    shape = _BULK.sub(_kept, reply) if b"$" in reply else reply
    if b"-" in shape:
        shape = _ERROR.sub(rb"-\1", shape)
    return _NUMBER.sub(b":#", shape)[:200]


def _kept(found: re.Match[bytes]) -> bytes:
    return b"$" + found[1] if _WORD.match(found[1]) else b"$"
