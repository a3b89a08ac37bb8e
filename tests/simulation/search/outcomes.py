"""The outcome of a run, without differences that cannot be observed: what is left in Redis, verdict, and entries.

Of the order of entries this keeps what `simulation/invariants/commutativity.py` says that it matters, written down in
another way: as the orders of the entries of each event, of each consumer, and of each family's starts, ends, parkings.
"""

from __future__ import annotations

from collections import defaultdict
from typing import Any

import hiredis

from simulation.history.entries import Entry
from simulation.stores.resp import command
from simulation.world.laboratory import Laboratory
from simulation.world.run import Run

READING = {
    "string": ("GET",),
    "set": ("SMEMBERS",),
    "hash": ("HGETALL",),
    "list": ("LRANGE", 0, -1),
    "zset": ("ZRANGE", 0, -1, "WITHSCORES"),
}


def outcome(laboratory: Laboratory, run: Run) -> tuple[Any, ...]:
    """Return everything about a run that may not differ between equivalent orders."""
    violations = sorted((v.invariant, v.events, v.at) for v in run.judgement.violations)
    return run.verdict, tuple(violations), _orders(run), _left(laboratory)


def _orders(run: Run) -> tuple[Any, ...]:
    leaders = {entry.event: entry.details["follows"] for entry in run.history if entry.kind == "published"}
    orders: dict[tuple[str, str], list[Any]] = defaultdict(list)
    for entry in run.history:
        line = entry.to_json()
        if entry.event:
            orders["event", entry.event].append(line)
        if entry.consumer:
            orders["consumer", entry.consumer].append(line)
        for family in {leaders.get(entry.event, ""), entry.event} - {""}:
            if _is_turn(entry, family):
                orders["turns", family].append(line)
    for leader in set(leaders.values()) - {""}:
        orders["parked", leader] = _parked_before(run, leader, leaders)
    return tuple(sorted((key, tuple(line)) for key, line in orders.items()))


def _is_turn(entry: Entry, family: str) -> bool:
    return entry.kind == "dead-lettered" or entry.kind == ("ended" if entry.event == family else "started")


def _parked_before(run: Run, leader: str, leaders: dict[str, str]) -> list[Any]:
    """Return which of several siblings were parked before each end of their leader's handling."""
    parked: list[str] = []
    found: list[Any] = []
    for entry in run.history:
        if entry.kind == "parked" and leaders[entry.event] == leader:
            parked.append(entry.event)
        elif entry.kind == "ended" and entry.event == leader and list(leaders.values()).count(leader) > 1:
            found.append(tuple(sorted(parked)))
    return found


def _left(laboratory: Laboratory) -> tuple[Any, ...]:
    """Return what is in the store, and how long it stays; the census has looked after what was due to expire."""
    link, reader = laboratory.store.link(), hiredis.Reader()

    def ask(*words: str | bytes | int) -> Any:
        reader.feed(link.execute(command(*words), 1))
        return reader.gets()

    found = []
    for key in sorted(ask("KEYS", "*")):
        kind = ask("TYPE", key).decode()
        verb, *rest = READING[kind]
        value = ask(verb, key, *rest)
        if kind == "set":
            value = sorted(value)
        elif kind == "hash":
            value = sorted(zip(value[::2], value[1::2], strict=True))
        found.append((key, kind, repr(value), ask("PTTL", key)))
    link.close()
    return tuple(found)
