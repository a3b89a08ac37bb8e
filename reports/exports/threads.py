"""Threads for things that overlap: on each thread at most one at a time."""

from __future__ import annotations

from heapq import heappop, heappush


class Lanes:
    """Numbered lanes, of which each thing takes the lowest that is free. Things come in order of their begin."""

    __slots__ = ("_busy", "_free", "count")

    def __init__(self) -> None:
        self.count = 0
        """Number of lanes used so far."""
        self._busy: list[tuple[int, int]] = []
        self._free: list[int] = []

    def take(self, begin: int, end: int) -> int:
        """Occupy a lane from `begin` to before `end`, both in microseconds, and return its number."""
        while self._busy and self._busy[0][0] <= begin:
            heappush(self._free, heappop(self._busy)[1])
        if not self._free:
            heappush(self._free, self.count)
            self.count += 1
        lane = heappop(self._free)
        heappush(self._busy, (end, lane))
        return lane
