"""The state of each event as a history shows it, and the transitions between these states.

The model knows no engine: it reads the entries of a history, so the same table measures every engine. A transition is a
state and what happened in it, such as `parked · started: rescued`. For an event that is about to be parked or handled,
the state names its leader too: `in hand, leader in handling · parked`.

TRANSITIONS lists the possible ones. An entry that is not listed is counted all the same; only a listed transition can
be reported as never hit.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from simulation.history.entries import Entry

UNPUBLISHED, QUEUED, IN_HAND, PARKED = "unpublished", "queued", "in hand", "parked"
HANDLING, FAILED, ABANDONED, HANDLED, DEAD = "in handling", "failed", "abandoned", "handled", "dead"

_LEADER_WAITS = {QUEUED: "waits", IN_HAND: "waits", PARKED: "waits", FAILED: "waits", UNPUBLISHED: "absent"}
_WITH_LEADER = frozenset({"parked", "started"})
_DETAIL = {"refused": "because", "started": "via", "ended": "outcome"}
_GONE = frozenset({"crashed", "stopped", "paused"})


_LISTED = {
    UNPUBLISHED: ("published",),
    QUEUED: ("delivered", "delivered again", "duplicated", "dropped", "store-lost", "started: delivered"),
    IN_HAND: (
        "started: delivered",
        "refused: held",
        "delivered",
        "delivered again",
        "duplicated",
        "rejected",
        "crashed",
        "stopped",
        "paused",
        "store-lost",
        "leader handled · started: delivered",
        "leader handled · started: released",
        "leader absent · parked",
        "leader waits · parked",
        "leader in handling · parked",
        "leader handled · parked",
        "leader abandoned · parked",
        "leader dead · parked",
    ),
    PARKED: (
        "acknowledged",
        "delivered",
        "duplicated",
        "store-lost",
        "leader handled · started: released",
        "leader dead · started: released",
        "leader absent · started: rescued",
        "leader waits · started: rescued",
        "leader handled · started: rescued",
        "leader dead · started: rescued",
        "leader handled · started: delivered",
        "leader absent · parked",
        "leader waits · parked",
        "leader in handling · parked",
        "leader handled · parked",
        "leader abandoned · parked",
    ),
    HANDLING: (
        "ended: ok",
        "ended: failed",
        "delivered",
        "delivered again",
        "duplicated",
        "refused: held",
        "rejected",
        "parked",
        "lease-lost",
        "crashed",
        "paused",
        "store-lost",
    ),
    FAILED: ("rejected", "delivered", "delivered again", "started: released", "started: rescued", "dead-lettered"),
    ABANDONED: ("delivered", "delivered again", "dropped", "started: released", "started: rescued"),
    HANDLED: (
        "acknowledged",
        "delivered",
        "delivered again",
        "duplicated",
        "refused: seen",
        "refused: held",
        "rejected",
        "parked",
        "store-lost",
    ),
}
"""Possible outcomes in each state on a correct engine, as runs of all shipped scenarios have shown them."""


TRANSITIONS: frozenset[str] = frozenset(
    f"{state}, {what}" if what.startswith("leader ") else f"{state} · {what}"
    for state, happenings in _LISTED.items()
    for what in happenings
)
"""Every transition that can be reported as never hit."""


class EventModel:
    """The states of the events of one run, entry by entry."""

    def __init__(self) -> None:
        self.transitions: Counter[str] = Counter()
        self.faults_by_state: Counter[str] = Counter()
        """Faults by the state of the events that they concerned: `crash · in handling`; `idle` if there was none."""
        self._states: dict[str, str] = {}
        self._leaders: dict[str, str] = {}
        self._working: dict[str, dict[str, None]] = {}
        """The events that each consumer has in hand or in handling."""

    def in_hand_of(self, consumer: str) -> Iterable[str]:
        """Return the events that a consumer has in hand or in handling."""
        return tuple(self._working.get(consumer, ()))

    def add(self, entry: Entry) -> None:
        """Move the events that an entry concerns, and count the transitions."""
        _, kind, event, consumer, details = entry
        if kind == "fault":
            self._count_fault(str(details.get("fault", "")), event, consumer)
        elif kind in _GONE:
            for concerned in self.in_hand_of(consumer):
                self._move(concerned, kind, kind)
            if kind != "paused":
                self._working.pop(consumer, None)
        elif kind == "store-lost":
            for concerned in self._states:
                self._move(concerned, kind, kind)
        elif event:
            if kind == "published":
                self._leaders[event] = str(details.get("follows") or "")
            self._move(event, kind, self._outcome(kind, details))
            self._hold(kind, event, consumer, details)

    @staticmethod
    def _outcome(kind: str, details: object) -> str:
        assert isinstance(details, dict)
        if kind == "delivered":
            return "delivered again" if details.get("attempt", 1) > 1 else kind
        return f"{kind}: {details.get(_DETAIL[kind], '')}" if kind in _DETAIL else kind

    def _move(self, event: str, kind: str, outcome: str) -> None:
        state = self._states.get(event, UNPUBLISHED)
        leader = self._leaders.get(event, "") if kind in _WITH_LEADER and state in (IN_HAND, PARKED) else ""
        if leader:
            above = self._states.get(leader, UNPUBLISHED)
            self.transitions[f"{state}, leader {_LEADER_WAITS.get(above, above)} · {outcome}"] += 1
        else:
            self.transitions[f"{state} · {outcome}"] += 1
        self._states[event] = _next(state, kind, outcome)

    def _hold(self, kind: str, event: str, consumer: str, details: object) -> None:
        if kind in ("delivered", "started"):
            self._working.setdefault(consumer, {})[event] = None
        elif kind in ("ended", "parked", "refused", "rejected", "acknowledged"):
            self._working.get(consumer, {}).pop(event, None)

    def _count_fault(self, fault: str, event: str, consumer: str) -> None:
        concerned: Iterable[str] = (event,) if event else self.in_hand_of(consumer) if consumer else self._unfinished()
        states = {self._states.get(name, UNPUBLISHED) for name in concerned}
        for state in states or {"idle"}:
            self.faults_by_state[f"{fault} · {state}"] += 1

    def _unfinished(self) -> Iterable[str]:
        return [name for name, state in self._states.items() if state not in (HANDLED, DEAD)]


_TARGETS = {"published": QUEUED, "started": HANDLING, "dead-lettered": DEAD}
"""The next state of an event by kind of entry, from any state."""

_MOVES = {
    **dict.fromkeys(((state, "delivered") for state in (UNPUBLISHED, QUEUED, FAILED, ABANDONED)), IN_HAND),
    # A consumer may hear that an event was parked after another has handled it.
    **dict.fromkeys(((state, "parked") for state in (UNPUBLISHED, QUEUED, IN_HAND, PARKED, FAILED, ABANDONED)), PARKED),
    **dict.fromkeys(((state, kind) for state in (IN_HAND, FAILED) for kind in ("rejected", "refused")), QUEUED),
    **dict.fromkeys(((state, kind) for state in (IN_HAND, HANDLING) for kind in ("crashed", "stopped")), ABANDONED),
}


def _next(state: str, kind: str, outcome: str) -> str:
    if kind == "ended":
        return HANDLED if outcome == "ended: ok" else FAILED
    return _TARGETS.get(kind) or _MOVES.get((state, kind), state)
