"""Short histories, written as text, and what the judge says of them.

One line an entry: the time, the kind, the event, the consumer with an @, and details as key=value.

    0s    published  b  follows=a
    1ms   delivered  b  @c2
    15m   started    b  @c2  via=rescued
"""

from __future__ import annotations

from typing import Any

from simulation.history.entries import Entry, Header, Terms
from simulation.history.history import History
from simulation.invariants import Violation, judge
from simulation.kernel.durations import parse_duration

AT_MOST = 8
"""A history that proves one thing needs no more entries than this."""


def history_of(story: str, *, at_most: int = AT_MOST, **header: Any) -> History:
    """Return the history that a text describes. Terms are durations ("16s"), other header fields are as they are."""
    entries = [_entry(line) for line in story.splitlines() if line.strip()]
    assert len(entries) <= at_most, f"{len(entries)} entries: find a smaller story"
    terms = {name: parse_duration(header.pop(name)) for name in Terms.__dataclass_fields__ if name in header}
    return History(Header(terms=Terms(**terms), **header), entries)


def _entry(line: str) -> Entry:
    at, kind, *words = line.split()
    names = {"event": "", "consumer": ""}
    details: dict[str, Any] = {}
    for word in words:
        name, is_detail, value = word.partition("=")
        if word.startswith("@"):
            names["consumer"] = word[1:]
        elif name in names:
            names[name] = value
        elif is_detail:
            details[name] = _value(name, value)
        elif kind in ("phase", "fault"):
            details[kind] = word
        else:
            names["event"] = word
    return Entry(parse_duration(at), kind, names["event"], names["consumer"], details)


def _value(name: str, text: str) -> Any:
    match name:
        case "keys" if ":" in text:
            pairs = (key.rsplit(":", 1) for key in text.split(","))
            return {key: {"type": "string", **_key(value)} for key, value in pairs}
        case "keys":
            return text.split(",")
        case "told":
            return text == "true"
        case "occurred":
            return parse_duration(text)
        case _:
            return int(text) if text.isdecimal() else text


def _key(value: str) -> dict[str, Any]:
    if value == "for-ever":
        return {"ttl": None}
    return {"ttl": int(value)} if value.isdecimal() else {"ttl": 1000, "role": value}


def accepted(history: History, invariant: str) -> bool:
    """Say whether the judge examined something under an invariant, and found nothing wrong."""
    judgement = judge(history, [invariant])
    assert not judgement.violations, [violation.because for violation in judgement.violations]
    assert judgement.verdicts[invariant].examined, "the history holds nothing to examine"
    return judgement.verdicts[invariant].verdict == "holds"


def rejected(history: History, invariant: str, count: int = 1) -> Violation:
    """Return the first violation that the judge found under an invariant; there must be `count` of them."""
    judgement = judge(history, [invariant])
    assert judgement.verdict == "violated"
    assert judgement.verdicts[invariant].violations == count == len(judgement.violations)
    for violation in judgement.violations:
        assert violation.invariant == invariant
        assert violation.because.startswith("because ")
        assert list(violation.witness) == sorted(set(violation.witness)), "the witness is a few entries, in order"
        assert all(0 <= index < len(history) for index in violation.witness)
        assert violation.witness
    return judgement.violations[0]
