"""Numbers that are none: NaN and the infinities, which JSON does not know and Python writes all the same."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from simulation.scenario.faults.workload import PublicationFault, with_payload
from simulation.scenario.workload import Publication


class NotANumber(PublicationFault):
    """The payload of an event holds NaN, Infinity and -Infinity, as Python's `json` writes them."""

    kind: Literal["not-a-number"] = "not-a-number"
    example: ClassVar[str] = """\
name = "fault-not-a-number"
description = "The payload of b holds numbers that are none, and is the same after b was parked."

[workload]
events = [
  { name = "b", follows = "a" },
  { name = "a", at = "1s" },
]

[consumers]
count = 2

[[faults]]
kind = "not-a-number"
event = "b"

[judge]
require_coverage = ["not-a-number"]

[expect]
native = "holds"
"""

    @classmethod
    def recipe(cls, tools: Any) -> Any:
        """Return a strategy for its keys."""
        return tools.events

    def change(self, publication: Publication, first: Publication) -> Publication | None:
        """Return the event as it is published."""
        return with_payload(publication, {"nan": float("nan"), "most": float("inf"), "least": float("-inf")})
