"""The reference of invariants: what each asks and excuses, and small histories that the judge accepts and rejects."""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from simulation.history.entries import Entry
from simulation.history.history import History
from simulation.history.reader import Reader
from simulation.invariants import COVERAGE, INVARIANTS, Invariant, judge
from simulation.invariants.verdict import Case
from simulation.kernel.durations import format_duration
from simulation.reference.tables import prose, table

_PARAGRAPH = "\n\n"
_CASES: Mapping[Case, str] = {
    "accepted": "Accepted:",
    "excused": "Accepted, because it is excused:",
    "rejected": "Rejected:",
}


_SHARED = {"Recording": "recorded_effects", "Idle time": "idle_time"}
"""Rules that several invariants share, by the titles of their sections."""


def histories() -> dict[str, str]:
    """Return the example histories of all invariants by the names of their files."""
    return {
        f"{name}.{case}.jsonl": text
        for name, invariant in INVARIANTS.items()
        for case, text in invariant.examples.items()
    }


def invariant_page() -> str:
    """Return the page."""
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
        parts += _section(name, invariant)
    for title, module in _SHARED.items():
        parts += [f"## {title}", prose(importlib.import_module(f"simulation.invariants.{module}"))]
    return "\n\n".join(parts) + "\n"


def _section(name: str, invariant: Invariant) -> list[str]:
    words = "; ".join(f"`{word}` ({COVERAGE[word]})" for word in invariant.exercised_by)
    module = importlib.import_module(invariant.check.__module__)
    return [
        f"## {name}",
        f"**Holds if** {invariant.summary}.",
        f"**Excused:** {invariant.excuses}.",
        prose(module).partition("\n\n")[2],
        f"**What a run should exercise to say something about it:** {words}.",
        *_histories(name, invariant),
        f"**How to read the sentence.** {invariant.reading}",
    ]


def _histories(name: str, invariant: Invariant) -> Iterator[str]:
    for case, words in _CASES.items():
        if case in invariant.examples:
            file = f"{name}.{case}.jsonl"
            reader = Reader(Path(file))
            entries = list(reader.entries(invariant.examples[case].encode().splitlines(keepends=True)))
            history = History(reader.header, entries)
            yield f"{words} [`{file}`](invariants/{file})"
            text = "\n".join(_line(entry) for entry in history)
            said = "".join(f"\n\n{violation.because}" for violation in judge(history, [name]).violations)
            yield f"```text\n{text}{said}\n```"


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
