"""The ambient world of a run: what code under test reaches for without being given it.

A foreign engine reads `datetime.now()`, `time.time()`, `uuid4()`, `os.urandom()` and `random` wherever it likes.
Inside `Ambient` each of these has an owner: clocks show virtual time, as skewed as the current process's clock is,
and randomness comes from the streams of the run. Outside, nothing is changed. A run takes place in one thread; another
thread of the same program, such as those of a notebook's kernel, gets the operating system's own random bytes, so that
it cannot disturb the run.
"""

from __future__ import annotations

import importlib.metadata
import os
import random
import threading
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from types import TracebackType
from typing import Any, Self

import time_machine

from simulation.kernel.event_loop import SimulatedLoop, current_process
from simulation.kernel.random_streams import Streams

_random: Any = random
_version = cache(importlib.metadata.version)

WORLD = ""
"""Whose clock the world itself reads, and with it a store that lives in this process."""


@dataclass(frozen=True, slots=True)
class Skew:
    """How wrong a consumer's clock is: `offset` microseconds at `since`, growing by `drift` (0.01: 1 % fast)."""

    offset: int = 0
    drift: float = 0.0
    since: int = 0

    def at(self, now: int) -> int:
        """Return the error in microseconds at a moment of the run."""
        return self.offset + round((now - self.since) * self.drift)


class _Clock(time_machine.Traveller):
    """What time-machine asks for the time: the loop, through the eyes of the process that asks."""

    def __init__(self, ambient: Ambient) -> None:
        super().__init__(destination_timestamp_ns=0, destination_tzname=None, tick=False)
        self._ambient = ambient

    def time_ns(self) -> int:
        return self._ambient.time_ns()


class Ambient:
    """A context in which the clocks and the randomness of this Python process belong to a run."""

    def __init__(self, loop: SimulatedLoop, epoch: datetime, streams: Streams) -> None:
        self._loop = loop
        self._epoch = epoch
        self._epoch_ns = round(epoch.timestamp()) * 1_000_000_000 + epoch.microsecond * 1_000
        self._streams = streams
        self.skews: dict[str, Skew] = {}
        """The clocks that are wrong, by consumer."""

    def time_ns(self) -> int:
        """Return the nanoseconds since 1970 that the current process believes in."""
        now = self._loop.now
        if self.skews:
            process = current_process.get()
            skew = self.skews.get(process.name if process else WORLD)
            if skew is not None:
                now += skew.at(now)
        return self._epoch_ns + now * 1_000

    def urandom(self, size: int) -> bytes:
        """Return random bytes from the stream of the current process, or real ones to another thread."""
        if threading.get_ident() != self._thread:
            return self._before[0](size)
        process = current_process.get()
        stream = self._streams[f"ambient/{process.name if process else 'world'}"]
        return b"".join(stream.bytes(min(64, size - start)) for start in range(0, size, 64))

    def __enter__(self) -> Self:
        self._travel = time_machine.travel(self._epoch, tick=False)
        self._travel.start()
        time_machine.traveller_stack[-1] = _Clock(self)
        self._thread = threading.get_ident()
        self._before = os.urandom, _random._urandom, random.getstate()
        os.urandom = _random._urandom = self.urandom
        random.seed(self._streams["ambient/random"].bytes(16))
        # Redis clients read their own version from disk for every connection, which takes longer than the connection.
        self._version = importlib.metadata.version
        importlib.metadata.version = _version
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        os.urandom, _random._urandom, state = self._before
        random.setstate(state)
        importlib.metadata.version = self._version
        self._travel.stop()
