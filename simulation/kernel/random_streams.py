"""Named streams of randomness: every random draw has an owner, and no owner disturbs another.

A stream is a counter under a key. The key is derived from the run's seed and the owner's name, so that adding a
fault, a consumer or an event gives new streams without reshuffling those that were there before. A stream is a few
words of memory, costs a microsecond a draw, and gives the same numbers in every process and on every platform.
"""

from __future__ import annotations

from collections.abc import MutableSequence, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from math import cos, exp, log, pi, sqrt
from typing import Any, TypeVar
from weakref import WeakSet

T = TypeVar("T")
_SCALE = 2.0**-53


class Stream:
    """One owner's random numbers."""

    __slots__ = ("__weakref__", "_count", "_key")

    def __init__(self, key: bytes) -> None:
        self._key = key
        self._count = 0

    def rekey(self, root: bytes) -> None:
        """Go on as another stream would, that of the same owner under another root."""
        self._key = blake2b(self._key, key=root, digest_size=32).digest()

    def random(self) -> float:
        """Return the next number of the stream, uniform in [0, 1)."""
        return (int.from_bytes(self.bytes(8), "big") >> 11) * _SCALE

    def bytes(self, count: int) -> bytes:
        """Return the next `count` random bytes, at most 64."""
        self._count += 1
        return blake2b(self._count.to_bytes(8, "big"), key=self._key, digest_size=count).digest()

    def below(self, bound: int) -> int:
        """Return an integer, uniform in [0, bound)."""
        return int(self.random() * bound)

    def choose(self, options: Sequence[T]) -> T:
        """Return one of the options, each equally likely."""
        return options[self.below(len(options))]

    def shuffle(self, items: MutableSequence[Any]) -> None:
        """Put the items into a random order, in place."""
        for i in range(len(items) - 1, 0, -1):
            j = self.below(i + 1)
            items[i], items[j] = items[j], items[i]

    def exponential(self, mean: float) -> float:
        """Return a number from the exponential distribution with this mean."""
        return -mean * log(1.0 - self.random())

    def normal(self) -> float:
        """Return a number from the standard normal distribution (Box and Muller, its cosine half)."""
        return sqrt(-2.0 * log(1.0 - self.random())) * cos(2.0 * pi * self.random())

    def lognormal(self, median: float, sigma: float) -> float:
        """Return a number from the lognormal distribution with this median and this sigma of its logarithm."""
        return median * exp(sigma * self.normal())


@dataclass(frozen=True, slots=True)
class Reseed:
    """From `at` microseconds of a run on, all its draws come from another seed."""

    at: int
    seed: int


class Streams:
    """All streams of a run: `streams["broker"]` is always the same stream, wherever it is asked for.

    Args:
        seed: of the run.
        tracked: whether `reseed` will be called: then every stream that is handed out is remembered.
    """

    __slots__ = ("_known", "_open", "_root")

    def __init__(self, seed: int, *, tracked: bool = False) -> None:
        self._root = blake2b(f"causim:{seed}".encode(), digest_size=32).digest()
        self._open: dict[str, Stream] = {}
        self._known: WeakSet[Stream] | None = WeakSet() if tracked else None

    def reseed(self, seed: int) -> None:
        """Let all streams, those that are in use too, go on as under another seed."""
        assert self._known is not None, "the streams were not tracked"
        self._root = blake2b(f"causim:{seed}".encode(), key=self._root, digest_size=32).digest()
        for stream in self._known:
            stream.rekey(self._root)

    def __getitem__(self, owner: str) -> Stream:
        stream = self._open.get(owner)
        if stream is None:
            stream = self._open[owner] = self.fresh(owner)
        return stream

    def fresh(self, owner: str) -> Stream:
        """Return the owner's stream from its beginning, and do not remember it.

        For owners that draw once and are many: one for each delivery of a million events.
        """
        stream = Stream(blake2b(owner.encode(), key=self._root, digest_size=32).digest())
        if self._known is not None:
            self._known.add(stream)
        return stream
