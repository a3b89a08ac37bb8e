"""The availability of each consumer: the spans in which it was down, paused or cut off from Redis.

A consumer whose first entry is `joined` was down until then; any other was alive from the start. A pause ends when the
consumer dies. A consumer is cut off while Redis is `unreachable` for it, or for all; if two faults overlap, both must
end. When the world is `healing`, no consumer is cut off. While a slot of a cluster moves, Redis refuses what an engine
asks about several of its keys. A server that was demoted refuses what a consumer writes: from the first packet that is
refused to the last one, since that shows that the consumer could not write. A client that connects again when it is
refused can write at once: where the header says so (`reconnects`), refusals are not counted.
"""

from __future__ import annotations

from collections import Counter

from simulation.history.entries import Entry
from simulation.history.intervals import Span, everywhere, merge
from simulation.history.records import ConsumerStory
from simulation.history.store_clock import StoreClock

ALL_CONSUMERS = ""
"""The consumer of an entry that is about all of them."""


class Availability:
    """Keeps the lives of all consumers while a history is read."""

    __slots__ = (
        "_cuts",
        "_moving",
        "_open",
        "_reconnects",
        "_refused",
        "consumers",
        "open_outage",
        "outages",
        "slot_moves",
        "store_clock",
    )

    def __init__(self, *, reconnects: bool) -> None:
        self._reconnects = reconnects
        self.consumers: dict[str, ConsumerStory] = {}
        self.outages: list[Span] = []
        self.slot_moves: list[Span] = []
        self.open_outage = False
        """Whether no consumer could reach Redis when the history ended."""
        self._open: dict[tuple[str, str], int] = {}
        self._cuts: Counter[str] = Counter()
        self._moving = 0
        self._refused: dict[tuple[str, str], Span] = {}
        self.store_clock = StoreClock()

    def add_consumer(self, name: str, kind: str) -> ConsumerStory:
        """Return the story of a consumer, begun if this is its first mention."""
        story = self.consumers.get(name)
        if story is None:
            story = self.consumers[name] = ConsumerStory(name)
            if kind == "joined":
                self._open["down", name] = 0
        return story

    def note(self, index: int, entry: Entry) -> None:
        """Record an entry that changes what a consumer can do; other entries change nothing."""
        at, name = entry.at, entry.consumer
        match entry.kind:
            case "joined" if name:
                self._close("down", name, at)
                self.consumers[name].restarts += self.consumers[name].left
                self.consumers[name].left = False
            case "stopped" | "crashed" if name:
                self._close("paused", name, at)
                self._open.setdefault(("down", name), at)
                self.consumers[name].left = True
                self.consumers[name].departures.append(at)
                if entry.kind == "crashed":
                    self.consumers[name].crashes.append((index, at))
            case "paused" if name:
                self._open.setdefault(("paused", name), at)
            case "blocked" if name and isinstance(duration := entry.details.get("duration"), int):
                self.consumers[name].paused.append((at, at + duration))  # it cannot renew a lease either
            case "resumed" if name:
                self._close("paused", name, at)
            case "unreachable":
                self._cuts[name] += 1
                self._open.setdefault(("cut_off", name), at)
            case "reachable":
                self._cuts[name] -= 1
                if self._cuts[name] <= 0:
                    self._end_cut(name, at)
            case "phase" if entry.details.get("phase") == "healing":
                for cut in list(self._cuts):
                    self._end_cut(cut, at)

    def note_slot(self, _: int, entry: Entry, __: object) -> None:
        """Record that a slot begins to move, or has moved; several may move at a time."""
        if entry.kind == "slot-moving":
            self._moving += 1
            self._open.setdefault(("moving", ALL_CONSUMERS), entry.at)
            return
        self._moving = max(0, self._moving - 1)
        if not self._moving:
            self._close("moving", ALL_CONSUMERS, entry.at)

    def note_fault(self, entry: Entry) -> None:
        """Record a fault that sets the clock of Redis wrong, or a packet that a demoted server refused."""
        self.store_clock.note(entry)
        if entry.details.get("fault") == "server-demoted" and entry.consumer and not self._reconnects:
            demotion = entry.consumer, repr(entry.details.get("number"))
            self._refused[demotion] = self._refused.get(demotion, (entry.at, 0))[0], entry.at

    def note_healed(self, _: int, entry: Entry, __: object) -> None:
        """Record the end of a fault."""
        self.store_clock.note(entry)

    def finish(self, at: int) -> None:
        """Close what is open at the end of the history, `at` microseconds, and leave every list of spans merged."""
        for what, name in list(self._open):
            self._close(what, name, at)
            if what == "cut_off" and name == ALL_CONSUMERS:
                self.open_outage = True
            elif name != ALL_CONSUMERS and what != "down":
                self.consumers[name].silent = True
        for (name, _), span in self._refused.items():
            self.consumers[name].refused.append(span)
        self.outages, self.slot_moves = merge(self.outages), merge(self.slot_moves)
        for story in self.consumers.values():
            story.down, story.paused, story.cut_off = merge(story.down), merge(story.paused), merge(story.cut_off)
            story.refused = merge(story.refused)

    def unavailable(self) -> list[Span]:
        """Return the time in which no consumer was alive, unpaused and in reach of Redis."""
        always = [*self.outages, *self.slot_moves]
        lanes = []
        for story in self.consumers.values():
            lane = merge([*story.down, *story.paused, *story.cut_off, *story.refused])
            if not lane:
                return merge(always)
            lanes.append(lane)
        return merge([*always, *everywhere(lanes)])

    def _end_cut(self, name: str, at: int) -> None:
        self._cuts.pop(name, None)
        self._close("cut_off", name, at)

    def _close(self, what: str, name: str, at: int) -> None:
        since = self._open.pop((what, name), None)
        if since is None:
            return
        if what == "moving":
            self.slot_moves.append((since, at))
        elif name == ALL_CONSUMERS:
            self.outages.append((since, at))
        else:
            spans: list[Span] = getattr(self.consumers[name], what)
            spans.append((since, at))
