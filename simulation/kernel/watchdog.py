"""Ends a run in which one piece of code never returns: a loop without an await, or a lock that is never released.

No other callback can run in a simulated world while one is running, so the run would hang without a message. A timer of
the operating system interrupts it, and the error shows the stack at that moment. The timer decides only whether a run
is ended, never its result: a run that ends by itself is the same with and without it.

The timer needs the main thread and a signal that is not in use; where those are not free, there is no watchdog. C code
that never returns to Python cannot be interrupted.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from simulation.kernel.escapes import Escaped, place
from simulation.kernel.event_loop import SimulatedLoop

SPIN_SECONDS = 20.0
"""Seconds of processor time that one callback may take: importing the largest framework takes a few."""

STILL_SECONDS = 120.0
"""Seconds on the wall that one callback may take, for code that waits instead of computing."""

_TICKS = 4
"""Number of times that a timer fires within its limit: an interrupt comes at most a quarter of the limit late."""


class NeverReturns(BaseException):
    """One callback runs for longer than any may. It is abandoned, so it cannot catch this."""


class _Watch:
    """One timer: ends the run when the loop has taken no step for a number of ticks."""

    def __init__(self, loop: SimulatedLoop, limit: float, what: str) -> None:
        self._loop, self._limit, self._what = loop, limit, what
        self._seen, self._ticks = -1, 0
        self.interval = limit / _TICKS
        """Seconds between two ticks."""

    def tick(self, number: int, frame: FrameType | None) -> None:
        """Look whether anything has happened since the last tick."""
        turns = self._loop.turns
        self._ticks = self._ticks + 1 if turns == self._seen else 0
        self._seen = turns
        if self._ticks > _TICKS:
            self._ticks = 0
            where = place(frame)
            took = f"{self._what} for {self._limit:g} seconds without an await"
            sentence = f"at {self._loop.time():.6f} s: {took} ({where}); nothing else can happen meanwhile"
            self._loop.on_escape(Escaped(sentence))
            self._loop.abandon(NeverReturns(sentence))


@contextmanager
def watchdog(loop: SimulatedLoop) -> Iterator[None]:
    """End the run of a loop when one of its callbacks runs for too long."""
    with (
        _timer(signal.ITIMER_VIRTUAL, signal.SIGVTALRM, _Watch(loop, SPIN_SECONDS, "code under test computed")),
        _timer(signal.ITIMER_REAL, signal.SIGALRM, _Watch(loop, STILL_SECONDS, "code under test waited")),
    ):
        yield


@contextmanager
def _timer(which: int, number: signal.Signals, watch: _Watch) -> Iterator[None]:
    """Start a timer, if its signal is not in use."""
    free = threading.current_thread() is threading.main_thread()
    free = free and signal.getsignal(number) is signal.SIG_DFL and signal.getitimer(which) == (0.0, 0.0)
    if not free:
        yield
        return
    signal.signal(number, watch.tick)
    signal.setitimer(which, watch.interval, watch.interval)
    try:
        yield
    finally:
        signal.setitimer(which, 0)
        signal.signal(number, signal.SIG_DFL)
