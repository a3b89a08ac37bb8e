"""What goes wrong in the queue: late, twice, out of order, too often or not at all."""

from __future__ import annotations

from typing import Any, ClassVar, Literal, Self

from pydantic import Field, model_validator

from simulation.scenario.faults.targets import Active, Queue, Undo
from simulation.scenario.faults.timing import Duration, EventChance, TimedFault
from simulation.scenario.workload import Publication


class DeliveryFault(EventChance):
    """Something that happens to what the broker delivers: a subclass says when it is asked, and what it does then."""

    asked: ClassVar[Literal["published", "visible", "delivered", "rejected"]]
    """When the broker asks: as it is given an event, as a copy becomes visible, once it was delivered or rejected."""

    def on_published(
        self, active: Active, queue: Queue, publication: Publication, copies: list[int]
    ) -> list[int] | None:
        """Return when the copies of an event become visible, in microseconds from now; None if it is lost."""
        raise NotImplementedError

    def on_message(self, active: Active, queue: Queue, event: str, message: Any) -> None:
        """Do something to a message that became visible, was delivered or was rejected."""
        raise NotImplementedError


class Drop(DeliveryFault):
    """The broker loses the event for good."""

    kind: Literal["drop"] = "drop"
    example: ClassVar[str] = """\
name = "fault-drop"
description = "The leader never comes: b surfaces after the lookback."

[workload]
events = [
  { name = "a" },
  { name = "b", follows = "a", at = "100ms" },
]

[consumers]
count = 2

[[faults]]
kind = "drop"
event = "a"

[expect]
native = "holds"
"""
    asked: ClassVar = "published"

    @classmethod
    def recipe(cls, tools: Any) -> Any:
        """Return a strategy for its keys."""
        return tools.events

    def on_published(
        self, active: Active, queue: Queue, publication: Publication, copies: list[int]
    ) -> list[int] | None:
        """Return when the copies become visible."""
        active.note(event=publication.name)
        return None


class Delay(DeliveryFault):
    """The broker holds the event back. With `only = "leaders"`: leaders become visible late."""

    kind: Literal["delay"] = "delay"
    example: ClassVar[str] = """\
name = "fault-delay"
description = "Leaders become visible three seconds late."

[workload]
events = [
  { name = "a" },
  { name = "b", follows = "a", at = "100ms" },
]

[consumers]
count = 2

[[faults]]
kind = "delay"
only = "leaders"
by = "3s"

[expect]
native = "holds"
"""
    asked: ClassVar = "published"
    by: Duration = Field(gt=0, description="how much later the event becomes visible")

    @property
    def span(self) -> int:
        """How long it may still be at work."""
        return self.by

    @classmethod
    def recipe(cls, tools: Any) -> Any:
        """Return a strategy for its keys."""
        return tools.having(tools.events, by=tools.span)

    def on_published(
        self, active: Active, queue: Queue, publication: Publication, copies: list[int]
    ) -> list[int] | None:
        """Return when the copies become visible."""
        active.note(event=publication.name)
        return [moment + self.by for moment in copies]


class Duplicate(DeliveryFault):
    """The broker delivers the event once more: some time after the first copy, its handling, or its oblivion."""

    kind: Literal["duplicate"] = "duplicate"
    example: ClassVar[str] = """\
name = "fault-duplicate"
description = "Each event comes a second time, a second after it was handled."

[workload]
events = [
  { name = "a" },
  { name = "b", follows = "a", at = "100ms" },
]

[consumers]
count = 2

[[faults]]
kind = "duplicate"
since = "handled"
after = "1s"

[expect]
native = "holds"
"""
    asked: ClassVar = "published"
    after: Duration = Field(0, description="how much later the second delivery comes")
    early: Duration = Field(0, description="how much earlier it comes; only if it comes after the retention")
    since: Literal["visible", "handled", "forgotten"] = Field(
        "visible",
        description="later than what: the first copy, the event's effect, or the end of the effect's retention",
    )
    received: Literal["same", "new"] = Field("same", description="new: it is received again, with a new `received`")

    @model_validator(mode="after")
    def _is_possible_in_time(self) -> Self:
        if self.early and self.since != "forgotten":
            raise ValueError('only what comes after the retention can come earlier than that: set since = "forgotten"')
        return self

    @property
    def span(self) -> int:
        """How long it may still be at work, apart from the retention."""
        return self.after

    @classmethod
    def recipe(cls, tools: Any) -> Any:
        """Return a strategy for its keys."""
        return tools.merged(tools.events, tools.some(after=tools.span), tools.some(since=tools.just("handled")))

    def on_published(
        self, active: Active, queue: Queue, publication: Publication, copies: list[int]
    ) -> list[int] | None:
        """Return when the copies become visible."""
        name = publication.name
        if self.since != "visible":
            queue.once_handled(name, lambda: self._return_late(active, queue, publication))
            return copies
        active.note(event=name)
        if self.received == "same":
            return [*copies, copies[0] + self.after]
        queue.publish_again(publication, copies[0] + self.after)
        return copies

    def _return_late(self, active: Active, queue: Queue, publication: Publication) -> None:
        wait = self.after + (queue.retention if self.since == "forgotten" else 0) - self.early
        active.note(event=publication.name)
        again = queue.publish_again if self.received == "new" else queue.copy
        again(publication, max(0, wait))


