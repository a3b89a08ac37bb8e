"""The ambient world of a run: what code under test reaches for without being given it.

A foreign engine reads `datetime.now()`, `time.monotonic()`, `uuid4()`, `os.urandom()` and `random` wherever it likes,
and however it imported them. Inside `Ambient` each of these has an owner: clocks show virtual time, those of the day as
skewed as the current process's clock is, and randomness comes from the streams of the run. Outside, nothing is changed.
A run takes place in one thread; another thread of the same program, such as those of a notebook's kernel, gets the
operating system's own random bytes and counting clocks, so that it cannot disturb the run.

`time.sleep` blocks the process that calls it, and a real thread is refused: see `blocking_sleep.py` and `escapes.py`.
"""

from __future__ import annotations

import asyncio
import importlib.metadata
import random
import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from types import FrameType, TracebackType
from typing import Any, Self

import time_machine

from simulation.kernel import clocks, escapes
from simulation.kernel.allowance import Allowance
from simulation.kernel.escapes import place
from simulation.kernel.event_loop import SimulatedLoop
from simulation.kernel.process import Process, current_process
from simulation.kernel.random_streams import Streams

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

    def __init__(
        self,
        loop: SimulatedLoop,
        epoch: datetime,
        streams: Streams,
        allowance: Allowance | None = None,
        on_outside: Callable[..., None] | None = None,
    ) -> None:
        """`on_outside` receives what the run reaches outside, once: the `consumer`, `what`, and `where`."""
        self._loop = loop
        self._allowance = allowance or Allowance()
        self._on_outside = on_outside
        self._epoch = epoch
        self._epoch_ns = round(epoch.timestamp()) * 1_000_000_000 + epoch.microsecond * 1_000
        self._streams = streams
        self._process_ids: dict[Process | None, int] = {}
        self.skews: dict[str, Skew] = {}
        """The clocks that are wrong, by consumer."""
        self.reached: list[str] = []
        """What the run has reached outside, as its scenario allows: each once, in the order in which it was."""
        self._reached: set[tuple[str, str, str]] = set()
        loop.is_outside = self._allowance.is_address

    def time_ns(self) -> int:
        """Return the nanoseconds since 1970 that the current process believes in."""
        now = self._loop.now
        if self.skews:
            process = current_process.get()
            skew = self.skews.get(process.name if process else WORLD)
            if skew is not None:
                now += skew.at(now)
        return self._epoch_ns + now * 1_000

    def elapsed_ns(self) -> int:
        """Return the nanoseconds since the start of the run. No fault moves this clock."""
        return self._loop.now * 1_000

    def urandom(self, size: int) -> bytes:
        """Return random bytes from the stream of the current process."""
        process = current_process.get()
        stream = self._streams[f"ambient/{process.name if process else 'world'}"]
        return b"".join(stream.bytes(min(64, size - start)) for start in range(0, size, 64))

    def sleep(self, seconds: float) -> None:
        """Block the current process for some seconds, as `time.sleep` blocks a real one.

        Raises ValueError if they are negative.
        """
        process = current_process.get()
        assert process is not None
        if seconds < 0:
            raise ValueError("sleep length must be non-negative")
        if self._loop.in_executor:
            self._loop.escape("time.sleep was called in a thread of an executor, where only that thread would sleep")
        self._loop.block(process, round(seconds * 1_000_000))

    def waits_for_real(self, frame: FrameType) -> bool:
        """Return whether a caller waits for a real child that the scenario allows, and so needs a real clock."""
        return self._allowance.waits_for_real(frame)

    def _refuse(self, event: str, arguments: tuple[Any, ...], what: str) -> None:
        if clocks.owner_here() is not self:
            return
        if not self._allowance.permits(event, arguments, self._process_ids.values()):
            self._loop.escape(what)
        self._reach(what)

    def _reach(self, what: str) -> None:
        """Take note of something outside that is reached."""
        process, where = current_process.get(), place(task=asyncio.current_task(self._loop))
        one = process.name if process else "", what, where
        if one in self._reached:
            return
        self._reached.add(one)
        if (sentence := f"{what} ({where})") not in self.reached:
            self.reached.append(sentence)
        if self._on_outside is not None:
            self._on_outside(consumer=one[0], what=what, where=where)

    def host_name(self) -> str:
        """Return the name of the current process: each has a machine of its own."""
        process = current_process.get()
        return process.name if process else "harness"

    def process_id(self) -> int:
        """Return the number of the current process, counted from 1001 as processes ask for it."""
        process = current_process.get()
        return self._process_ids.setdefault(process, 1001 + len(self._process_ids))

    def set_signal(self, number: int, handler: Any) -> None:
        """Have the current process call a handler when it is asked to stop: a consumer's stop is a SIGTERM."""
        process = current_process.get()
        if process is not None and callable(handler):
            process.signals[number] = lambda: handler(number, None)

    def thread_started(self, thread: threading.Thread) -> None:
        """Refuse a real thread: its schedule is not part of the run. Raises Escaped."""
        self._loop.escape(f"the thread {thread.name!r} was started, which runs outside of virtual time")

    def __enter__(self) -> Self:
        self._travel = time_machine.travel(self._epoch, tick=False)
        self._travel.start()
        time_machine.traveller_stack[-1] = _Clock(self)
        self._state = random.getstate()
        clocks.activate(self)
        escapes.watch(self._refuse)
        random.seed(self._streams["ambient/random"].bytes(16))
        # Redis clients read their own version from disk for every connection, which takes longer than the connection.
        self._version = importlib.metadata.version
        importlib.metadata.version = _version
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        escapes.watch(None)
        clocks.deactivate()
        random.setstate(self._state)
        importlib.metadata.version = self._version
        self._travel.stop()
