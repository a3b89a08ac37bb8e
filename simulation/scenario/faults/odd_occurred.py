"""Odd times: an `occurred` without a zone, or at the ends of the calendar."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import datetime
from typing import Any, ClassVar, Literal

from pydantic import Field

from simulation.scenario.faults.workload import PublicationFault
from simulation.scenario.workload import Publication

_ENDS = {"first": "0001-01-01T00:00:00.000000Z", "last": "9999-12-31T23:59:59.999999Z"}


class OddOccurred(PublicationFault):
    """The `occurred` of an event has no zone, which means UTC, or is the first or the last moment of the calendar."""

    kind: Literal["odd-occurred"] = "odd-occurred"
    example: ClassVar[str] = """\
name = "fault-odd-occurred"
description = "Some followers have an occurred without a zone; all wait for a leader that never comes."

[workload]
events = [
  { name = "b", follows = "a" },
  { name = "c", follows = "a", at = "10ms" },
  { name = "a", published = false },
]

[consumers]
count = 2

[policy]
lookback = "30s"

[[faults]]
kind = "odd-occurred"
event = "b"
as = "naive"

[judge]
require_coverage = ["odd-occurred"]

[expect]
native = "holds"
"""
    as_: Literal["naive", "first", "last"] = Field(
        "naive", alias="as", description="without a zone, or the first or the last moment of the calendar"
    )

    @classmethod
    def recipe(cls, tools: Any) -> Any:
        """Return a strategy for its keys."""
        return tools.having(tools.events, **{"as": tools.among("naive", "first", "last")})

    def change(self, publication: Publication, first: Publication) -> Publication | None:
        """Return the event as it is published."""
        try:
            record: dict[str, Any] = json.loads(publication.body)
        except ValueError:
            return publication  # what another fault has damaged has no date
        before, occurred = datetime.fromisoformat(record["occurred"]), publication.occurred
        if self.as_ == "naive":
            record["occurred"] = record["occurred"].removesuffix("Z")
        else:
            record["occurred"] = _ENDS[self.as_]
            moved = datetime.fromisoformat(_ENDS[self.as_]) - before
            occurred += (moved.days * 86_400 + moved.seconds) * 1_000_000 + moved.microseconds
        body = json.dumps(record, separators=(",", ":"), ensure_ascii=False).encode()
        return replace(publication, occurred=occurred, body=body)