class Overtake(DeliveryFault):
    """The event is overtaken by the next `by` events that become visible."""

    kind: Literal["reorder"] = "reorder"
    example: ClassVar[str] = """\
name = "fault-reorder"
description = "The follower overtakes its leader."

[workload]
events = [
  { name = "a" },
  { name = "b", follows = "a", at = "100ms" },
]

[consumers]
count = 2

[[faults]]
kind = "reorder"
event = "a"
by = 1

[expect]
native = "holds"
"""
    asked: ClassVar = "visible"
    by: int = Field(1, ge=1, description="how many events overtake it")

    @classmethod
    def recipe(cls, tools: Any) -> Any:
        """Return a strategy for its keys."""
        return tools.having(tools.events, by=tools.integers(1, 3))

    def on_message(self, active: Active, queue: Queue, event: str, message: Any) -> None:
        """Do something to a message."""
        active.note(event=event)
        queue.hold_back(message, self.by)


class Redeliver(DeliveryFault):
    """The broker's timeout is too short: it offers the event again while it is still being handled."""

    kind: Literal["redeliver"] = "redeliver"
    example: ClassVar[str] = """\
name = "fault-redeliver"
description = "a is offered again while it is still being handled."

[workload]
events = [{ name = "a" }]

[consumers]
count = 2
handler_time = "400ms"

[[faults]]
kind = "redeliver"
after = "100ms"
nth = 1

[expect]
native = "holds"
"""
    asked: ClassVar = "delivered"
    after: Duration = Field(1_000, gt=0, description="how long after it was delivered")

    @classmethod
    def recipe(cls, tools: Any) -> Any:
        """Return a strategy for its keys."""
        return tools.merged(tools.events, tools.some(after=tools.span))

    def on_message(self, active: Active, queue: Queue, event: str, message: Any) -> None:
        """Do something to a message."""
        queue.offer_again(active, message, self.after)


class Nack(DeliveryFault):
    """A rejected event goes to the back of the queue at once, without the idle time before a redelivery."""

    kind: Literal["nack"] = "nack"
    example: ClassVar[str] = """\
name = "fault-nack"
description = "a fails once, and goes to the back of the queue at once."

[workload]
events = [{ name = "a" }]

[consumers]
count = 1

[[faults]]
kind = "nack"

[[faults]]
kind = "handler-raises"
call = 1

[expect]
native = "holds"
"""
    asked: ClassVar = "rejected"

    @classmethod
    def recipe(cls, tools: Any) -> Any:
        """Return a strategy for its keys."""
        return tools.events

    def on_message(self, active: Active, queue: Queue, event: str, message: Any) -> None:
        """Do something to a message."""
        active.note(event=event)


class TimedBrokerFault(TimedFault):
    """Something that happens to the whole queue at a moment."""

    def strike(self, active: Active, queue: Queue) -> Undo | None:
        """Do it to the queue, note it, and return how it is undone; None if nothing is left to undo."""
        raise NotImplementedError


class Trim(TimedBrokerFault):
    """The queue is trimmed: what was published longer than `older` ago and not acknowledged is forgotten."""

    kind: Literal["trim"] = "trim"
    example: ClassVar[str] = """\
name = "fault-trim"
description = "a fails, and before it is offered again the queue is trimmed."

[workload]
events = [
  { name = "a" },
  { name = "b", at = "100ms" },
]

[consumers]
count = 1

[judge]
allowed_loss = ["trim"]

[[faults]]
kind = "trim"
at = "1s"
event = "a"

[[faults]]
kind = "handler-raises"
event = "a"
call = 1

[expect]
native = "holds"
"""
    event: str = Field("*", description="which events: a pattern of names")
    older: Duration = Field(0, description="only what was published at least this long ago")
    delivered: bool = Field(False, description="only what was delivered, and is still to be acknowledged")

    @property
    def loses_data(self) -> bool:
        """Whether it can destroy data in the queue."""
        return True

    @classmethod
    def recipe(cls, tools: Any) -> Any:
        """Return a strategy for its keys."""
        return tools.timed

    def strike(self, active: Active, queue: Queue) -> Undo | None:
        """Do it to the queue."""
        queue.trim(active, self.event, queue.now - self.older, self.delivered)
        return None


class Stall(TimedBrokerFault):
    """The broker hands nothing out for a while, and events queue up."""

    kind: Literal["stall"] = "stall"
    example: ClassVar[str] = """\
name = "fault-stall"
description = "The queue hands nothing out for ten seconds."

[workload]
events = [
  { name = "a" },
  { name = "b", follows = "a", at = "100ms" },
]

[consumers]
count = 2

[[faults]]
kind = "stall"
at = "0s"
for = "10s"

[expect]
native = "holds"
"""
    duration: Duration = Field(alias="for", gt=0, description="how long")

    @classmethod
    def recipe(cls, tools: Any) -> Any:
        """Return a strategy for its keys."""
        return tools.having(tools.timed, **tools.lasting)

    def strike(self, active: Active, queue: Queue) -> Undo | None:
        """Do it to the queue."""
        active.note()
        return queue.stall()
