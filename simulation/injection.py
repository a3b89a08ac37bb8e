"""The injector: plays a scenario's faults against a world, writes each one down, and ends them when the world heals.

World faults become SimPy processes that wait for their moment. Packet faults become functions that the network asks
about each packet. Delivery faults are the broker's to ask about; they only report here.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Generator
from typing import Any, Protocol

from simulation.broker import strikes
from simulation.consumer import Consumer
from simulation.faults import (
    ERRORS,
    Crash,
    DeliveryFault,
    ErrorReply,
    Fault,
    Latency,
    PacketFault,
    Partition,
    Pause,
    ReplyLost,
    RequestLost,
    Stop,
    WorldFault,
    describe,
)
from simulation.history import History
from simulation.loop import SimulatedLoop
from simulation.network import Fate, Network, Packet
from simulation.streams import Streams


class World(Protocol):
    """What faults may touch."""

    loop: SimulatedLoop
    network: Network
    history: History
    streams: Streams
    consumers: dict[str, Consumer]


class Injector:
    """All faults of a run."""

    def __init__(self, world: World, faults: tuple[Fault, ...]) -> None:
        self.injected: Counter[int] = Counter()
        """How often each fault struck, by its place in the scenario."""
        self.healed = False
        self._world = world
        self._faults = faults
        self._cut_off: Counter[str] = Counter()
        world.network.gate = lambda consumer: not self._cut_off[consumer]
        for index, fault in enumerate(faults):
            match fault:
                case WorldFault():
                    world.loop.env.process(self._play(index, fault))
                case PacketFault():
                    world.network.faults.append(_Strike(self, index, fault))
                case _:
                    pass  # the broker asks about delivery faults itself

    @property
    def delivery_faults(self) -> list[DeliveryFault]:
        """The faults that the broker must ask about."""
        return [fault for fault in self._faults if isinstance(fault, DeliveryFault)]

    @property
    def last_moment(self) -> int:
        """When the last fault has struck and healed, as far as that is known beforehand, in microseconds."""
        return max((_end(fault) for fault in self._faults), default=0)

    @property
    def silent(self) -> list[Fault]:
        """The faults that never struck."""
        return [fault for index, fault in enumerate(self._faults) if not self.injected[index]]

    def delivery_struck(self, fault: DeliveryFault, event: str) -> None:
        """Take note that a delivery fault struck an event."""
        self.note(self._faults.index(fault), event=event)

    def note(self, index: int, event: str = "", consumer: str = "", **details: Any) -> None:
        """Write down that a fault struck."""
        self.injected[index] += 1
        fault = describe(self._faults[index])
        self._write("fault", event, consumer, fault=fault.pop("kind"), number=index + 1, **details)

    def heal(self) -> None:
        """End every fault: nothing strikes any more, nobody is cut off, frozen or dead."""
        self.healed = True
        for name in sorted(name for name, cuts in self._cut_off.items() if cuts):
            self._write("reachable", consumer=name)
        self._cut_off.clear()
        for consumer in self._world.consumers.values():
            consumer.resume()
            consumer.start()

    def _write(self, kind: str, event: str = "", consumer: str = "", **details: Any) -> None:
        self._world.history.append(self._world.loop.now, kind, event, consumer, **details)

    # -- world faults ----------------------------------------------------------------------------------------

    def _play(self, index: int, fault: WorldFault) -> Generator[Any, Any, None]:
        env = self._world.loop.env
        yield env.timeout(fault.at)
        for turn in range(fault.times):
            if turn:
                assert fault.every is not None
                yield env.timeout(fault.every)
            if self.healed:
                return
            for consumer in self._victims(index, fault, turn):
                env.process(self._strike(index, fault, consumer))

    def _victims(self, index: int, fault: WorldFault, turn: int) -> list[Consumer]:
        consumers = self._world.consumers
        if fault.consumer == "all":
            return list(consumers.values())
        if fault.consumer != "any":
            return [consumers[fault.consumer]]
        living = [consumer for consumer in consumers.values() if consumer.process.running]
        return [self._world.streams.fresh(f"fault/{index}/{turn}").choose(living)] if living else []

    def _strike(self, index: int, fault: WorldFault, consumer: Consumer) -> Generator[Any, Any, None]:
        name, env = consumer.name, self._world.loop.env
        self.note(index, consumer=name)
        match fault:
            case Crash():
                consumer.crash()
            case Stop():
                consumer.stop()
            case Pause():
                consumer.pause()
            case Partition():
                self._cut_off[name] += 1
                self._write("unreachable", consumer=name)
        if not fault.duration:
            return
        yield env.timeout(fault.duration)
        if self.healed:
            return
        match fault:
            case Crash() | Stop():
                consumer.start()
            case Pause():
                consumer.resume()
            case Partition():
                self._cut_off[name] -= 1
                self._write("reachable", consumer=name)


def _end(fault: Fault) -> int:
    match fault:
        case WorldFault():
            return fault.at + (fault.every or 0) * (fault.times - 1) + fault.duration
        case PacketFault():
            return fault.begin + fault.duration
        case _:
            return 0


class _Strike:
    """A packet fault, as the network asks it."""

    def __init__(self, injector: Injector, index: int, fault: PacketFault) -> None:
        self._injector = injector
        self._index = index
        self._fault = fault
        self._matched = 0

    def __call__(self, packet: Packet) -> Fate | None:
        injector, fault, world = self._injector, self._fault, self._injector._world
        if injector.healed:
            return None
        for words in packet.commands:
            text = [word.decode("utf-8", "replace") for word in words]
            if not fault.concerns(packet.consumer, text, world.loop.now):
                continue
            self._matched += 1
            luck = world.streams.fresh(f"fault/{self._index}/{packet.consumer}/{packet.number}")
            if strikes(fault.nth, fault.probability, self._matched, luck):
                injector.note(self._index, consumer=packet.consumer, command=text[0], packet=packet.number)
                return _fate(fault)
        return None


def _fate(fault: PacketFault) -> Fate:
    match fault:
        case RequestLost():
            return Fate(deliver=False)
        case ReplyLost():
            return Fate(answer=False)
        case Latency(request=request, reply=reply):
            return Fate(request_delay=request, reply_delay=reply)
        case ErrorReply(error=error):
            return Fate(error=ERRORS[error].encode())
        case _:
            raise AssertionError(f"{fault!r} has no fate")
