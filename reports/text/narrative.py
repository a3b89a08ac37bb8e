"""A violation step by step: the acts of consumers, their Redis commands with the keys, and the replies.

For small runs that were traced. Ids are written as the names of their events, keys without their scope. Commands about
other events than the violation's are left out and counted. A reply stands behind its command. If the consumer received
it only after something else had happened, the line says when.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any

import hiredis

from reports.text.sentences import moment, sentence
from simulation.scenario.workload import IDENTITY

if TYPE_CHECKING:
    from simulation.history.entries import Entry
    from simulation.history.history import History
    from simulation.invariants import Violation

OMITTED = frozenset({"phase", "census", "joined", "acknowledged", "swept"})
"""Kinds of entries that say nothing about why something went wrong, unless a violation rests on them."""

HANDSHAKE = frozenset({"AUTH", "HELLO", "CLIENT", "SELECT", "SCRIPT", "COMMAND", "PING", "ECHO", "READONLY"})
"""Commands with which clients prepare their connections."""

MAX_LINES = 120
"""Greatest number of lines in a story."""

LONGEST_WORD = 48
LONGEST_VALUE = 160

_SCOPE = re.compile(r"^\{?causim(-[0-9a-f]+)?\}?:")


@dataclass(slots=True)
class StoryLine:
    """One line: its time, subject and words, and whether the violation rests on it."""

    at: int
    who: str
    words: str
    witness: bool = False
    number: int = 0
    """Number of the step within the whole story, from 1 on."""


@dataclass(frozen=True, slots=True)
class Narrative:
    """The lines, the number of commands about other events left out, and of lines left out for want of room."""

    lines: tuple[StoryLine, ...]
    omitted: int
    unlisted: int = 0


class Naming:
    """Writes ids as the names of their events and keys without their scope."""

    def __init__(self, history: History) -> None:
        published = history.of("published")
        self._names = {str(entry.details["id"]): entry.event for entry in published if "id" in entry.details}

    def __call__(self, text: str) -> str:
        """Return a word or a sentence with ids replaced by names."""
        return IDENTITY.sub(lambda found: self._names.get(found[0], found[0][:8] + "…"), _SCOPE.sub("", text))

    def sentence(self, text: str) -> str:
        """Return a sentence whose words may be keys."""
        return " ".join(self(word) for word in text.split())

    def word(self, word: str) -> str:
        """Return a word of a command, shortened."""
        if word.startswith("{") and len(word) > LONGEST_WORD:
            found = IDENTITY.findall(word)
            return "{" + next((self._names[i] for i in found if i in self._names), "") + " …}"
        text = self(" ".join(word.split()))
        return text if len(text) <= LONGEST_WORD else text[:LONGEST_WORD] + "…"

    def value(self, value: Any) -> str:
        """Return what Redis answered, shortened."""
        match value:
            case None:
                return "nil"
            case bytes():
                return self.word(value.decode("utf-8", "backslashreplace")) or '""'
            case list():
                text = "[" + ", ".join(map(self.value, value)) + "]"
                return text if len(text) <= LONGEST_VALUE else text[:LONGEST_VALUE] + "…"
            case Exception():
                return f"error: {value}"
            case _:
                return str(value)


def narrate(history: History, violation: Violation, longest: int = MAX_LINES) -> Narrative:
    """Return how a violation came about, from the start of the run to the last entry of its witness.

    Of a longer story, the lines of the witness are kept, and those nearest to them.
    """
    whole = _Narrator(history, violation).narrate()
    for number, line in enumerate(whole.lines, start=1):
        line.number = number
    if len(whole.lines) <= longest:
        return whole
    kept = tuple(whole.lines[place] for place in chosen([line.witness for line in whole.lines], longest))
    return Narrative(kept, whole.omitted, len(whole.lines) - len(kept))


def chosen(witnesses: Sequence[bool], most: int = MAX_LINES) -> list[int]:
    """Return which steps of a story are shown, in order: all if they are few.

    Of a long story, the steps of the witness come first, then those around them, the nearest first. So the end is
    shown, however long the story is.
    """
    if len(witnesses) <= most:
        return list(range(len(witnesses)))
    marked = [place for place, witness in enumerate(witnesses) if witness] or [len(witnesses) - 1]

    def distance(place: int) -> tuple[int, int]:
        right = bisect_left(marked, place)
        near = (abs(place - marked[beside]) for beside in (right - 1, right) if 0 <= beside < len(marked))
        return min(near), -place

    return sorted(sorted(range(len(witnesses)), key=distance)[:most])


def story_text(history: History, violations: Sequence[Violation]) -> str:
    """Return the first violation as text: its sentence, then a numbered line for each step; empty without one."""
    if not violations:
        return ""
    narrative = narrate(history, violations[0])
    return "\n".join([violations[0].because, "", *(f"{'→' if w else ' '} {text}" for text, w in numbered(narrative))])


def numbered(narrative: Narrative) -> Iterator[tuple[str, bool]]:
    """Yield each line of a narrative as text, and whether the violation rests on it."""
    last = 0
    for line in narrative.lines:
        if line.number > last + 1:
            yield f"      … {line.number - last - 1:,} steps", False
        last = line.number
        yield f"{line.number:>4}  {moment(line.at):>12}  {line.who:<4} {line.words}", line.witness
    if narrative.omitted:
        yield f"      {narrative.omitted:,} commands about other events or none were left out", False


class _Narrator:
    def __init__(self, history: History, violation: Violation) -> None:
        self._entries = history.entries
        self._naming = Naming(history)
        self._witness = set(violation.witness)
        leaders = {e.event: str(e.details.get("follows") or "") for e in history.of("published")}
        self._concerned = set(violation.events) | {leaders.get(event, "") for event in violation.events}
        self._waiting: dict[tuple[str, int], deque[tuple[StoryLine | None, list[list[str]]]]] = {}
        self._lines: list[StoryLine] = []
        self._omitted = 0

    def narrate(self) -> Narrative:
        last = max(self._witness, default=len(self._entries) - 1)
        for index, entry in enumerate(islice(self._entries, last + 1)):
            witness = index in self._witness
            match entry.kind:
                case "command":
                    self._command(entry)
                case "reply":
                    self._reply(entry)
                case kind if witness or (kind not in OMITTED and self._concerns(entry)):
                    self._lines.append(StoryLine(entry.at, entry.consumer, sentence(entry), witness))
        return Narrative(tuple(self._lines), self._omitted)

    def _concerns(self, entry: Entry) -> bool:
        return not entry.event or entry.event in self._concerned

    def _command(self, entry: Entry) -> None:
        commands = entry.details.get("commands", [])
        line = None
        if not all(words[0].upper() in HANDSHAKE for words in commands):
            text = "; ".join(self._in_words(words) for words in commands if words[0].upper() not in ("MULTI", "EXEC"))
            if self._names_concerned(commands):
                line = StoryLine(entry.at, entry.consumer, text)
                self._lines.append(line)
            else:
                self._omitted += 1
        self._line_of(entry).append((line, commands))

    def _line_of(self, entry: Entry) -> deque[tuple[StoryLine | None, list[list[str]]]]:
        return self._waiting.setdefault((entry.consumer, entry.details.get("connection", 0)), deque())

    def _in_words(self, words: Sequence[str]) -> str:
        return " ".join(self._naming.word(word) for word in words)

    def _names_concerned(self, commands: Sequence[Sequence[str]]) -> bool:
        text = " ".join(word for words in commands for word in words)
        return any(self._naming(found) in self._concerned for found in IDENTITY.findall(text))

    def _reply(self, entry: Entry) -> None:
        line = self._line_of(entry)
        if not line:
            return
        shown, commands = line.popleft()
        if shown is None:
            return
        shown.words += f" → {self._answer(commands, str(entry.details.get('reply', '')))}"
        if self._lines[-1] is not shown:
            number = next(i for i, earlier in enumerate(self._lines, start=1) if earlier is shown)
            self._lines.append(StoryLine(entry.at, entry.consumer, f"learns the reply to step {number}"))

    def _answer(self, commands: Sequence[Sequence[str]], reply: str) -> str:
        reader = hiredis.Reader()
        reader.feed(reply.encode("utf-8"))
        answers = list(_answers(reader))
        if commands[0][0].upper() == "MULTI" and answers:
            answers = answers[-1] if isinstance(answers[-1], list) else answers[-1:]
        return "; ".join(self._naming.value(answer) for answer in answers) or "…"


def _answers(reader: Any) -> Iterator[Any]:
    while (answer := reader.gets()) is not False:
        yield answer
