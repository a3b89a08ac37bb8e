"""The behaviour of a run as one number: equal for runs that differ only in times and in the order of commuting steps.

The comparison covers the observations of each part of the run:

1. of each event, the order of the entries that concern it, and their consumers;
2. of each consumer, the order of its actions, and on each of its connections, of its requests to Redis with the shapes
   of their replies;
3. of each family, the order of the ends of the leader's handlings and the starts of its followers, and which siblings
   were parked before each of those ends (the same orders as in `simulation/invariants/commutativity.py`);
4. a loss of the store, against the order of every event.

Times, ids and fencing tokens are left out. Consumers are interchangeable, so they are numbered by their actions and
not by their names.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable
from hashlib import blake2b
from typing import Any

from simulation.history.entries import Entry
from simulation.search.coverage.event_model import EventModel
from simulation.world.request_log import RequestLog

MAX_ENTRIES = 20_000
"""A longer run is not compared with others: it never repeats one."""

SALIENT = ("attempt", "because", "by", "via", "outcome", "write", "fault", "found")
"""The details that make a difference; the others are ids, tokens and times."""

_IGNORED = frozenset({"command", "reply", "census", "phase", "acknowledged"})
"""`acknowledged` is what a consumer does at its own leisure: the broker's queue is not read by any engine."""


class BehaviourReader:
    """Reads the entries of one run and keeps the orders that matter."""

    def __init__(self, model: EventModel) -> None:
        self._model = model
        self._leaders: dict[str, str] = {}
        self._events: dict[str, list[tuple[Any, ...]]] = defaultdict(list)
        self._consumers: dict[str, list[tuple[Any, ...]]] = defaultdict(list)
        self._turns: dict[str, list[tuple[str, ...]]] = defaultdict(list)
        self._parked: dict[str, dict[str, None]] = defaultdict(dict)

    def add(self, entry: Entry) -> None:
        """Note one entry. The model must not have read it yet."""
        _, kind, event, consumer, details = entry
        if kind in _IGNORED:
            return
        if kind == "published":
            self._leaders[event] = str(details.get("follows") or "")
        what = kind, event, *(f"{name}={details[name]}" for name in SALIENT if name in details)
        if consumer:
            self._consumers[consumer].append(what)
        concerned: Iterable[str] = (event,) if event else ()
        if kind in ("crashed", "stopped"):
            concerned = self._model.in_hand_of(consumer)
        elif kind == "store-lost":
            concerned = tuple(self._events)
        for name in concerned:
            self._events[name].append((consumer, what))
        self._take_turns(kind, event)

    def _take_turns(self, kind: str, event: str) -> None:
        leader = self._leaders.get(event, "")
        if kind == "parked" and leader:
            self._parked[leader][event] = None
        elif kind in ("started", "dead-lettered") and leader:
            self._turns[leader].append((kind, event))
        elif kind == "ended":
            self._turns[event].append((kind, *sorted(self._parked[event])))

    def fingerprint(self, requests: RequestLog) -> int:
        """Return the behaviour as a number of 64 bits."""
        views = {name: (tuple(self._consumers[name]), requests.of(name)) for name in self._consumers}
        order = sorted(views, key=lambda name: repr(views[name]))
        number = {name: place for place, name in enumerate(order)}
        events = sorted(
            (event, tuple((number.get(consumer, -1), what) for consumer, what in entries))
            for event, entries in self._events.items()
        )
        siblings = Counter(leader for leader in self._leaders.values() if leader)
        turns = sorted(
            # Without siblings it makes no difference whether a follower was parked before its leader's end.
            (name, tuple(took) if siblings[name] > 1 else tuple(turn[: 2 - (turn[0] == "ended")] for turn in took))
            for name, took in self._turns.items()
            if siblings[name]
        )
        said = repr((events, [views[name] for name in order], turns))
        return int.from_bytes(blake2b(said.encode(), digest_size=8).digest())
