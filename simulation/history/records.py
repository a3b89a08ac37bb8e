"""What the chronicle writes down about each event and each consumer.

These records are filled in one pass over a history and are only read afterwards. An `index` is an entry's place in the
history: two things that bear the same microsecond still have an order, and it is the order of the entries. An index of
-1 means that it has not happened.
"""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from dataclasses import dataclass, field
from struct import Struct
from typing import TypeVar

from simulation.history.intervals import Span

NEVER = -1

_T = TypeVar("_T")
_SIXTY_FOUR_BITS = range(-(1 << 63), 1 << 63)
_ROW = Struct("<IIIIq??")
"""The four indices of a `course`, the fencing token, whether there is one, and whether a write was accepted."""


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
    """All that a history tells of one event.

    Most events of a long history are delivered once, handled once and acknowledged. Such a life is kept as one row of
    numbers until somebody asks for its deliveries or handlings: a third of the memory.
    """

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
    parked: int = NEVER
    parked_at: int = NEVER
    dead: int = NEVER
    dead_at: int = NEVER
    dead_by: str = ""
    """Who gave it up: broker or engine."""
    refusal: bool = False
    """Whether the dead letter states that the event could not be read, or its schema is not known."""
    duplicated: bool = False
    """Whether the broker made a second copy of it."""
    untold: bool = False
    """Whether the history tells of a handling without its start, or without how it ended."""
    plain: bool = False
    """Whether its life was such that no invariant has anything to say about it; see `plain.py`."""
    _seen: list[int] | None = None
    _held: list[int] | None = None
    _followers: list[str] | None = None
    _deliveries: list[Delivery] | None = None
    _handlings: list[Handling] | None = None
    _effects: Sequence[Handling] = ()
    _row: bytes = b""
    _holder: str = ""
    _times: Sequence[int] = ()

    @property
    def seen(self) -> Sequence[int]:
        """The indices at which a delivery was refused because the event had been handled before."""
        return self._seen or ()

    @property
    def held(self) -> Sequence[int]:
        """The indices at which a delivery was refused because somebody held the event."""
        return self._held or ()

    @property
    def followers(self) -> Sequence[str]:
        """The names of the events that follow it."""
        return self._followers or ()

    @property
    def deliveries(self) -> Sequence[Delivery]:
        """In the order in which they were made."""
        if self._row:
            self._unpack()
        return self._deliveries or ()

    @property
    def handlings(self) -> Sequence[Handling]:
        """In order of their starts."""
        if self._row:
            self._unpack()
        return self._handlings or ()

    @property
    def effects(self) -> Sequence[Handling]:
        """In order of their ends."""
        if self._row:
            self._unpack()
        return self._effects

    @property
    def course(self) -> tuple[int, int, int, int] | None:
        """The indices of the delivery, of the start and the end of the handling, and of the answer, if that was all."""
        if not self._row:
            return None
        delivered, started, ended, answered, *_ = _ROW.unpack(self._row)
        return delivered, started, ended, answered

    def add_seen(self, index: int) -> None:
        """Take note of a refusal."""
        self._seen = _with(self._seen, index)

    def add_held(self, index: int) -> None:
        """Take note of a refusal because somebody held the event."""
        self._held = _with(self._held, index)

    def add_follower(self, name: str) -> None:
        """Take note of an event that follows this one."""
        self._followers = _with(self._followers, name)

    def add_delivery(self, delivery: Delivery) -> None:
        """Take note of a delivery."""
        if self._row:
            self._unpack()
        self._deliveries = _with(self._deliveries, delivery)

    def add_handling(self, handling: Handling) -> None:
        """Take note of a handling."""
        if self._row:
            self._unpack()
        self._handlings = _with(self._handlings, handling)

    def settle(self) -> None:
        """Find the effects, now that all handlings are known."""
        handlings = self._handlings
        if handlings and not self._row:
            self._effects = sorted((h for h in handlings if h.took_effect), key=lambda h: h.end)

    def pack(self, times: Sequence[int]) -> None:
        """Keep the event's one delivery and one handling as a row of numbers, if nothing was special about them."""
        deliveries, handlings = self._deliveries, self._handlings
        if not deliveries or not handlings or len(deliveries) > 1 or len(handlings) > 1 or not self.fingerprints:
            return
        delivery, handling = deliveries[0], handlings[0]
        fence = handling.fence
        if (
            handling.delivery is delivery
            and delivery.closing == "acknowledged"
            and delivery.index < handling.start < handling.end < delivery.closed
            and delivery.attempt == 1
            and not delivery.parked
            and handling.outcome == "ok"
            and handling.write in ("", "accepted")
            and handling.fingerprint == self.fingerprints[0]
            and (fence is None or (fence.__class__ is int and fence in _SIXTY_FOUR_BITS))
        ):
            indices = delivery.index, handling.start, handling.end, delivery.closed
            self._row = _ROW.pack(*indices, fence or 0, fence is not None, handling.write == "accepted")
            self._holder, self._times = handling.consumer, times
            self._deliveries = self._handlings = None

    def _unpack(self) -> None:
        delivered, started, ended, answered, fence, fenced, accepted = _ROW.unpack(self._row)
        times, self._row = self._times, b""
        delivery = Delivery(self.name, self._holder, delivered, times[delivered], 1)
        delivery.closed, delivery.closing = answered, "acknowledged"
        token, said = fence if fenced else None, self.fingerprints[0]
        handling = Handling(self.name, self._holder, "delivered", started, times[started], token, said, delivery)
        handling.end, handling.end_at, handling.outcome = ended, times[ended], "ok"
        handling.write = "accepted" if accepted else ""
        self._deliveries, self._handlings = [delivery], [handling]
        self._effects = (handling,)

    @property
    def first_known(self) -> int:
        """The index of the first entry that shows it to have been handed to a consumer, or NEVER."""
        shown = [self.parked, *(d.index for d in self.deliveries[:1]), *(h.start for h in self.handlings[:1])]
        return min((index for index in shown if index != NEVER), default=NEVER)

    @property
    def first_start(self) -> Handling | None:
        """The first handling, if there was one."""
        return self.handlings[0] if self.handlings else None

    @property
    def order(self) -> tuple[int, str]:
        """The place among its siblings: by `occurred`, ties by the id as text."""
        return self.occurred, self.id


def _with(some: list[_T] | None, one: _T) -> list[_T]:
    if some is None:
        return [one]  # no longer than it need be: most lists stay that short
    some.append(one)
    return some


@dataclass(slots=True, eq=False)
class ConsumerStory:
    """All that a history tells of one consumer: when it could not work, and which entries are about its work."""

    name: str
    down: list[Span] = field(default_factory=list)
    paused: list[Span] = field(default_factory=list)
    cut_off: list[Span] = field(default_factory=list)
    crashes: list[tuple[int, int]] = field(default_factory=list)
    """Index and time of each crash."""
    departures: list[int] = field(default_factory=list)
    """The time of each crash, and of each stop in good order."""
    sweeps: list[tuple[int, int]] = field(default_factory=list)
    """Index and time of the end of each sweep."""
    silent: bool = False
    """Whether it was still paused or cut off when the history ended: for how long, nobody knows."""
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
