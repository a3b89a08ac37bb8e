"""The index of a history: the same entries, arranged by event and by consumer.

The judge, the reports, the summary and the exports read an index and none reads the entries in order, so `indexer.py`
alone knows which entry belongs to which delivery and which handling. An index gives no verdict.
"""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property

from simulation.history import ancestry
from simulation.history.entries import Entry, Header
from simulation.history.intervals import Clock, Span, merge, within
from simulation.history.records import NEVER, ConsumerStory, Delivery, EventStory, Handling, Loss, Phase, TrivialCounts
from simulation.history.store_clock import StoreClock

REFUSALS = ("unreadable", "unknown-schema")
"""The reasons for which an event may be given up although no handler was called."""
OF_REPLIES = frozenset({"close-idle-connections", "latency", "reply-lost", "reset"})
"""Faults by which a consumer may not hear what Redis has done for it."""
OF_ONE_EVENT = frozenset({"not-an-event", "too-large"})
"""Faults that concern one event alone, and those that follow it: no other may suffer from it."""


class HistoryIndex:
    """A history, arranged by event and by consumer. Built by `index_of()`.

    It keeps no entries, so that a history may be much longer than what fits into memory: of most entries the time. Of
    a long history the judge's index holds only the families that the prefilter did not leave out; `trivial` counts the
    others.
    """

    slot_moves: Sequence[Span] = ()
    """Spans in which a slot moved: no lease in it could be renewed. A request that is refused can be repeated later."""
    unheard: Sequence[tuple[int, str]] = ()
    """The faults of `OF_REPLIES`, each with its index and its consumer."""
    odd_events: frozenset[str] = frozenset()
    """The events that a fault of `OF_ONE_EVENT` struck."""
    unfinished: Sequence[tuple[int, Entry]] = ()
    """The entries about calls of engines that had not returned, with their indices."""
    work_left_out: Callable[[], Mapping[str, list[Span]]] = dict
    """Returns the times in which each consumer handled events that the prefilter left out, merged."""
    interruptions: tuple[list[int], list[int]] | None = None
    """The times and costs of `idle_time.takeovers`, filled by its first call."""
    open_outage = False
    """Whether no consumer could reach Redis at the end."""

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
        """The `census` entries, with the contents of the store, by their indices."""
        self.leases_lost: list[tuple[int, str, str]] = []
        """Index, event and consumer of each lease whose holder learned that it is no longer its own."""
        self.warnings: dict[str, list[int]] = {}
        """The indices at which a consumer warned of an event, by its name."""
        self.crashed_holding: list[int] = []
        """The crashes of consumers that were handling something."""
        self.store_losses: list[Loss] = []
        self.allowed_losses: list[Loss] = []
        """The losses that the scenario says its faults make unavoidable."""
        self.outages: list[Span] = []
        self.clock = Clock()
        """Stands still while no consumer was alive, unpaused and in reach of Redis."""
        self.owners: dict[Handling, Handling] = {}
        """The results of `cascades.owner_of` so far."""
        self.found_work: dict[str, list[Span]] = {}
        """The spans of `cascades.found_work` by consumer, filled by its first call."""
        self.faults: Counter[str] = Counter()
        """Number of faults of each kind."""
        self.trivial = TrivialCounts()
        """Counts of the events that no invariant needs to look at."""
        self.nontrivial: list[EventStory] = []
        """All other events."""
        self.leaders: list[EventStory] = []
        """The leaders that are odd, or have a follower that is."""
        self.store_clock = StoreClock()
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
        """Whether the history shows a whole run: the world went quiet, or there are no phases and the file is not cut
        off.
        """
        return self.quiet or not (self.phases or self.truncated)

    @cached_property
    def signs(self) -> dict[Handling, int]:
        """The signs found so far that effects were recorded; see `recorded_effects.py`."""
        return {}

    @cached_property
    def cycles(self) -> Mapping[str, tuple[str, ...]]:
        """For each event that follows itself through others, the members of its cycle."""
        return ancestry.cycles({event.name: event for event in self.nontrivial})

    @cached_property
    def roots(self) -> Mapping[str, str]:
        """For each event, the name of its uppermost ancestor: two events with one root are of one family."""
        return ancestry.roots(self.events)

    def deliveries(self) -> list[Delivery]:
        """Return all deliveries, in the order in which they were made."""
        found = (delivery for event in self.events.values() for delivery in event.deliveries)
        return sorted(found, key=lambda delivery: delivery.index)

    def handlings(self) -> list[Handling]:
        """Return all handlings, in the order in which they began."""
        found = (handling for event in self.events.values() for handling in event.handlings)
        return sorted(found, key=lambda handling: handling.start)

    def leader_of(self, event: EventStory) -> EventStory | None:
        """Return the story of the event's leader; none if it follows nothing, or itself."""
        return self.events[event.leader] if event.leader else None

    def followers_of(self, event: EventStory) -> Iterator[EventStory]:
        """Yield the stories of the events that follow this one."""
        return (self.events[name] for name in event.followers)

    def silences(self, consumer: str) -> list[Span]:
        """Return the merged spans in which a consumer was alive, but unable to renew a lease.

        It was paused or cut off, a slot moved, or a demoted server refused its requests.
        """
        if consumer not in self._silences:
            story = self.consumers.get(consumer)
            own = [*story.paused, *story.cut_off, *story.refused] if story else []
            self._silences[consumer] = merge([*own, *self.outages, *self.slot_moves])
        return self._silences[consumer]

    def silent_at_end(self, consumer: str) -> bool:
        """Say whether the history ends before a consumer can renew a lease again: the duration is not known."""
        story = self.consumers.get(consumer)
        return self.open_outage or (story is not None and story.silent)

    def lapses(self, consumer: str, begin: int, end: int) -> list[Span]:
        """Return those silences that overlap a time in which a lease can have lapsed: the longer ones.

        A holder renews while at least half of its lease is left, so a silence of half a lease may outlast it.
        A silence that the end of the history cut short counts as one: its length is not known.
        """
        unended = self.silent_at_end(consumer)
        return [
            silence
            for silence in within(self.silences(consumer), begin, end)
            if 2 * (silence[1] - silence[0]) >= self.terms.lease or (unended and silence[1] == self.end_at)
        ]

    def lease_may_end(self, consumer: str, begin: int, end: int) -> bool:
        """Say whether a lease that its holder renewed in time can have ended from `begin` to `end`, in microseconds.

        A holder that renews in time has half of its lease left when it falls silent, or when the clock of Redis jumps.
        """
        half = -(-self.terms.lease // 2)
        silences = within(self.silences(consumer), begin, end + 1)
        return self.store_clock.leapt(half, begin, end) or any(
            self.store_clock.due(max(begin, since), half) <= min(end, until) for since, until in silences
        )

    def store_lost(self, event: str, after: int, before: int) -> bool:
        """Whether the store lost something that can have been about the event, between two indices."""
        return any(after < loss.index < before and loss.touches(event) for loss in self.store_losses)

    def loss_allowed(self, event: EventStory, before: int) -> bool:
        """Whether a loss that the scenario allows can have cost the store, before an index, its data about an event.

        The data may be in a key that bears the name of the event's leader, such as a queue. The loss excuses only data
        that were in the store at that moment: an event that was delivered before, and was not parked again until then.
        """
        return self.allowed_loss_of(event, before) is not None

    def allowed_loss_of(self, event: EventStory, before: int) -> Loss | None:
        """Return the first such loss, or None."""
        losses = (
            loss
            for loss in self.allowed_losses
            if loss.index < before
            and (loss.touches(event.name) or (event.leader != "" and loss.touches(event.leader)))
            and self._kept_at(event, loss.index, before)
        )
        return next(losses, None)

    def trims(self, event: str) -> list[int]:
        """Return the indices at which the queue forgot an event, as the scenario allows: it is not offered again."""
        found = (loss for loss in self.allowed_losses if loss.fault == "trim" and loss.events == frozenset({event}))
        return [loss.index for loss in found]

    @staticmethod
    def _kept_at(event: EventStory, index: int, before: int) -> bool:
        parked_again = any(delivery.parked and index < delivery.index < before for delivery in event.deliveries)
        return NEVER < event.first_known < index and not parked_again
