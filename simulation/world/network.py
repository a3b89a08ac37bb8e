"""The network between consumers and Redis: a byte-level one, so that any asyncio Redis client runs unmodified.

A connection is a `Wire`, which looks like an asyncio transport. What a client writes at once is one packet: it
travels for a drawn latency, is executed by one synchronous round trip to the store (no virtual time passes), and
its reply travels back for another. Packets of one wire never overtake each other, as in TCP; packets of different
wires do. A fault is a decision about a packet, its `Fate`: lose it, lose its reply after the store executed it,
answer it with an error, delay either way, or cut the wire. The first fault that has an opinion decides.

This file does not know what a consumer or an engine is, and draws from one stream a connection.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextvars import copy_context
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Protocol, Self

import hiredis

from simulation.kernel.event_loop import Process, SimulatedLoop
from simulation.kernel.random_streams import Stream, Streams
from simulation.scenario.distributions import Distribution
from simulation.stores.faketime import QUESTIONS
from simulation.stores.protocol import Link, Store, StoreUnavailable
from simulation.stores.resp import encoded
from simulation.stores.script_cache import ABOUT_SCRIPTS, EVAL, EVALSHA, Scripts
from simulation.world.scheduling import EVERYTHING, Steps

SUBSCRIBING = frozenset({b"SUBSCRIBE", b"PSUBSCRIBE", b"SSUBSCRIBE", b"UNSUBSCRIBE", b"PUNSUBSCRIBE", b"SUNSUBSCRIBE"})
PUBLISHING = frozenset({b"PUBLISH", b"SPUBLISH", b"EXEC", b"EVAL", b"EVALSHA", b"FCALL"})
BLOCKING = frozenset({b"BLPOP", b"BRPOP", b"BLMOVE", b"BLMPOP", b"BRPOPLPUSH", b"BZPOPMIN", b"BZPOPMAX", b"BZMPOP"})
GREETING = frozenset({b"HELLO", b"AUTH", b"SELECT", b"CLIENT", b"PING"})
MAY_BLOCK = frozenset({b"XREAD", b"XREADGROUP"})

MANY_QUESTIONS = EVAL | EVALSHA | {b"FCALL", b"EXEC"}
"""Commands that ask for the time without bound: each command within them does."""

_PORTION = QUESTIONS // 10
_GIST = 60
"""How many characters tell one command from another."""


@dataclass(frozen=True, slots=True)
class Packet:
    """What a client wrote at once: one or more commands on one wire."""

    consumer: str
    connection: int
    number: int
    """Counts the packets of the run from 1."""
    commands: Sequence[Sequence[bytes]]


@dataclass(frozen=True, slots=True)
class Fate:
    """What becomes of a packet. Delays are in microseconds and add to the drawn latencies."""

    deliver: bool = True
    """Whether the request reaches the store."""
    answer: bool = True
    """Whether the reply reaches the client; if not, the wire is cut when it would have arrived."""
    error: bytes = b""
    """An error to answer with instead of executing the request: `OOM command not allowed …`."""
    request_delay: int = 0
    reply_delay: int = 0
    reset: bool = False
    """Whether the client sees its connection break as soon as the request is on its way."""
    then: Callable[[], None] | None = None
    """Called once the store has executed the request, before the reply leaves."""
    prompt: bool = False
    """Whether it takes no step of its own in an exploration, because it concerns nothing but its connection."""

    def followed_by(self, then: Callable[[], None]) -> Self:
        """Return the same fate, with something to happen once the store has executed the request."""
        first = self.then

        def both() -> None:
            if first is not None:
                first()
            then()

        return replace(self, then=both)

    def delayed(self, by: int) -> Self:
        """Return the same fate, with the request on its way for so much longer, in microseconds."""
        return replace(self, request_delay=self.request_delay + by)


PASS = Fate()


class PacketFault(Protocol):
    """A fault of the network: a function from a packet to its fate, or to None if it has no opinion."""

    def __call__(self, packet: Packet) -> Fate | None:
        """Decide."""
        ...


class Gate(Protocol):
    """Says whether a consumer can reach Redis now."""

    def __call__(self, consumer: str) -> bool:
        """Return False while the consumer is cut off."""
        ...


Trace = Callable[[str, str, Mapping[str, Any]], None]
"""Called with "command" or "reply", the consumer's name and the details."""


