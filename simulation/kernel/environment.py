"""A SimPy environment that counts microseconds, and in whose heap the callbacks of an asyncio loop wait as they are."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from contextvars import Context, copy_context
from heapq import heapify, heappop, heappush
from typing import Any

import simpy
from simpy.core import EmptySchedule
from simpy.events import NORMAL

_Loop = asyncio.AbstractEventLoop

SECOND = 1_000_000
"""Microseconds."""


_COMPACT_ABOVE = 256
"""A heap with fewer cancelled timers than this is not worth rebuilding."""


class TimeDoesNotAdvance(Exception):
    """More callbacks ran at one moment than may run: some code retries without waiting for time to pass."""


class Handle(asyncio.Handle):
    """A callback that waits in the heap. Made as asyncio's are, without their fields for debugging."""

    __slots__ = ()

    def __init__(
        self,
        callback: Callable[..., object],
        args: tuple[Any, ...],
        loop: _Loop,
        context: Context | None,
    ) -> None:
        _fill(self, callback, args, loop, context)


class Timer(asyncio.TimerHandle):
    """A callback that waits in the heap for its time."""

    __slots__ = ()

    def __init__(
        self,
        when: float,
        callback: Callable[..., object],
        args: tuple[Any, ...],
        loop: _Loop,
        context: Any,
    ) -> None:
        _fill(self, callback, args, loop, context)
        self._when = when
        self._scheduled = True  # asks asyncio to report a cancellation to us


def _fill(handle: Any, callback: Any, args: tuple[Any, ...], loop: _Loop, context: Context | None) -> None:
    handle._context = copy_context() if context is None else context
    handle._loop, handle._callback, handle._args = loop, callback, args
    handle._cancelled, handle._repr, handle._source_traceback = False, None, None


class VirtualTime(simpy.Environment):
    """A SimPy environment that counts microseconds, and in whose heap a loop's callbacks wait as they are.

    It does not let cancelled timers drag its clock.
    """

    def __init__(self) -> None:
        super().__init__(initial_time=0)
        self._heap: list[tuple[Any, ...]] = self._queue  # SimPy expects only its own in it
        self.cancelled = 0
        self.callbacks_now = 0
        """Number of callbacks at this moment."""
        self.callback_limit = sys.maxsize
        """Maximum number of callbacks at one moment."""
        self.take_turn: Callable[[Any], None]
        """Runs a callback when its time has come: set by the loop."""

    def put(self, handle: asyncio.Handle, delay: int) -> None:
        """Have a callback wait for so many microseconds."""
        heappush(self._heap, (self._now + delay, NORMAL, next(self._eid), handle))

    def step(self) -> None:
        """Process the next event that is still wanted.

        Raises EmptySchedule if there is none, TimeDoesNotAdvance if too many events happen at one moment.
        """
        heap = self._heap
        while heap:
            moment, _, _, event = heap[0]
            if type(event) not in _HANDLES:
                super().step()
                return
            heappop(heap)
            if event._cancelled:  # the clock must not move for a cancelled timer
                self.cancelled -= _was_counted(event)
                continue
            if moment > self._now:
                self._now, self.callbacks_now = moment, 0
            else:
                self.callbacks_now += 1
                if self.callbacks_now > self.callback_limit:
                    raise TimeDoesNotAdvance(f"time stands still: {self.callbacks_now} callbacks at one moment")
            self.take_turn(event)
            return
        raise EmptySchedule

    def peek(self) -> float:
        """Return the time of the next event that is still wanted, infinity if there is none."""
        heap = self._heap
        while heap and _is_cancelled(heap[0][3]):
            self.cancelled -= _was_counted(heappop(heap)[3])
        return super().peek()

    def timer_cancelled(self) -> None:
        """Note that one scheduled timer was cancelled, and rebuild the heap when most of it is such timers."""
        self.cancelled += 1
        if self.cancelled > _COMPACT_ABOVE and self.cancelled * 2 > len(self._heap):
            self._heap[:] = [item for item in self._heap if not _is_cancelled(item[3])]
            heapify(self._heap)
            self.cancelled = 0


_HANDLES = frozenset({Handle, Timer})


def _is_cancelled(event: Any) -> bool:
    return type(event) in _HANDLES and event._cancelled


def _was_counted(handle: Any) -> bool:
    """Whether a cancelled callback was counted as such: timers are that were in the heap then."""
    return type(handle) is Timer and handle._scheduled
