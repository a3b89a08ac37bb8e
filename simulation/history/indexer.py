"""Builds the index of a history: reads its entries once, and finds out which belong to which delivery and handling."""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cached_property
from typing import Any

from simulation.history.availability import Availability
from simulation.history.entries import KINDS, Entry, Header
from simulation.history.history import History
from simulation.history.index import OF_ONE_EVENT, OF_REPLIES, REFUSALS, HistoryIndex
from simulation.history.intervals import Clock
from simulation.history.lost_keys import touched
from simulation.history.records import NEVER, Delivery, EventStory, Handling, Loss, Phase

_Take = Callable[[int, Entry, EventStory | None], None]
_UNHASHABLE = frozenset({list, dict})


def index_of(history: History) -> HistoryIndex:
    """Return the index of a history, in time linear in its entries. Raises MalformedHistory as reading it does."""
    builder = IndexBuilder(history.header, truncated=bool(history.truncated))
    return builder.build(builder.timed(history))


class IndexBuilder:
    """Builds an index. It has one method for each kind of entry; a kind without one changes nothing.

    Each method is given the record of the entry's event, if there is one yet. Names and other repeated words are stored
    once.
    """

    def __init__(self, header: Header, *, truncated: bool = False) -> None:
        self.index = HistoryIndex(header)
        self.index.truncated = truncated
        self.availability = Availability(reconnects=header.reconnects)
        self.open_deliveries: dict[str, dict[str, dict[object, Delivery]]] = {}
        self.handlings: dict[tuple[str, str, object], Handling] = {}
        self.open_handlings: dict[str, dict[Handling, None]] = {}
        self.losses: list[tuple[int, Entry, str]] = []
        self.unheard: list[tuple[int, str]] = []
        self.last_fault = ""
        self.said: dict[str, str] = {}

    def timed(self, entries: Iterable[Entry]) -> Iterator[tuple[int, Entry]]:
        """Yield all entries with their indices, and write down their times."""
        tick = self.index.times.append
        for numbered in enumerate(entries):
            tick(numbered[1][0])
            yield numbered

    def build(
        self,
        numbered: Iterable[tuple[int, Entry]],
        times: array[int] | None = None,
        left_out: Mapping[str, int] | None = None,
    ) -> HistoryIndex:
        """Return the index of some entries with their indices.

        `times` are those of all entries, if the others have been read before, and `left_out` says how many of each
        kind those were.
        """
        kinds = self._kinds()
        consumers, add_consumer, events = self.availability.consumers, self.availability.add_consumer, self.index.events
        counts = dict.fromkeys(KINDS, 0)
        if times is not None:
            self.index.times = times
        counts.update(left_out or {})
        for position, entry in numbered:
            _, kind, event, name, _ = entry
            counts[kind] += 1
            story = events.get(event)
            if name:
                consumer = consumers.get(name) or add_consumer(name, kind)
                if event:
                    consumer.work.append(position)
                    consumer.worked_on.append(event if story is None else story.name)
            take = kinds.get(kind)
            if take is not None:
                take(position, entry, story)
        self.index.counts = Counter(counts)
        self._settle()
        return self.index

    def _kinds(self) -> dict[str, _Take]:
        return {
            "published": self._published,
            "duplicated": self._duplicated,
            "dropped": self._lost,
            "delivered": self._delivered,
            "acknowledged": self._closed,
            "rejected": self._closed,
            "dead-lettered": self._dead_lettered,
            "parked": self._parked,
            "refused": self._refused,
            "lease-lost": self._lease_lost,
            "warned": self._warned,
            "started": self._started,
            "ended": self._ended,
            "swept": self._swept,
            "joined": self._available,
            "stopped": self._gone,
            "crashed": self._gone,
            "paused": self._available,
            "resumed": self._available,
            "blocked": self._available,
            "unreachable": self._available,
            "reachable": self._available,
            **dict.fromkeys(("slot-moving", "slot-moved"), self.availability.note_slot),
            **dict.fromkeys(("fault", "store-lost"), self._lost),
            "healed": self.availability.note_healed,
            "unfinished": self._unfinished,
            "phase": self._phase,
            "census": self._census,
        }

    # the broker

    def _event_of(self, name: str) -> EventStory:
        """Return the story of an event, begun now."""
        events = self.index.events
        story = events[name] = EventStory(name, len(events), id=name)
        return story

    def _word(self, said: object) -> str:
        """Return a word as it was said the first time."""
        word = str(said)
        return self.said.setdefault(word, word)

    def _published(self, position: int, entry: Entry, story: EventStory | None) -> None:
        story, details = story or self._event_of(entry.event), entry.details
        if fingerprint := details.get("fingerprint"):
            story.fingerprints = (*story.fingerprints, str(fingerprint))
        if story.published == NEVER:
            story.published, story.published_at = position, entry.at
            story.id = str(details.get("id") or story.name)
            if follows := str(details.get("follows") or ""):
                leader = self.index.events.get(follows)
                story.follows = leader.name if leader else follows
            occurred = details.get("occurred")
            story.occurred = occurred if isinstance(occurred, int) else entry.at
        elif (follows := str(details.get("follows") or "")) != story.follows:
            story.copies = (*story.copies, (position, follows))

    def _delivered(self, position: int, entry: Entry, story: EventStory | None) -> None:
        at, _, name, consumer, details = entry
        story = story or self._event_of(name)
        if consumer:
            consumer = self.availability.consumers[consumer].name
        attempt = details.get("attempt")
        if not isinstance(attempt, int):
            attempt = len(story.deliveries) + 1
        if attempt > 1 and not story.deliveries:
            self.index.window = True
        delivery = Delivery(story.name, consumer, position, at, attempt)
        story.add_delivery(delivery)
        number = _named(details.get("delivery", position))
        opened = self.open_deliveries.setdefault(consumer, {})
        others = opened.get(story.name)
        if others is None:
            opened[story.name] = {number: delivery}
        else:
            if number in others:  # a delivery with two entries: each of the two is open
                earlier = others.pop(number)
                others["told again", earlier.index] = earlier
            others[number] = delivery

    def _delivery_of(self, entry: Entry) -> Delivery | None:
        """Find the open delivery that an entry is about: the one it names, else the latest that was not answered."""
        _, _, name, consumer, details = entry
        mine = self.open_deliveries.get(consumer)
        opened = mine.get(name) if mine else None
        if not opened:
            return None
        if "delivery" in details:
            return opened.get(_named(details["delivery"]))
        latest_first = list(reversed(opened.values()))
        return next((delivery for delivery in latest_first if delivery.closed == NEVER), latest_first[0])

    def _closed(self, position: int, entry: Entry, story: EventStory | None) -> None:
        delivery = self._delivery_of(entry)
        if delivery is None:
            self.index.window = True
            return
        self._close(delivery, position, entry)
        _, _, name, consumer, details = entry
        mine = self.open_deliveries[consumer]
        opened = mine[name]
        if len(opened) == 1:
            del mine[name]
        elif "delivery" in details:
            del opened[_named(details["delivery"])]
        else:
            opened.popitem()
        if story is not None:
            story.pack(self.index.times)

    def _close(self, delivery: Delivery, position: int, entry: Entry) -> None:
        delivery.closed, delivery.closed_at, delivery.closing = position, entry.at, self._word(entry.kind)
        delivery.because = self._word(entry.details.get("because") or "")

    def _dead_lettered(self, position: int, entry: Entry, story: EventStory | None) -> None:
        story = story or self._event_of(entry.event)
        if story.dead == NEVER:
            story.dead, story.dead_at = position, entry.at
            story.dead_by = self._word(entry.details.get("by") or "engine")
            story.refusal = entry.details.get("because") in REFUSALS
            story.dead_reported = entry.details.get("told") is True
        for delivery in reversed(story.deliveries):
            if delivery.closed == NEVER and entry.consumer in ("", delivery.consumer):
                self._close(delivery, position, entry)

    # the engine

    def _parked(self, position: int, entry: Entry, story: EventStory | None) -> None:
        story = story or self._event_of(entry.event)
        story.add_parking(position)
        if story.parked == NEVER:
            story.parked, story.parked_at = position, entry.at
        if delivery := self._delivery_of(entry):
            delivery.parked = True

    def _refused(self, position: int, entry: Entry, story: EventStory | None) -> None:
        """Close a delivery that the engine would not handle; a consumer need not answer it at all if it is held."""
        if entry.details.get("because") == "seen":
            story = story or self._event_of(entry.event)
            story.add_seen(position)
        elif entry.details.get("because") == "held" and story is not None:
            story.add_held(position)
        delivery = self._delivery_of(entry)
        if delivery and delivery.closed == NEVER:
            self._close(delivery, position, entry)

    def _lease_lost(self, position: int, entry: Entry, _: EventStory | None) -> None:
        self.index.leases_lost.append((position, entry.event, entry.consumer))

    def _warned(self, position: int, entry: Entry, _: EventStory | None) -> None:
        self.index.warnings.setdefault(entry.event, []).append(position)

    def _started(self, position: int, entry: Entry, story: EventStory | None) -> None:
        at, _, name, consumer, details = entry
        story = story or self._event_of(name)
        if consumer:
            consumer = self.availability.consumers[consumer].name
        via = self._word(details.get("via", "delivered"))
        given = str(details.get("fingerprint") or "")
        prints = story.fingerprints
        handling = Handling(
            story.name,
            consumer,
            via,
            position,
            at,
            details.get("fence"),
            prints[0] if prints and prints[0] == given else given,
            self._delivery_of(entry) if via == "delivered" else None,
            str(details.get("handling", "")),
        )
        story.add_handling(handling)
        self.handlings[name, consumer, _named(details.get("handling"))] = handling
        self.open_handlings.setdefault(consumer, {})[handling] = None

    def _ended(self, position: int, entry: Entry, story: EventStory | None) -> None:
        at, _, name, consumer, details = entry
        handling = self.handlings.pop((name, consumer, _named(details.get("handling"))), None)
        if handling is None:
            self.index.window = True
            if story is not None:
                story.incomplete = True
            return
        handling.write = self._word(details.get("write") or "")
        if not handling.cut:
            handling.end, handling.end_at = position, at
            handling.outcome = self._word(details.get("outcome") or "")
            if not handling.outcome and not handling.write and story is not None:
                story.incomplete = True
            self.open_handlings[consumer].pop(handling, None)

    def _duplicated(self, _index: int, _entry: Entry, story: EventStory | None) -> None:
        if story is not None:
            story.duplicated = True

    def _swept(self, position: int, entry: Entry, _: EventStory | None) -> None:
        consumer = self.availability.consumers.get(entry.consumer)
        if consumer is not None:
            consumer.sweeps.append((position, entry.at))
            consumer.reports_all_sweeps |= entry.details.get("found") in (0, [], ())

    # the world

    def _unfinished(self, position: int, entry: Entry, _: EventStory | None) -> None:
        self.index.unfinished = [*self.index.unfinished, (position, entry)]

    def _available(self, position: int, entry: Entry, _: EventStory | None) -> None:
        self.availability.note(position, entry)

    def _gone(self, position: int, entry: Entry, _: EventStory | None) -> None:
        """End the work of a consumer when it died or left."""
        self.availability.note(position, entry)
        for opened in self.open_deliveries.pop(entry.consumer, {}).values():
            for delivery in opened.values():
                if delivery.closed == NEVER:
                    self._close(delivery, position, entry)
        cut = self.open_handlings.pop(entry.consumer, {})
        crashed = entry.kind == "crashed"
        if crashed and (cut or entry.details.get("holding")):
            self.index.crashed_holding.append(position)
        for handling in cut:
            handling.end, handling.end_at, handling.outcome, handling.cut = position, entry.at, "unknown", True
            handling.crashed = crashed

    def _lost(self, position: int, entry: Entry, story: EventStory | None) -> None:
        if entry.kind == "fault":
            self.availability.note_fault(entry)
            self.last_fault = str(entry.details.get("fault", ""))
            self.index.faults[self.last_fault] += 1
            if self.last_fault == "unreadable-for-some" and story:
                story.unread += ((position, entry.consumer),)
            if self.last_fault in OF_REPLIES:
                self.unheard.append((position, entry.consumer))
            if self.last_fault in OF_ONE_EVENT:
                self.index.odd_events |= {entry.event}
        if entry.kind == "store-lost" or entry.event:
            default = "drop" if entry.kind == "dropped" else self.last_fault
            self.losses.append((position, entry, str(entry.details.get("fault") or default)))

    def _phase(self, position: int, entry: Entry, _: EventStory | None) -> None:
        self.availability.note(position, entry)
        in_flight = _listed(entry.details.get("in_flight"))
        self.index.phases.append(Phase(position, entry.at, str(entry.details.get("phase", "")), in_flight))

    def _census(self, position: int, entry: Entry, _: EventStory | None) -> None:
        self.index.censuses[position] = entry

    # when all is read

    def _settle(self) -> None:
        index, found = self.index, self.availability
        found.finish(index.end_at)
        index.consumers, index.outages, index.open_outage = found.consumers, found.outages, found.open_outage
        index.slot_moves, index.store_clock = found.slot_moves, found.store_clock
        index.clock = Clock(found.unavailable())
        for story in list(index.events.values()):
            self._settle_event(story)
        index.unheard = self.unheard
        for position, entry, fault in self.losses:
            self._settle_loss(position, entry, fault)

    @cached_property
    def _names(self) -> dict[str, str]:
        """For each id, the name of the event that bears it."""
        return {story.id: story.name for story in self.index.events.values()}

    def _settle_event(self, story: EventStory) -> None:
        story.settle()
        story.copies = tuple((position, self._resolved(follows)) for position, follows in story.copies)
        leader = self._resolved(story.follows)
        if leader and leader != story.name:
            found = self.index.events.get(leader) or self._event_of(leader)
            story.leader = found.name
            found.add_follower(story.name)

    def _resolved(self, follows: str) -> str:
        """Return the name of the event that an entry names, by its name or its id."""
        return follows if not follows or follows in self.index.events else self._names.get(follows, follows)

    def _settle_loss(self, position: int, entry: Entry, fault: str) -> None:
        if entry.kind == "store-lost":
            loss = Loss(position, entry.at, fault, touched(entry.details.get("keys"), self.index.events, self._names))
            self.index.store_losses.append(loss)
        else:
            loss = Loss(position, entry.at, fault, frozenset((entry.event,)))
        if fault in self.index.header.allowed_loss:
            self.index.allowed_losses.append(loss)


def _named(number: object) -> object:
    """Return a hashable identifier of a delivery or a handling, also for numbers of another program."""
    return repr(number) if number.__class__ in _UNHASHABLE else number


def _listed(in_flight: Any) -> str:
    match in_flight:
        case None:
            return ""
        case list() | tuple():
            return ", ".join(str(one) for one in in_flight)
        case dict():
            return ", ".join(f"{name} {count}" for name, count in in_flight.items())
        case _:
            return str(in_flight)
