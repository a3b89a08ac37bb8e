"""One connection of a client to the store, as the asyncio transport that the client writes to."""

from __future__ import annotations

import asyncio
import socket
import sys
from collections.abc import Callable, Mapping, Sequence
from contextvars import copy_context
from functools import cache, partial
from typing import Any, NamedTuple

import hiredis

from simulation.kernel.escapes import Escaped
from simulation.stores.protocol import StoreUnavailable
from simulation.stores.redis_commands import READING_DATA
from simulation.world.admission import CHECKED, Admission, shown
from simulation.world.blocking import UNBLOCKED
from simulation.world.carriers import Carrier, Ends
from simulation.world.medium import Medium
from simulation.world.packets import PASS, Fate, Packet
from simulation.world.sentinel import SentinelSession
from simulation.world.servers import Server
from simulation.world.session import Session
from simulation.world.sweep_cost import count_packet

_TLS = b"\x16\x03"
"""The first bytes of a TLS connection."""
_NOTHING_YET = b"$-1\r\n"
NEVER_IDLE = sys.maxsize
"""Later than any moment of a run."""


class Place(NamedTuple):
    """The server or sentinel at an address."""

    server: Server | None
    begin: Callable[[Wire], Session | SentinelSession]
    """Begins a session there."""


class Wire(asyncio.Transport):
    """One connection, as the transport that the client writes to."""

    def __init__(
        self,
        network: Medium,
        client: tuple[str, int],
        carrier: Callable[[Ends], Carrier],
        protocol: Any,
        place: Place,
    ) -> None:
        super().__init__()
        self.consumer, self.connection = client
        self.server = place.server
        """The server at the other end; None if that is a sentinel."""
        self._network = network
        self._protocol = protocol
        self.context = copy_context()
        self._carrier = carrier(self)
        network.connections += 1
        self.number = network.connections
        self._was_replica = place.server is not None and place.server.is_replica
        self._session = place.begin(self)
        self._admission = Admission()
        self._reader = hiredis.Reader()
        self._closing = False
        self._lost = self._closed = False
        self._reading = True
        self._unread: list[bytes] = []
        self._farewell: bytes | None = None
        """The reply behind which the store closes the connection."""
        self.opened_at = self.idle_since = network.loop.now
        """Since when the store owes the client nothing; a connection that listens, or was closed, is never idle."""

    # -- the client's side -----------------------------------------------------------------------------------

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Send a packet on its way."""
        if self._closing:
            return
        commands = self._parsed(bytes(data))
        if not commands:
            return
        network = self._network
        network.packets += 1
        network.senders.add(self.consumer)
        network.commands += len(commands)
        count_packet(len(commands))
        packet = Packet(self.consumer, self.connection, network.packets, commands)
        fate = network.fate(packet)
        if network.triggers:
            fate = network.trigger(packet, fate)
            if self._closing:  # the writing process has died of it, before anything was sent
                return
        self.idle_since = NEVER_IDLE
        self._carrier.send(packet, fate, counted=bool(network.faults))

    def _parsed(self, data: bytes) -> Sequence[Sequence[bytes]]:
        """Return the commands that are complete. Ends the run if one of them cannot be simulated."""
        self._reader.feed(data)
        commands = []
        try:
            while (words := self._reader.gets()) is not False:
                commands.append(words)
        except hiredis.ProtocolError:
            sent = "a TLS handshake" if data.startswith(_TLS) else repr(data[:40])  # a handshake is never the same
            self._network.loop.escape(f"{sent} was sent, which is not the protocol of Redis")
        for words in commands:
            if words.__class__ is not list or not words:
                self._network.loop.escape(f"{words!r} was sent, which is not a command in the protocol of Redis")
            if what := self._why_refused(words):
                self._network.loop.escape(what)
            self._network.notes_settings(words)
        return commands

    def _why_refused(self, words: Sequence[bytes]) -> str:
        """Return why a command cannot be simulated, empty if it can."""
        verb, server = words[0].upper(), self.server
        if verb in CHECKED and (what := self._admission.refuses(words)):
            return what
        if server is None:
            return ""
        if what := server.store.why_refused(words):
            return f"the command {shown(words)} was sent to Redis, but {what}"
        if self._was_replica and server.is_replica and server.lags and verb in READING_DATA:
            host, port = server.address
            return (
                f"the command {shown(words)} was sent to the replica {host}:{port}, but how far it is behind its "
                "primary cannot be simulated (topology.current_replicas = true: it has all that the primary has)"
            )
        return ""

    def writelines(self, list_of_data: Any) -> None:
        """Send several pieces as one packet."""
        self.write(b"".join(list_of_data))

    def close(self) -> None:
        """Close the connection in good order: sent packets still arrive, nothing comes back."""
        self._end(None)

    def abort(self) -> None:
        """Close the connection at once."""
        self._end(None)

    def reset(self, error: Exception) -> None:
        """Break the connection: the client sees a reset by the peer."""
        self._end(error)

    def lose(self) -> None:
        """Break the connection from the other side: the store knows nothing of it any more."""
        self._lost = True
        self._session.gone()
        self.reset(ConnectionResetError("the server closed the connection"))

    def hang_up(self) -> None:
        """End the connection from the other side, in good order: the client reads the end of the stream."""
        if self._closing:
            return
        self._lost = self._closing = True
        self._session.gone()
        loop = self._network.loop
        loop.call_soon(self._protocol.eof_received, context=self.context)
        loop.call_soon(self._protocol.connection_lost, None, context=self.context)
        self._part()

    def lead_to(self, server: Server) -> None:
        """Have another server at the other end, with the same data."""
        self.server = server
        self._session.move_to(server)

    def unblock(self) -> None:
        """End the wait of a blocking command, as a server does that becomes a replica: an error, then the end."""
        if self._session.unblock():
            self.hang_up_behind(UNBLOCKED)
            self._carrier.answer(UNBLOCKED, PASS)

    def hang_up_behind(self, reply: bytes) -> None:
        """End the connection from the other side once its client has read this reply."""
        self._farewell = reply

    def sever(self) -> None:
        """Cut the connection of a crashed client, without a notification."""
        self._closing = True
        self._part()

    def _end(self, error: Exception | None) -> None:
        if self._closing:
            return
        self._closing = True
        self._network.loop.call_soon(self._protocol.connection_lost, error, context=self.context)
        self._part()

    def _part(self) -> None:
        if self._network.stepped:  # the link stays until the run is over, as requests may be on their way
            self._session.gone()
        self._carrier.end()

    def close_link(self) -> None:
        """Close the link to the store, behind the packets sent before."""
        if self._closed or self._network.backlog.keeps(self.close_link):
            return
        self._closed = True
        self._network.ended(self)
        self._session.close()

    # -- the store's side ------------------------------------------------------------------------------------

    def arrive(self, packet: Packet, fate: Fate) -> None:
        """Have the store execute a packet that has arrived, and send the reply on its way."""
        network = self._network
        if self._lost or network.backlog.keeps(partial(self.arrive, packet, fate), packet):
            return
        reachable = network.gate(self.consumer)
        if not fate.deliver or not reachable:
            self.reset(ConnectionResetError("the connection was lost"))
            return
        if network.trace is not None:
            self._trace("command", commands=packet.commands)
        if fate.error:
            self.executed(packet.commands, b"-%b\r\n" % fate.error * len(packet.commands), fate, last=True)
            return
        try:
            self._session.take(packet, fate)
        except (StoreUnavailable, Escaped) as error:
            network.refused(error)

    def executed(self, commands: Sequence[Sequence[bytes]], reply: bytes, fate: Fate, *, last: bool) -> None:
        """Send a reply on its way. The fate is that of the last reply to a packet; a wait may lie between two."""
        network = self._network
        network.requests.add(self.consumer, self.connection, commands, reply)
        self._carrier.executed(commands, reply, pushed=network.listened_to)
        if last and fate.then is not None:
            fate.then()
        if self._closing:
            return
        if last and not self._session.listens:
            self.idle_since = network.loop.now
        if not network.gate(self.consumer):
            self.reset(ConnectionResetError("the connection was lost"))
            return
        self._carrier.answer(reply, fate if last else PASS)

    def waits(self, words: Sequence[bytes]) -> None:
        """Take note of a command that was executed and waits: its place among those that wait is a change."""
        self._carrier.executed([words], _NOTHING_YET, pushed=self._network.listened_to)

    def carry(self, data: bytes) -> None:
        """Carry something that the store pushed to the client."""
        if not self._closing:
            self._carrier.answer(data, PASS)

    def receive(self, data: bytes) -> None:
        """Hand the received data to the client, or keep it while the client does not read."""
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
            words_of_command = {"message": "Fatal error: protocol.data_received() call failed.", "exception": error}
            self._network.loop.call_exception_handler(
                {**words_of_command, "transport": self, "protocol": self._protocol}
            )
            self.reset(error)
        if data is self._farewell:
            self.hang_up()

    def _trace(self, kind: str, **details: Any) -> None:
        assert self._network.trace is not None
        self._network.trace(kind, self.consumer, {**details, "connection": self.connection})

    # -- what asyncio asks of a transport --------------------------------------------------------------------

    def is_closing(self) -> bool:
        """Whether the wire is closed or about to be."""
        return self._closing

    def pause_reading(self) -> None:
        """Keep received data until the client reads again."""
        self._reading = False

    def resume_reading(self) -> None:
        """Hand over the kept data."""
        self._reading = True
        kept, self._unread = self._unread, []
        for data in kept:
            self.receive(data)

    def is_reading(self) -> bool:
        """Whether the client reads."""
        return self._reading

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """Return the values of a TCP transport."""
        return _extra(self.server.address if self.server else _PEER).get(name, default)

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """Do nothing: a wire takes everything at once."""

    def get_write_buffer_limits(self) -> tuple[int, int]:
        """Return the limits, which are never reached."""
        return 0, 65_536

    def write_eof(self) -> None:
        """Refuse: Redis clients do not half-close. Ends the run."""
        self._network.loop.escape("transport.write_eof was called, but connections to Redis do not half-close")

    def get_write_buffer_size(self) -> int:
        """Return 0: a wire takes everything at once."""
        return 0

    def can_write_eof(self) -> bool:
        """Return False: Redis clients do not half-close."""
        return False

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        """Hand received data to another protocol."""
        self._protocol = protocol

    def get_protocol(self) -> asyncio.BaseProtocol:
        """Return the protocol that receives."""
        protocol: asyncio.BaseProtocol = self._protocol
        return protocol


class _NoSocket:
    """The substitute for the socket of a wire, for clients that set its options or look at its addresses."""

    family, type, proto = socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP

    def setsockopt(self, *_: object) -> None:
        """Do nothing: no option makes a difference here."""

    def getsockopt(self, *_: object) -> int:
        """Return 0: no option is set."""
        return 0

    def __init__(self, peer: tuple[str, int]) -> None:
        self._peer = peer

    def getpeername(self) -> tuple[str, int]:
        """Return the address of the simulated Redis."""
        return self._peer

    def getsockname(self) -> tuple[str, int]:
        """Return the address of the client."""
        return _HERE

    def fileno(self) -> int:
        """Return -1, as a closed socket does: there is no file descriptor."""
        return -1


_PEER, _HERE = ("10.0.0.1", 6379), ("10.0.0.2", 40_000)


@cache
def _extra(peer: tuple[str, int]) -> Mapping[str, object]:
    return {"socket": _NoSocket(peer), "peername": peer, "sockname": _HERE}
