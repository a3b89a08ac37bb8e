"""The server accepts what is sent and does not answer: it is stopped, swaps, or runs a long command."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from pydantic import Field

from simulation.scenario.faults.store import StoreFault
from simulation.scenario.faults.targets import Active, Redis, Undo
from simulation.scenario.faults.timing import Duration


class ServerStalls(StoreFault):
    """The server accepts connections and requests, and answers nothing; then it executes all of it, in order.

    It also executes what a client has given up by then, and has sent again. With a `for` that is longer than the
    client's timeout (5 s in redis-py 8, or `client.timeout`), each request is executed more than once. It is noted for
    each packet that waits.
    """

    kind: Literal["server-stalls"] = "server-stalls"
    on_every_store: ClassVar[bool] = True
    duration: Duration = Field(alias="for", gt=0, description="how long it answers nothing")
    example: ClassVar[str] = """\
name = "fault-server-stalls"
description = "Redis answers nothing for twelve seconds, and then everything, also what was sent again meanwhile."

[workload]
events = [
  { name = "a" },
  { name = "b", follows = "a", at = "100ms" },
]

[consumers]
count = 2

[[faults]]
kind = "server-stalls"
at = "50ms"
for = "12s"

[judge]
require_coverage = ["server-stalled"]

[expect]
native = "holds"
"""

    @classmethod
    def recipe(cls, tools: Any) -> Any:
        """Return a strategy for its keys."""
        return tools.having(tools.timed, **tools.lasting)

    def strike(self, active: Active, redis: Redis) -> Undo | None:
        """Do it to Redis."""
        return redis.stall(active)
