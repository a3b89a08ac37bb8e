"""Redis as its faults see it: the effects that they may have on it."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

from simulation.kernel.ambient import WORLD, Ambient, Skew
from simulation.scenario.faults import AnyFault, Failover, StoreFault
from simulation.scenario.faults.targets import Active, Undo
from simulation.stores.cluster import Cluster
from simulation.stores.protocol import Store, StoreUnavailable
from simulation.world.blocking import Replicas
from simulation.world.consumer import Consumer
from simulation.world.injection.fault_log import ActiveFault, FaultLog
from simulation.world.injection.migration import Migration
from simulation.world.network import Network
from simulation.world.packets import Packet


class StoreActs:
    """Lets the faults of Redis act on it. Raises StoreUnavailable if this store cannot have one of them."""

    def __init__(self, log: FaultLog, network: Network, ambient: Ambient) -> None:
        self._log = log
        self._network = network
        self._store: Store = network.store
        self._ambient = ambient
        self._down = 0
        for active in log.of(StoreFault):
            self._check(active)

    def _check(self, active: ActiveFault) -> None:
        kind, fault = active.fault.name, active.fault
        if kind not in self._store.supports and not (isinstance(fault, StoreFault) and fault.on_every_store):
            better = "server" if self._store.supports else "server or embedded"
            raise StoreUnavailable(
                f"the store {self._store.name} cannot have the fault '{kind}' (faults[{active.number}]); "
                f"choose --store {better}, or leave the fault out"
            )

    @property
    def is_up(self) -> bool:
        """Whether Redis answers."""
        return not self._down

    def prepare(self) -> None:
        """Have a replica at hand, if one is to take over later."""
        failovers = [active.fault for active in self._log.of(Failover)]
        if failovers:
            lag = max(fault.lag for fault in failovers if isinstance(fault, Failover))
            self._network.replicas = Replicas(max(1, self._network.replicas.number), lag)
            self._store.replicate(None if self._network.stepped else _known_at(failovers))

    def heal(self) -> None:
        """Need no replica any more."""
        if self._log.of(Failover):
            self._store.replicate(())

    def __call__(self, active: ActiveFault, consumer: Consumer | None) -> Undo | None:
        """Strike."""
        self._store.set_time(self._log.now)
        assert isinstance(active.fault, StoreFault)
        undo = active.fault.strike(active, self)
        self._network.blocking.serve()  # clients that wait for a stream that is gone get an answer
        return undo

    # -- what faults may do to Redis --------------------------------------------------------------------------

    @property
    def store(self) -> Store:
        """The store that executes the commands."""
        return self._store

    @property
    def now(self) -> int:
        """Microseconds since the start of the run."""
        return self._log.now

    def write(self, kind: str, **details: Any) -> None:
        """Write an entry about Redis into the history."""
        self._log.write(kind, **details)

    def forget_scripts(self) -> None:
        """Know no script."""
        self._network.topology.forget_scripts()

    def close_connections(self, idle: int, age: int) -> int:
        """Close each connection that was idle for so long and is so old, in microseconds."""
        return self._network.hang_up(idle, age)

    def stall(self, active: Active) -> Undo:
        """Take in arriving packets, and execute them only later."""
        self._log.write("unreachable")
        go_on = self._network.backlog.stall(partial(_note_packet, active))

        def undo() -> None:
            self._log.write("reachable")
            go_on()

        return undo

    def demote(self, active: Active) -> Undo:
        """Have the connections of now lead to a replica."""
        return self._network.demote(partial(_note_packet, active))

    def move_slot(self, active: Active, key: str, duration: int) -> Undo:
        """Begin to move the slot of a key to the next node, which takes so many microseconds.

        Until it has moved, a request that needs several of its keys is refused: no engine can do anything about that.
        """
        assert isinstance(self._store, Cluster)  # the fault needs one
        migration = Migration(self._network, self._store, active, key)
        migration.begin(duration)
        self._log.write("slot-moving")

        def end() -> None:
            migration.end()
            self._log.write("slot-moved")

        return end

    def lose_primary(self) -> Undo:
        """Break every connection to the primary, and accept none, until another server has its place."""
        topology = self._network.topology
        if not topology.has_replicas:
            self.go_down()
            return self.come_back
        topology.primary.is_up = False
        self._network.lose(topology.primary)
        self._log.write("unreachable")

        def replace() -> None:
            topology.promote()
            self._log.write("reachable")

        return replace

    def go_down(self) -> None:
        """Break every connection, and accept none."""
        self._down += 1
        self._network.lose()
        self._log.write("unreachable")

    def come_back(self) -> None:
        """Accept connections again."""
        self._down -= 1
        self._log.write("reachable")

    def shift_clock(self, offset: int) -> None:
        """Move the server's clock."""
        error = self._ambient.skews.pop(WORLD, Skew()).offset + offset
        if error:
            self._ambient.skews[WORLD] = Skew(error)
        self._store.shift(error)


def _note_packet(active: Active, packet: Packet) -> None:
    active.note(consumer=packet.consumer, packet=packet.number)


def _known_at(failovers: Sequence[AnyFault]) -> list[int] | None:
    """Return the moments for which a failover will ask for a replica's data; None if not known beforehand."""
    moments: list[int] = []
    for fault in failovers:
        assert isinstance(fault, Failover)
        if fault.command or fault.step:
            return None
        moments += [moment - fault.lag for moment in fault.moments]
    return moments
