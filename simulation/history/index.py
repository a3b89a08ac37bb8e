"""The chronicle of a history: the same entries, arranged by event and by consumer.

Every invariant reads the chronicle and none reads the entries in order, so this is the one place that knows which entry
belongs to which delivery and which handling. It gives no verdict.
"""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cached_property
from typing import Any

from simulation.history import ancestry
from simulation.history.availability import Lives
from simulation.history.history import KINDS, Entry, Header, History
from simulation.history.intervals import Clock, Span, merge, within
from simulation.history.records import NEVER, ConsumerStory, Delivery, EventStory, Handling, Loss, Phase
from simulation.invariants.prefilter.automaton import WORDS, Sifted, sift
from simulation.invariants.prefilter.trivial import Plain, sort_out

_Take = Callable[[int, Entry, EventStory | None], None]

_UNHASHABLE = frozenset({list, dict})

REFUSALS = ("unreadable", "unknown-schema")
"""The reasons for which an event may be given up although nobody has tried to handle it."""


class Chronicle:
    """A history, arranged by event and by consumer. Built by `chronicle()`, read by the invariants.

    It keeps no entries, so that a history may be much longer than what fits into memory: of most entries the time. Of
    a history in a file it knows only the families that a sieve did not leave out; `plain` counts the others.
    """

    def __init__(self, header: Header) -> None:
        self.header = header
        self.terms = header.terms
        self.times: array[int] = array("q")
        """The time of each entry."""
        self.counts: Counter[str] = Counter()
        self.events: dict[str, EventStory] = {}
        self.consumers: dict[str, ConsumerStory] = {}
        self.phases: list[Phase] = []
        self.truncated = False
        """Whether the file ended before the run did."""
        self.window = False
        """Whether an entry is about something that began before the history does, or in a part that is missing."""
        self.censuses: dict[int, Entry] = {}
        """The entries that tell what the store held, by their indices."""
        self.leases_lost: list[tuple[int, str, str]] = []
        """Index, event and consumer of each lease whose holder was told that it is no longer its own."""
        self.crashed_holding: list[int] = []
        """The crashes of consumers that were handling something."""
        self.store_losses: list[Loss] = []
        self.allowed_losses: list[Loss] = []
        """The losses that the scenario says its faults make unavoidable."""
        self.blackouts: list[Span] = []
        self.dark = False
        """Whether Redis was still out of everybody's reach at the end."""
        self.clock = Clock()
        """Stands still while no consumer was alive, unpaused and in reach of Redis."""
        self.owners: dict[Handling, Handling] = {}
        """What `cascades.owner_of` has found out so far."""
        self.found_work: dict[str, list[Span]] = {}
        """What `cascades.found_work` has found out, once it was asked."""
        self.faults: Counter[str] = Counter()
        """How often each kind of fault struck."""
        self.plain = Plain()
        """How many events no invariant needs to look at."""
        self.odd: list[EventStory] = []
        """All other events."""
        self.leaders: list[EventStory] = []
        """The leaders that are odd, or have a follower that is."""
        self._silences: dict[str, list[Span]] = {}

    def __iter__(self) -> Iterator[EventStory]:
        return iter(self.events.values())

    @property
    def end(self) -> int:
        """The number of entries: one more than the last index."""
        return len(self.times)

    @property
    def end_at(self) -> int:
        """The time of the last entry."""
        return self.times[-1] if self.times else 0

    @property
    def quiet(self) -> bool:
        """Whether the world had healed and gone quiet by the end of the history."""
        return bool(self.phases) and self.phases[-1].name == "quiet"

    @property
    def complete(self) -> bool:
        """Whether the history tells of a whole run: the world went quiet, or there are no phases and it is not cut."""
        return self.quiet or not (self.phases or self.truncated)

    @cached_property
    def cycles(self) -> Mapping[str, tuple[str, ...]]:
        """For each event that follows itself through others, the members of its cycle."""
        return ancestry.cycles({event.name: event for event in self.odd})

    @cached_property
    def roots(self) -> Mapping[str, str]:
        """For each event, the name of its uppermost ancestor: two events with one root are of one family."""
        return ancestry.roots(self.events)

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

    def lapses(self, consumer: str, begin: int, end: int) -> list[Span]:
        """Return those silences that overlap a time in which a lease can have lapsed: the longer ones.

        A holder renews while at least half of its lease is left, so a silence of half a lease may outlast it.
        A silence that the end of the history cut short counts as one: its length is not known.
        """
        story = self.consumers.get(consumer)
        unended = self.dark or (story is not None and story.silent)
        return [
            silence
            for silence in within(self.silences(consumer), begin, end)
            if 2 * (silence[1] - silence[0]) >= self.terms.lease or (unended and silence[1] == self.end_at)
        ]

    def store_lost(self, event: str, after: int, before: int) -> bool:
        """Whether the store lost something that can have been about the event, between two indices."""
        return any(after < loss.index < before and loss.touches(event) for loss in self.store_losses)

    def loss_allowed(self, event: EventStory, before: int) -> bool:
        """Whether a loss that the scenario allows can have cost the store, before an index, what it held of an event.

        What it holds of an event may be in a key that bears its leader's name, such as a queue. The loss excuses what
        was in the store at that moment: an event that was delivered before, and not parked again afterwards.
        """
        return any(
            loss.index < before
            and (loss.touches(event.name) or (event.leader != "" and loss.touches(event.leader)))
            and self._kept_at(event, loss.index)
            for loss in self.allowed_losses
        )

    @staticmethod
    def _kept_at(event: EventStory, index: int) -> bool:
        parked_again = any(delivery.parked and delivery.index > index for delivery in event.deliveries)
        return NEVER < event.first_known < index and not parked_again


