"""The chronicle of a history: the same entries, arranged by event and by consumer, in one pass.

Every invariant reads the chronicle and none reads the entries in order, so this is the one place that knows which entry
belongs to which delivery and which handling. It gives no verdict.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cached_property
from typing import Any

from simulation.history import Entry, Header, History
from simulation.invariants import families
from simulation.invariants.lives import Lives
from simulation.invariants.records import NEVER, ConsumerStory, Delivery, EventStory, Handling, Loss, Phase
from simulation.invariants.spans import Clock, Span, merge

_WORDS = re.compile(r"[A-Za-z0-9_.-]+")


class Chronicle:
    """A history, arranged by event and by consumer. Built by `chronicle()`, read by the invariants."""

    def __init__(self, history: History) -> None:
        self.header: Header = history.header
        self.terms = history.header.terms
        self.entries: list[Entry] = history.entries
        self.end_at: int = self.entries[-1].at if self.entries else 0
        self.end: int = len(self.entries)
        self.counts: Counter[str] = Counter(entry.kind for entry in self.entries)
        self.events: dict[str, EventStory] = {}
        self.consumers: dict[str, ConsumerStory] = {}
        self.phases: list[Phase] = []
        self.censuses: list[int] = []
        self.leases_lost: list[int] = []
        self.crashed_holding: list[int] = []
        """The crashes of consumers that were handling something."""
        self.store_losses: list[Loss] = []
        self.allowed_losses: list[Loss] = []
        """The losses that the scenario says its faults make unavoidable."""
        self.blackouts: list[Span] = []
        self.clock = Clock()
        """Stands still while no consumer was alive, unpaused and in reach of Redis."""
        self.owners: dict[Handling, Handling] = {}
        """What `cascades.owner_of` has found out so far."""
        self.found_work: dict[str, list[Span]] = {}
        """What `cascades.found_work` has found out, once it was asked."""
        self.faults: Counter[str] = Counter()
        """How often each kind of fault struck."""
        self._silences: dict[str, list[Span]] = {}

    def __iter__(self) -> Iterator[EventStory]:
        return iter(self.events.values())

    @property
    def quiet(self) -> bool:
        """Whether the world had healed and gone quiet by the end of the history."""
        return bool(self.phases) and self.phases[-1].name == "quiet"

    @cached_property
    def cycles(self) -> Mapping[str, tuple[str, ...]]:
        """For each event that follows itself through others, the members of its cycle."""
        return families.cycles(self.events)

    @cached_property
    def roots(self) -> Mapping[str, str]:
        """For each event, the name of its uppermost ancestor: two events with one root are of one family."""
        return families.roots(self.events)

    def leader_of(self, event: EventStory) -> EventStory | None:
        """Return the story of the event's leader; none if it follows nothing, or itself."""
        return self.events[event.leader] if event.leader else None

    def followers_of(self, event: EventStory) -> Iterator[EventStory]:
        """Yield the stories of the events that follow this one."""
        return (self.events[name] for name in event.followers)

    def silences(self, consumer: str) -> list[Span]:
        """Return the merged spans in which a consumer was paused or cut off: alive, but unable to renew a lease."""
        if consumer not in self._silences:
            story = self.consumers.get(consumer)
            own = [*story.paused, *story.cut_off] if story else []
            self._silences[consumer] = merge([*own, *self.blackouts])
        return self._silences[consumer]

    def store_lost(self, event: str, after: int, before: int) -> bool:
        """Whether the store lost something that can have been about the event, between two indices."""
        return any(after < loss.index < before and loss.touches(event) for loss in self.store_losses)

    def loss_allowed(self, events: Iterable[str], before: int) -> bool:
        """Whether a loss that the scenario allows can have touched one of the events before an index.

        A loss before the event was first heard of does not count.
        """
        names = [name for name in events if name]
        return any(
            loss.index < before and loss.touches(name) and self._known_by(name, loss.index)
            for loss in self.allowed_losses
            for name in names
        )

    def _known_by(self, name: str, index: int) -> bool:
        event = self.events[name]
        return bool(event.deliveries) and event.deliveries[0].index < index


def chronicle(history: History) -> Chronicle:
    """Return the chronicle of a history, in time linear in its entries."""
    return _Scribe(history).write()


