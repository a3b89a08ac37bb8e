"""A failover behind one address: the old server lives on as a replica, and open connections stay with it."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from simulation.scenario.faults.store import StoreFault
from simulation.scenario.faults.targets import Active, Redis, Undo


class ServerDemoted(StoreFault):
    """The server becomes a replica of another one, to which its address leads from now on; no write is lost.

    Connections that are open at that moment stay with the replica, which refuses with READONLY what writes or runs a
    script, until it closes them after `for` (0: when the world heals). A client must connect again, as redis-py does
    with `client.retry_on = ["READONLY"]`. It is noted for each packet that is refused. With sentinels, its address is
    that of a replica from then on, and they name another one at once.
    """

    kind: Literal["server-demoted"] = "server-demoted"
    on_every_store: ClassVar[bool] = True
    topologies: ClassVar[tuple[str, ...]] = ("single", "sentinel")
    example: ClassVar[str] = """\
name = "fault-server-demoted"
description = "Redis becomes a replica while every consumer is connected to it."

[workload]
events = [
  { name = "a" },
  { name = "b", follows = "a", at = "6s" },
]

[consumers]
count = 2

[client]
retry_on = ["READONLY"]

[[faults]]
kind = "server-demoted"
at = "3s"

[judge]
require_coverage = ["refused-read-only"]

[expect]
native = "holds"
"""

    @classmethod
    def recipe(cls, tools: Any) -> Any:
        """Return a strategy for its keys."""
        return tools.merged(tools.timed, tools.some(**tools.lasting))

    def strike(self, active: Active, redis: Redis) -> Undo | None:
        """Do it to Redis."""
        return redis.demote(active)
