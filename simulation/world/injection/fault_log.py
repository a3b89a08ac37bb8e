"""The log of a run's faults: the number of times that each acted, and whether any may still act.

All injectors write here.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable
from hashlib import blake2b
from typing import Any

from simulation.history.history import History
from simulation.kernel.event_loop import SimulatedLoop
from simulation.kernel.random_streams import Stream, Streams
from simulation.scenario.faults import AnyFault, Chance, describe


class ActiveFault:
    """One fault of the scenario, with its place in the file, its random streams, and the number of times it acted."""

    __slots__ = ("_key", "_log", "_matched", "fault", "named", "number", "times")

    def __init__(self, log: FaultLog, number: int, fault: AnyFault, key: str) -> None:
        self.fault = fault
        self.number = number
        self.times = 0
        self.named = set[str]()
        """The events about which it has acted."""
        self._log = log
        self._key = key
        self._matched: Counter[str] = Counter()

    def stream(self, about: str) -> Stream:
        """Return the random stream of the fault about something: no other fault and no other event changes it."""
        return self._log.streams.fresh(f"fault/{self._key}/{about}")

    def draws(self, about: str) -> bool:
        """Return whether a fault that strikes by chance strikes this time; each call counts as one that matched."""
        fault = self.fault
        assert isinstance(fault, Chance)
        self._matched[""] += 1
        self._matched[about] += 1
        if fault.nth is not None:
            return self._matched[""] == fault.nth
        return fault.probability >= 1.0 or self.stream(f"{about}/{self._matched[about]}").random() < fault.probability

    def note(self, event: str = "", consumer: str = "", **details: Any) -> None:
        """Write down that the fault acted."""
        self.times += 1
        if event:
            self.named.add(event)
        self._log.write("fault", event, consumer, fault=self.fault.name, number=self.number, **details)

    def note_end(self, consumer: str = "") -> None:
        """Write down that the effect of the fault is over."""
        self._log.write("healed", "", consumer, fault=self.fault.name, number=self.number)


class FaultLog:
    """All faults of a run."""

    def __init__(self, loop: SimulatedLoop, history: History, streams: Streams, faults: Iterable[AnyFault]) -> None:
        self.healed = False
        self.streams = streams
        self._loop = loop
        self._history = history
        self.all = [ActiveFault(self, n, fault, key) for n, (fault, key) in enumerate(_keyed(faults), start=1)]

    @property
    def now(self) -> int:
        """Microseconds since the start of the run."""
        return self._loop.now

    def of(self, kind: type[AnyFault]) -> list[ActiveFault]:
        """Return the faults of a family."""
        return [active for active in self.all if isinstance(active.fault, kind)]

    def write(self, kind: str, event: str = "", consumer: str = "", **details: Any) -> None:
        """Write an entry into the history."""
        self._history.append(self._loop.now, kind, event, consumer, **details)

    @property
    def silent(self) -> tuple[str, ...]:
        """The faults that never acted, by kind; with their place in the file if several have the same kind."""
        kinds = Counter(active.fault.name for active in self.all)
        return tuple(
            active.fault.name if kinds[active.fault.name] == 1 else f"{active.fault.name} (faults[{active.number}])"
            for active in self.all
            if not active.times
        )


def _keyed(faults: Iterable[AnyFault]) -> Iterable[tuple[AnyFault, str]]:
    """Give each fault a key of its own that does not depend on the other faults, but for its equals."""
    seen: Counter[str] = Counter()
    for fault in faults:
        digest = blake2b(json.dumps(describe(fault), sort_keys=True).encode(), digest_size=8).hexdigest()
        seen[digest] += 1
        yield fault, f"{digest}/{seen[digest]}"
