"""The network between consumers and Redis: a byte-level one, so that any asyncio Redis client runs unmodified.

A connection is a `Wire`, which looks like an asyncio transport. One write of a client is one packet: it
travels for a drawn latency, is executed by one synchronous round trip to the store (no virtual time passes), and
its reply travels back for another. Packets of one wire never overtake each other, as in TCP; packets of different
wires do. A fault is a decision about a packet, its `Fate`: lose it, lose its reply after the store executed it,
answer it with an error, delay either way, or cut the wire. The first fault that has an opinion decides.

This file knows no consumers or engines, and draws from one stream a connection. It makes the wires; the interface
that a wire needs of the network is its base class, `medium.Medium`, so the two files do not import each other.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Any

from simulation.kernel.environment import SECOND
from simulation.kernel.event_loop import SimulatedLoop
from simulation.kernel.loop_surface import any_address
from simulation.kernel.process import Process
from simulation.kernel.random_streams import Stream, Streams
from simulation.scenario.distributions import Distribution
from simulation.scenario.topology import TopologyTable
from simulation.stores.cluster import Cluster
from simulation.stores.cluster_bus import ClusterBus
from simulation.stores.protocol import Store
from simulation.world.blocking import Replicas
from simulation.world.carriers import Carrier, Ends, SteppedCarrier, TimedCarrier
from simulation.world.connection import Place, Wire
from simulation.world.medium import Listener, Medium
from simulation.world.packets import Packet, Trace
from simulation.world.scheduling import Steps
from simulation.world.sentinel import SentinelSession
from simulation.world.servers import Server, ignore_refused
from simulation.world.session import Session
from simulation.world.topology import Topology, open_topology


class Network(Medium):
    """All wires of a world. With `steps`, each packet is a step of an exploration; else it takes time."""

    def __init__(
        self,
        loop: SimulatedLoop,
        store: Store,
        latency: Distribution,
        streams: Streams,
        trace: Trace | None = None,
        *,
        steps: Steps | None = None,
        topology: Topology | None = None,
    ) -> None:
        super().__init__(loop, store, trace, streams.fresh("store"))
        self.latency = latency
        self.topology = topology or open_topology(TopologyTable(), store)
        if self.topology.has_replicas:
            self.replicas = Replicas(len(self.topology.servers) - 1, 0)
        self.stepped = steps is not None
        self._steps = steps
        self._streams = streams
        self._connections: dict[str, int] = {}
        self._wires: set[object] = set()
        self._bus = ClusterBus(store) if isinstance(store, Cluster) else None
        loop.network = self
        loop.resolve = self.topology.resolve

    async def connect(
        self, protocol_factory: Callable[[], Any], process: Process | None, host: Any = None, port: Any = None
    ) -> tuple[Wire, Any]:
        """Open a wire for a process to an address: one latency there, one back.

        Raises ConnectionRefusedError if the process is cut off, or the server at that address is down. An address that
        the topology does not have ends the run.
        """
        place = self._at(host.decode() if isinstance(host, bytes) else str(host), int(port or 0))
        name = process.name if process else "world"
        number = self._connections[name] = self._connections.get(name, 0) + 1
        stream = self._streams.fresh(f"network/{name}/{number}")
        await asyncio.sleep(0 if self.stepped else (self.latency.draw(stream) + self.latency.draw(stream)) / SECOND)
        if not self.gate(name) or not (place.server is None or place.server.is_up):
            self.refusals += 1
            raise ConnectionRefusedError(f"{name} cannot reach Redis")
        protocol = protocol_factory()
        wire = Wire(self, (name, number), partial(self._carrier, stream), protocol, place)
        self._wires.add(wire)
        protocol.connection_made(wire)
        return wire, protocol

    def _at(self, host: str, port: int) -> Place:
        """Return the place at an address."""
        try:
            server = self.topology.server_at(host, port)
        except LookupError as error:
            self.loop.escape(error.args[0])
        if server is not None:
            return Place(server, partial(self._session, server))
        return Place(None, partial(self._sentinel, (self.resolve(host), port)))

    def _session(self, server: Server, wire: Wire) -> Session:
        return Session(self, wire, server)

    def _sentinel(self, address: tuple[str, int], wire: Wire) -> SentinelSession:
        return SentinelSession(self, wire, self.topology, address)

    def resolve(self, host: str) -> str:
        """Return the address of a host."""
        return self.topology.resolve(host)

    def _carrier(self, stream: Stream, ends: Ends) -> Carrier:
        if self._steps is not None:
            return SteppedCarrier(ends, self.loop, self._steps)
        return TimedCarrier(ends, self.loop, self.latency, stream)

    def lose(self, server: Server | None = None) -> None:
        """Break every wire, or those to one server, from the store's side: packets and replies in flight are lost."""
        for wire in self._of(""):
            if server is None or wire.server is server:
                wire.lose()

    def hang_up(self, idle: int, age: int) -> int:
        """End every wire from the store's side, in good order, that was idle for so long and is so old.

        Both are in microseconds. Returns the number of wires. A client that listens is never idle, as in Redis.
        """
        now = self.loop.now
        chosen = [wire for wire in self._of("") if wire.idle_since <= now - idle and wire.opened_at <= now - age]
        for wire in chosen:
            wire.hang_up()
        return len(chosen)

    def demote(self, on_refused: Callable[[Packet], None]) -> Callable[[], None]:
        """Have every wire that leads to the primary now lead to a replica, and report the packets that it refuses.

        Return a function that closes them, from the replica's side.
        """
        old, demoted = self.topology.primary, [wire for wire in self._of("") if wire.server is self.topology.primary]
        if self.topology.has_replicas:
            self.topology.promote()
        else:  # its address leads to another server from now on
            old = Server(old.address, old.store)
            old.is_replica = True
            old.scripts = self.topology.primary.scripts
            for wire in demoted:
                wire.lead_to(old)
        old.on_refused = on_refused
        for wire in demoted:
            wire.unblock()

        def close() -> None:
            old.on_refused = ignore_refused
            for wire in demoted:
                wire.hang_up()

        return close

    def sever(self, consumer: str) -> None:
        """Cut every wire of a consumer: nothing reaches it any more. Packets that it has sent may still arrive."""
        for wire in self._of(consumer):
            wire.sever()

    def cut(self, consumer: str = "") -> None:
        """Reset every wire of a consumer, or of all: its client sees the connection break."""
        for wire in self._of(consumer):
            wire.reset(ConnectionResetError("the connection was reset"))

    def _of(self, consumer: str) -> list[Wire]:
        wires = (wire for wire in self._wires if isinstance(wire, Wire))
        chosen = (wire for wire in wires if not consumer or wire.consumer == consumer)
        return sorted(chosen, key=lambda wire: (wire.consumer, wire.connection))

    def listen(self, connection: Listener) -> None:
        """Watch a connection for pushes of the store; on a cluster, for publications of any node."""
        if self._bus is not None:
            self._bus.open()
        super().listen(connection)

    def carry_pushes(self) -> None:
        """Carry the store's pushes since the last command to the clients that listen."""
        if self._bus is not None and self.listened_to:
            self._bus.relay()
        super().carry_pushes()

    @property
    def clients(self) -> int:
        """Number of connections that exist now."""
        return len(self._wires)

    def ended(self, wire: object) -> None:
        """Forget a wire that is closed on both ends."""
        self._wires.discard(wire)

    def close(self) -> None:
        """Close every connection, without a notification."""
        self.loop.resolve = any_address
        if self._bus is not None:
            self._bus.close()
        self.backlog.close()
        for wire in self._of(""):
            wire.close_link()
        self._wires.clear()
        if self.undo:
            for node in self.store.nodes:
                link = node.link()
                link.run(list(self.undo.values()))
                link.close()
            self.undo.clear()
        super().close()
