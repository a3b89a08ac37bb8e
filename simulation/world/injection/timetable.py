"""Plays the faults that strike at a moment, a command or a handler step, and ends them when their time is over."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from typing import Protocol

from simulation.kernel.event_loop import SimulatedLoop
from simulation.scenario.faults import ConsumerFault, Pause, TimedFault
from simulation.scenario.faults.targets import Undo
from simulation.world.consumer import Consumer
from simulation.world.injection.command_patterns import Spelling
from simulation.world.injection.fault_log import ActiveFault, FaultLog
from simulation.world.packets import Fate, Packet


class Act(Protocol):
    """Applies a fault, notes it, and returns a function that undoes it; None if nothing is left to undo."""

    def __call__(self, active: ActiveFault, consumer: Consumer | None) -> Undo | None:
        """Strike. The consumer is the victim of a fault that has one."""
        ...


@dataclass(frozen=True, slots=True, eq=False)
class _Ending:
    active: ActiveFault
    consumer: str
    undo: Undo
    holds_packet: bool = False
    """Whether a packet of the consumer is on its way for as long as the fault lasts."""


class Timetable:
    """All timed faults of a run."""

    def __init__(self, log: FaultLog, loop: SimulatedLoop, consumers: dict[str, Consumer], spelling: Spelling) -> None:
        self._log = log
        self._loop = loop
        self._consumers = consumers
        self._spelling = spelling
        self._open: dict[_Ending, None] = {}
        self._steps: list[tuple[ActiveFault, Act, list[int]]] = []
        self.triggers: list[Callable[[Packet, Fate], Fate]] = []
        """The hooks to which the network must show each packet."""

    def install(self, active: ActiveFault, act: Act) -> None:
        """See to it that a fault strikes when it is due."""
        fault = active.fault
        assert isinstance(fault, TimedFault)
        for turn, moment in enumerate(fault.moments):
            self._loop.in_world(moment, self._due, active, act, turn)
        if fault.command:
            self.triggers.append(partial(self._at_command, active, act, [0]))
        if fault.step:
            self._steps.append((active, act, [0]))

    @property
    def watches_steps(self) -> bool:
        """Whether any fault waits for a handler step."""
        return bool(self._steps)

    # -- striking --------------------------------------------------------------------------------------------

    def _due(self, active: ActiveFault, act: Act, turn: int) -> None:
        if self._log.healed:
            return
        for victim in self._victims(active, turn):
            self._strike(active, act, victim)

    def _victims(self, active: ActiveFault, turn: int) -> Iterable[Consumer | None]:
        fault = active.fault
        if not isinstance(fault, ConsumerFault):
            return [None]
        if fault.consumer == "all":
            return list(self._consumers.values())
        if fault.consumer != "any":
            return [self._consumers[fault.consumer]]
        living = [consumer for consumer in self._consumers.values() if consumer.process.running]
        return [active.stream(str(turn)).choose(living)] if living else []

    def _strike(self, active: ActiveFault, act: Act, consumer: Consumer | None, *, holds_packet: bool = False) -> None:
        if self._log.healed:
            return
        undo = act(active, consumer)
        if undo is None:
            return
        ending = _Ending(active, consumer.name if consumer else "", undo, holds_packet)
        self._open[ending] = None
        if active.fault.span:
            self._loop.in_world(active.fault.span, self._end, ending)

    def _end(self, ending: _Ending) -> None:
        if ending in self._open:
            del self._open[ending]
            ending.undo()
            ending.active.note_end(ending.consumer)

    def heal(self) -> None:
        """End everything that is still at work, but a pause whose consumer has something to send when it thaws.

        That is sent at the end of the pause: a history which had the consumer resume before would not be true.
        """
        for ending in list(self._open):
            if not ending.holds_packet:
                self._end(ending)

    # -- commands and steps ----------------------------------------------------------------------------------

    def _at_command(self, active: ActiveFault, act: Act, count: list[int], packet: Packet, fate: Fate) -> Fate:
        fault = active.fault
        assert isinstance(fault, TimedFault)
        if self._log.healed or not self._sent_by(fault, packet.consumer):
            return fate
        before = count[0]
        count[0] += sum(self._spelling(words).matches(fault.command) for words in packet.commands)
        if not before < fault.nth <= count[0]:
            return fate
        sender = self._consumers.get(packet.consumer)
        if fault.when == "after":
            return fate.followed_by(lambda: self._strike(active, act, sender))
        self._strike(active, act, sender, holds_packet=isinstance(fault, Pause))
        # Who is frozen before it sends something sends it when it thaws.
        return fate.delayed(fault.duration) if isinstance(fault, Pause) else fate

    @staticmethod
    def _sent_by(fault: TimedFault, consumer: str) -> bool:
        return not isinstance(fault, ConsumerFault) or fault.consumer in ("any", "all", consumer)

    def at_step(self, step: str, when: str, consumer: str) -> bool:
        """Take note of a handler step. Return whether a fault acted: then the consumer may be dead or frozen."""
        hit = False
        for active, act, count in self._steps:
            fault = active.fault
            assert isinstance(fault, TimedFault)
            if (fault.step, fault.when) != (step, when) or not self._sent_by(fault, consumer):
                continue
            count[0] += 1
            if count[0] == fault.nth and not self._log.healed:
                self._strike(active, act, self._consumers[consumer])
                hit = True
        return hit
