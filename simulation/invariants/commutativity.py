"""Which entries of a history may be exchanged without changing any verdict: a search of every order rests on it.

Each entry is given the names of what it is about. Two entries of one moment may be exchanged if neither changes what
the other depends on. The judge reads the index, by event and by consumer, so these orders matter:

- that of the entries of one event, and of one consumer;
- whether a leader's handling ended before a follower's began (causal-order, prompt-release), or before it was parked,
  if it has siblings (sibling-order), or delivered (prompt-start);
- which of two siblings began first (sibling-order);
- whether a consumer died before another one continued with an event that it had had (handled-once).

Once an event may have waited for the whole lookback, invariants ask which consumer had which event at that time. Then
every order matters. So it does among the members of a cycle, for kinds of entries that are not listed here, if the
scenario requires coverage, if it has faults that count what they see, and if an invariant does not say that its order
is known. `tests/simulation/test_precedence.py` exchanges all that this module allows, in histories of engines with
bugs, and compares the verdicts.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from simulation.kernel.dependence import BLIND, CHANGED, SEEN

PLAIN = frozenset({"delivered", "acknowledged", "refused", "parked", "started", "ended", "swept", "joined", "crashed"})
"""Kinds of entries of which it is known with what their order matters."""

TRACE_KINDS = frozenset({"command", "reply", "fault"})
"""Kinds of entries that are no part of the story: of a fault, what it did is in other entries."""


class Precedence:
    """Names the subjects of the entries of one history, as they are written.

    Args:
        leaders: the leader of each event, empty if it has none.
        lookback: from when on an event may have waited for as long as it must, in microseconds.
        strict: whether the order of any two entries counts.
    """

    def __init__(self, leaders: Mapping[str, str], lookback: int, *, strict: bool = False) -> None:
        self._leaders = leaders
        self._followers = Counter(leader for leader in leaders.values() if leader)
        self._lookback = lookback
        self._strict = strict
        self._had: dict[str, dict[str, None]] = {}
        """The events that each consumer has had to do with."""

    def about(self, at: int, kind: str, event: str, consumer: str) -> dict[str, int]:
        """Return the names of an entry's subjects, and whether it sees them or changes them."""
        if kind in TRACE_KINDS:
            return {}
        if event and consumer:
            self._had.setdefault(consumer, {})[event] = None
        if self._strict or kind not in PLAIN or at >= self._lookback or self._in_circle(event):
            return {"history": CHANGED}
        names = {"history": SEEN}
        if event:
            names[f"event {event}"] = CHANGED
        if consumer:
            names[f"consumer {consumer}"] = CHANGED
        names.update(self._among_others(kind, event, consumer))
        return names

    def _among_others(self, kind: str, event: str, consumer: str) -> dict[str, int]:
        """Return the subjects of an entry beyond its own event and its own consumer."""
        leader, followers = self._leaders.get(event, ""), self._followers[event]
        match kind:
            case "started" if leader:
                return {f"turns behind {leader}": CHANGED}
            case "delivered" if leader:
                return {f"delivered behind {leader}": BLIND}
            case "parked" if self._followers[leader] > 1:
                return {f"parked behind {leader}": BLIND}
            case "ended" if followers:
                behind = (f"delivered behind {event}", f"parked behind {event}")
                return {f"turns behind {event}": CHANGED, **dict.fromkeys(behind, SEEN)}
            case "crashed":
                return {f"event {had}": CHANGED for had in self._had.get(consumer, ())}
        return {}

    def _in_circle(self, event: str) -> bool:
        above = self._leaders.get(event, "")
        met = {event}
        while above and above not in met:
            met.add(above)
            above = self._leaders.get(above, "")
        return bool(above) and above == event
