"""The records of an index: events with their deliveries and handlings, consumers, losses, phases.

These records are filled in one pass over a history and are only read afterwards. An `index` is an entry's place in the
history: two things that bear the same microsecond still have an order, and it is the order of the entries. An index of
-1 means that it has not happened.
"""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from dataclasses import astuple, dataclass, field
from operator import add
from struct import Struct
from typing import TypeVar

from simulation.history.intervals import Span

NEVER = -1
_LAST = 1 << 62
"""An index behind every entry."""

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
    closed_at: int = NEVER
    closing: str = ""
    """The cause of its end: acknowledged, rejected, refused, dead-lettered, crashed or stopped."""
    because: str = ""
    """The reason of a rejection or refusal, if an entry gives one."""

    @property
    def outcome(self) -> str:
        """The cause of its end; `open` if it has not ended."""
        return self.closing or "open"


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
    number: str = ""
    """The number of the handling in the history."""
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

    @property
    def reported_outcome(self) -> str:
        """`ok`, `failed`, `unknown` (its consumer was gone, or the history does not say), or `open`: it never ended."""
        return "open" if self.end == NEVER else self.outcome or "unknown"

    def open_at(self, index: int) -> bool:
        """Whether the handler was at work when the entry at `index` was written."""
        return self.start <= index and (self.end == NEVER or self.end > index)


