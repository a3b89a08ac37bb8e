"""Fingerprints: short digests of what events say, by which payload-intact compares them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from hashlib import blake2b
from typing import Any

from simulation.engines import decoder, resolve
from simulation.scenario.faults.consumers import Upgrade
from simulation.scenario.model import Scenario

Decode = Callable[[bytes], Any]


def fingerprint(event: Any) -> str:
    """Return a short digest of everything that an event says."""
    dump = getattr(event, "model_dump_json", None)
    return digest(dump().encode() if dump else repr(event).encode())


def digest(data: bytes) -> str:
    """Return a short digest of bytes."""
    return blake2b(data, digest_size=8).hexdigest()


def other_decoders(scenario: Scenario, engine: str) -> Iterator[Decode]:
    """Yield the functions by which the consumers of other engines than the one under test read messages."""
    consumers = scenario.consumers
    names = {consumers.engine_of(name, engine) for name in consumers.engines}
    names |= {fault.engine for fault in scenario.faults if isinstance(fault, Upgrade)}
    return (decoder(resolve(name)) for name in sorted(names - {engine}))


class Fingerprints:
    """Knows the fingerprints of what was published, as each engine's consumers read it.

    Engines may read the same bytes as different kinds of objects. What a consumer of another engine read of what was
    published has the fingerprint of what was published.
    """

    def __init__(self, decode: Decode, others: Iterable[Decode]) -> None:
        self.decode = decode
        """By which consumers of the engine under test read messages."""
        self._others = list(others)
        self._published: dict[str, str] = {}
        """For the fingerprint of what a consumer of another engine reads, that of what was published."""

    def published(self, body: bytes) -> str:
        """Return the fingerprint of a message, as a consumer of the engine under test reads it."""
        said = _read(self.decode, body)
        for decode in self._others:
            if (other := _read(decode, body)) != said:
                self._published[other] = said
        return said

    def given(self, event: Any) -> str:
        """Return the fingerprint of what a handler was given."""
        said = fingerprint(event)
        return self._published.get(said, said)


def _read(decode: Decode, body: bytes) -> str:
    try:
        return fingerprint(decode(body))
    except ValueError:
        return digest(body)
