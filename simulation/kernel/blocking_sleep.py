"""Calls that block: a process stands still inside of one while the rest of the world goes on.

`time.sleep` in a coroutine blocks the whole process that it is in: no timer, no heartbeat and no reply is served
meanwhile. The call is somewhere deep in the stack of the loop that drives the world, so that stack is put aside:

1. The callbacks of the process are held from now on, as in a pause.
2. A second greenlet goes on driving the world; the first one, with the call in it, waits.
3. When the time is over, and the process is not paused by a fault, the driver switches to the waiting greenlet. The
   call returns, and the callback that it is part of runs to its end there.
4. The greenlet hands back to the driver, and ends, if it is not the one that the run began in.

Any number of processes can block at the same time. A crashed process never returns from its call; what is still blocked
when the run is over ends with `ProcessEnded`.
"""

from __future__ import annotations

import asyncio
from asyncio.tasks import _enter_task, _leave_task  # asyncio documents these for loops of others
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from greenlet import getcurrent, greenlet

from simulation.kernel.escapes import place
from simulation.kernel.process import Process

if TYPE_CHECKING:
    from simulation.kernel.event_loop import SimulatedLoop


class ProcessEnded(BaseException):
    """The run is over while the process blocks: the call never returns."""


class Driver:
    """Drives a world, step by step, in whichever greenlet is free to do so."""

    def __init__(self, wanted: Callable[[], bool], step: Callable[[], None]) -> None:
        self._wanted, self._step = wanted, step
        self._main = self._driving = getcurrent()
        self._waiting: list[greenlet] = []
        self._over = False
        self._failure: BaseException | None = None
        """What ended the run in another greenlet than the first."""

    def run(self) -> None:
        """Take steps for as long as the run is wanted. Raises what a step raises."""
        try:
            while not self._over and self._wanted():
                self._step()
                if self._driving is not self._main:  # a callback has blocked in here, and is done by now
                    self._driving.switch()
        finally:
            self._end()
        if self._failure is not None:
            raise self._failure

    def _go_on(self) -> None:
        """Drive the world in place of a greenlet that waits."""
        mine = getcurrent()
        try:
            while self._wanted():
                self._step()
                if self._over:
                    return
                if self._driving is not mine:
                    mine.parent = self._driving
                    return
        except BaseException as error:
            self._failure = error
        self._over = True

    def _end(self) -> None:
        self._over = True
        for one in self._waiting[:]:
            if one is not self._main:
                one.parent = getcurrent()
                one.throw(ProcessEnded)

    def block(self, loop: SimulatedLoop, process: Process, delay: int) -> None:
        """Keep the current process blocked for `delay` microseconds. Raises ProcessEnded."""
        mine, task = getcurrent(), asyncio.current_task(loop)
        process.blocked = True
        loop.on_block(process, delay, place())
        loop.in_world(delay, self._return, loop, process, mine)
        if task is not None:
            _leave_task(loop, task)
        self._waiting.append(mine)
        try:
            if self._driving is mine:
                self._driving = greenlet(self._go_on, parent=self._main)
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