class _Scribe:
    """Writes a chronicle. One method a kind of entry; a kind without one changes nothing."""

    def __init__(self, history: History) -> None:
        self.told = Chronicle(history)
        self.lives = Lives()
        self.open_deliveries: dict[str, dict[str, dict[object, Delivery]]] = {}
        self.handlings: dict[tuple[str, str, object], Handling] = {}
        self.open_handlings: dict[str, dict[Handling, None]] = {}
        self.losses: list[tuple[int, Entry, str]] = []
        self.last_fault = ""

    def write(self) -> Chronicle:
        kinds: dict[str, Callable[[int, Entry], None]] = {
            "published": self.published,
            "dropped": self.lost,
            "delivered": self.delivered,
            "acknowledged": self.closed,
            "rejected": self.closed,
            "dead-lettered": self.dead_lettered,
            "parked": self.parked,
            "refused": self.refused,
            "lease-lost": self.lease_lost,
            "started": self.started,
            "ended": self.ended,
            "swept": self.swept,
            "joined": self.lives.tell,
            "stopped": self.gone,
            "crashed": self.gone,
            "paused": self.lives.tell,
            "resumed": self.lives.tell,
            "unreachable": self.lives.tell,
            "reachable": self.lives.tell,
            "fault": self.lost,
            "store-lost": self.lost,
            "phase": self.phase,
            "census": self.census,
        }
        consumers, meet = self.lives.consumers, self.lives.meet
        for index, entry in enumerate(self.told.entries):
            name = entry.consumer
            if name:
                consumer = consumers.get(name) or meet(name, entry.kind)
                if entry.event:
                    consumer.work.append(index)
            take = kinds.get(entry.kind)
            if take is not None:
                take(index, entry)
        self.settle()
        return self.told

    # the broker

    def story(self, name: str) -> EventStory:
        story = self.told.events.get(name)
        if story is None:
            story = self.told.events[name] = EventStory(name, id=name)
        return story

    def published(self, index: int, entry: Entry) -> None:
        story, details = self.story(entry.event), entry.details
        if fingerprint := details.get("fingerprint"):
            story.fingerprints.append(str(fingerprint))
        if story.published == NEVER:
            story.published = index
            story.id = str(details.get("id") or entry.event)
            story.follows = str(details.get("follows") or "")
            occurred = details.get("occurred")
            story.occurred = occurred if isinstance(occurred, int) else entry.at

    def delivered(self, index: int, entry: Entry) -> None:
        story = self.story(entry.event)
        attempt = entry.details.get("attempt")
        delivery = Delivery(
            entry.event,
            entry.consumer,
            index,
            entry.at,
            attempt if isinstance(attempt, int) else len(story.deliveries) + 1,
        )
        story.deliveries.append(delivery)
        opened = self.open_deliveries.setdefault(entry.consumer, {})
        opened.setdefault(entry.event, {})[_named(entry.details.get("delivery", index))] = delivery

    def delivery_of(self, entry: Entry) -> Delivery | None:
        """Find the open delivery that an entry is about: the one it names, else the latest that was not answered."""
        opened = self.open_deliveries.get(entry.consumer, {}).get(entry.event)
        if not opened:
            return None
        if "delivery" in entry.details:
            return opened.get(_named(entry.details["delivery"]))
        latest_first = list(reversed(opened.values()))
        return next((delivery for delivery in latest_first if delivery.closed == NEVER), latest_first[0])

    def closed(self, index: int, entry: Entry) -> None:
        delivery = self.delivery_of(entry)
        if delivery is None:
            return
        self.close(delivery, index, entry)
        opened = self.open_deliveries[entry.consumer][entry.event]
        if "delivery" in entry.details:
            del opened[_named(entry.details["delivery"])]
        else:
            opened.popitem()
        if not opened:
            del self.open_deliveries[entry.consumer][entry.event]

    def close(self, delivery: Delivery, index: int, entry: Entry) -> None:
        delivery.closed, delivery.closed_at, delivery.closing = index, entry.at, entry.kind

    def dead_lettered(self, index: int, entry: Entry) -> None:
        story = self.story(entry.event)
        if story.dead == NEVER:
            story.dead, story.dead_at = index, entry.at
        for delivery in reversed(story.deliveries):
            if delivery.closed == NEVER and entry.consumer in ("", delivery.consumer):
                self.close(delivery, index, entry)

    # the engine

    def parked(self, index: int, entry: Entry) -> None:
        story = self.story(entry.event)
        if story.parked == NEVER:
            story.parked, story.parked_at = index, entry.at
        if delivery := self.delivery_of(entry):
            delivery.parked = True

    def refused(self, index: int, entry: Entry) -> None:
        """Close a delivery that the engine would not handle; a consumer need not answer it at all if it is held."""
        if entry.details.get("because") == "seen":
            self.story(entry.event).seen.append(index)
        delivery = self.delivery_of(entry)
        if delivery and delivery.closed == NEVER:
            self.close(delivery, index, entry)

    def lease_lost(self, index: int, entry: Entry) -> None:
        self.told.leases_lost.append(index)

    def started(self, index: int, entry: Entry) -> None:
        details = entry.details
        via = str(details.get("via", "delivered"))
        handling = Handling(
            entry.event,
            entry.consumer,
            via,
            index,
            entry.at,
            details.get("fence"),
            str(details.get("fingerprint") or ""),
            self.delivery_of(entry) if via == "delivered" else None,
        )
        self.story(entry.event).handlings.append(handling)
        self.handlings[entry.event, entry.consumer, _named(details.get("handling"))] = handling
        self.open_handlings.setdefault(entry.consumer, {})[handling] = None

    def ended(self, index: int, entry: Entry) -> None:
        handling = self.handlings.pop((entry.event, entry.consumer, _named(entry.details.get("handling"))), None)
        if handling is None:
            return
        handling.write = str(entry.details.get("write") or "")
        if not handling.cut:
            handling.end, handling.end_at = index, entry.at
            handling.outcome = str(entry.details.get("outcome", "ok"))
            self.open_handlings[entry.consumer].pop(handling, None)

    def swept(self, index: int, entry: Entry) -> None:
        consumer = self.lives.consumers.get(entry.consumer)
        if consumer is not None:
            consumer.sweeps.append((index, entry.at))
            consumer.tells_all_sweeps |= entry.details.get("found") in (0, [], ())

    # the world

    def gone(self, index: int, entry: Entry) -> None:
        """End what a consumer was doing when it died or left."""
        self.lives.tell(index, entry)
        for opened in self.open_deliveries.pop(entry.consumer, {}).values():
            for delivery in opened.values():
                if delivery.closed == NEVER:
                    self.close(delivery, index, entry)
        cut = self.open_handlings.pop(entry.consumer, {})
        if entry.kind == "crashed" and (cut or entry.details.get("holding")):
            self.told.crashed_holding.append(index)
        for handling in cut:
            handling.end, handling.end_at, handling.outcome, handling.cut = index, entry.at, "unknown", True

    def lost(self, index: int, entry: Entry) -> None:
        if entry.kind == "fault":
            self.last_fault = str(entry.details.get("fault", ""))
            self.told.faults[self.last_fault] += 1
            if self.last_fault == "error-reply" and entry.consumer:
                self.lives.consumers[entry.consumer].denied.append((index, entry.at))
        if entry.kind == "store-lost" or entry.event:
            default = "drop" if entry.kind == "dropped" else self.last_fault
            self.losses.append((index, entry, str(entry.details.get("fault") or default)))

    def phase(self, index: int, entry: Entry) -> None:
        self.lives.tell(index, entry)
        in_flight = _listed(entry.details.get("in_flight"))
        self.told.phases.append(Phase(index, entry.at, str(entry.details.get("phase", "")), in_flight))

    def census(self, index: int, entry: Entry) -> None:
        self.told.censuses.append(index)

    # when all is read

    def settle(self) -> None:
        told = self.told
        self.lives.finish(told.end_at)
        told.consumers, told.blackouts = self.lives.consumers, self.lives.blackouts
        told.clock = Clock(self.lives.helpless())
        names = {story.id: story.name for story in told.events.values()}
        for story in list(told.events.values()):
            self.settle_event(story, names)
        for index, entry, fault in self.losses:
            self.settle_loss(index, entry, fault, names)

    def settle_event(self, story: EventStory, names: dict[str, str]) -> None:
        story.effects = sorted((h for h in story.handlings if h.took_effect), key=lambda h: h.end)
        if not story.follows:
            return
        leader = story.follows if story.follows in self.told.events else names.get(story.follows, story.follows)
        if leader != story.name:
            story.leader = leader
            self.story(leader).followers.append(story.name)

    def settle_loss(self, index: int, entry: Entry, fault: str, names: dict[str, str]) -> None:
        if entry.kind == "store-lost":
            loss = Loss(index, entry.at, fault, _touched(entry.details.get("keys"), self.told.events, names))
            self.told.store_losses.append(loss)
        else:
            loss = Loss(index, entry.at, fault, frozenset((entry.event,)))
        if fault in self.told.header.allowed_loss:
            self.told.allowed_losses.append(loss)


def _named(number: object) -> object:
    """Return what a delivery or a handling is told apart by, whatever a foreign program numbers them with."""
    return repr(number) if isinstance(number, list | dict) else number


def _touched(keys: Any, events: dict[str, EventStory], names: dict[str, str]) -> frozenset[str] | None:
    """Return the events that the lost keys can have been about: those they name, or any if one names none.

    The judge does not know how an engine names its keys. A key that bears an event's id or name is about that event; a
    key that bears none may hold anything.
    """
    if not isinstance(keys, (list, tuple, dict)) or not keys:
        return None
    touched: set[str] = set()
    for key in keys:
        words = _WORDS.findall(str(key))
        found = {word for word in words if word in events} | {names[word] for word in words if word in names}
        if not found:
            return None
        touched |= found
    return frozenset(touched)


def _listed(in_flight: Any) -> str:
    match in_flight:
        case None:
            return ""
        case str():
            return in_flight
        case list() | tuple():
            return ", ".join(str(one) for one in in_flight)
        case dict():
            return ", ".join(f"{name} {count}" for name, count in in_flight.items())
        case _:
            return str(in_flight)
