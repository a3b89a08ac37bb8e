"""Indices of a history that is too long for memory, some of its events at a time.

One pass numbers the events in the order in which they first appear; then each slice is indexed in a pass of its own,
which looks only at the entries about its events and their leaders, and at those about no event.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from simulation.history.entries import Entry
from simulation.history.history import History
from simulation.history.index import HistoryIndex
from simulation.history.indexer import IndexBuilder
from simulation.history.records import EventStory

BEGINNINGS = frozenset({"published", "delivered", "started", "parked", "dead-lettered"})
"""The kinds of entries with which the life of an event may begin."""


def slices(history: History, most: int) -> Iterator[tuple[HistoryIndex, Sequence[EventStory]]]:
    """Yield the events of a history in order, so many at a time, with an index that holds them and their leaders.

    The one slice of a history without events is empty.
    """
    known = _Numbers()
    for entry in history:
        known.add(entry)
    leaders = known.leaders()
    for begin in range(1, max(1, len(known.numbers)) + 1, most):
        end = min(begin + most, len(known.numbers) + 1)
        looked_at = bytearray(len(known.numbers) + 1)
        looked_at[begin:end] = b"\1" * (end - begin)
        for number in (0, *leaders[begin:end]):
            looked_at[number] = True
        builder = IndexBuilder(history.header, truncated=bool(history.truncated))
        index = builder.build(history.some(bytes(map(looked_at.__getitem__, known.owners))), known.times)
        yield index, [event for event in index if begin <= known.numbers.get(event.name, 0) < end]


@dataclass(slots=True)
class _Numbers:
    """Numbers of events from 1 on. No event is 0, and so is one whose life has not begun."""

    numbers: dict[str, int] = field(default_factory=dict)
    owners: array[int] = field(default_factory=lambda: array("I"))
    """The number of each entry's event."""
    times: array[int] = field(default_factory=lambda: array("q"))
    """The time of each entry."""
    _ids: dict[str, str] = field(default_factory=dict)
    _follows: list[str] = field(default_factory=lambda: [""])
    _published: bytearray = field(default_factory=lambda: bytearray(1))

    def add(self, entry: Entry) -> None:
        """Take note of the next entry."""
        number = self.numbers.get(entry.event, 0)
        if not number and entry.kind in BEGINNINGS:
            number = self.numbers[entry.event] = len(self._follows)
            self._follows.append("")
            self._published.append(False)
        self.owners.append(number)
        self.times.append(entry.at)
        if entry.kind == "published" and not self._published[number]:
            self._published[number] = True
            self._follows[number] = str(entry.details.get("follows") or "")
            if identity := str(entry.details.get("id") or ""):
                self._ids[identity] = entry.event

    def leaders(self) -> array[int]:
        """Return the number of each event's leader, by the event's number; 0 if it has none."""
        return array("I", (self.numbers.get(self._ids.get(name, name), 0) for name in self._follows))
