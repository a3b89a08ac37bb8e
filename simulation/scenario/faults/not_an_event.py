"""A message that its consumer reads, and makes something of that is no event."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from simulation.scenario.faults.timing import EventChance


class NotAnEvent(EventChance):
    """A consumer hands a dict to its engine instead of an event: it has parsed the message, and not as an event.

    Programs read their messages themselves, so it never strikes them.
    """

    kind: Literal["not-an-event"] = "not-an-event"
    example: ClassVar[str] = """\
name = "fault-not-an-event"
description = "The engine is given something that is no event instead of x; no other event suffers."

[workload]
events = [
  { name = "b", follows = "a" },
  { name = "x" },
  { name = "a", at = "1s" },
]

[consumers]
count = 2

[[faults]]
kind = "not-an-event"
event = "x"

[judge]
require_coverage = ["not-an-event"]

[expect]
native = "holds"
"""

    @classmethod
    def recipe(cls, tools: Any) -> Any:
        """Return a strategy for its keys."""
        return tools.events
