"""The entries of a history that matter to a violation, and the span of time that holds them.

`narrative.py` writes a violation for a reader; this is for the diagram, which jumps to where it happened.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from dataclasses import dataclass
from typing import TYPE_CHECKING

from reports.text.sentences import sentence

if TYPE_CHECKING:
    from simulation.history.history import History
    from simulation.invariants import Violation

MAX_STORY_LINES = 60
"""Greatest number of lines in a story; a witness is shown even beyond it."""

OMITTED = ("joined", "swept", "census")
"""Routine entries: shown only as witnesses."""


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a story: when, who, what, and whether the violation rests on it."""

    at: int
    consumer: str
    words: str
    witness: bool


@dataclass(frozen=True, slots=True)
class Story:
    """The lines of a story, and the number of further entries about it that were left out."""

    lines: tuple[Line, ...]
    omitted: int


class ViolationEntries:
    """Finds the entries of the violations of one history; it reads the history once."""

    def __init__(self, history: History) -> None:
        self._entries = history.entries
        self._about: dict[str, list[int]] = {}
        self._of: dict[str, list[int]] = {}
        for index, entry in enumerate(history.entries):
            if entry.event:
                self._about.setdefault(entry.event, []).append(index)
            elif entry.kind not in OMITTED:
                self._of.setdefault(entry.consumer, []).append(index)

    def story(self, violation: Violation, longest: int = MAX_STORY_LINES) -> Story:
        """Return the entries of a violation: its witness, and as many others about its events as there is room for."""
        witness = self._witness(violation)
        about = sorted(witness | self._around(violation, witness))
        kept = about if len(about) <= longest else self._kept(about, witness, longest)
        lines = (self._line(index, index in witness) for index in kept)
        return Story(tuple(lines), len(about) - len(kept))

    def stretch(self, violation: Violation) -> tuple[int, int]:
        """Return from when to when a violation is shown, in microseconds."""
        times = [line.at for line in self.story(violation).lines] or [violation.at]
        return min(times), max(times)

    def _witness(self, violation: Violation) -> set[int]:
        return {index for index in violation.witness if 0 <= index < len(self._entries)}

    def _around(self, violation: Violation, witness: set[int]) -> set[int]:
        """Find the entries about the violation's events and, between its witnesses, about its consumers."""
        found = {index for event in violation.events for index in self._about.get(event, ())}
        if witness:
            for consumer in ("", *violation.consumers):
                steps = self._of.get(consumer, [])
                found.update(steps[bisect_left(steps, min(witness)) : bisect_right(steps, max(witness))])
        return found

    def _line(self, index: int, witness: bool) -> Line:
        entry = self._entries[index]
        return Line(entry.at, entry.consumer, sentence(entry), witness)

    def _kept(self, about: list[int], witness: set[int], longest: int) -> list[int]:
        """Keep the witness, then entries about the events, then the rest; of each, those nearest to the witness."""
        anchors = sorted(witness) or about[:1]

        def rank(index: int) -> tuple[bool, bool, int]:
            place = bisect_left(anchors, index)
            away = min(abs(index - anchor) for anchor in anchors[max(0, place - 1) : place + 1])
            return index not in witness, not self._entries[index].event, away

        return sorted(sorted(about, key=rank)[: max(longest, len(witness))])
