"""A fault point: a place in a run at which a fault can strike, named so that another run has it too."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from simulation.kernel.durations import format_duration, in_words
from simulation.scenario.faults import FAULTS, AnyFault, PacketFault

MOST_NAMED = 3


When = Literal["before", "after"]


@dataclass(frozen=True, slots=True)
class Point:
    """One moment of the first run."""

    number: int
    """Counts the points from 1, in the order of their time."""
    at: int
    """Microseconds since the start of the run."""
    consumer: str
    what: str
    """The action of the consumer: `EVALSHA complete`, or `start` and `end` for its handler."""
    nth: int
    """Its number among the consumer's commands that match the pattern, or among its handler's steps."""
    when: When
    pattern: str = ""
    """The pattern of the command; empty for a step of a handler."""
    events: tuple[str, ...] = ()
    """The events that it is about."""

    def fault(self, kind: str, duration: int) -> AnyFault:
        """Return the fault that strikes here. `duration` is in microseconds, for faults that last."""
        made = FAULTS[kind]
        if issubclass(made, PacketFault):
            return made.model_validate({"match": self.pattern, "consumer": self.consumer, "nth": self.nth})
        where = {"command": self.pattern} if self.pattern else {"step": self.what}
        what = {"consumer": self.consumer, "nth": self.nth, "when": self.when, "for": format_duration(duration)}
        return made.model_validate({**where, **what})

    def words(self, kind: str) -> str:
        """Return the place of the fault, in words."""
        about = f" of {', '.join(self.events[:MOST_NAMED])}" if self.events else ""
        more = ", …" if len(self.events) > MOST_NAMED else ""
        if not self.pattern:
            what = f"just {self.when} the handler{about}{more} {self.what}s"
        elif kind in ("reply-lost", "request-lost"):
            what = f"the {kind.removesuffix('-lost')} lost of {self.what}{about}{more} (its {ordinal(self.nth)})"
        else:
            sent = "it sends" if self.when == "before" else "Redis executed its"
            what = f"just {self.when} {sent} {self.what}{about}{more} (the {ordinal(self.nth)})"
        return f"{self.consumer}, {what}, at {in_words(self.at)}"

    @property
    def label(self) -> str:
        """The point in a word or two."""
        what = self.what if self.pattern else f"handler {self.what}"
        return f"{what} {', '.join(self.events[:1])}".strip()


def ordinal(number: int) -> str:
    """Return a number as one counts with it: 1st, 2nd, 3rd."""
    ending = "th" if number % 100 in (11, 12, 13) else {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
    return f"{number}{ending}"
