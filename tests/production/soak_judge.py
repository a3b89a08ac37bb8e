"""Judges a round of the soak: what was published, what took effect, and what each process has noted.

The judge knows no engine. Times are milliseconds of the machine's clock, which all processes and servers share.

An effect may be repeated only if its process was killed or frozen, or the machine did not run it, or its server took
none of its writes, at some time between the grant of the first effect and that of the second. An effect may come
before that of its leader only if a sweep had found the event, and no process had heard of the leader for the lookback
before that.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

JUST_AFTER = 1_000.0
"""How long after a gap a process may still note what it could have noted before."""


class Published(NamedTuple):
    """An event, and what its handler is to do: work, raise once, or kill its process."""

    name: str
    leader: str
    """Empty if it follows nothing."""
    how: str


class Effect(NamedTuple):
    """An effect that the sink has accepted."""

    name: str
    by: str
    granted_at: float


class Note(NamedTuple):
    """What the engine said of an event, as the process noted it in that moment."""

    at: float
    what: str
    name: str
    by: str


class Gap(NamedTuple):
    """A time in which a process could do nothing about its leases."""

    since: float
    until: float = math.inf


@dataclass(frozen=True)
class Round:
    """All that is known of a round."""

    events: Sequence[Published]
    effects: Sequence[Effect]
    """In the order in which the sink accepted them."""
    dead: Collection[str]
    notes: Sequence[Note]
    lookback: float
    gaps: Mapping[str, Sequence[Gap]] = field(default_factory=dict)
    """The gaps of each process that has some."""
    uncertain: Collection[tuple[str, str]] = ()
    """Effects whose handler was cancelled before it had the reply of the sink: the event, and the process."""


def read_notes(folder: Path) -> list[Note]:
    """Return the notes of all processes; the last line of one that was killed may be cut off."""
    found = []
    for path in folder.glob("*.notes"):
        for line in path.read_text(encoding="utf-8").split("\n")[:-1]:
            at, what, name = line.split(" ", 2)
            found.append(Note(float(at), what, name, path.stem))
    return sorted(found)


def judge(one: Round) -> Iterator[str]:
    """Yield a sentence for each thing that was wrong."""
    effects: dict[str, list[tuple[int, Effect]]] = {}
    for place, effect in enumerate(one.effects):
        effects.setdefault(effect.name, []).append((place, effect))
    notes: dict[str, list[Note]] = {}
    for note in one.notes:
        notes.setdefault(note.name, []).append(note)
    for event in one.events:
        mine = [effect for _, effect in effects.get(event.name, ())]
        yield from _ends(one, event, mine)
        for first, second in pairwise(mine):
            if not _may_repeat(one, first, second):
                yield f"{event.name} took effect twice, by {first} and {second}"
        follows = event.leader and mine and event.leader not in one.dead
        if follows and not (_is_in_order(effects, event) or _was_overdue(one, notes, event, mine[0])):
            yield f"{event.name} took effect before {event.leader}: {mine[0]}"


def _ends(one: Round, event: Published, mine: Sequence[Effect]) -> Iterator[str]:
    if not mine and event.name not in one.dead:
        yield f"{event.name} was lost"
    if event.name in one.dead and event.how != "kills":
        yield f"{event.name} is a dead letter, and its handler does not kill its process"
    if mine and event.how == "kills":
        yield f"{event.name} took effect, though its handler kills its process"


def _may_repeat(one: Round, first: Effect, second: Effect) -> bool:
    if (first.name, first.by) in one.uncertain:
        return True
    return any(gap.since <= second.granted_at and gap.until >= first.granted_at for gap in one.gaps.get(first.by, ()))


def _is_in_order(effects: Mapping[str, Sequence[tuple[int, Effect]]], event: Published) -> bool:
    return event.leader in effects and effects[event.leader][0][0] < effects[event.name][0][0]


def _was_overdue(one: Round, notes: Mapping[str, Sequence[Note]], event: Published, effect: Effect) -> bool:
    """Return whether the engine had not heard of a leader for the lookback when a sweep found its follower.

    A process notes what the engine has said when it reads it. If it had a gap just then, that was earlier: by no more
    than the gap.
    """
    found = [note for note in notes.get(event.name, ()) if note.what == "rescued" and note.at <= effect.granted_at]
    if not found:
        return False
    rescued = found[-1]
    latest, earliest = rescued.at - _late_by(one, rescued), rescued.at - one.lookback
    heard = notes.get(event.leader, ())
    return not any(earliest + _late_by(one, note) < note.at < latest for note in heard)


def _late_by(one: Round, note: Note) -> float:
    """Return how long before its note the engine may have said something."""
    gaps = (gap for gap in one.gaps.get(note.by, ()) if gap.since <= note.at <= gap.until + JUST_AFTER)
    return max((min(gap.until, note.at) - gap.since for gap in gaps), default=0.0)
