"""Drops and delays packets, as the faults on the way to Redis say."""

from __future__ import annotations

from collections.abc import Callable
from fnmatch import fnmatchcase

from simulation.scenario.faults import PacketFault
from simulation.scenario.workload import IDENTITY
from simulation.world.injection.command_patterns import Spelling
from simulation.world.injection.fault_log import ActiveFault, FaultLog
from simulation.world.packets import Fate, Packet

_UNREAD = [""]
"""The spellings of a command where any would do."""


class PacketFaultHook:
    """A packet fault, as the network asks it."""

    def __init__(self, log: FaultLog, active: ActiveFault, spelling: Spelling, name_of: Callable[[str], str]) -> None:
        self._log = log
        self._active = active
        self._spelling = spelling
        self._name_of = name_of
        fault = active.fault
        assert isinstance(fault, PacketFault)
        self._reads = (fault.match, fault.event) != ("*", "*")

    def __call__(self, packet: Packet) -> Fate | None:
        """Decide about a packet, or have no opinion."""
        fault = self._active.fault
        assert isinstance(fault, PacketFault)
        if self._log.healed or not fault.is_on(self._log.now):
            return None
        for words in packet.commands:
            spellings = self._spelling(words) if self._reads else _UNREAD
            if not (fault.concerns(packet.consumer, spellings) and self._is_about(fault, spellings[0])):
                continue
            verb = words[0].decode("utf-8", "replace")
            if not fault.refuses(verb):
                continue
            if self._active.draws(packet.consumer):
                self._active.note(consumer=packet.consumer, command=verb, packet=packet.number)
                return Fate(**fault.fate())
        return None

    def _is_about(self, fault: PacketFault, text: str) -> bool:
        if fault.event == "*":
            return True
        return any(fnmatchcase(self._name_of(identity), fault.event) for identity in IDENTITY.findall(text))
