"""Calls that block: a process stands still inside of one while the rest of the world goes on.

`time.sleep` in a coroutine blocks the whole process that it is in: no timer, no heartbeat and no reply is served
meanwhile. The call is somewhere deep in the stack of the loop that drives the world, so that stack is put aside:

1. The callbacks of the process are held from now on, as in a pause.
2. A second greenlet goes on driving the world; the first one, with the call in it, waits.
3. When the time is over, and the process is not paused by a fault, the driver switches to the waiting greenlet. The
   call returns, and the callback that it is part of runs to its end there.
4. The greenlet hands back to the driver, and ends, if it is not the one that the run began in.

Any number of processes can block at the same time. A crashed process never returns from its call; a call that is
still blocked when the run is over ends with `ProcessEnded`.

The harness itself waits in a greenlet of its own. So it can go on while a callback is in the middle of a loop that
never ends: that callback is abandoned, as it is.
"""

from __future__ import annotations

import asyncio
from asyncio.tasks import _enter_task, _leave_task  # asyncio documents these for loops of others
from collections.abc import Callable
from contextvars import copy_context
from functools import partial
from typing import TYPE_CHECKING

from greenlet import getcurrent, greenlet

from simulation.kernel.endings import keep_for_ever
from simulation.kernel.escapes import place
from simulation.kernel.process import Process

if TYPE_CHECKING:
    from simulation.kernel.event_loop import SimulatedLoop


class ProcessEnded(BaseException):
    """The run is over while the process blocks: the call never returns."""


class Driver:
    """Drives a world, step by step, in any greenlet that is free to do so."""

    def __init__(self, wanted: Callable[[], bool], step: Callable[[], None]) -> None:
        self._wanted, self._step = wanted, step
        self._main = self._driving = getcurrent()
        self._waiting: list[greenlet] = []
        self._over = True
        self._begins = False
        self.abandoned = False
        """Whether a callback was left in the middle."""
        self._failure: BaseException | None = None
        """The exception that ended the run."""

    def _new_greenlet(self) -> greenlet:
        new = greenlet(self._go_on, parent=self._main)
        new.gr_context = copy_context()
        return new

    def run(self) -> None:
        """Take steps for as long as the run is wanted. Raises the exception of a step."""
        self._over = False
        self._driving = self._new_greenlet()
        try:
            self._driving.switch()
            while self._begins:  # begun from here, each at the same depth: any number of them can wait
                self._begins = False
                self._driving.switch()
        finally:
            self._over = True
        if self._failure is not None:
            raise self._failure

    def _go_on(self) -> None:
        mine = getcurrent()
        try:
            while self._wanted():
                self._step()
                if self._over:
                    return
                if self._driving is not mine:  # a callback has blocked in here, and is done by now
                    mine.parent = self._driving
                    return
        except BaseException as error:
            self._failure = error
        self._over = True

    def abandon(self, error: BaseException) -> None:
        """End the run from within a callback, which stays where it is for ever. Raises the error in `run`."""
        mine = getcurrent()
        if mine is not self._main:
            self.abandoned = True
            keep_for_ever(mine)
        self._main.throw(error)

    def blocked(self) -> list[Blocked]:
        """Return the calls that still block, to be ended."""
        return [Blocked(one) for one in self._waiting]

    def block(self, loop: SimulatedLoop, process: Process, delay: int) -> None:
        """Keep the current process blocked for `delay` microseconds. Raises ProcessEnded."""
        if self._over:
            raise ProcessEnded
        process.blocked = True
        loop.on_block(process, delay, place())
        loop.in_world(delay, self._return, loop, process, getcurrent())
        self._wait(loop)

    def halt(self, loop: SimulatedLoop) -> None:
        """Keep the current callback where it is: its process is over. Raises ProcessEnded at the end of the run."""
        if self._over:
            raise ProcessEnded
        self._wait(loop)

    def _wait(self, loop: SimulatedLoop) -> None:
        mine, task = getcurrent(), asyncio.current_task(loop)
        if task is not None:
            _leave_task(loop, task)
        self._waiting.append(mine)
        try:
            if self._driving is mine:
                self._driving, self._begins = self._new_greenlet(), True
                self._main.switch()
            else:
                self._driving.switch()
            if self._over:
                raise ProcessEnded
        finally:
            self._waiting.remove(mine)
            if task is not None:
                _enter_task(loop, task)

    def _return(self, loop: SimulatedLoop, process: Process, waiting: greenlet) -> None:
        if not process.alive:
            return
        if process.paused:
            process.returning = partial(self._return, loop, process, waiting)
            return
        loop.unblock(process)
        waiting.switch()


class Blocked:
    """A call that still blocks when the run is over."""

    def __init__(self, waiting: greenlet) -> None:
        self._waiting = waiting

    def close(self) -> None:
        """Have the call raise ProcessEnded, and the callback that it is part of run to its end."""
        if not self._waiting.dead:
            self._waiting.parent = getcurrent()
            self._waiting.throw(ProcessEnded)
