"""Entries and the header of a history: the record of a run, and the terms of its judgement."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any, NamedTuple, Self

import orjson

from simulation.history.untrusted import MAX_AT, check_header, check_name, check_terms

FORMAT = 1
"""The version of the file format; a reader refuses any other."""


KINDS: Mapping[str, str] = {
    # the broker
    "published": "a producer handed the event to the broker (follows, occurred, fingerprint, id)",
    "duplicated": "the broker will deliver the event once more than it was asked to",
    "dropped": "the broker lost one delivery of the event",
    "delivered": "the broker handed the event to a live consumer (attempt, counted from 1; delivery)",
    "acknowledged": "the consumer acknowledged the delivery to the broker (delivery)",
    "rejected": "the consumer could not handle the delivery, the broker will offer it again (delivery, because)",
    "dead-lettered": "the event was given up, and said so (by: broker, engine; because: unreadable, unknown-schema)",
    # the engine, as its consumer saw it
    "parked": "the engine keeps the event until its leader was handled (delivery)",
    "refused": "the engine would not handle the event (because: seen, held or depth; delivery)",
    "lease-lost": "the holder learned that its lease is no longer its own",
    "started": "a handler began (handling, via: delivered, released or rescued; fingerprint; fence; delivery)",
    "ended": "a handler ended (handling, outcome: ok, failed or unknown; write: accepted or refused)",
    "swept": "a sweep for overdue followers ended (found; a history with a sweep that found 0 has all sweeps)",
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
    "slot-moving": "a slot of a cluster began to move: who needs several of its keys at once is refused until it has",
    "slot-moved": "a slot of a cluster has moved",
    "store-lost": "the store lost data by an injected fault (fault; keys: their names, or left out if it may be any)",
    "phase": "the run entered a phase (phase: safety, healing, quiet or horizon; in_flight)",
    "census": "the keys left in the store when the world was quiet (keys: name to type, ttl and perhaps role)",
    # the code under test
    "raised": "the consumer's code raised, for the first time like this (error, message, frames, where; "
    "raised_at, in microseconds, if it was a background task: its entry is at the end of the run)",
    "outside": "the consumer's code reached something real, as its scenario allows (what, where): such a run may be"
    " another the next time",
    "unfinished": "a call of the consumer's engine had not returned, though the run was over, or had gone on for long"
    " (call: handle, sweep, start or close; since, in microseconds)",
    "warned": "a consumer warned of the event, in its log or by an error, where `loud` asks for it (level)",
    # the wire, kept only when a run is traced
    "command": "a request reached Redis (command, connection)",
    "reply": "the reply to a request reached the consumer (reply, connection)",
    "logged": "the consumer's code logged, kept only when a run is traced (level, logger, message)",
}
"""Every kind of entry, and what it says. A reader ignores details it does not know, but not kinds."""


MISSING: Mapping[str, str] = {
    "`follows` of `published`": "the event has no leader",
    "`occurred` of `published`": "it occurred when it was published",
    "`id` of `published`": "its id is its name",
    "`fingerprint`": "what the event says is not compared",
    "`attempt` of `delivered`": "one more than there were deliveries of the event before",
    "`delivery` of an answer": "the latest delivery of the event to this consumer that was not answered",
    "`handling`": "the handling of this event by this consumer that has no number either",
    "`via` of `started`": "`delivered`",
    "`outcome` of `ended`": "with a `write`, that says whether it took effect; without, how it ended is unknown: it is"
    " neither an effect nor a failure, the event is neither handled nor lost, and what depends on it is `unknown`",
    "`write` of `ended`": "the outcome says whether it took effect",
    "`keys` of `store-lost`": "anything may be lost",
    "`fault` of `store-lost`": "the fault before it",
    "`ended` after `started`": "the handling lasts to the end of the history; if its consumer crashes or stops first,"
    " it ends then, and its outcome is `unknown`",
    "an answer after `delivered`": "the delivery is open to the end of the history; if its consumer crashes or stops"
    " first, it ends then",
    "`joined` of a consumer": "the consumer is there from the start",
    "`published` of an event": "it has no leader and no fingerprint, and its id is its name",
    "every `delivered`": "when an event came is not known: `prompt-start` and `lost-followers-surface` are unknown, and"
    " so is `causal-order` if a follower was early",
    "every `census`": "`clean-store` is unknown",
    "`phase`": "the history is complete: it is taken for a run that has healed and gone quiet",
}
"""The meaning of a history that lacks entries or details. The judge, the reports and the summary share it."""

_SAME = {kind: kind for kind in KINDS}
"""Each kind, so that the entries of a long history share the word."""


_SIMPLE = frozenset({str, int, bool, type(None)})
"""The types of values that every writer of JSON spells alike: not so numbers with a fraction."""


_written = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False).encode


WIRE = frozenset({"command", "reply", "logged"})
"""The kinds of entries that a history holds only if its run was traced."""


NOT_IN_DIGEST = WIRE | {"raised", "outside"}
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
    """The promises of the engine and the demands of the scenario that a judge needs. Microseconds, but for counts."""

    # The defaults are those of history format 1. Scenarios take theirs from here, and a test compares them with the
    # engine's: they are not imported from it, since a history would then take five times as long to import.
    lookback: int = 900_000_000
    retention: int = 1_800_000_000
    lease: int = 16_000_000
    release_bound: int = 60_000_000
    """The longest time that a released follower may wait, idle, for its handling to start."""
    sweep_interval: int = 5_000_000
    stuck_bound: int = 600_000_000
    """The longest time that a consumer may work on one delivery, or sweep, without anything happening."""
    max_attempts: int = 4
    """The failed handling at which the engine dead-letters an event that it keeps. A count."""
    retry_delay: int = 5_000_000
    """The delay before the retry of an event that the engine keeps, after a failed handling."""
    longest_ttl: int = 604_800_000_000
    """The longest time to live that the policy names for a key; the lookback and the retention are allowed anyway."""
    memory: int = 86_400_000_000
    """How long an engine knows that an event was handled, for late followers, if that is longer than the retention."""
    redelivery: int = 0
    """How long after an attempt the queue may offer an event again, if that is longer than the lookback."""

    @property
    def longest_life(self) -> int:
        """The longest time to live that a key may have: with a tenth to spare."""
        return max(self.longest_ttl, self.lookback, self.retention) * 11 // 10


@dataclass(frozen=True, slots=True)
class Header:
    """The first line of a history: the identity of the run, and the terms of its judgement."""

    scenario: str = "unnamed"
    seed: int = 0
    engine: str = "unknown"
    store: str = "unknown"
    version: str = ""
    epoch: str = "2023-11-14T22:13:20+00:00"
    """The instant that `at` = 0 stands for."""
    terms: Terms = field(default_factory=Terms)
    exercise: tuple[str, ...] = ()
    """The words of coverage that must occur at least once for the run to prove anything."""
    invariants: tuple[str, ...] = ()
    """The invariants to judge; none named means all."""
    allowed_loss: tuple[str, ...] = ()
    """Losses that the scenario's faults make unavoidable, by name of the fault that causes them."""
    documented_keys: tuple[str, ...] = ()
    """Patterns of the keys that may stay in the store without a TTL, because the policy documents them."""
    loud: bool = False
    """Whether a loss that is allowed must be reported."""
    reconnects: bool = False
    """Whether the client connects again when a server refuses its writes: such refusals excuse nothing then."""

    def to_json(self) -> str:
        """Return the header as one line of canonical JSON."""
        record = {"causim-history": FORMAT, **asdict(self)}
        for name in ("loud", "reconnects"):  # few ask for it, and histories of others are as they were
            if not record[name]:
                del record[name]
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


def digest_of(entries: Iterable[Entry]) -> str:
    """Return the SHA-256 of all entries but those of the wire, which are optional, and of errors, which name files."""
    sha = hashlib.sha256()
    for entry in entries:
        if entry.kind not in NOT_IN_DIGEST:
            sha.update(entry.to_json() + b"\n")
    return sha.hexdigest()
