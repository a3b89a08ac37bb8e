"""The marks of a space-time diagram: what stands where, on which lane, and when. It draws nothing.

Time runs to the right, a lane is a place: the broker, each consumer, Redis. A delivery is an arrow from the broker
to a consumer, a handling is a bar on its consumer's lane, a follower that waits is a line on Redis's lane between
the arrow that parked it and the arrow that released it.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from reports.text.sentences import sentence
from simulation.history.indexer import index_of
from simulation.history.records import NEVER

if TYPE_CHECKING:
    from simulation.history.entries import Entry
    from simulation.history.history import History
    from simulation.history.records import Delivery, EventStory, Handling

BROKER, AXIS = 0, -1
"""The broker is always the first lane; what stands on the axis belongs to none."""

SIGNS = ("refused", "lease-lost", "dead-lettered", "store-lost", "crashed")
"""The kinds of entry that are drawn as a sign, with a sentence, on the lane of their consumer."""

STATES = {
    "joined": (("absent", False), ("down", False)),
    "stopped": (("down", True), ("paused", False), ("unreachable", False)),
    "crashed": (("down", True), ("paused", False), ("unreachable", False)),
    "paused": (("paused", True),),
    "resumed": (("paused", False),),
    "unreachable": (("unreachable", True),),
    "reachable": (("unreachable", False),),
}
"""The kinds of entry that begin a state of a lane (true) or end it."""

ANSWERS = ("acknowledged", "rejected")
"""The kinds of answer to a delivery that the broker receives."""

MOST_ROWS = 64
"""Greatest number of rows in a lane; beyond it, marks lie over each other."""


class Mark(NamedTuple):
    """One thing on the diagram: from a moment on a lane to a moment on the same lane or another."""

    kind: str
    at: int
    until: int
    lane: int
    to: int
    event: int
    """Index of the event in `Marks.events`; -1 for a mark about none."""
    row: int
    """Row within the lane, so that handlings at the same time do not hide each other."""
    words: str
    entries: tuple[int, ...]
    """The entries of the history that it shows."""


class Marks:
    """All marks of one history, its lanes and its events."""

    def __init__(self, history: History) -> None:
        self.index = index_of(history)
        self.all: list[Mark] = []
        mentioned = [event.name for event in self.index if event.is_mentioned]
        self.events: dict[str, int] = {name: place for place, name in enumerate(mentioned)}
        self.consumers: list[str] = sorted({e.consumer for e in history.entries if e.consumer}, key=natural)
        self.redis: int = len(self.consumers) + 1
        self.rows: list[int] = [1] * (self.redis + 1)
        """Number of rows that each lane needs."""
        self._lease_time = history.header.terms.lease
        self._lanes = {name: lane for lane, name in enumerate(self.consumers, start=1)}
        self._states: dict[tuple[str, int], tuple[int, tuple[int, ...]]] = {}
        self._faults: dict[tuple[str, object, str], list[tuple[int, int, str]]] = {}
        self._draw_events()
        self._draw_entries(history)

    def _put(
        self,
        kind: str,
        at: int,
        until: int,
        lane: int,
        to: int,
        *entries: int,
        event: str,
        row: int = 0,
        words: str = "",
    ) -> None:
        self.all.append(Mark(kind, at, until, lane, to, self.events.get(event, -1), row, words, entries))

    def _lane(self, entry: Entry) -> int:
        """Return the lane of the consumer that an entry is about."""
        about_redis = entry.kind in ("store-lost", "unreachable", "reachable")
        return self._lanes.get(entry.consumer, self.redis if about_redis else BROKER)

    # -- deliveries, handlings, waits ------------------------------------------------------------------------

    def _draw_events(self) -> None:
        for event in self.index:
            before: Delivery | None = None
            for delivery in event.deliveries:
                self._delivery(event, before, delivery)
                before = delivery
        rows: dict[str, list[int]] = {}
        for handling in self.index.handlings():
            self._handling(handling, rows.setdefault(handling.consumer, []))
        waiting: list[int] = []
        parked = (event for event in self.index if event.parked != NEVER)
        for event in sorted(parked, key=lambda event: event.parked_at):
            self._wait(event, waiting)

    def _delivery(self, event: EventStory, before: Delivery | None, delivery: Delivery) -> None:
        lane, sent = self._lanes.get(delivery.consumer, BROKER), _sent(event, before, delivery)
        answered = delivery.closing in ANSWERS
        because = f"; rejected: {delivery.because}" if delivery.closing == "rejected" and delivery.because else ""
        words = f"attempt {delivery.attempt}{because}"
        self._put("delivery", sent, delivery.at, BROKER, lane, delivery.index, event=event.name, words=words)
        if answered:
            self._put(delivery.closing, delivery.closed_at, delivery.closed_at, lane, BROKER, event=event.name)

    def _handling(self, handling: Handling, rows: list[int]) -> None:
        lane, began = self._lanes.get(handling.consumer, BROKER), handling.start_at
        until = self.index.end_at if handling.end == NEVER else handling.end_at
        row = free_row(rows, began, until)
        self.rows[lane] = max(self.rows[lane], row + 1)
        entries = [index for index in (handling.start, handling.end) if index != NEVER]
        kind, event = f"handling {handling.reported_outcome}", handling.event
        self._put(kind, began, until, lane, lane, *entries, event=event, row=row, words=handling.via)
        if handling.via in ("released", "rescued"):
            self._put(handling.via, began, began, self.redis, lane, handling.start, event=event)
        if handling.cut:
            ends = min(until + self._lease_time, self.index.end_at)
            self._put("lease", until, ends, lane, lane, event=event, row=row, words="at most until here")

    def _wait(self, event: EventStory, rows: list[int]) -> None:
        until = settled_at(event)
        until = self.index.end_at if until == NEVER else max(until, event.parked_at)
        row = free_row(rows, event.parked_at, until)
        self.rows[self.redis] = max(self.rows[self.redis], row + 1)
        self._put("waiting", event.parked_at, until, self.redis, self.redis, event=event.name, row=row)

    # -- entries: signs, states, faults, the wire ------------------------------------------------------------

    def _draw_entries(self, history: History) -> None:
        for entry in history.of("joined"):
            self._states["absent", self._lane(entry)] = (0, ())
        for index, entry in enumerate(history.entries):
            self._entry(index, entry)
        for kind, lane in list(self._states):
            self._end_state(kind, lane, self.index.end_at)
        for of_one_fault in self._faults.values():
            for at, first, words in of_one_fault:
                self._put("fault", at, at, AXIS, AXIS, first, event="", words=words)

    def _entry(self, index: int, entry: Entry) -> None:
        at, lane, event = entry.at, self._lane(entry), entry.event
        for state, begins in STATES.get(entry.kind, ()):
            if begins:
                self._states.setdefault((state, lane), (at, (index,)))
            else:
                self._end_state(state, lane, at, index)
        match entry.kind:
            case "parked":
                self._put("parked", at, at, lane, self.redis, index, event=event)
            case "command" | "reply":
                ends = (lane, self.redis) if entry.kind == "command" else (self.redis, lane)
                self._put(entry.kind, at, at, *ends, index, event=event, words=sentence(entry))
            case "phase":
                self._phase(index, entry)
            case "fault" | "healed":
                self._fault(index, entry)
            case "published" | "duplicated" | "dropped" as kind:
                self._put(kind, at, at, BROKER, BROKER, index, event=event)
            case kind if kind in SIGNS:
                self._put(kind, at, at, lane, lane, index, event=event, words=sentence(entry))

    def _end_state(self, kind: str, lane: int, at: int, *entries: int) -> None:
        begun = self._states.pop((kind, lane), None)
        if begun is not None and at > begun[0]:
            self._put(kind, begun[0], at, lane, lane, *begun[1], *entries, event="")

    def _phase(self, index: int, entry: Entry) -> None:
        phase = str(entry.details.get("phase", ""))
        self._put("phase", entry.at, entry.at, AXIS, AXIS, index, event="", words=phase)
        if phase == "healing":
            for kind, lane in list(self._states):
                if kind == "unreachable":
                    self._end_state(kind, lane, entry.at, index)

    def _fault(self, index: int, entry: Entry) -> None:
        key = (str(entry.details.get("fault", "")), entry.details.get("number"), entry.consumer)
        if entry.kind == "fault":
            words = sentence(entry) + (f" at {entry.consumer}" if entry.consumer else "")
            self._faults.setdefault(key, []).append((entry.at, index, words))
        elif self._faults.get(key):
            at, first, words = self._faults[key].pop()
            self._put("fault", at, entry.at, AXIS, AXIS, first, index, event="", words=words)


def natural(name: str) -> tuple[tuple[int, int, str], ...]:
    """Return a key that sorts names as people do: c2 before c10."""
    parts = re.split(r"([0-9]+)", name)
    return tuple((0, int(part), "") if part.isdecimal() else (1, 0, part) for part in parts if part)


def free_row(rows: list[int], at: int, until: int) -> int:
    """Take the first row that is free from `at` to `until`, both in microseconds; if none is, the one that is free
    soonest.
    """
    row = next((place for place, busy in enumerate(rows) if busy <= at), len(rows))
    if row == MOST_ROWS:
        row = min(range(MOST_ROWS), key=rows.__getitem__)
    if row == len(rows):
        rows.append(0)
    rows[row] = max(rows[row], until)
    return row


def _sent(event: EventStory, before: Delivery | None, delivery: Delivery) -> int:
    """Return from when on the broker meant to make a delivery: the rejection of the one before, or publication."""
    if before is not None and before.closing == "rejected" and before.closed_at <= delivery.at:
        return before.closed_at
    return delivery.at if event.published == NEVER else min(event.published_at, delivery.at)


def settled_at(event: EventStory) -> int:
    """Return when an event that was parked was handled or given up; NEVER if neither happened."""
    handling = event.main_handling
    return event.dead_at if handling is None or event.is_lost else handling.start_at
