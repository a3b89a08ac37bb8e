"""The cause of a violation, which distinguishes a smaller run of the same finding from one of another bug.

Shrinking tries hundreds of other runs, and some violate the same invariant for another reason. A smaller run is the
same finding if

1. the invariant's reason is the same sentence, up to names, numbers and times;
2. nothing anomalous happened to the violation's family of events that had not happened to the family of the original
   violation: no redelivery, crash, loss, failure, rescue, or leader that never came;
3. no fault occurred, and nothing of ANOMALIES happened anywhere, that had not in the original run;
4. each event is one of the original, and follows its leader there, no event, or, where that was left out, the next
   event above it. The passes see to this.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from simulation.history.entries import Entry
from simulation.history.history import History
from simulation.invariants import Violation
from simulation.search.coverage.event_model import EventModel
from simulation.world.run import Run

ANOMALIES = frozenset(
    {
        "leader-missing",
        "in-cycle",
        "duplicated",
        "dropped",
        "redelivered",
        "rejected",
        "dead-lettered",
        "returned-late",
        "rescued",
        "lease-expired",
        "outlasted-lease",
        "handler-failed",
        "crashed",
        "stopped",
        "paused",
        "unreachable",
        "store-lost",
        "request-lost",
        "reply-lost",
        "error-reply",
    }
)
"""The words of coverage that say that something went otherwise than in an undisturbed run."""

_OF_EVENTS = frozenset({"duplicated", "dropped", "rejected", "dead-lettered", "lease-lost"})
_OF_CONSUMERS = frozenset({"crashed", "stopped", "paused", "unreachable"})
_NUMBER = re.compile(r"\d[\d,.]*(?:\s?(?:µs|us|ms|s|min|h|%)\b)?")
_KEY = re.compile(r"\{?causim\b[^\s,]*:[^\s,]+")
"""A key of the store: it holds the id of an event, which differs from run to run."""
_LIST = re.compile(r"NAME(?:(?:, | and )NAME)*(?: and # more)?")
_PLURAL = re.compile(r"# (\w+?)s\b")


@dataclass(frozen=True, slots=True)
class Cause:
    """The facts of a violation that a smaller run must share."""

    invariant: str
    reason: str
    """The sentence of the violation without names, numbers and times."""
    of_family: frozenset[str]
    """Anomalies of the violation's family of events, which an undisturbed run does not have."""
    of_run: frozenset[str]
    """The anomalies of the whole run, and the kinds of its faults."""

    @classmethod
    def of(cls, run: Run, violation: Violation) -> Cause:
        """Return the cause of a violation of a run."""
        words = {word for word, count in run.judgement.coverage.items() if count and word in ANOMALIES}
        faults = {f"fault {entry.details.get('fault', '')}" for entry in run.history.of("fault")}
        family = frozenset(_anomalies(run.history, family_of(run.history, violation.events)))
        return cls(violation.invariant, reason(run.history, violation), family, frozenset(words | faults))

    def explains(self, run: Run) -> bool:
        """Whether a run violates the invariant for this cause too."""
        found = (v for v in run.judgement.violations if v.invariant == self.invariant)
        return any(self._covers(Cause.of(run, violation)) for violation in found)

    def _covers(self, other: Cause) -> bool:
        return self.reason == other.reason and other.of_family <= self.of_family and other.of_run <= self.of_run


def reason(history: History, violation: Violation) -> str:
    """Return the reason of a violation, without the names, numbers and times of its run."""
    names = {entry.event for entry in history} | {entry.consumer for entry in history}
    names |= {str(entry.details.get("follows") or "") for entry in history.of("published")}
    words = sorted(names - {""}, key=len, reverse=True)
    sentence = violation.because
    if words:
        sentence = re.sub(rf"(?<![\w-])(?:{'|'.join(map(re.escape, words))})(?![\w-])", "NAME", sentence)
    sentence = _PLURAL.sub(r"# \1", _NUMBER.sub("#", _KEY.sub("NAME", sentence)))
    return _LIST.sub("NAME", sentence)


def leaders_of(history: History) -> Mapping[str, str]:
    """Return the leader of each published event; empty if it has none."""
    return {entry.event: str(entry.details.get("follows") or "") for entry in history.of("published")}


def family_of(history: History, events: Iterable[str]) -> frozenset[str]:
    """Return the events that are connected to some events through leaders and followers, and these events."""
    beside: dict[str, set[str]] = {}
    for event, leader in leaders_of(history).items():
        if leader:
            beside.setdefault(event, set()).add(leader)
            beside.setdefault(leader, set()).add(event)
    found, open_ends = set(events), list(events)
    while open_ends:
        for other in beside.get(open_ends.pop(), set()) - found:
            found.add(other)
            open_ends.append(other)
    return frozenset(found)


def _anomalies(history: History, family: frozenset[str]) -> Iterator[str]:
    model = EventModel()
    delivered: set[str] = set()
    for entry in history:
        yield from _shows(entry, family, model)
        if entry.kind in ("delivered", "started"):
            delivered.add(entry.event)
        model.add(entry)
    leaders = leaders_of(history)
    if any(leaders.get(event) and leaders[event] not in delivered for event in family):
        yield "a leader never came"


def _shows(entry: Entry, family: frozenset[str], model: EventModel) -> Iterator[str]:
    _, kind, event, consumer, details = entry
    if kind == "store-lost":
        yield kind
    elif kind in _OF_CONSUMERS:
        if not consumer or not family.isdisjoint(model.in_hand_of(consumer)):
            yield kind
    elif event not in family:
        return
    elif kind in _OF_EVENTS:
        yield kind
    elif kind == "delivered" and details.get("attempt", 1) > 1:
        yield "redelivered"
    elif kind == "ended" and details.get("outcome") != "ok":
        yield "handler failed"
    elif kind == "started" and details.get("via") == "rescued":
        yield "rescued"
