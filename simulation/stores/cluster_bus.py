"""The effect of a cluster's bus that its clients notice: a message published on one node reaches all nodes.

The nodes of a run have no bus, because that would keep real time. So the harness listens to each of them, and publishes
their messages on the others. Messages of shards and notifications about keys stay on their node, as on a real cluster.
"""

from __future__ import annotations

from typing import Any

import hiredis

from simulation.stores.cluster import Cluster, ClusterNode
from simulation.stores.links import SocketLink
from simulation.stores.resp import command

_ABOUT_KEYS = b"__key"
"""Prefix of the channels on which a server publishes changes of its keys."""


class ClusterBus:
    """Carries messages between the nodes of one cluster, while a client listens to any of them."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._listening: list[tuple[ClusterNode, SocketLink, hiredis.Reader]] = []

    def relay(self) -> None:
        """Publish each node's messages since the last call on the other nodes."""
        self._cluster.settle()
        published = [(node, words) for node, link, reader in self._listening for words in _messages_of(link, reader)]
        if not published:
            return
        for origin, (channel, message) in published:
            for node in self._cluster.nodes:
                if node is not origin:
                    node.answers_to(["PUBLISH", channel, message])
        self._cluster.settle()
        for _, link, reader in self._listening:  # its own messages
            _messages_of(link, reader)

    def open(self) -> None:
        """Listen to all nodes from now on."""
        for node in self._cluster.nodes if not self._listening else ():
            link = node.link()
            link.send(command("PSUBSCRIBE", "*"))
            self._listening.append((node, link, hiredis.Reader()))
        self._cluster.settle(turns=2)

    def close(self) -> None:
        """Listen no longer."""
        for _, link, _ in self._listening:
            link.close()
        self._listening.clear()


def _messages_of(link: SocketLink, reader: hiredis.Reader) -> list[tuple[bytes, bytes]]:
    reader.feed(link.pushed())
    found = []
    words: Any
    while (words := reader.gets()) is not False:
        if words[0] == b"pmessage" and not words[2].startswith(_ABOUT_KEYS):
            found.append((words[2], words[3]))
    return found
