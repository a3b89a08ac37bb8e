"""The reference of history files: what another program has to write to be judged."""

from __future__ import annotations

import inspect
from dataclasses import fields
from typing import Any

from simulation.history.entries import FORMAT, KINDS, MISSING, Entry, Header, Terms
from simulation.kernel.durations import format_duration
from simulation.reference.tables import prose, table, toml


def history_page() -> str:
    """Return the page."""
    parts = [
        "# History files",
        "`causim check FILE` judges a history, also one that another program wrote. A history is JSON Lines: a header,"
        " then one entry a line, in the order in which things happened. The header may be left out; then the defaults"
        " below hold. A last line that is cut off ends the history there, and the verdict is at best `unknown`.",
        f"```json\n{_example()}\n```",
        "## An entry",
        "`at` is in microseconds since the start of the run. `event` and `consumer` are names, left out where the entry"
        " is about none. Every other field is a detail; the table names in brackets those that the judge knows.",
        table(("kind", "says"), [(f"`{kind}`", text) for kind, text in KINDS.items()]),
        "A reader ignores details that it does not know, but not kinds. Small histories, accepted and rejected, are on"
        " [the page of the invariants](invariants.md).",
        "## What is left out",
        "The judge, the report, the tables and the summary read a history in the same way, also one with few entries:",
        table(("missing", "means"), list(MISSING.items())),
        "## The header",
        f"`causim-history` is the version of the format: {FORMAT}. The other fields:",
        _defaults(Header, skip=("terms",)),
        "## Its `terms`",
        f'{prose(Terms)} `{{"terms": {{"lease": 16000000}}}}` changes one of them.',
        _defaults(Terms),
    ]
    return "\n\n".join(parts) + "\n"


def _example() -> str:
    header = '{"causim-history": 1, "scenario": "orders", "terms": {"lookback": 900000000}}'
    entries = [
        Entry(0, "published", "order"),
        Entry(1_000, "delivered", "order", "worker-1", {"attempt": 1}),
        Entry(1_200, "started", "order", "worker-1", {"handling": 1, "via": "delivered"}),
        Entry(9_000, "ended", "order", "worker-1", {"handling": 1, "outcome": "ok"}),
    ]
    return "\n".join([header, *(entry.to_json().decode() for entry in entries)])


def _defaults(record: type[Any], skip: tuple[str, ...] = ()) -> str:
    descriptions = _descriptions(record)
    rows = [
        (f"`{one.name}`", _shown(one.default, descriptions.get(one.name, "")), descriptions.get(one.name, ""))
        for one in fields(record)
        if one.name not in skip
    ]
    return table(("field", "default", "what it says"), rows)


def _shown(value: object, saying: str) -> str:
    counts = saying.endswith("A count.")
    lasts = f" ({format_duration(value)})" if isinstance(value, int) and value and not counts else ""
    return f"`{toml(value)}`{lasts}"


def _descriptions(record: type[Any]) -> dict[str, str]:
    """Return what the text below a field's line says of it."""
    found: dict[str, str] = {}
    name = ""
    for line in inspect.getsource(record).splitlines():
        word = line.strip()
        if word.startswith('"""') and name:
            found[name] = word.strip('"')
        name = word.partition(":")[0] if ":" in word and "=" in word else ""
    return found
