"""Workloads: which events are published, when, and which of them follow which. Plain data and pure functions.

A workload gives publications in the order of their time. The generators are lazy where that costs nothing; all
randomness comes from the stream that is passed in. Events are named ("a", "c3.2"); an event's UUID is derived from
its name and the seed, so that a name means the same event in a history, in Redis and in a report.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import blake2b
from pathlib import Path
from typing import Any
from uuid import UUID

from simulation.history.lines import LineTooLong, bounded_lines
from simulation.history.untrusted import check_name
from simulation.history.untrusted_files import is_stream
from simulation.kernel.random_streams import Stream
from simulation.kernel.untrusted_json import parse_json

UNREADABLE = b'{"id": "this message was damaged'
"""The body of an event whose payload cannot be read."""

IDENTITY = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
"""The form of the id of an event in a key or a message."""


@dataclass(frozen=True, slots=True)
class Plan:
    """One event, before it has a moment and an identity."""

    name: str
    follows: str = ""
    at: int = 0
    """The time of its publication, in microseconds."""
    occurred: int | None = None
    """The time of its occurrence, in microseconds; None means that of its publication."""
    published: bool = True
    """Whether it is published at all; an event that is not may still be followed."""
    readable: bool = True


@dataclass(frozen=True, slots=True)
class Publication:
    """One event as a producer hands it to the broker."""

    at: int
    name: str
    id: UUID
    follows: str
    occurred: int
    body: bytes
    """The message, in Prefect's JSON."""


def identify(name: str, seed: int) -> UUID:
    """Return the id of a named event: the same name and seed always give the same."""
    return UUID(bytes=blake2b(name.encode(), key=f"causim:{seed}".encode(), digest_size=16).digest(), version=4)


def publications(plans: Iterable[Plan], seed: int, epoch: datetime) -> Iterator[Publication]:
    """Turn plans into publications, in the order of their time (ties in the order given)."""
    waiting = sorted((plan for plan in plans if plan.published), key=lambda plan: plan.at)
    del plans
    waiting.reverse()
    while waiting:
        plan = waiting.pop()  # what is published is kept no longer: there may be a million of them
        occurred = plan.at if plan.occurred is None else plan.occurred
        identity = identify(plan.name, seed)
        body = (
            _body(plan, identity, seed, epoch + timedelta(microseconds=occurred), epoch)
            if plan.readable
            else UNREADABLE
        )
        yield Publication(plan.at, plan.name, identity, plan.follows, occurred, body)


def _body(plan: Plan, identity: UUID, seed: int, occurred: datetime, epoch: datetime) -> bytes:
    received = epoch + timedelta(microseconds=plan.at)
    record: dict[str, Any] = {
        "id": str(identity),
        "event": "causim.event",
        "resource": {"prefect.resource.id": f"causim.event.{plan.name}"},
        "related": [],
        "payload": {"name": plan.name},
        "occurred": instant(occurred),
        "received": instant(received),
        "follows": str(identify(plan.follows, seed)) if plan.follows else None,
    }
    return json.dumps(record, separators=(",", ":")).encode()


def instant(moment: datetime) -> str:
    """Return a moment as messages write it."""
    return moment.isoformat(timespec="microseconds").replace("+00:00", "Z")


# -- shapes ------------------------------------------------------------------------------------------------------


def chains(count: int, length: int) -> list[list[Plan]]:
    """Return `count` chains of `length` events, each following the one before it: c1.1, c1.2, …"""
    return [
        [Plan(f"c{c}.{i}", f"c{c}.{i - 1}" if i > 1 else "") for i in range(1, length + 1)] for c in range(1, count + 1)
    ]


def fans(count: int, followers: int) -> list[list[Plan]]:
    """Return `count` leaders with `followers` events that follow each: f1, f1.1, f1.2, …"""
    return [
        [Plan(f"f{c}"), *(Plan(f"f{c}.{i}", f"f{c}") for i in range(1, followers + 1))] for c in range(1, count + 1)
    ]


def trees(count: int, depth: int, branching: int) -> list[list[Plan]]:
    """Return `count` trees in which every event above the last level is followed by `branching` others."""
    return [_tree(f"t{c}", depth, branching) for c in range(1, count + 1)]


def _tree(root: str, depth: int, branching: int) -> list[Plan]:
    found = [Plan(root)]
    level = [root]
    for _ in range(depth - 1):
        children = [(f"{parent}.{i}", parent) for parent in level for i in range(1, branching + 1)]
        found += [Plan(name, parent) for name, parent in children]
        level = [name for name, _ in children]
    return found


def cycles(count: int, length: int) -> list[list[Plan]]:
    """Return `count` rings of `length` events in which the first follows the last; of length 1, itself."""
    return [
        [Plan(f"r{c}.{i}", f"r{c}.{(i - 2) % length + 1}") for i in range(1, length + 1)] for c in range(1, count + 1)
    ]


def arrange(families: Sequence[Sequence[Plan]], order: str, interleave: bool, stream: Stream) -> list[Plan]:
    """Return all events in the order in which they are to be published.

    `order` is about each family: `in-order`, `reversed` or `shuffled`. Families follow one another, or are
    interleaved: the first of each, then the second of each.
    """
    arranged: list[list[Plan]] = []
    for family in families:
        members = list(family)
        if order == "reversed":
            members.reverse()
        elif order == "shuffled":
            stream.shuffle(members)
        arranged.append(members)
    if not interleave:
        return [plan for members in arranged for plan in members]
    longest = max((len(members) for members in arranged), default=0)
    return [members[i] for i in range(longest) for members in arranged if i < len(members)]


