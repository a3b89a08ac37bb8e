"""What goes wrong where events come from: producers with wrong clocks, damaged messages, events that never come."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from simulation.scenario.faults.timing import Duration, EventChance, Offset


class PublicationFault(EventChance):
    """Something that happens to an event before it is published."""


class Unpublished(PublicationFault):
    """The event is never published: its followers wait in vain."""

    kind: Literal["unpublished"] = "unpublished"


class Unreadable(PublicationFault):
    """The event's message is damaged: nobody can parse it."""

    kind: Literal["unreadable"] = "unreadable"


class ProducerClock(PublicationFault):
    """The event's producer has a wrong clock: `occurred` is wrong."""

    kind: Literal["producer-clock"] = "producer-clock"
    offset: Offset = Field(description='how wrong: "15m" ahead, "-15m" behind')

    @model_validator(mode="after")
    def _is_wrong(self) -> Self:
        if not self.offset:
            raise ValueError("an 'offset' of 0 is a right clock")
        return self


class Aged(PublicationFault):
    """The event has been on its way for a long time: it occurred, and was received, so much earlier."""

    kind: Literal["aged"] = "aged"
    by: Duration = Field(gt=0, description="how much earlier")


class SameInstant(PublicationFault):
    """All these events occurred at the same microsecond: that of the first of them."""

    kind: Literal["same-instant"] = "same-instant"
