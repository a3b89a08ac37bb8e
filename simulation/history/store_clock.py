"""The clock of Redis: leases and other times to live end too early if a fault sets it ahead.

A `server-clock` fault sets the clock ahead or back by its `offset`, and sets it right when it has healed. A clock that
was set back and is set right jumps ahead. Only jumps ahead matter: after a jump back, things lapse later than they
should, and no engine is excused for that.
"""

from __future__ import annotations

from simulation.history.entries import Entry

FAULT = "server-clock"


class StoreClock:
    """The jumps ahead of the clock of Redis, in order of time."""

    __slots__ = ("_wrong", "jumps")

    def __init__(self) -> None:
        self.jumps: list[tuple[int, int]] = []
        """Time and size of each jump ahead, in microseconds."""
        self._wrong: dict[str, int] = {}

    def note(self, entry: Entry) -> None:
        """Record a fault, or the end of one, if it is about this clock."""
        details = entry.details
        if details.get("fault") != FAULT:
            return
        number = repr(details.get("number"))
        if entry.kind == "fault" and isinstance(offset := details.get("offset"), int):
            self._wrong[number] = offset
            self._jump(entry.at, offset)
        elif entry.kind == "healed":
            self._jump(entry.at, -self._wrong.pop(number, 0))

    def due(self, since: int, duration: int) -> int:
        """Return the earliest time at which `duration` has passed by this clock since a time, in microseconds."""
        at, left = since, duration
        for jumped_at, ahead in self.jumps:
            if jumped_at < since:
                continue
            if jumped_at - at >= left:
                break
            left -= jumped_at - at + ahead
            at = jumped_at
        return at + max(0, left)

    def leapt(self, ahead: int, begin: int, end: int) -> bool:
        """Say whether it jumped ahead by so much, or more, at one time from `begin` to `end`."""
        return any(begin <= at <= end and by >= ahead for at, by in self.jumps)

    def _jump(self, at: int, by: int) -> None:
        if by > 0:
            self.jumps.append((at, by))
