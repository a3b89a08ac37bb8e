"""What the prefilter remembers of each event of a long history, as columns of numbers.

Events are numbered from 1 in the order of their first entries; 0 is no event. An index in the history is never 0 here,
since every event was published before anything else happened to it; so 0 means that something has not happened.
"""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import compress, pairwise

from simulation.history.records import TrivialCounts

REORDERED, EARLY = 1, 2
"""Marks: it was delivered before its leader was; it was parked before its leader was delivered."""

MAX_REPEATS = 255
"""How often an event may be parked, or delivered again, until it is no longer followed."""

_STEP = 4096


class Columns:
    """The columns, one row an event."""

    def __init__(self) -> None:
        self.numbers: dict[str, int] = {}
        """The number of every event that was met."""
        self.family = array("I")
        self.delivered = array("I")
        self.parked = array("I")
        self.started = array("I")
        self.ended = array("I")
        self.holder = array("I")
        """The number of the consumer that handled it."""
        self.occurred: array[int] = array("q")
        self.marks = bytearray()
        self.parkings = bytearray()
        """Number of its deliveries that were parked."""
        self.repeats = bytearray()
        """Number of its deliveries that were refused after it had been handled."""
        self.duplicates = bytearray()
        """Number of further deliveries of it that the broker announced."""
        self.siblings: dict[int, list[int]] = {}
        """The followers of each leader that has several, by their numbers."""
        self._first_follower = array("I")
        self._columns = (
            *(self.family, self.delivered, self.parked, self.started, self.ended, self.holder),
            *(self.occurred, self._first_follower, self.marks, self.parkings, self.repeats, self.duplicates),
        )
        self._grow()

    def __len__(self) -> int:
        return len(self.numbers) + 1

    def _grow(self) -> None:
        for column in self._columns:
            column.extend([0] * _STEP)

    def add(self, event: str, family: int) -> int:
        """Begin the row of an event, and return its number."""
        number = self.numbers[event] = len(self.numbers) + 1
        if number == len(self.family):
            self._grow()
        self.family[number] = family
        return number

    def follow(self, number: int, leader: int, occurred: int) -> None:
        """Write down the leader of an event, and when it occurred. Raises OverflowError if that is no time."""
        self.occurred[number] = occurred
        first = self._first_follower[leader]
        if first:
            self.siblings.setdefault(leader, [first]).append(number)
        else:
            self._first_follower[leader] = number

    def waited(self, leader: int) -> list[int]:
        """Return those of several followers of a leader that were parked when it completed."""
        done = self.ended[leader]
        return [number for number in self.siblings[leader] if 0 < self.parked[number] < done]

    def in_turn(self, leader: int) -> bool:
        """Say whether the followers of a leader started as they had occurred, no two at the same time."""
        order = sorted((self.occurred[number], self.started[number]) for number in self.siblings[leader])
        return all(occurred < later and start < after for (occurred, start), (later, after) in pairwise(order))

    def trivial(self, nontrivial: Sequence[int]) -> tuple[TrivialCounts, Counter[str]]:
        """Count the events of trivial families, and the entries about them by their kinds."""
        chosen = [not nontrivial[family] for family in self.family[1 : len(self)]]

        def total(column: Iterable[int]) -> int:
            return sum(compress(column, chosen))

        def among(marks: Counter[int], mark: int) -> int:
            return sum(count for which, count in marks.items() if which & mark)

        events, marks = sum(chosen), Counter(compress(self.marks[1:], chosen))
        parkings, repeats = self.parkings[1:], self.repeats[1:]
        released = total(map(bool, parkings))
        deliveries = events - released + total(parkings) + total(repeats)
        followers = events - nontrivial.count(False)  # in each family all but the first have a leader
        waited = (self.waited(leader) for leader in self.siblings if not nontrivial[self.family[leader]])
        counts = Counter(
            {
                **dict.fromkeys(("published", "started", "ended"), events),
                **dict.fromkeys(("delivered", "acknowledged"), deliveries),
                "parked": total(parkings),
                "refused": total(repeats),
                "duplicated": total(self.duplicates[1:]),
            }
        )
        found = TrivialCounts(
            events=events,
            deliveries=deliveries,
            followers=followers,
            apart=followers,
            reordered=among(marks, REORDERED),
            released=released,
            early=among(marks, EARLY),
            beside=sum(map(len, waited)),
        )
        return found, counts
