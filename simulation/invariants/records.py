"""What the chronicle writes down about each event and each consumer.

These records are filled in one pass over a history and are only read afterwards. An `index` is an entry's place in the
history: two things that bear the same microsecond still have an order, and it is the order of the entries. An index of
-1 means that it has not happened.
"""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from dataclasses import dataclass, field

from simulation.invariants.spans import Span

NEVER = -1


@dataclass(slots=True, eq=False)
class Delivery:
    """One attempt to hand an event to a consumer: open until that is answered, or the consumer is gone."""

    event: str
    consumer: str
    index: int
    at: int
    attempt: int
    parked: bool = False
    closed: int = NEVER
    closing: str = ""
    """What closed it: acknowledged, rejected, refused, dead-lettered, crashed or stopped."""


@dataclass(slots=True, eq=False)
class Handling:
    """The closed interval in which a handler ran for an event: from `start` to `end`, or to its consumer's crash."""

    event: str
    consumer: str
    via: str
    start: int
    start_at: int
    fence: object
    fingerprint: str
    delivery: Delivery | None = None
    end: int = NEVER
    end_at: int = NEVER
    outcome: str = ""
    write: str = ""
    cut: bool = False
    """Whether the consumer was gone before the handler had ended."""
    crashed: bool = False
    """Whether it was gone because it had died."""

    @property
    def took_effect(self) -> bool:
        """Whether this handling is an effect: it ended ok and was not refused, or the sink accepted its write."""
        return self.write == "accepted" or (self.outcome == "ok" and self.write != "refused")

    def open_at(self, index: int) -> bool:
        """Whether the handler was at work when the entry at `index` was written."""
        return self.start <= index and (self.end == NEVER or self.end > index)


@dataclass(slots=True, eq=False)
class EventStory:
    """All that a history tells of one event."""

    name: str
    number: int
    """Its place in the order in which the history first mentions events."""
    id: str = ""
    follows: str = ""
    leader: str = ""
    """The name of the event that it follows, if that is not the event itself."""
    published: int = NEVER
    occurred: int = NEVER
    fingerprints: Sequence[str] = ()
    deliveries: list[Delivery] = field(default_factory=list)
    handlings: list[Handling] = field(default_factory=list)
    """In order of their starts."""
    effects: Sequence[Handling] = ()
    """In order of their ends."""
    parked: int = NEVER
    parked_at: int = NEVER
    dead: int = NEVER
    dead_at: int = NEVER
    seen: list[int] = field(default_factory=list)
    """The indices at which a delivery was refused because the event had been handled before."""
    followers: list[str] = field(default_factory=list)
    plain: bool = False
    """Whether its life was such that no invariant has anything to say about it; see `plain.py`."""

    @property
    def first_start(self) -> Handling | None:
        """The first handling, if there was one."""
        return self.handlings[0] if self.handlings else None

    @property
    def order(self) -> tuple[int, str]:
        """The place among its siblings: by `occurred`, ties by the id as text."""
        return self.occurred, self.id


@dataclass(slots=True, eq=False)
class ConsumerStory:
    """All that a history tells of one consumer: when it could not work, and which entries are about its work."""

    name: str
    down: list[Span] = field(default_factory=list)
    paused: list[Span] = field(default_factory=list)
    cut_off: list[Span] = field(default_factory=list)
    crashes: list[tuple[int, int]] = field(default_factory=list)
    """Index and time of each crash."""
    sweeps: list[tuple[int, int]] = field(default_factory=list)
    """Index and time of the end of each sweep."""
    tells_all_sweeps: bool = False
    """Whether it has written down a sweep that found nothing: then it writes down every sweep."""
    restarts: int = 0
    left: bool = False
    """Whether it was alive before, and is no longer."""
    work: array[int] = field(default_factory=lambda: array("I"))
    """The indices of its entries that are about an event."""
    worked_on: list[str] = field(default_factory=list)
    """The event that each of those is about."""


@dataclass(frozen=True, slots=True)
class Loss:
    """One occasion on which the store, or the broker, lost something by an injected fault."""

    index: int
    at: int
    fault: str
    events: frozenset[str] | None
    """The events that can have been touched; None means any."""

    def touches(self, event: str) -> bool:
        """Whether the loss can have been about the event."""
        return self.events is None or event in self.events


@dataclass(frozen=True, slots=True)
class Phase:
    """The moment at which the run entered a phase."""

    index: int
    at: int
    name: str
    in_flight: str
