"""Histories in the formats of other programs: a file a format, each a function that yields text.

`causes.py` derives the causal order that a history proves, for the arrows and clocks of all of them. An export shows
the history alone; the same history and violations always give the same bytes, and never more than one pass over
all that a format needs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from reports.exports import otlp, perfetto, shiviz, table
from reports.exports.unexportable import Unexportable

if TYPE_CHECKING:
    from simulation.history.history import History
    from simulation.invariants import Violation

__all__ = ["FORMATS", "Format", "Unexportable"]

Write = Callable[["History", Sequence["Violation"]], Iterator[str]]


@dataclass(frozen=True, slots=True)
class Format:
    """A format that histories can be written in."""

    write: Write
    """Yields the text in pieces. Raises Unexportable."""
    purpose: str
    """Its purpose, in a few words."""
    shows_violations: bool = False


FORMATS: Mapping[str, Format] = {
    "perfetto": Format(perfetto.write, "a timeline for ui.perfetto.dev (Chrome trace events)", shows_violations=True),
    "shiviz": Format(shiviz.write, "a log with vector clocks for ShiViz"),
    "otlp-json": Format(otlp.write, "OpenTelemetry traces, a trace an event", shows_violations=True),
    "csv": Format(table.write, "a row an entry of the history"),
}
"""Every format by its name."""
