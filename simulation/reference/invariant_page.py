"""The reference of invariants: what each asks and excuses, and small histories that the judge accepts and rejects."""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from simulation.history.entries import Entry
from simulation.history.history import History
from simulation.invariants import COVERAGE, INVARIANTS, Invariant, judge
from simulation.kernel.durations import format_duration
from simulation.reference.tables import prose, table


@dataclass(frozen=True, slots=True)
class Reading:
    """What its reader has to know of an invariant beside what its module says."""

    words: tuple[str, ...]
    """The coverage words without which a run proves little about it."""
    because: str
    """How to read its sentence."""


READINGS: Mapping[str, Reading] = {
    "causal-order": Reading(
        ("reordered", "parked"),
        "The first time is when the follower's handler began, the second when its leader's effect was complete. If the"
        " leader never took effect, there is only the first.",
    ),
    "mutual-exclusion": Reading(
        ("redelivered", "lease-expired"),
        "The first consumer's handling was open for the time named first; the last time is when the second began. Ask"
        " what the first consumer was doing: if it was paused or cut off, its late write was not refused.",
    ),
    "handled-once": Reading(
        ("duplicated", "refused"),
        "The first time is the end of the first effect; the others are the second handling. In between, the engine had"
        " forgotten, or had never recorded, that the event was handled.",
    ),
    "nothing-lost": Reading(
        ("crashed-while-holding", "handler-failed"),
        "The first time is the first delivery. Then comes the last trace of the event: no handler ever saw it, or how"
        " its last handling ended. The second time is when the world went quiet.",
    ),
    "given-up-with-reason": Reading(
        ("dead-lettered", "handler-failed"),
        "The time is that of the dead letter. Count the handlings of the event before it: that is how often it was"
        " tried.",
    ),
    "prompt-start": Reading(
        ("handled", "crashed"),
        "The first time is when a consumer was given the event, the second when it started, or when the history ends."
        " Nothing was to be waited for in between.",
    ),
    "recovery": Reading(
        ("crashed-while-holding", "lease-expired"),
        "The first time is when the holder died or fell silent. Take one lease and one sweep off the difference: what"
        " is left is how long nobody looked for what it had.",
    ),
    "prompt-release": Reading(
        ("parked", "released"),
        "Compare the first two times. If the follower was parked *after* its leader had completed, the engine has lost"
        " a race between the two. The last time is when the follower started, or when the history ends. A difference of"
        " about one lookback says that nothing but the sweep has found it.",
    ),
    "lost-followers-surface": Reading(
        ("leader-lost", "rescued"),
        "The first time is when the follower was first kept, the last when it started or when the history ends. Take"
        " the lookback off the difference: what is left is how long it waited too long.",
    ),
    "sibling-order": Reading(
        ("parked", "released"),
        "The first event is the one that was overtaken. It was parked in time, and has the earlier `occurred` or the"
        " lower id; the sibling started first all the same.",
    ),
    "clean-store": Reading(
        ("handled",),
        "The keys are named at the end, the first five of them. Look for the command that was to remove them or to"
        " give them a TTL.",
    ),
    "no-stuck-worker": Reading(
        ("handler-failed", "dead-lettered"),
        "The last two times enclose the silence: the consumer wrote nothing down about this event and its family. For a"
        " sweep they are the ends of two sweeps, or the end of one and of the history. For a poison event they are its"
        " first rejection, and its last or the moment when the world went quiet.",
    ),
    "payload-intact": Reading(
        ("parked", "released"),
        "The first fingerprint is of what the handler was given, the second of what was published. What was parked goes"
        " through Redis and is parsed anew: a field that is lost there changes the fingerprint.",
    ),
}
"""By invariant."""

_PARAGRAPH = "\n\n"
_CASES = {
    "accepted": "Accepted:",
    "excused": "Accepted, because it is excused:",
    "rejected": "Rejected:",
}


def invariant_page(examples: Path) -> str:
    """Return the page; `examples` is the folder that holds the histories."""
    rows = [(f"[`{name}`](#{name})", invariant.summary) for name, invariant in INVARIANTS.items()]
    parts = [
        "# Invariants",
        "An invariant is a rule that every history must keep, whatever engine wrote it. The judge is a pure function of"
        " the history.",
        table(("invariant", "holds if"), rows),
        "## Verdicts",
        f"A verdict is `holds`, `violated` or `unknown`. {prose(judge).split(_PARAGRAPH)[-1]} `unknown` is never a"
        " pass: it says that the history proves nothing either way.",
        "Each violation has one sentence that begins with *because*, the events and consumers that it is about, and the"
        " few entries that prove it (`witness`: their places in the history, counted from 0). Times in the sentence are"
        " seconds since the start of the run.",
        "Each history below is a file: `causim check docs/reference/invariants/causal-order.rejected.jsonl`. The format"
        " is on [a page of its own](history.md). In the stories, a name with an @ is a consumer.",
    ]
    for name, invariant in INVARIANTS.items():
        parts += _section(name, invariant, examples)
    return "\n\n".join(parts) + "\n"


def _section(name: str, invariant: Invariant, examples: Path) -> list[str]:
    reading = READINGS[name]
    words = "; ".join(f"`{word}` ({COVERAGE[word]})" for word in reading.words)
    module = importlib.import_module(invariant.check.__module__)
    return [
        f"## {name}",
        f"**Holds if** {invariant.summary}.",
        f"**Excused:** {invariant.excuses}.",
        prose(module).partition("\n\n")[2],
        f"**What a run should exercise to say something about it:** {words}.",
        *_histories(name, examples),
        f"**How to read the sentence.** {reading.because}",
    ]


def _histories(name: str, examples: Path) -> Iterator[str]:
    for case, words in _CASES.items():
        file = examples / f"{name}.{case}.jsonl"
        if file.exists():
            history = History.read(file)
            yield f"{words} [`{file.name}`](invariants/{file.name})"
            told = "\n".join(_line(entry) for entry in history)
            said = "".join(f"\n\n{violation.because}" for violation in judge(history, [name]).violations)
            yield f"```text\n{told}{said}\n```"


def _line(entry: Entry) -> str:
    who = f"@{entry.consumer}" if entry.consumer else ""
    details = "  ".join(f"{key}={_value(key, value)}" for key, value in entry.details.items())
    return f"{format_duration(entry.at):<7} {entry.kind:<13} {entry.event:<3} {who:<4} {details}".rstrip()


def _value(key: str, value: Any) -> str:
    match value:
        case dict():
            return ", ".join(f"{name} (ttl {inner.get('ttl')})" for name, inner in value.items())
        case int() if key == "occurred":
            return format_duration(value)
        case _:
            return str(value)