@dataclass(slots=True, eq=False)
class EventStory:
    """The life of one event, as a history records it.

    Most events of a long history are delivered once, handled once and acknowledged. Such an event is kept as one row of
    numbers until its deliveries or handlings are asked for: that takes a third of the memory.
    """

    name: str
    number: int
    """Its place in the order in which the history first mentions events."""
    id: str = ""
    follows: str = ""
    leader: str = ""
    """The name of the event that it follows, if that is not the event itself."""
    published: int = NEVER
    published_at: int = NEVER
    occurred: int = NEVER
    fingerprints: Sequence[str] = ()
    parked: int = NEVER
    parked_at: int = NEVER
    dead: int = NEVER
    dead_at: int = NEVER
    dead_by: str = ""
    """The side that dead-lettered it: broker or engine."""
    refusal: bool = False
    """Whether the dead letter states that the event could not be read, or its schema is not known."""
    dead_reported: bool = False
    """Whether the queue reported to the engine that it gave the event up."""
    duplicated: bool = False
    """Whether the broker made a second copy of it."""
    unread: tuple[tuple[int, str], ...] = ()
    """The indices at which a consumer could not read it, although others can, with that consumer."""
    copies: tuple[tuple[int, str], ...] = ()
    """The indices at which a copy was published that follows another event than the first one, and that event."""
    incomplete: bool = False
    """Whether the history has a handling without its start, or without its outcome."""
    trivial: bool = False
    """Whether no invariant can reject the event; see `invariants/prefilter`."""
    _seen: list[int] | None = None
    _held: list[int] | None = None
    _followers: list[str] | None = None
    _parkings: list[int] | None = None
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
        """The indices at which a delivery was refused because the event was held."""
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
        delivered, started, ended, answered, *_ = _ROW.unpack_from(self._row)
        return delivered, started, ended, answered

    def add_seen(self, index: int) -> None:
        """Take note of a refusal."""
        self._seen = _with(self._seen, index)

    def add_held(self, index: int) -> None:
        """Record a refusal because the event was held."""
        self._held = _with(self._held, index)

    def add_parking(self, index: int) -> None:
        """Take note that the event was parked, maybe once more."""
        self._parkings = _with(self._parkings, index)

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
            row = _ROW.pack(*indices, fence or 0, fence is not None, handling.write == "accepted")
            self._row = row + handling.number.encode("utf-8", "surrogatepass")
            self._holder, self._times = handling.consumer, times
            self._deliveries = self._handlings = None

    def _unpack(self) -> None:
        delivered, started, ended, answered, fence, fenced, accepted = _ROW.unpack_from(self._row)
        number = self._row[_ROW.size :].decode("utf-8", "surrogatepass")
        times, self._row = self._times, b""
        delivery = Delivery(self.name, self._holder, delivered, times[delivered], 1)
        delivery.closed, delivery.closed_at, delivery.closing = answered, times[answered], "acknowledged"
        token, said = fence if fenced else None, self.fingerprints[0]
        handling = Handling(
            self.name, self._holder, "delivered", started, times[started], token, said, delivery, number
        )
        handling.end, handling.end_at, handling.outcome = ended, times[ended], "ok"
        handling.write = "accepted" if accepted else ""
        self._deliveries, self._handlings = [delivery], [handling]
        self._effects = (handling,)

    def unread_in(self, delivery: Delivery) -> bool:
        """Say whether a consumer rejected a delivery of the event because it could not read it."""
        return delivery.closing == "rejected" and any(
            delivery.index < at < delivery.closed and name == delivery.consumer for at, name in self.unread
        )

    @property
    def first_known(self) -> int:
        """The index of the first entry that shows it to have been handed to a consumer, or NEVER."""
        shown = [self.parked, *(d.index for d in self.deliveries[:1]), *(h.start for h in self.handlings[:1])]
        return min((index for index in shown if index != NEVER), default=NEVER)

    @property
    def main_handling(self) -> Handling | None:
        """The handling that matters in a report: its first effect or, without one, its first handling."""
        return next(iter(self.effects), None) or self.first_start

    @property
    def is_mentioned(self) -> bool:
        """Whether an entry is about the event itself, and not only about others that follow it."""
        begun = self.published != NEVER or self.parked != NEVER or self.dead != NEVER
        return begun or bool(self._row or self._deliveries or self._handlings)

    @property
    def is_lost(self) -> bool:
        """Whether an engine had the event, and the history ends with neither an effect nor a dead letter for it.

        An event with a handling whose outcome the history lacks counts as neither lost nor handled.
        """
        came = self.parked != NEVER or self.deliveries or self.handlings
        return bool(came) and self.dead == NEVER and not self.incomplete and not self.effects

    @property
    def waits(self) -> Sequence[tuple[int, int]]:
        """The spans in which it was parked, as indices: to its next handling or dead letter, or to the last entry."""
        ends = sorted([*(handling.start for handling in self.handlings), *((self.dead,) if self.dead != NEVER else ())])
        spans: list[tuple[int, int]] = []
        for begin in self._parkings or ():
            if not spans or begin > spans[-1][1]:
                spans.append((begin, next((end for end in ends if end > begin), _LAST)))
        return spans

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
    """One consumer, as a history records it: the spans in which it could not work, and the entries about its work."""

    name: str
    down: list[Span] = field(default_factory=list)
    paused: list[Span] = field(default_factory=list)
    cut_off: list[Span] = field(default_factory=list)
    refused: list[Span] = field(default_factory=list)
    """Spans in which a demoted server refused its writes."""
    crashes: list[tuple[int, int]] = field(default_factory=list)
    """Index and time of each crash."""
    departures: list[int] = field(default_factory=list)
    """The time of each crash, and of each stop in good order."""
    sweeps: list[tuple[int, int]] = field(default_factory=list)
    """Index and time of the end of each sweep."""
    silent: bool = False
    """Whether it was still paused or cut off when the history ended, so that the duration is unknown."""
    reports_all_sweeps: bool = False
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


@dataclass(slots=True)
class TrivialCounts:
    """Counts of the trivial events, which no invariant can reject."""

    events: int = 0
    deliveries: int = 0
    """Number of their deliveries."""
    followers: int = 0
    """Those of them that have a leader."""
    apart: int = 0
    """Those of the followers whose leader is plain, as are all its followers."""
    reordered: int = 0
    """Those of the followers that were delivered before their leader was."""
    released: int = 0
    """Those of them that were parked, and handled once their leader had been."""
    early: int = 0
    """Those of the released whose leader was delivered only after they had been parked."""
    beside: int = 0
    """Those of the released that were parked when their leader ended, and have siblings."""

    def __add__(self, other: TrivialCounts) -> TrivialCounts:
        return TrivialCounts(*map(add, astuple(self), astuple(other)))
