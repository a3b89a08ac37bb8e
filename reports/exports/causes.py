"""The causal order of the entries of a history, as far as the history itself proves it.

A history is one list, but its entries come from several places: the broker, each consumer, Redis. Within a place, an
earlier entry happened before a later one. Between places only messages order entries, and a history shows these:

| from | to | |---|---| | the broker's latest entry about an event | its delivery to a consumer | | the consumer's
latest entry about an event | its acknowledgement or rejection, which the broker hears | | the latest effect of a
leader, and the parking of a follower | the handling of the follower once it is released | | the parking of a follower |
its handling once it is rescued | | the first request of a connection that has no reply yet | a reply on this connection
| | the latest reply on a connection | the next request on it |

No other order is proven: two entries that no chain of these connects are concurrent, even if one stands before the
other.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from simulation.history.indexer import index_of
from simulation.history.records import NEVER

if TYPE_CHECKING:
    from simulation.history.entries import Entry
    from simulation.history.history import History
    from simulation.history.index import HistoryIndex
    from simulation.history.records import Delivery, EventStory, Handling

BROKERS = frozenset({"published", "duplicated", "dropped", "acknowledged", "rejected"})
"""The kinds of entries that happen in the broker, although some name a consumer."""

WORLDS = frozenset({"fault", "healed", "phase", "census", "store-lost"})
"""The kinds of entries that happen to the world as a whole, although some name a consumer."""


class Place(NamedTuple):
    """The place of an entry: a kind (`broker`, `redis`, `world` or `consumer`) and a consumer's name."""

    kind: str
    name: str = ""


BROKER, REDIS, WORLD = Place("broker"), Place("redis"), Place("world")


def place_of(entry: Entry) -> Place:
    """Return where an entry happened."""
    if entry.kind in BROKERS or (entry.kind == "dead-lettered" and not entry.consumer):
        return BROKER
    if entry.kind == "command":
        return REDIS
    if entry.kind in WORLDS or not entry.consumer:
        return WORLD
    return Place("consumer", entry.consumer)


@dataclass(slots=True)
class Exchange:
    """A request to Redis and, if one came, its reply, by their places in the history."""

    command: int
    reply: int | None = None


def exchanges(entries: Iterable[Entry]) -> list[Exchange]:
    """Pair the requests and replies of each connection in order, as Redis answers them."""
    found: list[Exchange] = []
    unanswered: dict[tuple[str, str], deque[Exchange]] = {}
    for index, entry in enumerate(entries):
        if entry.kind == "command":
            found.append(Exchange(index))
            unanswered.setdefault(_wire(entry), deque()).append(found[-1])
        elif entry.kind == "reply" and (waiting := unanswered.get(_wire(entry))):
            waiting.popleft().reply = index
    return found


def _wire(entry: Entry) -> tuple[str, str]:
    return entry.consumer, str(entry.details.get("connection", ""))


def deliveries_of(event: EventStory) -> Iterator[tuple[Handling, Delivery | None]]:
    """Yield each handling of an event with the delivery that led to it: the latest one to the same consumer.

    A follower that was released or rescued came to its handling without one.
    """
    latest: dict[str, Delivery] = {}
    coming = deque(event.deliveries)
    for handling in event.handlings:
        while coming and coming[0].index < handling.start:
            delivery = coming.popleft()
            latest[delivery.consumer] = delivery
        by_itself = handling.via in ("released", "rescued")
        yield handling, None if by_itself else latest.get(handling.consumer)


class Effects:
    """The effects of each event, in the order of the history."""

    def __init__(self, index: HistoryIndex) -> None:
        self._index = index
        self._effects: dict[str, list[Handling]] = {}
        self._ends: dict[str, list[int]] = {}
        for event in index:
            known = [effect for effect in event.effects if effect.end != NEVER]
            if known:
                self._effects[event.name] = known
                self._ends[event.name] = [effect.end for effect in known]

    def before(self, handling: Handling) -> Handling | None:
        """Return the latest effect of the leader before a handling began."""
        leader = self._index.leader_of(self._index.events[handling.event])
        if leader is None or leader.name not in self._effects:
            return None
        earlier = bisect_left(self._ends[leader.name], handling.start)
        return self._effects[leader.name][earlier - 1] if earlier else None


def causes_of(history: History) -> list[tuple[int, ...]]:
    """Return for each entry the entries, most of them in other places, whose messages it has received."""
    reading = _Reading(history)
    return [reading.next(index, entry) for index, entry in enumerate(history)]


class _Reading:
    """One pass over a history that remembers the latest entry of each kind that a message may come from."""

    def __init__(self, history: History) -> None:
        self._said: dict[str, int] = {}
        """The broker's latest entry about each event."""
        self._did: dict[tuple[str, str], int] = {}
        """Each consumer's latest entry about each event."""
        self._parked: dict[str, int] = {}
        self._replied: dict[tuple[str, str], int] = {}
        index = index_of(history)
        effects = Effects(index)
        released = ((h, effects.before(h)) for h in index.handlings() if h.via == "released")
        self._released_by = {h.start: effect.end for h, effect in released if effect is not None}
        self._asked = {e.reply: e.command for e in exchanges(history) if e.reply is not None}

    def next(self, index: int, entry: Entry) -> tuple[int, ...]:
        """Return the causes of an entry and remember it."""
        causes = tuple(sorted({cause for cause in self._causes(index, entry) if cause is not None}))
        self._remember(index, entry)
        return causes

    def _causes(self, index: int, entry: Entry) -> tuple[int | None, ...]:
        match entry.kind:
            case "delivered":
                return (self._said.get(entry.event),)
            case "acknowledged" | "rejected":
                return (self._did.get((entry.consumer, entry.event)),)
            case "started" if entry.details.get("via") in ("released", "rescued"):
                return self._released_by.get(index), self._parked.get(entry.event)
            case "reply":
                return (self._asked.get(index),)
            case "command":
                return (self._replied.get(_wire(entry)),)
            case _:
                return ()

    def _remember(self, index: int, entry: Entry) -> None:
        place = place_of(entry)
        if place == BROKER:
            self._said[entry.event] = index
        elif place.kind == "consumer" and entry.event:
            self._did[entry.consumer, entry.event] = index
        if entry.kind == "parked":
            self._parked[entry.event] = index
        elif entry.kind == "reply":
            self._replied[_wire(entry)] = index
