"""A cluster of private redis-servers in virtual time: real nodes, each with some of the slots.

MOVED, ASK, TRYAGAIN, CROSSSLOT and the reply to a script whose slot moves are the servers' own answers. The nodes'
view of each other is written into their configuration beforehand, because they do not gossip: a bus would keep real
time. So no node ever fails, none is a replica, and the harness itself informs all nodes when a slot has moved.

A slot moves as `valkey-cli --cluster reshard` moves it:

1. SETSLOT says to the target that it imports the slot, to the source that it migrates it.
2. Each key is dumped, restored at the target and deleted at the source, at one moment of virtual time. It replaces one
   of that name that a script has left at the target because it did not find the key.
3. SETSLOT says to the target, the source and the others whose slot it is.
"""

from __future__ import annotations

import re
import socket
import time
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from datetime import datetime
from hashlib import sha1
from pathlib import Path
from typing import Any

import hiredis

from simulation.stores.links import SocketLink
from simulation.stores.programs import ServerProgram
from simulation.stores.protocol import Store, StoreUnavailable
from simulation.stores.redis_server import ServerStore
from simulation.stores.resp import command

SLOTS = 16_384
_NEVER_MS = 10**15
"""Milliseconds after which a node would take another for failed: 31,700 years."""
_NO_BUS = 1
"""The port at which nodes look for each other's bus: none listens there."""
_ATTEMPTS = 5
"""Number of attempts to choose a port for the bus: another program may take it before the node does."""
_TIMEOUT_S = 20.0
"""Seconds of real time within which a node has taken note that all slots are covered.

It takes two seconds by its clock, and then until its next periodic work.
"""

_SPECIAL = re.compile(rb"[*?\[\]\\^-]")
"""The characters of a key that mean something in a pattern."""
_ALL = 10**9
"""More keys than any node has."""

Address = tuple[str, int]


class ClusterNode(ServerStore):
    """One node: a redis-server that has some of the slots, and knows the owners of the others."""

    def __init__(self, program: Path, place: int, addresses: Sequence[Address]) -> None:
        self._place = place
        self._addresses = addresses
        super().__init__(program)

    def _more_options(self) -> list[str]:
        (self._directory / "nodes.conf").write_text(self._nodes())
        host, port = self._addresses[self._place]
        return [
            *("--cluster-enabled", "yes", "--cluster-node-timeout", str(_NEVER_MS), "--bind", "127.0.0.1"),
            *("--cluster-port", str(_free_port()), "--cluster-announce-ip", host),
            *("--cluster-announce-port", str(port), "--cluster-require-full-coverage", "no"),
        ]

    def _nodes(self) -> str:
        lines = []
        for place, (host, port) in enumerate(self._addresses):
            flags = "myself,master" if place == self._place else "master"
            name, (first, last) = node_id(place), slots_of(place, len(self._addresses))
            where = f"{host}:{port}@{_NO_BUS},,shard-id={name}"
            lines.append(f"{name} {where} {flags} - 0 0 {place + 1} connected {first}-{last}\n")
        return "".join(lines) + f"vars currentEpoch {len(self._addresses)} lastVoteEpoch 0\n"

    def _probe(self) -> None:
        super()._probe()
        deadline = time.monotonic() + _TIMEOUT_S  # real time: this waits for a real process
        seconds = 0
        while time.monotonic() < deadline:
            info = self.ask(command("CLUSTER", "INFO"))
            if isinstance(info, bytes) and info.startswith(b"cluster_state:ok"):
                self.set_time(0)
                return
            seconds += 1
            self.set_time(seconds * 1_000_000)
            time.sleep(0.005)
        raise StoreUnavailable(f"{self.version} ({self.origin}) does not start as a node of a cluster")

    def answers_to(self, *commands: Sequence[bytes | str | int], but: str = "nothing") -> list[Any]:
        """Return the parsed replies to commands of the harness.

        Raises StoreUnavailable if one of them is refused, `but` for errors that begin so.
        """
        reader = hiredis.Reader()
        reader.feed(self._settled().execute(b"".join(command(*words) for words in commands), len(commands)))
        replies = [reader.gets() for _ in commands]
        for words, reply in zip(commands, replies, strict=True):
            if isinstance(reply, hiredis.ReplyError) and not str(reply).startswith(but):
                raise StoreUnavailable(f"a node of the cluster refused {words[:3]!r}: {reply}")
        return replies

    def delete(self, keys: Sequence[str]) -> None:
        """Remove some keys, of any slots, as far as they are on this node."""
        for key in set(keys) & set(self.all_keys()):
            self.answers_to(["ASKING"], ["UNLINK", key])


