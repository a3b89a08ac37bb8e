"""The ambient world of a run: the resources that code under test uses without being given them.

A foreign engine reads `datetime.now()`, `time.monotonic()`, `uuid4()`, `os.urandom()` and `random` wherever it likes,
and however it imported them. Inside `Ambient` each of these has an owner: clocks show virtual time, those of the day as
skewed as the current process's clock is, and randomness comes from the streams of the run. Outside, nothing is changed.
A run takes place in one thread; another thread of the same program, such as those of a notebook's kernel, gets the
operating system's own random bytes and counting clocks, so that it cannot disturb the run.

`time.sleep` blocks the process that calls it, and a real thread is refused: see `blocking_sleep.py` and `escapes.py`.
"""

from __future__ import annotations

import asyncio
import errno
import importlib.metadata
import random
import re
import signal
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from types import FrameType, TracebackType
from typing import Any, Self

import time_machine

from simulation.kernel import (
    clocks,
    escapes,
    process_calls,  # noqa: F401  # it adds its stand-ins
)
from simulation.kernel.allowance import Allowance
from simulation.kernel.escapes import finds_a_library, is_importing, place
from simulation.kernel.event_loop import SimulatedLoop
from simulation.kernel.process import Process, current_process
from simulation.kernel.random_streams import Streams

_version = cache(importlib.metadata.version)

_NUMBERED = re.compile(r"Thread-\d|ThreadPoolExecutor-\d")
_IGNORED = frozenset({0, signal.SIGCHLD, signal.SIGCONT, signal.SIGURG, signal.SIGWINCH})
"""Signals that do nothing to a process without a handler; 0 only asks whether it is there."""

WORLD = ""
"""Whose clock the world itself reads, and with it a store that lives in this process."""


@dataclass(frozen=True, slots=True)
class Skew:
    """The error of a consumer's clock: `offset` microseconds at `since`, growing by `drift` (0.01: 1 % fast)."""

    offset: int = 0
    drift: float = 0.0
    since: int = 0

    def at(self, now: int) -> int:
        """Return the error in microseconds at a moment of the run."""
        return self.offset + round((now - self.since) * self.drift)


class _Clock(time_machine.Traveller):
    """The clock that time-machine asks for the time: the loop's, as the process that asks sees it."""

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
        """`on_outside` receives each outside resource that the run uses, once: the `consumer`, `what`, and `where`."""
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
        """Outside resources that the run has used, as its scenario allows: each once, in the order of first use."""
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
        owner = process.name if process else "world"
        if is_importing(sys._getframe(1)):
            owner = "imports"  # a module is imported in one run of a program, and in no later one
        stream = self._streams[f"ambient/{owner}"]
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
        delay = round(seconds * 1_000_000)
        # Never shorter: code that waits until a deadline would find it a rounding error away, and wait again for ever.
        self._loop.block(process, delay + 1 if delay / 1_000_000 < seconds else delay)

    def waits_for_real(self, frame: FrameType) -> bool:
        """Return whether a caller waits for a real child that the scenario allows, and so needs a real clock."""
        return self._allowance.waits_for_real(frame)

    def refuse(self, event: str, arguments: tuple[Any, ...], what: str) -> None:
        """End the run because of an event that leaves it, unless the scenario allows that. Raises Escaped."""
        if clocks.owner_here() is not self or finds_a_library(sys._getframe(1)):
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

    def wait_for_thread(self, timeout: float | None) -> None:
        """Block the current process for `timeout` seconds: no other thread can end its wait. Raises Escaped if None."""
        if timeout is None:
            self._loop.escape("code waited for another thread, and there is none in virtual time")
        if self._loop.in_executor:
            self._loop.escape("a thread of an executor waited for another thread, and there is none in virtual time")
        self.sleep(max(0.0, timeout))

    def host_name(self) -> str:
        """Return the name of the current process: each has a machine of its own."""
        process = current_process.get()
        return process.name if process else "harness"

    def process_id(self) -> int:
        """Return the number of the current process, counted from 1001 as processes ask for it."""
        process = current_process.get()
        return self._process_ids.setdefault(process, 1001 + len(self._process_ids))

    def set_signal(self, number: int, handler: Any) -> Any:
        """Note the current process's handler of a signal, and return the one before.

        A consumer's stop is a SIGTERM.
        """
        process = self._current()
        before = self.get_signal(number)
        process.handlers[number] = handler
        if callable(handler):
            process.signals[number] = lambda: handler(number, None)
        elif handler == signal.SIG_IGN:
            process.signals[number] = lambda: None
        else:
            process.signals.pop(number, None)
        return before

    def get_signal(self, number: int) -> Any:
        """Return the current process's handler of a signal."""
        default = signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL
        return self._current().handlers.get(number, default)

    def signal_process(self, pid: int | None, number: int) -> bool:
        """Send a signal to a process of the run, or to the current one; False if the number is that of no process.

        Raises ProcessLookupError if it is dead.
        """
        current = self._current()
        known = {number: process for process, number in self._process_ids.items()}
        target = current if pid is None else known.get(pid)
        if target is None:
            return False
        if not target.alive:
            raise ProcessLookupError(errno.ESRCH, "No such process")
        handler = target.signals.get(number)
        if handler is not None and target is current:
            handler()
        elif handler is not None:
            self._loop.spawn(_call(handler), target)
        elif number in (signal.SIGINT, signal.SIGSTOP, signal.SIGTSTP):
            self._loop.escape(f"signal {number} was sent to {target.name}, which has no handler for it")
        elif number not in _IGNORED:
            self._loop.end_process(target, 128 + number)
        return True

    def exit_process(self, status: int) -> None:
        """End the current process, without its `finally` blocks. Does not return to it."""
        self._loop.end_process(self._current(), status)

    @staticmethod
    def _current() -> Process:
        process = current_process.get()
        assert process is not None
        return process

    def thread_started(self, thread: threading.Thread) -> None:
        """Refuse a real thread: its schedule is not part of the run. Raises Escaped."""
        # Python numbers the threads of the whole program: a sentence is the same in each run.
        named = "a thread" if _NUMBERED.search(thread.name) else f"the thread {thread.name!r}"
        self._loop.escape(f"{named} was started, which runs outside of virtual time")

    def __enter__(self) -> Self:
        self._travel = time_machine.travel(self._epoch, tick=False)
        self._travel.start()
        time_machine.traveller_stack[-1] = _Clock(self)
        self._state = random.getstate()
        clocks.activate(self)
        escapes.watch(self.refuse)
        random.seed(self._streams["ambient/random"].bytes(16))
        # Those that were made when their modules were imported: by chance, or before a run that has drawn from them.
        self._generators = [(one, one.getstate()) for one in clocks.generators().values()]
        for name, one in clocks.generators().items():
            one.seed(self._streams[f"ambient/random/{name}"].bytes(16))
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
        for one, state in self._generators:
            one.setstate(state)
        importlib.metadata.version = self._version
        self._travel.stop()


async def _call(handler: Callable[[], object]) -> None:
    handler()
