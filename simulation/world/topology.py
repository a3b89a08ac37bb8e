"""The servers and their addresses: one at all addresses, or a primary, replicas and sentinels, or a cluster's nodes.

Replicas are simulated: they read from the data of their primary, at once, and refuse writes. Sentinels are
simulated in `sentinel.py`; they know at once what has happened. The nodes of a cluster are real (`stores/cluster.py`).

A failover by sentinels goes like this:

1. The primary dies: its connections break, its address refuses new ones. The sentinels say that it is down.
2. The next replica is promoted. The sentinels name its address from then on.
3. The old primary is there again, as a replica.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from simulation.scenario.errors import BadScenario
from simulation.scenario.topology import Address, TopologyTable
from simulation.stores.cluster import open_cluster
from simulation.stores.protocol import Store
from simulation.world.servers import ClusterServer, Server, WatchedServer

_NO_STEPS = "table [topology]: the order of steps cannot be chosen in a cluster; use drawn delays (no --strategy)"


class Topology:
    """One server, to which every address leads."""

    def __init__(self, table: TopologyTable, store: Store, servers: Sequence[Server]) -> None:
        self.table = table
        self.store = store
        """The store with the data of all servers."""
        self.servers = servers
        self.primary = servers[0]

    @property
    def has_replicas(self) -> bool:
        """Whether another server can take the primary's place, at an address of its own."""
        return len(self.servers) > 1 and self.table.kind == "sentinel"

    def server_at(self, host: str, port: int) -> Server | None:
        """Return the server at an address, None if a sentinel is there. Raises LookupError if nothing is there."""
        if self.table.kind == "single":
            return self.primary
        address = self.table.resolved(host), port
        for server in self.servers:
            if server.address == address:
                return server
        if address in self.table.sentinel_addresses:
            return None
        known = ", ".join(f"{host}:{port}" for host, port in self._known())
        raise LookupError(f"a connection to {host}:{port} was opened, but this topology has only {known}")

    def _known(self) -> Iterator[Address]:
        yield from ((f"redis-{i}", port) for i, (_, port) in enumerate(self.table.server_addresses, start=1))
        yield from ((f"sentinel-{i}", port) for i, (_, port) in enumerate(self.table.sentinel_addresses, start=1))

    def resolve(self, host: str) -> str:
        """Return the address of a host."""
        return self.primary.address[0] if self.table.kind == "single" else self.table.resolved(host)

    def forget_scripts(self) -> None:
        """Have no server know a script."""
        for server in self.servers:
            server.scripts.forget()

    def roles(self) -> list[Server]:
        """Return all servers, the primary first."""
        return sorted(self.servers, key=lambda server: server is not self.primary)

    def promote(self) -> Server:
        """Have the next replica take the primary's place, and return the old primary, which is a replica now."""
        old = self.primary
        place = self.servers.index(old)
        self.primary = self.servers[(place + 1) % len(self.servers)]
        old.is_up, old.is_replica, self.primary.is_replica = True, True, False
        return old


def open_topology(table: TopologyTable, store: Store, *, stepped: bool = False) -> Topology:
    """Return the servers of a scenario on a store, or on a cluster beside it. Raises BadScenario, StoreUnavailable."""
    if table.kind == "cluster":
        if stepped:
            raise BadScenario(_NO_STEPS)
        cluster = open_cluster(store, table.server_addresses)
        nodes = [ClusterServer(at, node) for at, node in zip(table.server_addresses, cluster.nodes, strict=True)]
        return Topology(table, cluster, nodes)
    if table.kind == "single":
        return Topology(table, store, [Server(table.server_addresses[0], store)])
    servers = [WatchedServer(address, store) for address in table.server_addresses]
    topology = Topology(table, store, servers)
    for server in servers:
        server.roles = topology.roles
        server.is_replica = server is not topology.primary
        server.lags = not table.current_replicas
    return topology
