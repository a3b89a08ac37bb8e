"""Histories as CSV: a row an entry, a column for each detail that entries of known kinds have.

Text is quoted and numbers are not, so a name that looks like a number stays a name. Nested values are JSON. Control
characters are written out, since a table may be printed. Names are not changed otherwise: a spreadsheet takes one that
begins with `=`, `+`, `-` or `@` for a formula, unless the column is imported as text.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from reports.exports.text import compact, shown

if TYPE_CHECKING:
    from simulation.history.entries import Entry
    from simulation.history.history import History
    from simulation.invariants import Violation

DETAILS = (
    "follows",
    "occurred",
    "fingerprint",
    "id",
    "attempt",
    "delivery",
    "because",
    "by",
    "handling",
    "via",
    "fence",
    "outcome",
    "write",
    "found",
    "holding",
    "fault",
    "number",
    "keys",
    "phase",
    "in_flight",
    "connection",
    "commands",
    "reply",
)
"""The details with a column of their own; the other details of an entry are in the column `more`, as a JSON object."""

COLUMNS = ("entry", "at", "kind", "event", "consumer", *DETAILS, "more")
"""`entry` counts from 0 as the witnesses of a violation do; `at` is in microseconds."""


def write(history: History, _: Sequence[Violation] = ()) -> Iterator[str]:
    """Yield the lines of the table."""
    line = io.StringIO()
    writer = csv.writer(line, quoting=csv.QUOTE_NONNUMERIC, lineterminator="\r\n")
    writer.writerow(COLUMNS)
    for index, entry in enumerate(history):
        yield _taken(line)
        writer.writerow(_row(index, entry))
    yield _taken(line)


def _taken(line: io.StringIO) -> str:
    text = line.getvalue()
    line.seek(0)
    line.truncate()
    return text


def _row(index: int, entry: Entry) -> list[Any]:
    known = [_cell(entry.details.get(name)) for name in DETAILS]
    rest: Mapping[str, Any] = {name: value for name, value in entry.details.items() if name not in DETAILS}
    more = shown(compact(rest)) if rest else ""
    return [index, entry.at, entry.kind, shown(entry.event), shown(entry.consumer), *known, more]


def _cell(value: Any) -> Any:
    match value:
        case None:
            return ""
        case str():
            return shown(value)
        case bool() | list() | dict():
            return shown(compact(value))
        case _:
            return value
