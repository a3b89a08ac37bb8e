"""The history of a run: what happened, in the order in which it happened, and nothing about why.

A history is the only thing that the judge may look at, so everything that an invariant needs is an entry here.
This file has no clock, no engine and no opinion: it writes entries down, reads them back, and can say in one
digest whether two histories are the same.

On disk a history is JSON Lines: a header that names the format and the terms of the run, then one entry a line.

    {"causim-history": 1, "scenario": "late-leader", "seed": 4, "terms": {"lookback": 900000000, ...}, ...}
    {"at": 1200, "kind": "published", "event": "a", "fingerprint": "5f3a…", "occurred": 0}
    {"at": 1350, "kind": "delivered", "event": "a", "consumer": "c1", "attempt": 1}

Times are integers of microseconds since the start of the run.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from itertools import compress, islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Self

import orjson

from simulation.history.untrusted import (
    MAX_AT,
    MalformedHistory,
    PlainFile,
    bounded_lines,
    check_header,
    check_name,
    check_terms,
    parse_leniently,
)

if TYPE_CHECKING:
    from simulation.history.history_file import Scroll

FORMAT = 1
"""The version of the file format; a reader refuses any other."""

KINDS: Mapping[str, str] = {
    # the broker
    "published": "a producer handed the event to the broker (follows, occurred, fingerprint, id)",
    "duplicated": "the broker will deliver the event once more than it was asked to",
    "dropped": "the broker lost one delivery of the event",
    "delivered": "the broker handed the event to a live consumer (attempt, counted from 1; delivery)",
    "acknowledged": "the consumer told the broker that it is done with the delivery (delivery)",
    "rejected": "the consumer could not handle the delivery, the broker will offer it again (delivery, because)",
    "dead-lettered": "the event was given up, and said so (by: broker, engine; because: unreadable, unknown-schema)",
    # the engine, as its consumer saw it
    "parked": "the engine keeps the event until its leader was handled (delivery)",
    "refused": "the engine would not handle the event (because: seen, held or depth; delivery)",
    "lease-lost": "the holder was told that its lease is no longer its own",
    "started": "a handler began (handling, via: delivered, released or rescued; fingerprint; fence; delivery)",
    "ended": "a handler ended (handling, outcome: ok, failed or unknown; write: accepted or refused)",
    "swept": "a consumer's sweep for lost followers ended (found; who writes down one that found 0 writes down all)",
    # the world
    "joined": "a consumer came alive",
    "stopped": "a consumer stopped in good order",
    "crashed": "a consumer died (holding: the events that it was handling)",
    "paused": "a consumer stopped making progress while the world went on",
    "resumed": "a paused consumer goes on",
    "blocked": "a call of the consumer's code blocked its whole process (duration, in microseconds; where)",
    "fault": "a fault was injected (fault, and what it did)",
    "healed": "a fault ended (fault)",
    "unreachable": "Redis became unreachable for a consumer, or for all if none is named",
    "reachable": "Redis is reachable again",
    "store-lost": "the store lost data by an injected fault (fault; keys: their names, or left out if it may be any)",
    "phase": "the run entered a phase (phase: safety, healing, quiet or horizon; in_flight)",
    "census": "the keys left in the store when the world was quiet (keys: name to type, ttl and perhaps role)",
    # the code under test
    "raised": "the consumer's code raised, for the first time like this (error, message, frames, where)",
    # the wire, kept only when a run is traced
    "command": "a request reached Redis (command, connection)",
    "reply": "the reply to a request reached the consumer (reply, connection)",
}
"""Every kind of entry, and what it says. A reader ignores details it does not know, but not kinds."""


_SAME = {kind: kind for kind in KINDS}
"""Each kind, so that the entries of a long history share the word."""

_SIMPLE = frozenset({str, int, bool, type(None)})
"""The types of values that every writer of JSON spells alike: not so numbers with a fraction."""

_written = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False).encode

WIRE = frozenset({"command", "reply"})
"""The kinds of entries that a history holds only if its run was traced."""


UNTOLD = WIRE | {"raised"}
"""The kinds of entries that make no difference to whether two histories are the same: paths differ between machines."""


class Entry(NamedTuple):
    """One thing that happened.

    `at` is in microseconds since the start of the run; `event` and `consumer` are names, empty where the entry is
    about none; `details` holds what KINDS lists for the kind, as JSON values.
    """

    at: int
    kind: str
    event: str = ""
    consumer: str = ""
    details: Mapping[str, Any] = {}

    def to_json(self) -> bytes:
        """Return the entry as one line of canonical JSON, in UTF-8: the same entry always gives the same bytes."""
        at, kind, event, consumer, details = self
        record: dict[str, Any] = {"at": at, "kind": kind}
        if event:
            record["event"] = event
        if consumer:
            record["consumer"] = consumer
        for name in sorted(details):
            value = record[name] = details[name]
            if value.__class__ not in _SIMPLE:
                record.update(sorted(details.items()))
                return _written(record).encode()
        try:
            return orjson.dumps(record)
        except TypeError:  # a number of more than 64 bits
            return _written(record).encode()

    @classmethod
    def from_record(cls, record: dict[str, Any]) -> Self:
        """Build an entry from a parsed line, whose rest becomes its details. Raises ValueError for a wrong field."""
        take = record.pop
        at, kind, event, consumer = take("at", None), take("kind", None), take("event", ""), take("consumer", "")
        if at.__class__ is not int or not 0 <= at <= MAX_AT:
            raise ValueError(f"'at' must be a count of microseconds up to 2**62, not {ascii(at)[:60]}")
        same = _SAME.get(kind) if kind.__class__ is str else None
        if same is None:
            raise ValueError(f"'kind' is {ascii(kind)[:60]}; known are {', '.join(KINDS)}")
        if event.__class__ is not str or consumer.__class__ is not str:
            raise ValueError("'event' and 'consumer' must be names")
        if not (event.isprintable() and consumer.isprintable()):
            check_name("'event'", event)
            check_name("'consumer'", consumer)
        return tuple.__new__(cls, (at, same, event, consumer, record))


@dataclass(frozen=True, slots=True)
class Terms:
    """What the engine promised and the scenario asks, as far as a judge must know it. Microseconds, but for counts."""

    lookback: int = 900_000_000
    retention: int = 1_800_000_000
    lease: int = 16_000_000
    release_bound: int = 60_000_000
    """How long a released follower may wait, idle, for its handling to start."""
    sweep_interval: int = 5_000_000
    stuck_bound: int = 600_000_000
    """How long a consumer may work on one delivery, or sweep, without anything happening."""
    max_attempts: int = 4
    """The failed handling at which the engine dead-letters an event that it keeps. A count."""
    retry_delay: int = 5_000_000
    """How long an event that the engine keeps rests after a failed handling."""
    longest_ttl: int = 604_800_000_000
    """The longest time to live that the policy names for a key; the lookback and the retention are allowed anyway."""

    @property
    def longest_life(self) -> int:
        """The longest time to live that a key may have: with a tenth to spare."""
        return max(self.longest_ttl, self.lookback, self.retention) * 11 // 10


@dataclass(frozen=True, slots=True)
class Header:
    """The first line of a history: which run this is, and on which terms it is to be judged."""

    scenario: str = "unnamed"
    seed: int = 0
    engine: str = "unknown"
    store: str = "unknown"
    version: str = ""
    epoch: str = "2023-11-14T22:13:20+00:00"
    """The instant that `at` = 0 stands for."""
    terms: Terms = field(default_factory=Terms)
    exercise: tuple[str, ...] = ()
    """What must have happened at least once for the run to prove anything."""
    invariants: tuple[str, ...] = ()
    """The invariants to judge; none named means all."""
    allowed_loss: tuple[str, ...] = ()
    """Losses that the scenario's faults make unavoidable, by name of the fault that causes them."""
    documented_keys: tuple[str, ...] = ()
    """Patterns of the keys that may stay in the store without a TTL, because the policy documents them."""

    def to_json(self) -> str:
        """Return the header as one line of canonical JSON."""
        record = {"causim-history": FORMAT, **asdict(self)}
        return json.dumps(record, separators=(",", ":"), sort_keys=True, ensure_ascii=False)

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> Self:
        """Build a header from a parsed line. Raises ValueError that says which field is wrong."""
        if record.get("causim-history") != FORMAT:
            given = ascii(record.get("causim-history"))[:60]
            raise ValueError(f"format version {given}; this program reads version {FORMAT}")
        known = {f.name for f in fields(cls)}
        values = {k: v for k, v in record.items() if k in known}
        check_header(values)
        for name in ("exercise", "invariants", "allowed_loss", "documented_keys"):
            if name in values:
                values[name] = tuple(values[name])
        if "terms" in values:
            values["terms"] = _terms(values["terms"])
        return cls(**values)


