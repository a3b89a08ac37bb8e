"""The lives of the events of a history that is too long for memory, some of them at a time.

One pass numbers the events in the order in which they first appear; then each slice is gathered in a pass of its own,
which looks only at the entries about its events and their leaders, and at those about no event.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator
from typing import TYPE_CHECKING

from reports.lives import BEGINNINGS, Life, Lives, names_of

if TYPE_CHECKING:
    from simulation.history.history import History


def slices(history: History, most: int) -> Iterator[tuple[Lives, list[Life]]]:
    """Yield the events of a history in order, so many at a time, with lives that hold them and their leaders.

    The one slice of a history without events is empty.
    """
    numbers, owners, leaders = _numbered(history)
    for begin in range(1, max(1, len(numbers)) + 1, most):
        end = min(begin + most, len(numbers) + 1)
        looked_at = bytearray(len(numbers) + 1)
        looked_at[begin:end] = b"\1" * (end - begin)
        for number in (0, *leaders[begin:end]):
            looked_at[number] = True
        lives = Lives(history, bytes(map(looked_at.__getitem__, owners)))
        yield lives, [life for life in lives.events.values() if begin <= numbers[life.event] < end]


def _numbered(history: History) -> tuple[dict[str, int], array[int], array[int]]:
    """Return the number of each event from 1 on, that of each entry's event, and that of each event's leader.

    No event and no leader is 0. So is an event whose life has not begun: such an entry means nothing to any slice.
    """
    numbers: dict[str, int] = {}
    owners, follows = array("I"), [""]
    ids: dict[str, str] = {}
    published = bytearray(1)
    for entry in history:
        number = numbers.get(entry.event, 0)
        if not number and entry.kind in BEGINNINGS:
            number = numbers[entry.event] = len(follows)
            follows.append("")
            published.append(False)
        owners.append(number)
        if entry.kind == "published" and not published[number]:
            published[number] = True
            name, follows[number] = names_of(entry)
            if name:
                ids[name] = entry.event
    return numbers, owners, array("I", (numbers.get(ids.get(leader, leader), 0) for leader in follows))