class Network:
    """All wires of a world."""

    def __init__(
        self,
        loop: SimulatedLoop,
        store: Store,
        latency: Distribution,
        streams: Streams,
        trace: Trace | None = None,
        *,
        steps: Steps | None = None,
    ) -> None:
        self.loop = loop
        self.store = store
        self.latency = latency
        self.faults: list[PacketFault] = []
        self.triggers: list[Callable[[Packet, Fate], Fate]] = []
        """Whoever waits for certain packets: each is shown every packet and its fate, and may change that."""
        self.gate: Gate = _anybody
        self.refused: Callable[[StoreUnavailable], None] = _raise
        """Told that the store cannot execute a request, and that no answer will come."""
        self.scripts = Scripts()
        self.trace = trace
        self.steps = steps
        self.packets = 0
        self.commands = 0
        self._streams = streams
        self._connections: dict[str, int] = {}
        self._wires: set[Wire] = set()
        self._listening: list[Wire] = []
        loop.network = self

    async def connect(self, protocol_factory: Callable[[], Any], process: Process | None) -> tuple[Wire, Any]:
        """Open a wire for a process: one latency there, one back. Raises ConnectionRefusedError if it is cut off."""
        name = process.name if process else "world"
        number = self._connections[name] = self._connections.get(name, 0) + 1
        stream = self._streams.fresh(f"network/{name}/{number}")
        there_and_back = self.latency.draw(stream) + self.latency.draw(stream)
        await asyncio.sleep(0 if self.steps is not None else there_and_back / 1_000_000)
        if not self.gate(name):
            raise ConnectionRefusedError(f"{name} cannot reach Redis")
        protocol = protocol_factory()
        wire = Wire(self, name, number, stream, protocol)
        self._wires.add(wire)
        protocol.connection_made(wire)
        return wire, protocol

    def fate(self, packet: Packet) -> Fate:
        """Ask the faults, in the order in which they were installed; the first opinion counts."""
        for fault in self.faults:
            fate = fault(packet)
            if fate is not None:
                return fate
        return PASS

    def trigger(self, packet: Packet, fate: Fate) -> Fate:
        """Show a packet to those who wait for it, and return what becomes of it."""
        for trigger in self.triggers:
            fate = trigger(packet, fate)
        return fate

    def lose(self) -> None:
        """Break every wire from the store's side: what is on its way, in either direction, is lost."""
        for wire in self._of(""):
            wire.lose()

    def sever(self, consumer: str) -> None:
        """Cut every wire of a consumer: nothing reaches it any more. What it has already sent may still arrive."""
        for wire in self._of(consumer):
            wire.sever()

    def cut(self, consumer: str = "") -> None:
        """Reset every wire of a consumer, or of all: its client sees the connection break."""
        for wire in self._of(consumer):
            wire.reset(ConnectionResetError("the connection was reset"))

    def _of(self, consumer: str) -> list[Wire]:
        chosen = (wire for wire in self._wires if not consumer or wire.consumer == consumer)
        return sorted(chosen, key=lambda wire: (wire.consumer, wire.connection))

    def listen(self, wire: Wire) -> None:
        """Watch a wire for what the store pushes."""
        if wire not in self._listening:
            self._listening.append(wire)

    @property
    def listened_to(self) -> bool:
        """Whether anybody waits for what the store pushes."""
        return bool(self._listening)

    def carry_pushes(self) -> None:
        """Carry what the store has pushed since the last command to those who listen."""
        if not self._listening:
            return
        self.store.settle()
        for wire in self._listening:
            if data := wire.link.pushed():
                wire.carry(data)

    def forget(self, wire: Wire) -> None:
        """Forget a wire that is closed on both ends."""
        self._wires.discard(wire)
        if wire in self._listening:
            self._listening.remove(wire)

    def close(self) -> None:
        """Close every wire, without telling anybody."""
        for wire in list(self._wires):
            wire.link.close()
        self._wires.clear()
        self._listening.clear()
        # Whoever keeps a connection beyond the run must not keep all of its world.
        self.faults, self.triggers, self.gate, self.refused = [], [], _anybody, _raise


