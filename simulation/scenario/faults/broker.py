"""What goes wrong in the queue: late, twice, out of order, too often or not at all."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from simulation.scenario.faults.timing import Duration, EventChance, TimedFault


class DeliveryFault(EventChance):
    """Something that happens to what the broker delivers."""


class Drop(DeliveryFault):
    """The broker loses the event for good."""

    kind: Literal["drop"] = "drop"


class Delay(DeliveryFault):
    """The broker holds the event back. With `only = "leaders"`: leaders become visible late."""

    kind: Literal["delay"] = "delay"
    by: Duration = Field(gt=0, description="how much later the event becomes visible")

    @property
    def span(self) -> int:
        """How long it may still be at work."""
        return self.by


class Duplicate(DeliveryFault):
    """The broker delivers the event once more: some time after the first copy, its handling, or its oblivion."""

    kind: Literal["duplicate"] = "duplicate"
    after: Duration = Field(0, description="how much later the second delivery comes")
    early: Duration = Field(0, description="how much earlier it comes; only if it comes after the retention")
    since: Literal["visible", "handled", "forgotten"] = Field(
        "visible",
        description="later than what: the first copy, the event's effect, or the end of the effect's retention",
    )
    received: Literal["same", "new"] = Field(
        "same", description="new: it is received anew, and says so in its `received`"
    )

    @model_validator(mode="after")
    def _is_possible_in_time(self) -> Self:
        if self.early and self.since != "forgotten":
            raise ValueError('only what comes after the retention can come earlier than that: set since = "forgotten"')
        return self

    @property
    def span(self) -> int:
        """How long it may still be at work, apart from the retention."""
        return self.after


class Overtake(DeliveryFault):
    """The event is overtaken by the next `by` events that become visible."""

    kind: Literal["reorder"] = "reorder"
    by: int = Field(1, ge=1, description="how many events overtake it")


class Redeliver(DeliveryFault):
    """The broker loses patience: it offers the event again while it is still being handled."""

    kind: Literal["redeliver"] = "redeliver"
    after: Duration = Field(0, description="how long after it was delivered")


class Nack(DeliveryFault):
    """A rejected event goes to the back of the queue at once, without the idle time before a redelivery."""

    kind: Literal["nack"] = "nack"


class TimedBrokerFault(TimedFault):
    """Something that happens to the whole queue at a moment."""


class Trim(TimedBrokerFault):
    """The queue is trimmed: what was published longer than `older` ago and not acknowledged is forgotten."""

    kind: Literal["trim"] = "trim"
    event: str = Field("*", description="which events: a pattern of names")
    older: Duration = Field(0, description="only what was published at least this long ago")


class Stall(TimedBrokerFault):
    """The broker hands nothing out for a while, and events queue up."""

    kind: Literal["stall"] = "stall"
    duration: Duration = Field(alias="for", gt=0, description="how long")
