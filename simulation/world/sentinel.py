"""A sentinel, as its clients see it: it says which server is the primary now, and which are its replicas.

The sentinels of a run agree, and know at once when the primary has died and when another one was promoted. Commands
that open a connection (HELLO, AUTH, PING, CLIENT) are answered by the store. Any other command of a client ends the
run: a sentinel's reply to it is not simulated.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextvars import Context
from hashlib import sha1

from simulation.kernel.escapes import Escaped
from simulation.scenario.topology import Address
from simulation.stores.protocol import Link
from simulation.stores.redis_commands import HANDSHAKE
from simulation.stores.resp import reply_of
from simulation.world.medium import Medium
from simulation.world.packets import Fate, Packet
from simulation.world.servers import Server
from simulation.world.session import Client
from simulation.world.topology import Topology

Words = Sequence[bytes]

_NO_SUCH = b"-ERR No such master with that name\r\n"
_QUORUM = b"+OK %d usable Sentinels. Quorum and failover authorization can be reached\r\n"
_UP, _DOWN = b"%b", b"s_down,o_down,%b,disconnected"
_KNOWN = "MASTERS, MASTER, REPLICAS, SLAVES, SENTINELS, GET-MASTER-ADDR-BY-NAME, CKQUORUM, MYID"

Fields = list[tuple[bytes, bytes]]


class SentinelSession:
    """The sentinel's side of one connection."""

    listens = False

    def __init__(self, network: Medium, client: Client, topology: Topology, address: Address) -> None:
        self.link: Link = Context().run(network.store.link)  # of the harness, as in `Session`
        self._client = client
        self._topology = topology
        self._address = address
        self._maps = b"*"
        """The first byte of a map: it is a list in RESP2, and a map of half as many pairs in RESP3."""

    def take(self, packet: Packet, fate: Fate) -> None:
        """Answer a packet. Raises Escaped if something of it cannot be simulated."""
        commands = packet.commands
        replies = b"".join(self._answer(words) for words in commands)
        self._client.executed(commands, replies, fate, last=True)

    def _answer(self, words: Words) -> bytes:
        verb = words[0].upper()
        if verb in HANDSHAKE:
            reply = self.link.run([words])
            if verb == b"HELLO" and len(words) > 1 and not reply.startswith(b"-"):
                self._maps = b"%" if words[1] == b"3" else b"*"
            return reply
        sub = words[1].upper() if len(words) > 1 else b""
        if verb == b"SENTINEL" and sub in _ANSWERS:
            named = words[2].decode("utf-8", "replace") if len(words) > 2 else None
            if named not in (None, self._topology.table.primary):
                return b"*-1\r\n" if sub == b"GET-MASTER-ADDR-BY-NAME" else _NO_SUCH
            return _ANSWERS[sub](self)
        name = b" ".join(words[:2]).decode("utf-8", "backslashreplace")
        raise Escaped(f"the command {name} was sent to a sentinel, but a simulated one knows only SENTINEL {_KNOWN}")

    # -- what a sentinel answers -------------------------------------------------------------------------------

    def primary_address(self) -> bytes:
        """Say where the primary is."""
        host, port = self._topology.primary.address
        return reply_of([host.encode(), b"%d" % port])

    def masters(self) -> bytes:
        """Return the fields of the one primary that is watched."""
        return b"*1\r\n" + self.master()

    def master(self) -> bytes:
        """Return the fields of the primary."""
        table, primary = self._topology.table, self._topology.primary
        flags = (_UP if primary.is_up else _DOWN) % b"master"
        more = {
            b"num-slaves": table.replicas,
            b"num-other-sentinels": table.sentinels - 1,
            b"quorum": table.sentinels // 2 + 1,
        }
        return self._map(_described_server(table.primary, primary.address, flags) + _numbers(more))

    def replicas(self) -> bytes:
        """Return the fields of the other servers."""
        topology = self._topology
        host, port = topology.primary.address
        more = [(b"master-link-status", b"ok"), (b"master-host", host.encode()), (b"master-port", b"%d" % port)]
        more += _numbers({b"slave-priority": 100})
        others = [server.address for server in topology.roles()[1:]]
        entries = [
            self._map(_described_server(f"{host}:{port}", (host, port), b"slave") + more) for host, port in others
        ]
        return b"*%d\r\n" % len(entries) + b"".join(entries)

    def sentinels(self) -> bytes:
        """Return the fields of the other sentinels."""
        others = [address for address in self._topology.table.sentinel_addresses if address != self._address]
        entries = [self._map(_described_server(_name_of(address), address, b"sentinel")) for address in others]
        return b"*%d\r\n" % len(entries) + b"".join(entries)

    def quorum(self) -> bytes:
        """Say that enough sentinels agree."""
        return _QUORUM % self._topology.table.sentinels

    def name(self) -> bytes:
        """Return the sentinel's own name."""
        return reply_of(_name_of(self._address).encode())

    def _map(self, fields: Fields) -> bytes:
        size = len(fields) * (1 if self._maps == b"%" else 2)
        return b"%b%d\r\n" % (self._maps, size) + b"".join(reply_of(word) for pair in fields for word in pair)

    # -- the connection --------------------------------------------------------------------------------------

    def move_to(self, server: Server) -> None:
        """Do nothing: a sentinel stays where it is."""

    def unblock(self) -> bool:
        """Return False: nothing waits at a sentinel."""
        return False

    def gone(self) -> None:
        """Do nothing: nothing waits at a sentinel."""

    def close(self) -> None:
        """Close the link to the store."""
        self.link.close()


_ANSWERS: Mapping[bytes, Callable[[SentinelSession], bytes]] = {
    b"GET-MASTER-ADDR-BY-NAME": SentinelSession.primary_address,
    b"MASTERS": SentinelSession.masters,
    b"MASTER": SentinelSession.master,
    b"REPLICAS": SentinelSession.replicas,
    b"SLAVES": SentinelSession.replicas,
    b"SENTINELS": SentinelSession.sentinels,
    b"CKQUORUM": SentinelSession.quorum,
    b"MYID": SentinelSession.name,
}


def _described_server(name: str, address: Address, flags: bytes) -> Fields:
    host, port = address
    words = {b"name": name.encode(), b"ip": host.encode(), b"port": b"%d" % port, b"runid": _name_of(address).encode()}
    return [*words.items(), (b"flags", flags), *_numbers({b"link-pending-commands": 0, b"link-refcount": 1})]


def _numbers(fields: Mapping[bytes, int]) -> Fields:
    return [(key, b"%d" % value) for key, value in fields.items()]


def _name_of(address: Address) -> str:
    """Return the run id of the server or sentinel at an address: 40 hexadecimal digits."""
    return sha1(b"%b:%d" % (address[0].encode(), address[1]), usedforsecurity=False).hexdigest()
