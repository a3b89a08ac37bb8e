"""What became of each event, delivery and handling of a history, gathered in one linear pass.

This is the room that the frames, the pictures and the page all read from, so that they can never disagree on what
counts as a handling or an effect. It holds plain Python and knows neither pandas nor matplotlib; it passes no
judgement, and it takes a history as it finds it: an event that was never published, or a handling that never ends,
is still an event or a handling.

Times are integers of microseconds since the start of the run, `None` where the thing never happened.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from simulation.history.history import Entry, History

BEGINNINGS = frozenset({"published", "delivered", "started", "parked", "dead-lettered"})
"""The kinds of entries with which the life of an event may begin."""


@dataclass(slots=True)
class Delivery:
    """One attempt to hand an event to a consumer."""

    event: str
    consumer: str
    attempt: int
    at: int
    index: int
    """Where in the history the delivery stands."""
    done: int | None = None
    outcome: str = "open"
    """`acknowledged`, `rejected`, or `open` where the broker never heard of it again."""
    because: str = ""


@dataclass(slots=True)
class Handling:
    """One stay of an event in a handler."""

    event: str
    consumer: str
    number: str
    via: str
    """`delivered`, `released` or `rescued`; empty where the history does not say."""
    started: int
    index: int
    ended: int | None = None
    outcome: str = "open"
    """`ok`, `failed`, `unknown` (the consumer died in it), or `open` where the history ends first."""
    write: str = ""
    end_index: int = -1

    @property
    def is_effect(self) -> bool:
        """Whether it took effect: the effect sink accepted its write, or it ended `ok` and no write was refused."""
        return self.write == "accepted" or (self.outcome == "ok" and self.write != "refused")


@dataclass(slots=True)
class Life:
    """Everything that happened to one event."""

    event: str
    follows: str = ""
    """The leader's name; empty where there is none or the event follows itself."""
    published: int | None = None
    parked: int | None = None
    """When the event was first parked."""
    dead_lettered: int | None = None
    deliveries: list[Delivery] = field(default_factory=list)
    handlings: list[Handling] = field(default_factory=list)

    @property
    def first_delivered(self) -> int | None:
        """When the event was first handed to a live consumer."""
        return self.deliveries[0].at if self.deliveries else None

    @property
    def effects(self) -> list[Handling]:
        """The handlings that took effect, in the order in which they ended."""
        return sorted((h for h in self.handlings if h.is_effect), key=lambda h: h.ended or 0)

    @property
    def telling(self) -> Handling | None:
        """The handling that tells the event's story: its first effect or, without one, its first handling."""
        return next(iter(self.effects), None) or next(iter(self.handlings), None)

    @property
    def is_lost(self) -> bool:
        """Whether an engine had the event, and the history ends with neither an effect nor a dead letter for it."""
        came = self.deliveries or self.handlings or self.parked is not None
        return bool(came) and self.dead_lettered is None and not any(h.is_effect for h in self.handlings)


class Lives:
    """The lives of all events of a history, by name, in the order in which the events first appear."""

    __slots__ = ("_ids", "_open_deliveries", "_running", "deliveries", "end", "events", "handlings")

    def __init__(self, history: History, chosen: Sequence[int] | None = None) -> None:
        """Gather the lives of a history. `chosen` says for each entry whether it is looked at; without it, all are."""
        self.events: dict[str, Life] = {}
        self.deliveries: list[Delivery] = []
        self.handlings: list[Handling] = []
        self.end: int = history.entries[-1].at if history.entries else 0
        """The time of the last entry."""
        self._ids: dict[str, str] = {}
        self._open_deliveries: dict[tuple[str, str], list[tuple[object, Delivery]]] = {}
        self._running: dict[str, dict[str, list[Handling]]] = {}
        """The handlings that have not ended, by consumer and event."""
        for index, entry in enumerate(history.entries) if chosen is None else history.some(chosen):
            self._take(index, entry)

    def leader(self, life: Life) -> Life | None:
        """Return the life of an event's leader; `None` if it has none, or one that the history never names."""
        if not life.follows:
            return None
        return self.events.get(self._ids.get(life.follows, life.follows))

    def _life(self, event: str) -> Life:
        life = self.events.get(event)
        if life is None:
            life = self.events[event] = Life(event)
        return life

    def _take(self, index: int, entry: Entry) -> None:
        match entry.kind:
            case "published":
                self._publish(entry)
            case "delivered":
                self._deliver(index, entry)
            case "acknowledged" | "rejected":
                self._answer(entry)
            case "started":
                self._start(index, entry)
            case "ended":
                self._end(index, entry)
            case "crashed":
                self._crash(index, entry)
            case "parked":
                life = self._life(entry.event)
                life.parked = entry.at if life.parked is None else life.parked
            case "dead-lettered":
                life = self._life(entry.event)
                life.dead_lettered = entry.at if life.dead_lettered is None else life.dead_lettered

    def _publish(self, entry: Entry) -> None:
        life = self._life(entry.event)
        if life.published is not None:
            return
        life.published = entry.at
        name, life.follows = names_of(entry)
        if name:
            self._ids[name] = entry.event

    def _deliver(self, index: int, entry: Entry) -> None:
        life = self._life(entry.event)
        told = entry.details.get("attempt")
        attempt = told if isinstance(told, int) else len(life.deliveries) + 1
        delivery = Delivery(entry.event, entry.consumer, attempt, entry.at, index)
        life.deliveries.append(delivery)
        self.deliveries.append(delivery)
        waiting = self._open_deliveries.setdefault((entry.event, entry.consumer), [])
        waiting.append((entry.details.get("delivery"), delivery))

    def _answer(self, entry: Entry) -> None:
        waiting = self._open_deliveries.get((entry.event, entry.consumer))
        if not waiting:
            return
        wanted = entry.details.get("delivery")
        place = next((i for i, (number, _) in enumerate(waiting) if number == wanted), 0)
        _, delivery = waiting.pop(place)
        delivery.done, delivery.outcome = entry.at, entry.kind
        delivery.because = str(entry.details.get("because", ""))

    def _start(self, index: int, entry: Entry) -> None:
        number, via = str(entry.details.get("handling", "")), str(entry.details.get("via", ""))
        handling = Handling(entry.event, entry.consumer, number, via, entry.at, index)
        self._life(entry.event).handlings.append(handling)
        self.handlings.append(handling)
        self._running.setdefault(entry.consumer, {}).setdefault(entry.event, []).append(handling)

    def _end(self, index: int, entry: Entry) -> None:
        running = self._running.get(entry.consumer, {}).get(entry.event)
        if not running:
            return
        wanted = str(entry.details.get("handling", ""))
        handling = running.pop(next((place for place, h in enumerate(running) if h.number == wanted), 0))
        handling.ended, handling.end_index = entry.at, index
        handling.outcome = str(entry.details.get("outcome", "unknown"))
        handling.write = str(entry.details.get("write", ""))

    def _crash(self, index: int, entry: Entry) -> None:
        for handlings in self._running.pop(entry.consumer, {}).values():
            for handling in handlings:
                handling.ended, handling.end_index, handling.outcome = entry.at, index, "unknown"


def names_of(published: Entry) -> tuple[str, str]:
    """Return the id under which an event was published, and the name or id of its leader; empty where it has none."""
    name, leader = str(published.details.get("id") or ""), str(published.details.get("follows") or "")
    return name, "" if leader in (published.event, name) else leader