class Cluster:
    """All nodes, as one store: what concerns data concerns the data of all of them."""

    name = "server"
    lists_sets_in_order = True
    supports = frozenset({"restart", "flush", "evict", "out-of-memory", "server-clock", "slot-migrates"})

    def __init__(self, program: ServerProgram, addresses: Sequence[Address]) -> None:
        self.origin = program.origin
        self.addresses = tuple(addresses)
        self.moved = False
        """Whether a slot was moved: then the nodes are not as they were at the start."""
        self.nodes: list[ClusterNode] = []
        try:
            for place in range(len(addresses)):
                self.nodes.append(_started(program.path, place, addresses))
        except BaseException:
            self.close()
            raise
        self.version = self.nodes[0].version

    # -- what any store can do -------------------------------------------------------------------------------

    def why_refused(self, words: Sequence[bytes]) -> str:
        """Return why a node cannot execute a command as another process's would."""
        return self.nodes[0].why_refused(words)

    def all_keys(self) -> list[str]:
        """Return the names of all keys, sorted."""
        return sorted({key for node in self.nodes for key in node.all_keys()})

    def delete(self, keys: Sequence[str]) -> None:
        """Remove some keys."""
        for node in self.nodes:
            node.delete(keys)

    def wipe(self) -> None:
        """Forget all data."""
        for node in self.nodes:
            node.wipe()

    def shift(self, offset: int) -> None:
        """Show a time that is wrong by so many microseconds, on every node."""
        for node in self.nodes:
            node.shift(offset)

    def limit_memory(self, enabled: bool) -> None:
        """Run out of memory, or have enough again, on every node."""
        for node in self.nodes:
            node.limit_memory(enabled)

    def replicate(self, moments: Sequence[int] | None) -> None:
        """Not available: the nodes have no replicas."""
        raise NotImplementedError

    def promote(self, moment: int) -> list[str]:
        """Not available: the nodes have no replicas. `moment` is in microseconds."""
        raise NotImplementedError

    def set_time(self, now: int) -> None:
        """Show each node `now` microseconds after the epoch."""
        for node in self.nodes:
            node.set_time(now)

    def begin(self, epoch: datetime) -> None:
        """Forget all data, and set the clocks to the start of a run."""
        for node in self.nodes:
            node.begin(epoch)

    def link(self) -> SocketLink:
        """Open a connection to the first node."""
        return self.nodes[0].link()

    def settle(self, turns: int = 1) -> None:
        """Wait until every node has gone through this many turns of its own event loop."""
        for node in self.nodes:
            node.settle(turns)

    def nearby(self) -> AbstractContextManager[None]:
        """Keep all nodes and this process on one processor."""
        return _all_nearby(self.nodes)

    def close(self) -> None:
        """Stop all nodes."""
        for node in self.nodes:
            node.close()

    # -- slots -----------------------------------------------------------------------------------------------

    def owner_of(self, key: str) -> tuple[int, int]:
        """Return the slot of a key, and the place of the node that has it."""
        [slot] = self.nodes[0].answers_to(["CLUSTER", "KEYSLOT", key])
        [ranges] = self.nodes[0].answers_to(["CLUSTER", "SLOTS"])
        names = {node_id(place).encode(): place for place in range(len(self.nodes))}
        return slot, next(names[node[2]] for first, last, node, *_ in ranges if first <= slot <= last)

    def begin_migration(self, slot: int, source: int, target: int) -> None:
        """Have one node import a slot, and another one migrate it."""
        self.moved = True
        self.nodes[target].answers_to(["CLUSTER", "SETSLOT", slot, "IMPORTING", node_id(source)])
        self.nodes[source].answers_to(["CLUSTER", "SETSLOT", slot, "MIGRATING", node_id(target)])

    def keys_in(self, slot: int, place: int) -> list[bytes]:
        """Return the keys of a slot that a node has, sorted."""
        node = self.nodes[place]
        [count] = node.answers_to(["CLUSTER", "COUNTKEYSINSLOT", slot])
        [keys] = node.answers_to(["CLUSTER", "GETKEYSINSLOT", slot, count])
        return sorted(keys)

    def move_key(self, key: bytes, source: int, target: int) -> None:
        """Move a key to another node, with its time to live; one that has lapsed is not moved."""
        content, expires = self.nodes[source].answers_to(["DUMP", key], ["PEXPIRETIME", key], but="ASK ")
        if not isinstance(content, bytes):
            # It has lapsed: the node takes it for one that has moved, and only SCAN has it removed.
            self.nodes[source].answers_to(["SCAN", 0, "MATCH", _SPECIAL.sub(rb"\\\g<0>", key), "COUNT", _ALL])
            return
        self.nodes[target].answers_to(["ASKING"], ["RESTORE", key, max(0, expires), content, "ABSTTL", "REPLACE"])
        self.nodes[source].answers_to(["DEL", key])

    def end_migration(self, slot: int, target: int) -> None:
        """Inform all nodes of the slot's new owner: first the target, where all of its keys must be by then."""
        for node in sorted(self.nodes, key=lambda node: node is not self.nodes[target]):
            node.answers_to(["CLUSTER", "SETSLOT", slot, "NODE", node_id(target)])


def open_cluster(beside: Store, addresses: Sequence[Address]) -> Cluster:
    """Return a cluster of servers such as a store has, that is closed with it. Raises StoreUnavailable.

    It is kept for later runs, unless one has moved a slot.
    """
    if not isinstance(beside, ServerStore):
        raise StoreUnavailable(
            f"the store {beside.name} cannot be a cluster; choose --store server, or leave 'topology.kind' out"
        )
    kept = beside.cluster
    if isinstance(kept, Cluster):
        if kept.addresses == tuple(addresses) and not kept.moved:
            return kept
        kept.close()
    beside.cluster = opened = Cluster(beside.program, addresses)
    return opened


def node_id(place: int) -> str:
    """Return the name by which the nodes know one of them: 40 hexadecimal digits."""
    return sha1(b"node %d" % place, usedforsecurity=False).hexdigest()


def slots_of(place: int, count: int) -> tuple[int, int]:
    """Return the first and the last slot that one of `count` nodes has at the start."""
    return place * SLOTS // count, (place + 1) * SLOTS // count - 1


def _started(program: Path, place: int, addresses: Sequence[Address]) -> ClusterNode:
    for attempt in range(_ATTEMPTS):
        try:
            return ClusterNode(program, place, addresses)
        except StoreUnavailable:
            if attempt == _ATTEMPTS - 1:
                raise
    raise AssertionError("the last attempt returns or raises")


def _free_port() -> int:
    """Return a port that no program listens at: a node that is to have no bus insists on a port for it."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def _all_nearby(nodes: Sequence[ClusterNode]) -> Iterator[None]:
    with ExitStack() as all_of_them:
        for node in nodes:
            all_of_them.enter_context(node.nearby())
        yield
