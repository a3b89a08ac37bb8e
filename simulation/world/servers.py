"""A server that has data, at its address, and its replies about itself and the others.

The store behind it knows nothing of addresses and roles, and a node of a cluster takes its bus for broken: the replies
that name those are changed here.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from simulation.scenario.topology import Address
from simulation.stores.protocol import Store
from simulation.stores.resp import reply_of
from simulation.stores.script_cache import Scripts
from simulation.world.packets import Packet
from simulation.world.self_description import bulk, in_order, text_of

Words = Sequence[bytes]


_ABOUT_ROLES = (b"role:", b"connected_slaves:", b"slave", b"master_host:", b"master_port:", b"master_link_status:")
"""First bytes of the lines of INFO about roles."""


def ignore_refused(packet: Packet) -> None:
    """Do nothing about a packet that was refused."""


class Server:
    """A server that has data, at its address."""

    described: frozenset[bytes] = frozenset()
    """The commands whose replies describe the topology: `adapted` changes them."""

    def __init__(self, address: Address, store: Store) -> None:
        self.address = address
        self.store = store
        self.scripts = Scripts()
        self.is_up = True
        self.is_replica = False
        self.lags = False
        """Whether it has less than its primary while it is a replica."""
        self.on_refused: Callable[[Packet], None] = ignore_refused
        """Called with each packet that it refuses because it is a replica."""
        self.watch: Callable[[str, bytes], None] | None = None
        """Called with the replies to each packet: the consumer, and their bytes."""

    def adapted(self, words: Words, reply: bytes) -> bytes:
        """Return the reply to a command as this server gives it."""
        return reply


class WatchedServer(Server):
    """A server that sentinels watch."""

    described = frozenset({b"ROLE", b"INFO"})

    def __init__(self, address: Address, store: Store) -> None:
        super().__init__(address, store)
        self.roles: Callable[[], Sequence[Server]] = list
        """Returns all servers, the primary first."""

    def adapted(self, words: Words, reply: bytes) -> bytes:
        """Return the reply with its role, which the store behind it does not know."""
        primary, *replicas = [server.address for server in self.roles()]
        if words[0].upper() == b"ROLE" and reply.startswith(b"*"):
            return _role(self.is_replica, primary, replicas)
        form, text = text_of(reply)
        if b"\r\nrole:" not in text:
            return reply
        lines = [line for line in text.split(b"\r\n") if not line.startswith(_ABOUT_ROLES)]
        place = lines.index(b"# Replication") + 1
        lines[place:place] = _replication(self.is_replica, primary, replicas)
        return bulk(form, b"\r\n".join(lines))


def _role(is_replica: bool, primary: Address, replicas: Sequence[Address]) -> bytes:
    if is_replica:
        return reply_of([b"slave", primary[0].encode(), primary[1], b"connected", 0])
    return reply_of([b"master", 0, [[host.encode(), b"%d" % port, b"0"] for host, port in replicas]])


def _replication(is_replica: bool, primary: Address, replicas: Sequence[Address]) -> list[bytes]:
    if is_replica:
        host, port = primary
        return [b"role:slave", b"master_host:%b" % host.encode(), b"master_port:%d" % port, b"master_link_status:up"]
    lines = [b"role:master", b"connected_slaves:%d" % len(replicas)]
    for number, (host, port) in enumerate(replicas):
        lines.append(b"slave%d:ip=%b,port=%d,state=online,offset=0,lag=0" % (number, host.encode(), port))
    return lines


class ClusterServer(Server):
    """A node of a cluster. It lists all nodes in an order of its own, and as if none were connected."""

    described = frozenset({b"CLUSTER"})

    def adapted(self, words: Words, reply: bytes) -> bytes:
        """Return the nodes in the order of their addresses, all of them connected."""
        sub = words[1].upper() if len(words) > 1 else b""
        if sub == b"SHARDS":
            return in_order(reply)
        form, text = text_of(reply)
        if sub != b"NODES" or not text:
            return reply
        lines = sorted(map(_connected, text.splitlines()), key=lambda line: line.split(b" ")[1])
        return bulk(form, b"".join(line + b"\n" for line in lines))


def _connected(line: bytes) -> bytes:
    """Return a line of CLUSTER NODES without the facts about the bus: the port, the times of pings, the link."""
    words = line.split(b" ")
    if len(words) < 8:
        return b" ".join(words)
    words[1] = words[1].partition(b"@")[0] + b"@16379"
    words[4], words[5], words[7] = b"0", b"0", b"connected"
    return b" ".join(words)
