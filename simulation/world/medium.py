"""The state that a world's connections share: the store, the faults that decide about packets, the listeners."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from simulation.kernel.escapes import Escaped
from simulation.kernel.event_loop import SimulatedLoop
from simulation.kernel.random_streams import Stream
from simulation.stores.protocol import Link, Store, StoreUnavailable
from simulation.stores.redis_commands import NOTIFY
from simulation.world.backlog import Backlog
from simulation.world.blocking import BlockingCalls, Replicas
from simulation.world.packets import PASS, Fate, Gate, Packet, PacketFault, Trace
from simulation.world.random_commands import RandomCommands
from simulation.world.request_log import RequestLog
from simulation.world.sweep_cost import Cost


class Listener(Protocol):
    """A connection whose client waits for pushes of the store."""

    link: Link

    def carry(self, data: bytes) -> None:
        """Carry something that the store pushed to the client."""
        ...


class Medium:
    """The world between clients and the store, as a connection sees it."""

    def __init__(self, loop: SimulatedLoop, store: Store, trace: Trace | None, stream: Stream) -> None:
        self.loop = loop
        self.store = store
        self.trace = trace
        self.faults: list[PacketFault] = []
        self.triggers: list[Callable[[Packet, Fate], Fate]] = []
        """Each is shown every packet and its fate, and may change that."""
        self.gate: Gate = _all_pass
        self.refused: Callable[[StoreUnavailable | Escaped], None] = _raise
        """Called when the store cannot execute a request: no answer will come."""
        self.backlog = Backlog()
        self.random_commands = RandomCommands(stream)
        self.blocking = BlockingCalls(loop, store.set_time, self.backlog)
        self.stepped = False
        """Whether the order of packets is chosen, so that no latency is drawn."""
        self.watches_keys = False
        """Whether a client is notified of changes of keys: any command may then have something to push."""
        self.undo: dict[bytes, Sequence[bytes]] = {}
        """Commands that undo the clients' changes of the server itself, which is kept for other runs."""
        self.requests = RequestLog()
        self.replicas = Replicas(0, 0)
        self.connections = 0
        """Number of connections opened so far."""
        self.senders: set[str] = set()
        """The consumers that have sent anything."""
        self.packets = 0
        self.commands = 0
        self.refusals = 0
        """Number of connections that were refused because of a fault."""
        self.idle = Cost()
        """The cost of sweeps that found nothing."""
        self._listening: list[Listener] = []

    @property
    def clients(self) -> int:
        """Number of connections that exist now."""
        raise NotImplementedError

    def fate(self, packet: Packet) -> Fate:
        """Ask the faults, in the order in which they were installed; the first opinion counts."""
        for fault in self.faults:
            fate = fault(packet)
            if fate is not None:
                return fate
        return PASS

    def trigger(self, packet: Packet, fate: Fate) -> Fate:
        """Show a packet to the faults that wait for it, and return its fate."""
        for trigger in self.triggers:
            fate = trigger(packet, fate)
        return fate

    def listen(self, connection: Listener) -> None:
        """Watch a connection for pushes of the store."""
        if connection not in self._listening:
            self._listening.append(connection)

    @property
    def listened_to(self) -> bool:
        """Whether any client has subscribed to pushes of the store."""
        return bool(self._listening)

    def carry_pushes(self) -> None:
        """Carry the store's pushes since the last command to the subscribers."""
        if not self._listening:
            return
        self.store.settle()
        for connection in self._listening:
            if data := connection.link.pushed():
                connection.carry(data)

    def forget(self, connection: Listener) -> None:
        """Forget a connection that is closed on both ends."""
        if connection in self._listening:
            self._listening.remove(connection)

    def notes_settings(self, words: Sequence[bytes]) -> None:
        """Take note of a command that changes the server itself."""
        verb, sub = words[0].upper(), words[1].upper() if len(words) > 1 else b""
        if verb == b"CONFIG" and sub == b"SET":
            self.undo[verb] = [b"CONFIG", b"SET", NOTIFY, b""]
        elif verb == b"FUNCTION" and sub in (b"LOAD", b"RESTORE"):
            self.undo[verb] = [b"FUNCTION", b"FLUSH"]

    def ended(self, connection: object) -> None:
        """Take note that a connection is closed on both ends."""

    def close(self) -> None:
        """Let go of everything: a connection that is kept beyond the run must not keep all of its world."""
        self._listening.clear()
        self.blocking.close()
        self.faults, self.triggers, self.gate, self.refused = [], [], _all_pass, _raise


def _all_pass(consumer: str) -> bool:
    return True


def _raise(error: StoreUnavailable | Escaped) -> None:
    raise error