def chronicle(history: History) -> Chronicle:
    """Return the chronicle of a history, in time linear in its entries. Raises MalformedHistory as reading it does."""
    scribe = _Scribe(history.header)
    scribe.told.truncated = bool(history.truncated)
    if not isinstance(history.entries, list) and (sifted := sift(history.entries, history.header.terms)):
        return scribe.write(history.some(sifted.told), sifted)
    return scribe.write(scribe.timed(history))


class _Scribe:
    """Writes a chronicle. One method a kind of entry; a kind without one changes nothing.

    Each is told the story of the entry's event, if there is one yet. Names and other words that come again and again
    are kept once, whoever read the entries.
    """

    def __init__(self, header: Header) -> None:
        self.told = Chronicle(header)
        self.lives = Lives()
        self.open_deliveries: dict[str, dict[str, dict[object, Delivery]]] = {}
        self.handlings: dict[tuple[str, str, object], Handling] = {}
        self.open_handlings: dict[str, dict[Handling, None]] = {}
        self.losses: list[tuple[int, Entry, str]] = []
        self.last_fault = ""
        self.said: dict[str, str] = {}

    def timed(self, entries: Iterable[Entry]) -> Iterator[tuple[int, Entry]]:
        """Yield all entries with their indices, and write down their times."""
        tick = self.told.times.append
        for numbered in enumerate(entries):
            tick(numbered[1][0])
            yield numbered

    def write(self, numbered: Iterable[tuple[int, Entry]], sifted: Sifted | None = None) -> Chronicle:
        """Write the chronicle of some entries with their indices: all, or those that a sieve has left."""
        kinds: dict[str, _Take] = {
            "published": self.published,
            "duplicated": self.duplicated,
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
            "joined": self.lived,
            "stopped": self.gone,
            "crashed": self.gone,
            "paused": self.lived,
            "resumed": self.lived,
            "unreachable": self.lived,
            "reachable": self.lived,
            "fault": self.lost,
            "store-lost": self.lost,
            "phase": self.phase,
            "census": self.census,
        }
        consumers, meet, events = self.lives.consumers, self.lives.meet, self.told.events
        counts = dict.fromkeys(KINDS, 0)
        if sifted:
            self.told.times = sifted.times
            counts.update(sifted.counts)
        for index, entry in numbered:
            _, kind, event, name, _ = entry
            counts[kind] += 1
            story = events.get(event)
            if name:
                consumer = consumers.get(name) or meet(name, kind)
                if event:
                    consumer.work.append(index)
                    consumer.worked_on.append(event if story is None else story.name)
            take = kinds.get(kind)
            if take is not None:
                take(index, entry, story)
        self.told.counts = Counter(counts)
        self.settle()
        if sifted:
            self.told.plain += sifted.plain
        return self.told

    # the broker

    def meet(self, name: str) -> EventStory:
        """Return the story of an event, begun now."""
        events = self.told.events
        story = events[name] = EventStory(name, len(events), id=name)
        return story

    def word(self, said: object) -> str:
        """Return a word as it was said the first time."""
        word = str(said)
        return self.said.setdefault(word, word)

    def published(self, index: int, entry: Entry, story: EventStory | None) -> None:
        story, details = story or self.meet(entry.event), entry.details
        if fingerprint := details.get("fingerprint"):
            story.fingerprints = (*story.fingerprints, str(fingerprint))
        if story.published == NEVER:
            story.published = index
            story.id = str(details.get("id") or story.name)
            if follows := str(details.get("follows") or ""):
                leader = self.told.events.get(follows)
                story.follows = leader.name if leader else follows
            occurred = details.get("occurred")
            story.occurred = occurred if isinstance(occurred, int) else entry.at

    def delivered(self, index: int, entry: Entry, story: EventStory | None) -> None:
        at, _, name, consumer, details = entry
        story = story or self.meet(name)
        if consumer:
            consumer = self.lives.consumers[consumer].name
        attempt = details.get("attempt")
        if not isinstance(attempt, int):
            attempt = len(story.deliveries) + 1
        if attempt > 1 and not story.deliveries:
            self.told.window = True
        delivery = Delivery(story.name, consumer, index, at, attempt)
        story.add_delivery(delivery)
        number = _named(details.get("delivery", index))
        opened = self.open_deliveries.setdefault(consumer, {})
        others = opened.get(story.name)
        if others is None:
            opened[story.name] = {number: delivery}
        else:
            if number in others:  # a delivery that is told twice: each of the two is open
                earlier = others.pop(number)
                others["told again", earlier.index] = earlier
            others[number] = delivery

    def delivery_of(self, entry: Entry) -> Delivery | None:
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

    def closed(self, index: int, entry: Entry, story: EventStory | None) -> None:
        delivery = self.delivery_of(entry)
        if delivery is None:
            self.told.window = True
            return
        self.close(delivery, index, entry)
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
            story.pack(self.told.times)

    def close(self, delivery: Delivery, index: int, entry: Entry) -> None:
        delivery.closed, delivery.closing = index, self.word(entry.kind)

    def dead_lettered(self, index: int, entry: Entry, story: EventStory | None) -> None:
        story = story or self.meet(entry.event)
        if story.dead == NEVER:
            story.dead, story.dead_at = index, entry.at
            story.dead_by = self.word(entry.details.get("by") or "engine")
            story.refusal = entry.details.get("because") in REFUSALS
        for delivery in reversed(story.deliveries):
            if delivery.closed == NEVER and entry.consumer in ("", delivery.consumer):
                self.close(delivery, index, entry)

    # the engine

    def parked(self, index: int, entry: Entry, story: EventStory | None) -> None:
        story = story or self.meet(entry.event)
        if story.parked == NEVER:
            story.parked, story.parked_at = index, entry.at
        if delivery := self.delivery_of(entry):
            delivery.parked = True

    def refused(self, index: int, entry: Entry, story: EventStory | None) -> None:
        """Close a delivery that the engine would not handle; a consumer need not answer it at all if it is held."""
        if entry.details.get("because") == "seen":
            story = story or self.meet(entry.event)
            story.add_seen(index)
        elif entry.details.get("because") == "held" and story is not None:
            story.add_held(index)
        delivery = self.delivery_of(entry)
        if delivery and delivery.closed == NEVER:
            self.close(delivery, index, entry)

    def lease_lost(self, index: int, entry: Entry, _: EventStory | None) -> None:
        self.told.leases_lost.append((index, entry.event, entry.consumer))

    def started(self, index: int, entry: Entry, story: EventStory | None) -> None:
        at, _, name, consumer, details = entry
        story = story or self.meet(name)
        if consumer:
            consumer = self.lives.consumers[consumer].name
        via = self.word(details.get("via", "delivered"))
        given = str(details.get("fingerprint") or "")
        prints = story.fingerprints
        handling = Handling(
            story.name,
            consumer,
            via,
            index,
            at,
            details.get("fence"),
            prints[0] if prints and prints[0] == given else given,
            self.delivery_of(entry) if via == "delivered" else None,
        )
        story.add_handling(handling)
        self.handlings[name, consumer, _named(details.get("handling"))] = handling
        self.open_handlings.setdefault(consumer, {})[handling] = None

    def ended(self, index: int, entry: Entry, story: EventStory | None) -> None:
        at, _, name, consumer, details = entry
        handling = self.handlings.pop((name, consumer, _named(details.get("handling"))), None)
        if handling is None:
            self.told.window = True
            if story is not None:
                story.untold = True
            return
        handling.write = self.word(details.get("write") or "")
        if not handling.cut:
            handling.end, handling.end_at = index, at
            handling.outcome = self.word(details.get("outcome") or "")
            if not handling.outcome and not handling.write and story is not None:
                story.untold = True
            self.open_handlings[consumer].pop(handling, None)

    def duplicated(self, _index: int, _entry: Entry, story: EventStory | None) -> None:
        if story is not None:
            story.duplicated = True

    def swept(self, index: int, entry: Entry, _: EventStory | None) -> None:
        consumer = self.lives.consumers.get(entry.consumer)
        if consumer is not None:
            consumer.sweeps.append((index, entry.at))
            consumer.tells_all_sweeps |= entry.details.get("found") in (0, [], ())

    # the world

    def lived(self, index: int, entry: Entry, _: EventStory | None) -> None:
        self.lives.tell(index, entry)

    def gone(self, index: int, entry: Entry, _: EventStory | None) -> None:
        """End what a consumer was doing when it died or left."""
        self.lives.tell(index, entry)
        for opened in self.open_deliveries.pop(entry.consumer, {}).values():
            for delivery in opened.values():
                if delivery.closed == NEVER:
                    self.close(delivery, index, entry)
        cut = self.open_handlings.pop(entry.consumer, {})
        crashed = entry.kind == "crashed"
        if crashed and (cut or entry.details.get("holding")):
            self.told.crashed_holding.append(index)
        for handling in cut:
            handling.end, handling.end_at, handling.outcome, handling.cut = index, entry.at, "unknown", True
            handling.crashed = crashed

    def lost(self, index: int, entry: Entry, _: EventStory | None) -> None:
        if entry.kind == "fault":
            self.last_fault = str(entry.details.get("fault", ""))
            self.told.faults[self.last_fault] += 1
        if entry.kind == "store-lost" or entry.event:
            default = "drop" if entry.kind == "dropped" else self.last_fault
            self.losses.append((index, entry, str(entry.details.get("fault") or default)))

    def phase(self, index: int, entry: Entry, _: EventStory | None) -> None:
        self.lives.tell(index, entry)
        in_flight = _listed(entry.details.get("in_flight"))
        self.told.phases.append(Phase(index, entry.at, str(entry.details.get("phase", "")), in_flight))

    def census(self, index: int, entry: Entry, _: EventStory | None) -> None:
        self.told.censuses[index] = entry

    # when all is read

    def settle(self) -> None:
        told = self.told
        self.lives.finish(told.end_at)
        told.consumers, told.blackouts, told.dark = self.lives.consumers, self.lives.blackouts, self.lives.dark
        told.clock = Clock(self.lives.helpless())
        for story in list(told.events.values()):
            self.settle_event(story)
        for index, entry, fault in self.losses:
            self.settle_loss(index, entry, fault)
        told.plain, told.odd, told.leaders = sort_out(told.events, told.times, told.terms)

    @cached_property
    def names(self) -> dict[str, str]:
        """For each id, the name of the event that bears it."""
        return {story.id: story.name for story in self.told.events.values()}

    def settle_event(self, story: EventStory) -> None:
        story.settle()
        if not story.follows:
            return
        leader = story.follows if story.follows in self.told.events else self.names.get(story.follows, story.follows)
        if leader != story.name:
            found = self.told.events.get(leader) or self.meet(leader)
            story.leader = found.name
            found.add_follower(story.name)

    def settle_loss(self, index: int, entry: Entry, fault: str) -> None:
        if entry.kind == "store-lost":
            loss = Loss(index, entry.at, fault, _touched(entry.details.get("keys"), self.told.events, self.names))
            self.told.store_losses.append(loss)
        else:
            loss = Loss(index, entry.at, fault, frozenset((entry.event,)))
        if fault in self.told.header.allowed_loss:
            self.told.allowed_losses.append(loss)


def _named(number: object) -> object:
    """Return what a delivery or a handling is told apart by, whatever a foreign program numbers them with."""
    return repr(number) if number.__class__ in _UNHASHABLE else number


def _touched(keys: Any, events: dict[str, EventStory], names: dict[str, str]) -> frozenset[str] | None:
    """Return the events that the lost keys can have been about: those they name, or any if one names none.

    The judge does not know how an engine names its keys. A key that bears an event's id or name is about that event; a
    key that bears none may hold anything.
    """
    if not isinstance(keys, (list, tuple, dict)) or not keys:
        return None
    touched: set[str] = set()
    for key in keys:
        words = WORDS.findall(str(key))
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
