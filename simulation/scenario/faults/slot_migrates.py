"""A slot of a cluster moves to another node, key by key, while clients use it."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from pydantic import Field

from simulation.scenario.faults.store import StoreFault
from simulation.scenario.faults.targets import Active, Redis, Undo
from simulation.scenario.faults.timing import Duration


class SlotMigrates(StoreFault):
    """The slot of a key moves to the next node of the cluster: its keys one by one, in a drawn order, within `for`.

    Meanwhile each of the two nodes has some of its keys. They answer as real nodes do, since they are: ASK for a key
    that has moved, TRYAGAIN for several keys of which some have, and an error to a script that reaches for such a key
    half-way. Then MOVED, until the client has asked for the slots again. It is noted for each packet that
    is answered with ASK, TRYAGAIN or such a script's error.
    """

    kind: Literal["slot-migrates"] = "slot-migrates"
    topologies: ClassVar[tuple[str, ...]] = ("cluster",)
    duration: Duration = Field(alias="for", gt=0, description="how long it takes")
    key: str = Field("{causim}", min_length=1, description="a key of the slot; by default, that of the engines' keys")
    example: ClassVar[str] = """\
name = "fault-slot-migrates"
description = "The slot of all that the engine knows moves to another node for two seconds."

[workload]
events = [
  { name = "b", follows = "a" },
  { name = "a", at = "1s" },
  { name = "c", follows = "b", at = "1500ms" },
]

[consumers]
count = 2

[topology]
kind = "cluster"

[[faults]]
kind = "slot-migrates"
at = "500ms"
for = "2s"

[judge]
require_coverage = ["slot-in-two-places"]

[expect]
native = "holds"
"""

    @classmethod
    def recipe(cls, tools: Any) -> Any:
        """Return a strategy for its keys."""
        return tools.having(tools.timed, **tools.lasting)

    def strike(self, active: Active, redis: Redis) -> Undo | None:
        """Do it to Redis."""
        return redis.move_slot(active, self.key, self.duration)
