"""The addresses of Redis: one, those of a primary, its replicas and sentinels, or those of the nodes of a cluster.

Data only: `world/topology.py` has the server at each address.
"""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from simulation.scenario.types import Table

PORT, SENTINEL_PORT = 6379, 26379
ANY_HOST = "redis"
"""The host of the address that programs are given: the first server, by whatever other name it is known."""

Address = tuple[str, int]
_Members = Annotated[int, Field(ge=1, le=16)]
_KEYS = {"sentinel": ("replicas", "current_replicas", "sentinels", "primary"), "cluster": ("nodes",)}


class TopologyTable(Table):
    """The servers behind the network, and their addresses.

    `single`: one server, to which every address leads. `sentinel`: a primary (redis-1), replicas (redis-2, …) and
    sentinels (sentinel-1, …) that say which of them is the primary now. `cluster`: masters (redis-1, …) that share the
    slots. Engines are given a client that suits: redis-py's, one from its `Sentinel`, or its `RedisCluster`.
    """

    kind: Literal["single", "sentinel", "cluster"] = Field("single", description="what there is")
    replicas: _Members = Field(1, description="with `sentinel`: how many replicas the primary has")
    current_replicas: bool = Field(
        False,
        description="with `sentinel`: a replica has all that its primary has; without it, reading one ends the run",
    )
    sentinels: _Members = Field(3, description="with `sentinel`: how many sentinels watch them")
    primary: str = Field("mymaster", min_length=1, description="with `sentinel`: by which name they know the primary")
    nodes: Annotated[int, Field(ge=2, le=16)] = Field(3, description="with `cluster`: how many masters share the slots")

    @model_validator(mode="after")
    def _keys_suit_the_kind(self) -> Self:
        for kind, keys in _KEYS.items():
            for key in keys:
                if kind != self.kind and getattr(self, key) != type(self).model_fields[key].default:
                    raise ValueError(f'\'{key}\' is for kind = "{kind}", and the kind is "{self.kind}"')
        return self

    @property
    def server_count(self) -> int:
        """Number of servers that have data."""
        return {"single": 1, "sentinel": 1 + self.replicas, "cluster": self.nodes}[self.kind]

    @property
    def server_addresses(self) -> list[Address]:
        """The addresses of the servers that have data; the first is the primary at the start.

        The nodes of a cluster are real servers that know each other by them: nothing is to leave this machine.
        """
        network = "127.0.0" if self.kind == "cluster" else "10.0.0"
        return [(f"{network}.{place}", PORT) for place in range(1, self.server_count + 1)]

    @property
    def sentinel_addresses(self) -> list[Address]:
        """The addresses of the sentinels."""
        count = self.sentinels if self.kind == "sentinel" else 0
        return [(f"10.0.1.{place}", SENTINEL_PORT) for place in range(1, count + 1)]

    def resolved(self, host: str) -> str:
        """Return the address of a host that is known by its name, and any other as it is."""
        names = {ANY_HOST: self.server_addresses[0][0]}
        names |= {f"redis-{i}": ip for i, (ip, _) in enumerate(self.server_addresses, start=1)}
        names |= {f"sentinel-{i}": ip for i, (ip, _) in enumerate(self.sentinel_addresses, start=1)}
        return names.get(host, host)
