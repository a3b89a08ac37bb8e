"""What goes wrong where events come from: producers with wrong clocks, damaged messages, events that never come."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, ClassVar, Literal, Self

from pydantic import Field, model_validator

from simulation.scenario.faults.timing import Duration, EventChance, Offset
from simulation.scenario.workload import UNREADABLE, Publication, instant


class PublicationFault(EventChance):
    """Something that happens to an event before it is published."""

    def change(self, publication: Publication, first: Publication) -> Publication | None:
        """Return the event as it is published, None if it is not. `first` is the first event that the fault struck."""
        raise NotImplementedError


def with_payload(publication: Publication, more: Mapping[str, Any]) -> Publication:
    """Return an event whose payload has more keys; what another fault has damaged has no payload, and stays."""
    try:
        record: dict[str, Any] = json.loads(publication.body)
    except ValueError:
        return publication
    payload = record.get("payload")
    record["payload"] = {**(payload if isinstance(payload, dict) else {}), **more}
    return replace(publication, body=json.dumps(record, separators=(",", ":"), ensure_ascii=False).encode())


class Unpublished(PublicationFault):
    """The event is never published: its followers wait for the whole lookback."""

    kind: Literal["unpublished"] = "unpublished"
    example: ClassVar[str] = """\
name = "fault-unpublished"
description = "The leader is never published."

[workload]
events = [
  { name = "a" },
  { name = "b", follows = "a", at = "100ms" },
]

[consumers]
count = 2

[[faults]]
kind = "unpublished"
only = "leaders"

[expect]
native = "holds"
"""

    @classmethod
    def recipe(cls, tools: Any) -> Any:
        """Return a strategy for its keys."""
        return tools.events

    def change(self, publication: Publication, first: Publication) -> Publication | None:
        """Return the event as it is published."""
        return None


class Unreadable(PublicationFault):
    """The event's message is damaged: no consumer can parse it."""

    kind: Literal["unreadable"] = "unreadable"
    example: ClassVar[str] = """\
name = "fault-unreadable"
description = "The message of b is damaged: it ends as a dead letter."

[workload]
events = [
  { name = "a" },
  { name = "b", at = "100ms" },
]

[consumers]
count = 2

[[faults]]
kind = "unreadable"
event = "b"

[expect]
native = "holds"
"""

    @classmethod
    def recipe(cls, tools: Any) -> Any:
        """Return a strategy for its keys."""
        return tools.events

    def change(self, publication: Publication, first: Publication) -> Publication | None:
        """Return the event as it is published."""
        return replace(publication, body=UNREADABLE)


class ProducerClock(PublicationFault):
    """The event's producer has a wrong clock: `occurred` is wrong."""

    kind: Literal["producer-clock"] = "producer-clock"
    example: ClassVar[str] = """\
name = "fault-producer-clock"
description = "The producer of a is a quarter of an hour behind."

[workload]
events = [
  { name = "a" },
  { name = "b", follows = "a", at = "100ms" },
]

[consumers]
count = 2

[[faults]]
kind = "producer-clock"
event = "a"
offset = "-15m"

[expect]
native = "holds"
"""
    offset: Offset = Field(description='how wrong: "15m" ahead, "-15m" behind')

    @model_validator(mode="after")
    def _is_wrong(self) -> Self:
        if not self.offset:
            raise ValueError("an 'offset' of 0 is a right clock")
        return self

    @classmethod
    def recipe(cls, tools: Any) -> Any:
        """Return a strategy for its keys."""
        return tools.having(tools.events, offset=tools.wrong)

    def change(self, publication: Publication, first: Publication) -> Publication | None:
        """Return the event as it is published."""
        return _moved(publication, self.offset, "occurred")


class Aged(PublicationFault):
    """The event has been on its way for a long time: it occurred, and was received, so much earlier."""

    kind: Literal["aged"] = "aged"
    example: ClassVar[str] = """\
name = "fault-aged"
description = "The follower has been on its way for sixteen minutes when it is published."

[workload]
events = [
  { name = "a" },
  { name = "b", follows = "a", at = "100ms" },
]

[consumers]
count = 2

[[faults]]
kind = "aged"
event = "b"
by = "16m"

[expect]
native = "holds"
"""
    by: Duration = Field(gt=0, description="how much earlier")

    @classmethod
    def recipe(cls, tools: Any) -> Any:
        """Return a strategy for its keys."""
        return tools.having(tools.events, by=tools.span)

    def change(self, publication: Publication, first: Publication) -> Publication | None:
        """Return the event as it is published."""
        return _moved(publication, -self.by, "occurred", "received")


class SameInstant(PublicationFault):
    """All these events occurred at the same microsecond: that of the first of them."""

    kind: Literal["same-instant"] = "same-instant"
    example: ClassVar[str] = """\
name = "fault-same-instant"
description = "Both followers of a occurred at the same microsecond: their ids decide who is first."

[workload]
events = [
  { name = "b", follows = "a" },
  { name = "c", follows = "a", at = "10ms" },
  { name = "a", at = "100ms" },
]

[consumers]
count = 2

[[faults]]
kind = "same-instant"
only = "followers"

[expect]
native = "holds"
"""

    @classmethod
    def recipe(cls, tools: Any) -> Any:
        """Return a strategy for its keys."""
        return tools.events

    def change(self, publication: Publication, first: Publication) -> Publication | None:
        """Return the event as it is published."""
        return _moved(publication, first.occurred - publication.occurred, "occurred")


def _moved(publication: Publication, by: int, *fields: str) -> Publication:
    try:
        record: dict[str, Any] = json.loads(publication.body)
    except ValueError:
        return publication  # what another fault has damaged has no date
    for field in fields:
        if record.get(field):
            record[field] = instant(datetime.fromisoformat(record[field]) + timedelta(microseconds=by))
    body = json.dumps(record, separators=(",", ":"), ensure_ascii=False).encode()
    return replace(publication, occurred=publication.occurred + by, body=body)
