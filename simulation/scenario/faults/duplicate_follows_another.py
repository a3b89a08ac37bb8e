"""A duplicate that says it follows another event: a producer that was changed, or two that disagree."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any, ClassVar, Literal
from uuid import UUID

from pydantic import Field

from simulation.scenario.faults.broker import DeliveryFault
from simulation.scenario.faults.targets import Active, Queue
from simulation.scenario.faults.timing import Duration
from simulation.scenario.workload import Publication


class DuplicateFollowsAnother(DeliveryFault):
    """An event that follows another is published once more, and then says that it follows an event that never comes.

    The second comes when the first was acknowledged: the first word counts. What follows nothing, or cannot be read, is
    left alone.
    """

    kind: Literal["duplicate-follows-another"] = "duplicate-follows-another"
    example: ClassVar[str] = """\
name = "fault-duplicate-follows-another"
description = "b comes twice while it waits for a, and the second says that it follows another event."

[workload]
events = [
  { name = "b", follows = "a" },
  { name = "a", at = "5s" },
]

[consumers]
count = 2

[[faults]]
kind = "duplicate-follows-another"
event = "b"
after = "1s"

[judge]
require_coverage = ["leader-changed"]

[expect]
native = "holds"
"""
    asked: ClassVar = "published"
    after: Duration = Field(1_000_000, gt=0, description="how much later the second one comes")

    @property
    def span(self) -> int:
        """How long it may still be at work."""
        return self.after

    @classmethod
    def recipe(cls, tools: Any) -> Any:
        """Return a strategy for its keys."""
        return tools.having(tools.events, after=tools.just("1s"))

    def on_published(
        self, active: Active, queue: Queue, publication: Publication, copies: list[int]
    ) -> list[int] | None:
        """Return when the copies become visible."""
        if publication.follows and (changed := _following(publication, active)) is not None:
            queue.publish_changed(active, changed, max(copies) + self.after)
        return copies


def _following(publication: Publication, active: Active) -> Publication | None:
    """Return the event as a follower of an event that was not published; None if it cannot be read."""
    try:
        record: dict[str, Any] = json.loads(publication.body)
    except ValueError:
        return None
    other = str(UUID(bytes=active.stream(publication.name).bytes(16), version=4))
    body = json.dumps({**record, "follows": other}, separators=(",", ":"), ensure_ascii=False).encode()
    return replace(publication, follows=other, body=body)
