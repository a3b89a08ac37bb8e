"""The space-time diagram of a run, computed apart from how it is drawn: lanes, marks, and where to look.

`marks.py` says what stands where; here the marks are brought under a cap, so that a browser can draw them, and each
violation gets its marks and its stretch of time. `templates/` knows how all this looks.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from reports.page.marks import Mark, Marks
from reports.text.violation_story import ViolationEntries

if TYPE_CHECKING:
    from simulation.history.history import History
    from simulation.invariants import Violation

CAP = 60_000
"""Greatest number of marks in a diagram: about as many as a browser draws without a pause."""

WIRE = ("command", "reply")


@dataclass(frozen=True, slots=True)
class Lane:
    """A place: the broker, a consumer or Redis; `rows` is how many things happen on it at once."""

    name: str
    kind: str
    rows: int


@dataclass(frozen=True, slots=True)
class Focus:
    """The place of a violation in the diagram: its marks, its events, and its span of time."""

    violation: Violation
    marks: tuple[int, ...]
    events: tuple[int, ...]
    begin: int
    end: int


@dataclass(frozen=True, slots=True)
class Cut:
    """The marks left out of a diagram to stay under the cap: their number, and the time of the first."""

    marks: int
    since: int
    """Microseconds since the start of the run. Before it, only traced commands and replies are left out."""


@dataclass(frozen=True, slots=True)
class Diagram:
    """Everything that can be drawn of a run. Times are microseconds since its start."""

    lanes: tuple[Lane, ...]
    events: tuple[tuple[str, int], ...]
    """The events' names, each with the place of its leader in this list, or -1."""
    marks: tuple[Mark, ...]
    """In order of time."""
    foci: tuple[Focus, ...]
    end: int
    cut: Cut | None


def layout(history: History, violations: Sequence[Violation] = (), cap: int = CAP) -> Diagram:
    """Lay a run out as a diagram of at most `cap` marks, beyond which only the marks of violations are kept."""
    found = Marks(history)
    found.all.sort(key=lambda mark: (mark.at, mark.until))
    about = {found.events[event] for v in violations for event in v.events if event in found.events}
    witness = {index for v in violations for index in v.witness}
    marks, cut = _under_the_cap(found.all, about, witness, cap, found.index.end_at)
    return Diagram(
        lanes=_lanes(found),
        events=_events(found),
        marks=tuple(marks),
        foci=_foci(history, violations, marks, found.events),
        end=found.index.end_at,
        cut=cut,
    )


def plain(diagram: Diagram) -> dict[str, Any]:
    """Return a diagram as JSON values, its marks as short arrays, for the script that draws it."""
    kinds, words = _table(mark.kind for mark in diagram.marks), _table(mark.words for mark in diagram.marks)
    return {
        "end": diagram.end,
        "lanes": [[lane.name, lane.kind, lane.rows] for lane in diagram.lanes],
        "events": [list(event) for event in diagram.events],
        "kinds": list(kinds),
        "words": list(words),
        "marks": [
            [kinds[m.kind], m.at, m.until - m.at, m.lane, m.to, m.event, m.row, words[m.words]] for m in diagram.marks
        ],
        "violations": [
            {
                "invariant": focus.violation.invariant,
                "at": focus.violation.at,
                "because": focus.violation.because,
                "marks": list(focus.marks),
                "events": list(focus.events),
                "stretch": [focus.begin, focus.end],
            }
            for focus in diagram.foci
        ],
    }


def _table(words: Iterable[str]) -> dict[str, int]:
    """Number the different words, so that each is written down once."""
    return {word: place for place, word in enumerate(dict.fromkeys(words))}


def _lanes(found: Marks) -> tuple[Lane, ...]:
    names = [("broker", "broker"), *((name, "consumer") for name in found.consumers), ("Redis", "redis")]
    return tuple(Lane(name, kind, rows) for (name, kind), rows in zip(names, found.rows, strict=True))


def _events(found: Marks) -> tuple[tuple[str, int], ...]:
    leaders = [found.index.leader_of(event) for event in found.index if event.is_mentioned]
    places = [found.events.get(leader.name, -1) if leader else -1 for leader in leaders]
    return tuple(zip(found.events, places, strict=True))


def _under_the_cap(
    marks: list[Mark], about: set[int], witness: set[int], cap: int, end: int
) -> tuple[list[Mark], Cut | None]:
    """Keep the marks of violations; of the rest, drop commands and replies first, then the latest marks."""
    if len(marks) <= cap:
        return marks, None
    relevant = [mark.event in about or not witness.isdisjoint(mark.entries) for mark in marks]
    room, kept, since = cap - sum(relevant), [], end
    for mark, is_relevant in zip(marks, relevant, strict=True):
        if is_relevant:
            kept.append(mark)
        elif mark.kind not in WIRE:
            if room > 0:
                kept.append(mark)
            else:
                since = min(since, mark.at)
            room -= 1
    return kept, Cut(len(marks) - len(kept), since)


def _foci(
    history: History, violations: Sequence[Violation], marks: list[Mark], events: dict[str, int]
) -> tuple[Focus, ...]:
    shown: dict[int, list[int]] = {}
    for place, mark in enumerate(marks):
        for index in mark.entries:
            shown.setdefault(index, []).append(place)
    chosen = ViolationEntries(history)
    return tuple(
        Focus(
            violation,
            tuple(sorted({place for index in violation.witness for place in shown.get(index, ())})),
            tuple(events[event] for event in violation.events if event in events),
            *chosen.stretch(violation),
        )
        for violation in violations
    )
