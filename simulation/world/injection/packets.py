"""Drops, delays and refuses packets, as the faults on the way to Redis say."""

from __future__ import annotations

from collections.abc import Callable
from fnmatch import fnmatchcase
from functools import partial

from simulation.scenario.faults import PacketFault
from simulation.scenario.faults.too_large import FILLING, TooLarge
from simulation.scenario.workload import IDENTITY
from simulation.world.injection.command_patterns import Spelling
from simulation.world.injection.fault_log import ActiveFault, FaultLog
from simulation.world.packets import Fate, Packet


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
        if not fault.concerns(packet.consumer):
            return None
        for words in packet.commands:
            verb = words[0].decode("utf-8", "replace")
            if not fault.refuses(verb):
                continue
            number = self._spelling(words).number(partial(self._is_about, fault)) if self._reads else 1
            if any(self._active.draws(packet.consumer) for _ in range(number)):
                self._active.note(consumer=packet.consumer, command=verb, packet=packet.number)
                return Fate(**fault.fate())
        return None

    def _is_about(self, fault: PacketFault, text: str) -> bool:
        if not fault.is_about(text):
            return False
        if fault.event == "*":
            return True
        return any(fnmatchcase(self._name_of(identity), fault.event) for identity in IDENTITY.findall(text))


class SizeLimitHook:
    """Refuses packets with an event that is larger than the server takes, as the network asks it."""

    def __init__(self, log: FaultLog, active: ActiveFault, name_of: Callable[[str], str]) -> None:
        self._log = log
        self._active = active
        self._name_of = name_of

    def __call__(self, packet: Packet) -> Fate | None:
        """Decide about a packet, or have no opinion."""
        fault = self._active.fault
        assert isinstance(fault, TooLarge)
        if self._log.healed:
            return None
        word = next((word for words in packet.commands for word in words if fault.exceeds(word)), None)
        if word is None:
            return None
        ids = IDENTITY.findall(word.replace(FILLING.encode() * fault.size, b"").decode("utf-8", "replace"))
        names = (self._name_of(identity) for identity in ids)
        event = next((name for name in names if name in self._active.named), "")
        self._active.note(event=event, consumer=packet.consumer, packet=packet.number)
        return Fate(deliver=False)