def _terms(record: object) -> Terms:
    if not isinstance(record, dict):
        raise ValueError("'terms' must be a table of durations in microseconds")
    known = {f.name for f in fields(Terms)}
    for name in record:
        if name not in known:
            raise ValueError(f"'terms.{ascii(name)[1:-1][:60]}' is not known; known are {', '.join(sorted(known))}")
    check_terms(record)
    return Terms(**record)


class Reader:
    """Reads the lines of a history, written by this program or by another.

    A file without a header is read on default terms. A last line that is cut off ends the history there and is noted in
    `truncated`. Whole numbers of more than 64 bits lose precision.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self.header = Header()
        self.truncated = ""

    def entries(self, lines: Iterable[bytes]) -> Iterator[Entry]:
        """Yield the entries in some lines, from the first of the file. Raises MalformedHistory."""
        parse, build, number, before = orjson.loads, Entry.from_record, 0, -1
        for number, line in enumerate(lines, start=1):
            try:
                record = parse(line)
            except orjson.JSONDecodeError:
                if not line.strip():
                    continue
                record = self._leniently(line, number)
                if self.truncated:
                    return
            try:
                if record.__class__ is not dict:
                    raise ValueError('each line must be a JSON object, such as {"at": 0, "kind": "published"}')
                if before < 0 and "causim-history" in record:
                    self.header = Header.from_record(record)
                    continue
                entry = build(record)
                at = entry[0]
                if at < before:
                    raise ValueError(f"time runs backwards: {at} after {before}")
            except (ValueError, TypeError) as error:
                late = record.__class__ is dict and "causim-history" in record and before >= 0
                because = "the header must be the first line" if late else error
                raise MalformedHistory(f"{self._path}:{number}: {because}") from None
            before = at
            yield entry

    def _leniently(self, line: bytes, number: int) -> Any:
        """Parse what only Python takes for JSON, such as NaN; else note that the line is cut off, or refuse it."""
        try:
            return parse_leniently(line)
        except UnicodeDecodeError as error:
            if not line.endswith(b"\n"):  # cut off in the middle of a character
                self.truncated = f"line {number} is cut off"
                return None
            raise MalformedHistory(
                f"{self._path}:{number}: not UTF-8 text ({error.reason}); if it is Latin-1, convert it with iconv"
            ) from None
        except ValueError as error:
            if line.endswith(b"\n") or not isinstance(error, json.JSONDecodeError):
                because = f"not JSON: {error.msg}" if isinstance(error, json.JSONDecodeError) else str(error)
                raise MalformedHistory(f"{self._path}:{number}: {because}") from None
            self.truncated = f"line {number} is cut off"
            return None


def digest_of(entries: Iterable[Entry]) -> str:
    """Return the SHA-256 of all entries but those of the wire, which are optional, and of errors, which name files."""
    sha = hashlib.sha256()
    for entry in entries:
        if entry.kind not in UNTOLD:
            sha.update(entry.to_json() + b"\n")
    return sha.hexdigest()


class History:
    """An append-only list of entries under a header.

    `truncated` is empty, or says why the file that the history was read from ended before its run did.
    """

    __slots__ = ("entries", "header", "truncated")

    def __init__(self, header: Header, entries: Iterable[Entry] = (), truncated: str = "") -> None:
        self.header = header
        self.entries: list[Entry] | Scroll = list(entries)
        self.truncated = truncated

    def __len__(self) -> int:
        return len(self.entries)

    def __iter__(self) -> Iterator[Entry]:
        return iter(self.entries)

    def __repr__(self) -> str:
        h = self.header
        return f"<History of {h.scenario} seed {h.seed} on {h.engine}: {len(self)} entries>"

    def append(self, at: int, kind: str, event: str = "", consumer: str = "", **details: Any) -> None:
        """Write down that something happened `at` microseconds into the run."""
        self.entries.append(Entry(at, kind, event, consumer, details))

    def of(self, *kinds: str) -> Iterator[Entry]:
        """Yield the entries of some kinds, in order."""
        return (entry for entry in self.entries if entry.kind in kinds)

    def some(self, chosen: Sequence[int]) -> Iterator[tuple[int, Entry]]:
        """Yield the entries for which the sequence says so, with their indices.

        Those of a file that another program wrote can be chosen once all of them have been read.
        """
        entries = self.entries
        return compress(enumerate(entries), chosen) if isinstance(entries, list) else entries.some(chosen)

    @property
    def digest(self) -> str:
        """The SHA-256 of all entries but those of the wire.

        The header is left out too: it names the store, which must not matter.
        """
        return digest_of(self.entries) if isinstance(self.entries, list) else self.entries.digest

    def beginning(self, most: int) -> History:
        """Return the history, cut off after so many entries if it has more; `truncated` says so."""
        if len(self) <= most:
            return self
        cut = f"only the first {most:,} of its {len(self):,} entries were looked at"
        return History(self.header, islice(self.entries, most), cut)

    def unroll(self, folder: Path | None = None) -> None:
        """Keep the entries in a file from now on, in the folder or where the system keeps temporary files.

        Raises OSError if it cannot be written.
        """
        from simulation.history.history_file import Growing

        self.entries = Growing(self.header, self.entries, folder)

    def handed_over(self) -> History:
        """Return a history with the entries so far; who goes on to write into this one writes for nobody."""
        history = History(self.header, truncated=self.truncated)
        history.entries, self.entries = self.entries, []
        return history

    def write(self, path: Path) -> None:
        """Write the history to a file, whole or not at all."""
        partial = path.with_name(path.name + ".part")
        if isinstance(self.entries, list):
            with partial.open("wb") as file:
                file.write(self.header.to_json().encode() + b"\n")
                file.writelines(entry.to_json() + b"\n" for entry in self.entries)
        else:
            self.entries.copy(partial)
        partial.replace(path)

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read a history file, written by this program or by another.

        A file without a header is read on default terms. A last line that is cut off ends the history there and
        is noted in `truncated`. Raises MalformedHistory for anything else that is not right, OSError if the file
        cannot be opened.
        """
        plain, reader = PlainFile(path), Reader(path)
        with plain.path.open("rb") as file:
            entries = list(reader.entries(bounded_lines(file, path)))
        return cls(reader.header, entries, reader.truncated)

    @classmethod
    def open(cls, path: Path) -> Self:
        """Open a history file as `read` does, but leave its entries there: they may prove malformed when read."""
        from simulation.history.history_file import open_scroll

        header, entries, cut = open_scroll(path)
        history = cls(header, (), cut)
        history.entries = entries
        return history
