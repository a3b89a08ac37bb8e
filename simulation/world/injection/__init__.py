"""The injector: plays a scenario's faults against a world, writes each one down, and ends them when the world heals.

A family of faults, a file: `consumers`, `packets`, `stores`, `deliveries` (the queue), `handlers` and `publications`.
`timetable` knows when faults strike that strike at a moment, a command or a handler step; `fault_log` keeps account.
A hook that no fault of the scenario needs is not installed, and costs nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any, Protocol

from simulation.engines import Engine
from simulation.history.history import History
from simulation.kernel.ambient import Ambient
from simulation.kernel.event_loop import SimulatedLoop
from simulation.kernel.random_streams import Streams
from simulation.scenario.faults import (
    AnyFault,
    Chance,
    ConsumerFault,
    DeliveryFault,
    Duplicate,
    HandlerFault,
    Join,
    PacketFault,
    PublicationFault,
    StoreFault,
    TimedBrokerFault,
    TimedFault,
)
from simulation.scenario.faults.not_an_event import NotAnEvent
from simulation.scenario.faults.too_large import TooLarge
from simulation.scenario.faults.unreadable_for_some import UnreadableForSome
from simulation.scenario.model import Scenario
from simulation.world.broker import Broker
from simulation.world.consumer import Consumer
from simulation.world.injection.command_patterns import Spelling
from simulation.world.injection.consumers import ConsumerActs
from simulation.world.injection.deliveries import DeliveryInjector
from simulation.world.injection.fault_log import FaultLog
from simulation.world.injection.handlers import HandlerInjector
from simulation.world.injection.packets import PacketFaultHook, SizeLimitHook
from simulation.world.injection.publications import PublicationInjector
from simulation.world.injection.readings import MisreadingInjector, ReadingInjector
from simulation.world.injection.stores import StoreActs
from simulation.world.injection.timetable import Act, Timetable
from simulation.world.ledger import Ledger
from simulation.world.network import Network


class World(Protocol):
    """The parts of the world that faults may touch."""

    loop: SimulatedLoop
    network: Network
    history: History
    streams: Streams
    scenario: Scenario
    consumers: dict[str, Consumer]
    ambient: Ambient
    engine: type[Engine]
    epoch: datetime
    ledger: Ledger


class Injector:
    """All faults of a run."""

    def __init__(self, world: World) -> None:
        self._world = world
        faults = world.scenario.faults
        self.log = FaultLog(world.loop, world.history, world.streams, faults)
        spelling = Spelling.of(world.engine) if faults else Spelling({})
        self._timetable = Timetable(self.log, world.loop, world.consumers, spelling)
        self._consumers = ConsumerActs(self.log, world.ambient)
        self._store = StoreActs(self.log, world.network, world.ambient)
        self._queue = DeliveryInjector(self.log, self._roles, world.epoch, world.scenario.policy.retention)
        self._followed: frozenset[str] | None = None
        for active in self.log.of(PacketFault):
            world.network.faults.append(PacketFaultHook(self.log, active, spelling, world.ledger.name_of))
        for active in self.log.of(TooLarge):
            world.network.faults.append(SizeLimitHook(self.log, active, world.ledger.name_of))
        for family, act in self._acts():
            for active in self.log.of(family):
                self._timetable.install(active, act)
        world.network.triggers += self._timetable.triggers
        if self.log.of(ConsumerFault) or self.log.of(StoreFault):
            world.network.gate = self._reaches

    def _acts(self) -> list[tuple[type[AnyFault], Act]]:
        return [(ConsumerFault, self._consumers), (StoreFault, self._store), (TimedBrokerFault, self._queue.act)]

    def _reaches(self, consumer: str) -> bool:
        return self._store.is_up and self._consumers.can_reach_redis(consumer)

    def _roles(self, event: str) -> dict[str, bool]:
        if self._followed is None:
            self._followed = self._world.ledger.followed()
        return {"follows": bool(self._world.ledger.leader_of(event)), "leads": event in self._followed}

    # -- what others install ---------------------------------------------------------------------------------

    @property
    def handlers(self) -> HandlerInjector | None:
        """The hook that every handler must call at its steps, if any fault is about handlers."""
        if self.log.of(HandlerFault) or self._timetable.watches_steps:
            world = self._world
            return HandlerInjector(self.log, self._timetable, self._roles, loop=world.loop, consumers=world.consumers)
        return None

    @property
    def readings(self) -> Callable[[str, str], bool] | None:
        """The hook that decides whether a consumer can read an event, if any fault is about that."""
        return ReadingInjector(self.log, self._roles) if self.log.of(UnreadableForSome) else None

    @property
    def misreadings(self) -> Callable[[str, str], bool] | None:
        """The hook that decides whether a consumer takes a message for something else, if any fault is about that."""
        return MisreadingInjector(self.log, self._roles) if self.log.of(NotAnEvent) else None

    def deliveries(self, broker: Broker) -> DeliveryInjector | None:
        """Return the hook that the broker must ask, if any fault is about it."""
        self._queue.broker = broker
        return self._queue if self.log.of(DeliveryFault) or self.log.of(TimedBrokerFault) else None

    @property
    def publications(self) -> Callable[[Any], Any] | None:
        """The hook that every event must pass before it is published, if any fault is about that."""
        return PublicationInjector(self.log, self._roles) if self.log.of(PublicationFault) else None

    @property
    def late_joiners(self) -> set[str]:
        """The consumers that are not there from the start."""
        return {active.fault.consumer for active in self.log.of(Join) if isinstance(active.fault, Join)}

    def prepare(self) -> None:
        """Prepare the store before the first event."""
        self._store.prepare()

    # -- the end ---------------------------------------------------------------------------------------------

    @property
    def healed(self) -> bool:
        """Whether nothing strikes any more."""
        return self.log.healed

    @property
    def any_injected(self) -> bool:
        """Whether any fault has acted."""
        return any(active.times for active in self.log.all)

    @property
    def last_moment(self) -> int:
        """The moment at which the last fault with a known moment has healed, in microseconds."""
        ends = (moment + fault.span for fault in self._timed() for moment in fault.moments)
        return max(ends, default=0)

    @property
    def tail(self) -> int:
        """Duration of possible faults after the last publication, as far as is known, in microseconds."""
        retention = self._world.scenario.policy.retention
        return max(
            (
                fault.span + (retention if isinstance(fault, Duplicate) and fault.since == "forgotten" else 0)
                for fault in self._world.scenario.faults
                if isinstance(fault, DeliveryFault | HandlerFault)
            ),
            default=0,
        )

    @property
    def last_period(self) -> int:
        """The end of the last period in which faults may act by chance, in microseconds."""
        chances = (fault for fault in self._world.scenario.faults if isinstance(fault, Chance))
        return max((fault.until or fault.begin + fault.span for fault in chances), default=0)

    def _timed(self) -> list[TimedFault]:
        return [fault for fault in self._world.scenario.faults if isinstance(fault, TimedFault)]

    def heal(self) -> None:
        """End every fault: none strikes any more, and no consumer is cut off, frozen or dead."""
        self.log.healed = True
        self._timetable.heal()
        self._queue.heal()
        self._store.heal()
        for name, consumer in self._world.consumers.items():
            if name not in self._consumers.left:
                consumer.start()
