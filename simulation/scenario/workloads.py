"""The tables [workload]: which events there are, and which follow which."""

from __future__ import annotations

from collections import Counter
from typing import Annotated, Any, Literal, Self, get_args

from pydantic import Field, model_validator

from simulation.scenario.types import Count, Delay, Duration, Name, Probability, Table


class PlannedEvent(Table):
    """One event of a workload that lists its events."""

    name: Name = Field(description="what the event is called in histories and reports")
    follows: str = Field("", description="the name of the event that it follows")
    at: Duration = Field(0, description="when it is published")
    occurred: Duration | None = Field(None, description="when it happened; by default when it is published")
    published: bool = Field(True, description="whether it is published at all: a leader that never comes is not")
    readable: bool = Field(True, description="false: its message is damaged and cannot be parsed")
    again: bool = Field(False, description="true: another copy of the event of that name in the list above")


class EventsWorkload(Table):
    """Events that are listed one by one."""

    kind: Literal["events"] = "events"
    events: tuple[PlannedEvent, ...] = Field(min_length=1, description="the events, as [[workload.events]] tables")

    @model_validator(mode="after")
    def _names_are_unique(self) -> Self:
        names = [event.name for event in self.events if not event.again]
        twice = sorted(name for name, count in Counter(names).items() if count > 1)
        if twice:
            raise ValueError(f"two events are called {', '.join(twice)}; a copy of an event has 'again = true'")
        seen: set[str] = set()
        for event in self.events:
            if event.again and event.name not in seen:
                raise ValueError(f"'again' is set for {event.name}, and no event above has that name")
            seen.add(event.name)
        return self


class Shape(Table):
    """The common keys of the workloads whose events are made and not listed."""

    interval: Delay = Field("10ms", validate_default=True, description="time between one publication and the next")
    order: Literal["in-order", "reversed", "shuffled"] = Field(
        "in-order", description="the order in which the events of one family are published"
    )
    interleave: bool = Field(False, description="publish families side by side rather than one after the other")
    missing: Probability = Field(0.0, description="probability that an event that others follow is never published")


class ChainsWorkload(Shape):
    """Chains: each event follows the one before it."""

    kind: Literal["chains"] = "chains"
    count: Count = Field(1, description="how many chains")
    length: Count = Field(5, description="events in each chain")


class FansWorkload(Shape):
    """Fans: many events follow the same leader."""

    kind: Literal["fan-out"] = "fan-out"
    count: Count = Field(1, description="how many leaders")
    followers: Count = Field(10, description="followers of each leader")


class TreesWorkload(Shape):
    """Trees: every event above the last level is followed by several others."""

    kind: Literal["trees"] = "trees"
    count: Count = Field(1, description="how many trees")
    depth: Count = Field(3, description="levels in each tree")
    branching: Count = Field(2, description="followers of each event above the last level")


class CyclesWorkload(Shape):
    """Rings: the first event follows the last. A ring of one follows itself."""

    kind: Literal["cycles"] = "cycles"
    count: Count = Field(1, description="how many rings")
    length: Count = Field(3, description="events in each ring")


class TraceWorkload(Table):
    """Events of a file, one JSON object a line, published when they occurred."""

    kind: Literal["trace"] = "trace"
    file: str = Field(description="path of the file, relative to the scenario's")
    speed: float = Field(1.0, gt=0, allow_inf_nan=False, description="how many times as fast as they occurred")
    limit: Count | None = Field(None, description="use only this many events from the start of the file")


Workload = Annotated[
    EventsWorkload | ChainsWorkload | FansWorkload | TreesWorkload | CyclesWorkload | TraceWorkload,
    Field(discriminator="kind"),
]


WORKLOADS: dict[str, type[Table]] = {
    str(table.model_fields["kind"].default): table for table in get_args(get_args(Workload)[0])
}
"""The table of each kind of workload."""


def size_of(table: Any) -> int:
    """Return the number of events of a generated workload; for very many, a number that is large enough to say so."""
    match table.kind:
        case "chains" | "cycles":
            return int(table.count * table.length)
        case "fan-out":
            return int(table.count * (1 + table.followers))
        case "trees":
            level = total = int(table.count)
            for _ in range(min(table.depth, 64) - 1):
                level *= table.branching
                total += level
            return total if table.branching > 1 else int(table.count * table.depth)
        case _:
            return 0
