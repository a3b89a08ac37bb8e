"""Messages that only a part of the fleet can read: a rolling change of their schema."""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import Any, ClassVar, Literal

from pydantic import Field

from simulation.scenario.faults.targets import Active
from simulation.scenario.faults.timing import EventChance


class UnreadableForSome(EventChance):
    """Some consumers cannot parse an event that others can parse: neither its message, nor what Redis keeps of it.

    A `probability` is drawn once for each consumer and event. When the world heals, every consumer can read everything.
    """

    kind: Literal["unreadable-for-some"] = "unreadable-for-some"
    example: ClassVar[str] = """\
name = "fault-unreadable-for-some"
description = "c1 cannot read b: the event is left to c2."

[workload]
events = [
  { name = "b", follows = "a" },
  { name = "a", at = "1s" },
]

[consumers]
count = 2

[[faults]]
kind = "unreadable-for-some"
event = "b"
consumer = "c1"

[judge]
require_coverage = ["unreadable-for-some"]

[expect]
native = "holds"
"""
    consumer: str = Field("*", description="who cannot read them: a pattern of names")

    @classmethod
    def recipe(cls, tools: Any) -> Any:
        """Return a strategy for its keys."""
        return tools.having(tools.events, consumer=tools.among("c1", "c2"))

    def hides(self, active: Active, consumer: str, event: str) -> bool:
        """Return whether a consumer cannot read an event, as it is drawn for the two of them."""
        if not fnmatchcase(consumer, self.consumer):
            return False
        return self.probability >= 1.0 or active.stream(f"{consumer}/{event}").random() < self.probability