# -- traces ------------------------------------------------------------------------------------------------------


OWN_NAMES = frozenset({"name", "follows_name"})
"""Keys of a line of a trace beside those of the event: the ids that its log has for the event and for its leader."""

_FIRST, _LAST = datetime(1970, 1, 1, tzinfo=UTC), datetime(2500, 1, 1, tzinfo=UTC)
"""A server's clock counts nanoseconds since 1970, in 64 bits."""


class BadTrace(Exception):
    """A file of events cannot be used. The message names the file, the line and the mistake."""


def read_trace(path: Path, limit: int | None = None) -> list[dict[str, Any]]:
    """Read events in Prefect's JSON, one a line. Raises BadTrace, OSError."""
    events: list[dict[str, Any]] = []
    is_stream(path)
    with path.open("rb") as file:
        number = 0
        try:
            for number, line in enumerate(bounded_lines(file), start=1):
                if limit is not None and len(events) >= limit:
                    break
                if line.strip():
                    events.append(_trace_event(line, f"{path}:{number}"))
        except LineTooLong as error:
            raise BadTrace(f"{path}:{number + 1}: {error}") from None
    if not events:
        raise BadTrace(f"{path}: holds no events")
    return events


def _trace_event(line: bytes, where: str) -> dict[str, Any]:
    try:
        record = parse_json(line)
        UUID(record["id"])
        _check_year(_occurred(record))
        if record.get("follows"):
            UUID(record["follows"])
        for name in OWN_NAMES:
            check_name(repr(name), str(record.get(name) or ""))
        json.dumps(record, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        raise BadTrace(
            f"{where}: holds half of a character (a lone surrogate); write it whole, or leave it out"
        ) from None
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        reason = f"'{error.args[0]}' is missing" if isinstance(error, KeyError) else str(error)
        raise BadTrace(f"{where}: not an event with 'id', 'occurred' and 'follows': {reason}") from None
    return dict(record)


def trace_epoch(events: Sequence[dict[str, Any]]) -> datetime:
    """Return the instant at which a run of this trace begins: the second of its first event."""
    return min(map(_occurred, events)).replace(microsecond=0)


def trace_length(events: Sequence[dict[str, Any]], epoch: datetime) -> int:
    """Return the time from the epoch to the last event of a trace, in microseconds."""
    return (max(map(_occurred, events)) - epoch) // timedelta(microseconds=1)


def _occurred(event: dict[str, Any]) -> datetime:
    """Return the `occurred` of an event; a time without a zone is UTC. Raises ValueError, TypeError, KeyError."""
    moment = datetime.fromisoformat(event["occurred"])
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _check_year(moment: datetime) -> None:
    if not _FIRST <= moment <= _LAST:
        raise ValueError(f"'occurred' is {moment.isoformat()}; a clock is run from {_FIRST.year} to {_LAST.year} only")


def trace_publications(events: Sequence[dict[str, Any]], epoch: datetime, speed: float) -> Iterator[Publication]:
    """Publish the events of a trace when they occurred, `speed` times as fast, bodies untouched."""
    named = names_of(events)
    moments = []
    for event in events:
        elapsed = _occurred(event) - epoch
        occurred = elapsed // timedelta(microseconds=1)
        moments.append((round(occurred / speed), occurred, event))
    for at, occurred, event in sorted(moments, key=lambda moment: moment[0]):
        said = {key: value for key, value in event.items() if key not in OWN_NAMES}
        yield Publication(
            at=at,
            name=named[event["id"]],
            id=UUID(event["id"]),
            follows=_leader(event, named),
            occurred=occurred,
            body=json.dumps(said, separators=(",", ":"), ensure_ascii=False).encode(),
        )


def trace_leaders(events: Sequence[dict[str, Any]]) -> dict[str, str]:
    """Return the name of the leader of each event of a trace by the event's name, empty if it has none."""
    named = names_of(events)
    return {named[event["id"]]: _leader(event, named) for event in events}


def _leader(event: dict[str, Any], named: dict[str, str]) -> str:
    follows = event.get("follows") or ""
    return named.get(follows) or str(event.get("follows_name") or follows)


def names_of(events: Sequence[dict[str, Any]]) -> dict[str, str]:
    """Return the name of each event of a trace by its id: its own, or the end of its id if it has none."""
    short = short_names([event["id"] for event in events])
    own = {event["id"]: str(event["name"]) for event in events if event.get("name")}
    taken = Counter([*own.values(), *(short[event["id"]] for event in events if event["id"] not in own)])
    return {**short, **{identity: name for identity, name in own.items() if taken[name] == 1}}


def short_names(ids: Sequence[str]) -> dict[str, str]:
    """Return the shortest endings, of at least eight characters, that distinguish all ids."""
    for length in (8, 12, 17, 36):
        names = {identity: identity[-length:] for identity in ids}
        if len(set(names.values())) == len(set(ids)):
            return names
    return {identity: identity for identity in ids}
