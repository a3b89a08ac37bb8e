"""The effects of handler faults inside handlers."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping

from simulation.kernel.environment import SECOND
from simulation.kernel.event_loop import SimulatedLoop
from simulation.scenario.faults import HandlerFault
from simulation.world.consumer import Consumer
from simulation.world.handler import HandlerCancelled, HandlerFailed
from simulation.world.injection.fault_log import FaultLog
from simulation.world.injection.timetable import Timetable


class HandlerInjector:
    """Sits in every handler and lets things go wrong there."""

    def __init__(
        self,
        log: FaultLog,
        timetable: Timetable,
        roles: Callable[[str], dict[str, bool]],
        *,
        loop: SimulatedLoop,
        consumers: Mapping[str, Consumer],
    ) -> None:
        self._loop = loop
        self._consumers = consumers
        self._log = log
        self._timetable = timetable
        self._faults = log.of(HandlerFault)
        self._roles = roles

    async def step(self, step: str, when: str, consumer: str, event: str) -> None:
        """Count a step of a handler, and strike. A process that dies or freezes here goes no further."""
        if self._timetable.at_step(step, when, consumer):
            await asyncio.sleep(0)

    async def work(self, consumer: str, event: str, call: int) -> None:
        """Let a handler work longer, be cancelled, or raise."""
        for active in self._faults:
            fault = active.fault
            assert isinstance(fault, HandlerFault)
            if self._log.healed or not fault.strikes_call(consumer, call, self._log.now):
                continue
            if not (fault.concerns(event, **self._roles(event)) and active.draws(event)):
                continue
            active.note(event=event, consumer=consumer)
            await fault.strike(_RunningHandler(event, self._loop, self._consumers[consumer]))


class _RunningHandler:
    """A handler that runs in the current task."""

    def __init__(self, event: str, loop: SimulatedLoop, consumer: Consumer) -> None:
        self._event = event
        self._loop = loop
        self._consumer = consumer

    async def work_longer(self, duration: int) -> None:
        """Work for so many microseconds more."""
        await asyncio.sleep(duration / SECOND)

    async def be_cancelled(self) -> None:
        """Be cancelled, as by a timeout around the handler."""
        task = asyncio.current_task()
        assert task is not None
        task.cancel(HandlerCancelled(self._event))
        await asyncio.sleep(0)

    def fail(self) -> None:
        """Raise HandlerFailed."""
        raise HandlerFailed(self._event)

    def block(self, duration: int) -> None:
        """Block the whole process for so many microseconds."""
        self._loop.block(self._consumer.process, duration)

    async def end_process(self) -> None:
        """End the whole process at once; it starts again later."""
        self._consumer.exited(SystemExit(1))
        await asyncio.sleep(0)  # nothing of a dead process runs again