class Wire(asyncio.Transport):
    """One connection, as the transport that the client writes to."""

    def __init__(self, network: Network, consumer: str, connection: int, stream: Stream, protocol: Any) -> None:
        super().__init__()
        self.consumer = consumer
        self.connection = connection
        self.link: Link = network.store.link()
        self._network = network
        self._stream = stream
        self._protocol = protocol
        self._context = copy_context()
        self._reader = hiredis.Reader()
        self._listens = False
        self._closing = False
        self._severed = False
        self._lost = False
        self._last_arrival = 0
        self._last_reply = 0
        self._reading = True
        self._unread: list[bytes] = []

    # -- the client's side -----------------------------------------------------------------------------------

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Send a packet on its way."""
        if self._closing:
            return
        self._reader.feed(bytes(data))
        commands = []
        while (words := self._reader.gets()) is not False:
            commands.append(words)
        if not commands:
            return
        network = self._network
        network.packets += 1
        network.commands += len(commands)
        packet = Packet(self.consumer, self.connection, network.packets, commands)
        fate = network.fate(packet)
        if network.triggers:
            fate = network.trigger(packet, fate)
            if self._closing:  # whoever writes here has died of it, before anything was sent
                return
        if network.steps is not None:
            self._send(network.steps, packet, fate)
            return
        now = network.loop.now
        arrival = max(now + network.latency.draw(self._stream) + fate.request_delay, self._last_arrival)
        self._last_arrival = arrival
        network.loop.in_world(arrival - now, self._arrive, packet, fate)
        if fate.reset:
            self.reset(ConnectionResetError("the connection was reset"))

    def _send(self, steps: Steps, packet: Packet, fate: Fate) -> None:
        steps.touch(f"consumer {self.consumer}")
        if self._network.faults:
            steps.touch("packet faults")  # they count what is sent
        elif self._greets(packet) and not steps.waits(f"{self._name}>") and not steps.waits(f"{self._name}<"):
            self._network.loop.in_world(0, self._arrive, packet, replace(fate, prompt=True))
            return
        about = f"{self.consumer} {' … '.join(_gist(words) for words in packet.commands)}"
        lost = replace(fate, answer=False)
        steps.add(
            f"{self._name}>",
            "request",
            self.consumer,
            about,
            run=lambda: self._arrive(packet, fate),
            lost=lambda: self._arrive(packet, lost),
        )

    @staticmethod
    def _greets(packet: Packet) -> bool:
        return all(bytes(words[0]).upper() in GREETING for words in packet.commands)

    @property
    def _name(self) -> str:
        return f"{self.consumer}/{self.connection}"

    def writelines(self, list_of_data: Any) -> None:
        """Send several pieces as one packet."""
        self.write(b"".join(list_of_data))

    def close(self) -> None:
        """Close the connection in good order: what was sent still arrives, nothing comes back."""
        self._end(None)

    def abort(self) -> None:
        """Close the connection at once."""
        self._end(None)

    def reset(self, error: Exception) -> None:
        """Break the connection: the client is told, as by a reset from the other side."""
        self._end(error)

    def lose(self) -> None:
        """Break the connection from the other side: the store knows nothing of it any more."""
        self._lost = True
        self.reset(ConnectionResetError("the server closed the connection"))

    def sever(self) -> None:
        """Cut the wire of a client that is dead: it is told nothing."""
        self._severed = True
        self._closing = True
        self._finish()

    def _end(self, error: Exception | None) -> None:
        if self._closing:
            return
        self._closing = True
        self._network.loop.call_soon(self._protocol.connection_lost, error, context=self._context)
        self._finish()

    def _finish(self) -> None:
        # The store sees the end of the connection behind everything that was sent before it.
        network = self._network
        if network.steps is not None:  # requests that are on their way need the link: it is closed with the network
            network.steps.drop(f"{self._name}<")
            return
        network.loop.in_world(max(0, self._last_arrival - network.loop.now), self._close_link)

    def _close_link(self) -> None:
        self._network.forget(self)
        self.link.close()

    # -- the store's side ------------------------------------------------------------------------------------

    def _arrive(self, packet: Packet, fate: Fate) -> None:
        network = self._network
        if self._lost:
            return
        reachable = network.gate(self.consumer)
        if not fate.deliver or not reachable:
            self.reset(ConnectionResetError("the connection was lost"))
            return
        if network.trace is not None:
            self._trace("command", commands=packet.commands)
        try:
            reply = b"-%b\r\n" % fate.error * len(packet.commands) if fate.error else self._execute(packet)
        except StoreUnavailable as error:
            network.refused(error)
            return
        if network.steps is not None:
            network.steps.executed(packet.commands, reply)
            if network.listened_to:
                network.steps.touch(EVERYTHING)
        if fate.then is not None:
            fate.then()
        if self._closing:
            return
        self._reply(reply, fate)

    def _execute(self, packet: Packet) -> bytes:
        verbs = {words[0].upper() for words in packet.commands}
        if not verbs.isdisjoint(BLOCKING) or (not verbs.isdisjoint(MAY_BLOCK) and _blocks(packet)):
            return b"-ERR a blocking command cannot run in virtual time; poll instead\r\n" * len(packet.commands)
        store, now = self._network.store, self._network.loop.now
        store.set_time(now)
        commands = self._network.scripts.admit(packet.commands) if verbs & ABOUT_SCRIPTS else packet.commands
        if verbs & SUBSCRIBING and not self._listens:
            self._listens = True
            self._network.listen(self)
        if self._listens:
            self.link.send(encoded(commands))
            store.settle(turns=2)
            return self.link.pushed()
        if len(commands) == 1:
            reply = self.link.run(commands)
        else:
            reply = b"".join(self._execute_at(now, few) for few in _few_at_a_time(commands))
        if verbs & PUBLISHING:
            self._network.carry_pushes()
        return reply

    def _execute_at(self, now: int, commands: Sequence[Sequence[bytes]]) -> bytes:
        self._network.store.set_time(now)
        return self.link.run(commands)

    def _reply(self, reply: bytes, fate: Fate) -> None:
        network = self._network
        if network.steps is not None:
            self._answer(network.steps, reply, fate)
            return
        now = network.loop.now
        due = max(now + network.latency.draw(self._stream) + fate.reply_delay, self._last_reply)
        self._last_reply = due
        if fate.answer:
            network.loop.call_in(due - now, self._receive, reply, context=self._context)
        else:
            network.loop.in_world(due - now, self.reset, ConnectionResetError("the reply was lost"))

    def _answer(self, steps: Steps, reply: bytes, fate: Fate) -> None:
        # The callback is handed to the loop and not called: it belongs to a process, which may be dead or paused.
        loop, lost = self._network.loop, ConnectionResetError("the reply was lost")
        receive: Callable[[], object] = partial(loop.call_soon, self._receive, reply, context=self._context)
        if fate.prompt:
            receive()
            return
        run = receive if fate.answer else partial(self.reset, lost)
        steps.add(f"{self._name}<", "reply", self.consumer, f"{self.consumer} receives a reply", run=run)

    def carry(self, data: bytes) -> None:
        """Carry something that the store pushed to the client."""
        if not self._closing:
            self._reply(data, PASS)

    def _receive(self, data: bytes) -> None:
        if self._closing:
            return
        if not self._reading:
            self._unread.append(data)
            return
        if self._network.trace is not None:
            self._trace("reply", reply=data.decode("utf-8", "backslashreplace"))
        try:
            self._protocol.data_received(data)
        except Exception as error:  # asyncio's own transports do the same
            told = {"message": "Fatal error: protocol.data_received() call failed.", "exception": error}
            self._network.loop.call_exception_handler({**told, "transport": self, "protocol": self._protocol})
            self.reset(error)

    def _trace(self, kind: str, **details: Any) -> None:
        assert self._network.trace is not None
        self._network.trace(kind, self.consumer, {**details, "connection": self.connection})

    # -- what asyncio asks of a transport --------------------------------------------------------------------

    def is_closing(self) -> bool:
        """Whether the wire is closed or about to be."""
        return self._closing

    def pause_reading(self) -> None:
        """Keep what arrives until the client reads again."""
        self._reading = False

    def resume_reading(self) -> None:
        """Hand over what was kept."""
        self._reading = True
        kept, self._unread = self._unread, []
        for data in kept:
            self._receive(data)

    def is_reading(self) -> bool:
        """Whether the client reads."""
        return self._reading

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """There is no socket behind a wire."""
        return default

    def get_write_buffer_size(self) -> int:
        """Return 0: a wire takes everything at once."""
        return 0

    def can_write_eof(self) -> bool:
        """Return False: Redis clients do not half-close."""
        return False

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        """Hand what arrives to another protocol."""
        self._protocol = protocol

    def get_protocol(self) -> asyncio.BaseProtocol:
        """Return the protocol that receives."""
        protocol: asyncio.BaseProtocol = self._protocol
        return protocol


def _anybody(consumer: str) -> bool:
    return True


def _raise(error: StoreUnavailable) -> None:
    raise error


def _few_at_a_time(commands: Sequence[Sequence[bytes]]) -> Iterator[Sequence[Sequence[bytes]]]:
    """Divide a packet into portions in which a server in virtual time asks for the time less often than it may."""
    first = 0
    for i, words in enumerate(commands, start=1):
        if i - first == _PORTION or words[0].upper() in MANY_QUESTIONS or i == len(commands):
            yield commands[first:i]
            first = i


def _blocks(packet: Packet) -> bool:
    return any(word.upper() == b"BLOCK" for words in packet.commands for word in words)


def _gist(words: Sequence[bytes]) -> str:
    return " ".join(word.decode("utf-8", "backslashreplace") for word in words[:2])[:_GIST]
