"""How long the machine did not run a process that could have run: the system's own count of that, where it has one."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from pathlib import Path


def waited_s(pid: int | str) -> float:
    """Return how long a process has waited for a processor, in seconds; 0 if the system does not say, or it has ended.

    The second number of `schedstat` is that time, in nanoseconds, of the main thread: there is no other here.
    """
    try:
        return int(Path(f"/proc/{pid}/schedstat").read_text().split()[1]) / 1e9
    except (OSError, IndexError, ValueError):
        return 0.0


class GivenTime:
    """The time that has passed since the start, without that in which the slowest of some processes did not run.

    `pids` returns the processes that are to be counted. One that ends, or is new, counts from when it was last seen.
    """

    def __init__(self, pids: Callable[[], Iterable[int | str]]) -> None:
        self._pids = pids
        self.start()

    def start(self) -> None:
        """Count from now on."""
        self._at, self._given_s = time.monotonic(), 0.0
        self._waited = {pid: waited_s(pid) for pid in self._pids()}

    def passed_s(self) -> float:
        """Return the time so far, in seconds."""
        now, waited = time.monotonic(), {pid: waited_s(pid) for pid in self._pids()}
        lost = max((of - self._waited[pid] for pid, of in waited.items() if pid in self._waited), default=0.0)
        self._given_s += max(0.0, now - self._at - max(0.0, lost))
        self._at, self._waited = now, waited
        return self._given_s
