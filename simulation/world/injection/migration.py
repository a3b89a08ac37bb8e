"""Moves a slot of a cluster from one node to another while the world goes on."""

from __future__ import annotations

from simulation.scenario.faults.targets import Active
from simulation.stores.cluster import Cluster
from simulation.stores.resp import frames
from simulation.world.network import Network

_ANSWERS = {b"-ASK ": "ASK", b"-TRYAGAIN ": "TRYAGAIN"}
_HALF_WAY = (b"non local key", b"rehashing of the slot")
"""The reply to a script that reaches for a key on the other node; each server has words of its own."""


class Migration:
    """The move of one slot to the next node of a cluster."""

    def __init__(self, network: Network, cluster: Cluster, active: Active, key: str) -> None:
        self._network = network
        self._cluster = cluster
        self._active = active
        self._slot, self._source = cluster.owner_of(key)
        self._target = (self._source + 1) % len(cluster.nodes)
        self._pause = 0
        self._count = 0
        self._ended = False

    def begin(self, duration: int) -> None:
        """Begin, and move a key now and then, so that those of now take `duration` microseconds."""
        self._cluster.begin_migration(self._slot, self._source, self._target)
        self._pause = max(1, duration // (len(self._keys()) + 1))
        for place in (self._source, self._target):
            self._network.topology.servers[place].watch = self._watch
        self._plan()

    def _keys(self) -> list[bytes]:
        return self._cluster.keys_in(self._slot, self._source)

    def _plan(self) -> None:
        self._network.loop.in_world(self._pause, self._go_on)

    def _go_on(self) -> None:
        if self._ended:
            return
        self._cluster.set_time(self._network.loop.now)
        if keys := self._keys():
            self._count += 1
            chosen = self._active.stream(f"key {self._count}").choose(keys)
            self._cluster.move_key(chosen, self._source, self._target)
            self._network.blocking.serve()  # a client that waits for a key that has moved learns where it is
        self._plan()

    def end(self) -> None:
        """Move the keys that are left, and inform all nodes whose slot it is."""
        self._ended = True
        self._cluster.set_time(self._network.loop.now)
        for key in self._keys():
            self._cluster.move_key(key, self._source, self._target)
        self._cluster.end_migration(self._slot, self._target)
        for place in (self._source, self._target):
            self._network.topology.servers[place].watch = None
        self._network.blocking.serve()

    def _watch(self, consumer: str, replies: bytes) -> None:
        """Note a packet that was answered as it was because the slot moves."""
        if not replies.startswith(b"-") and b"\r\n-" not in replies:
            return
        answers = {answer for frame in frames(replies) if (answer := _answer(frame))}
        if answers:
            self._active.note(consumer=consumer, slot=self._slot, answers=sorted(answers))


def _answer(reply: bytes) -> str:
    if not reply.startswith(b"-"):
        return ""
    for begins, answer in _ANSWERS.items():
        if reply.startswith(begins):
            return answer
    return "script refused" if any(said in reply for said in _HALF_WAY) else ""
