"""Packets, and their fates as decided by the faults of the network."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol, Self


@dataclass(frozen=True, slots=True)
class Packet:
    """One write of a client: one or more commands on one wire."""

    consumer: str
    connection: int
    number: int
    """Counts the packets of the run from 1."""
    commands: Sequence[Sequence[bytes]]


@dataclass(frozen=True, slots=True)
class Fate:
    """Whether a packet is lost, and its delays, in microseconds; they add to the drawn latencies."""

    deliver: bool = True
    """Whether the request reaches the store."""
    answer: bool = True
    """Whether the reply reaches the client; if not, the wire is cut when it would have arrived."""
    error: bytes = b""
    """An error to answer with instead of executing the request: `OOM command not allowed …`."""
    request_delay: int = 0
    reply_delay: int = 0
    reset: bool = False
    """Whether the client sees its connection break as soon as the request is on its way."""
    then: Callable[[], None] | None = None
    """Called once the store has executed the request, before the reply leaves."""
    prompt: bool = False
    """Whether it takes no step of its own in an exploration, because it concerns nothing but its connection."""

    def followed_by(self, then: Callable[[], None]) -> Self:
        """Return the same fate, with something to happen once the store has executed the request."""
        first = self.then

        def both() -> None:
            if first is not None:
                first()
            then()

        return replace(self, then=both)

    def delayed(self, by: int) -> Self:
        """Return the same fate, with the request on its way for so much longer, in microseconds."""
        return replace(self, request_delay=self.request_delay + by)


PASS = Fate()


class PacketFault(Protocol):
    """A fault of the network: a function from a packet to its fate, or to None if it has no opinion."""

    def __call__(self, packet: Packet) -> Fate | None:
        """Decide."""
        ...


class Gate(Protocol):
    """Says whether a consumer can reach Redis now."""

    def __call__(self, consumer: str) -> bool:
        """Return False while the consumer is cut off."""
        ...


Trace = Callable[[str, str, Mapping[str, Any]], None]
"""Called with "command" or "reply", the consumer's name and the details."""
