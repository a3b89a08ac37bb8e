"""`causim diff`: a baseline and a change, side by side, and where their histories part."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.markup import escape
from rich.table import Table

from reports.figures.units import duration
from reports.text.sentences import moment, sentence
from simulation.cli import HOLDS, VIOLATED
from simulation.cli.given import DiffOptions
from simulation.cli.output import STYLES
from simulation.cli.result_files import history_file
from simulation.cli.terminal import Terminal
from simulation.cli.text import visible
from simulation.history.entries import Entry
from simulation.history.history import History
from simulation.history.untrusted_files import read_text
from simulation.invariants import Judgement, judge
from simulation.kernel.quantiles import quantile
from simulation.kernel.untrusted_json import parse_json
from simulation.search.replay import Difference, first_difference
from simulation.search.summary import EventTotals, event_totals


@dataclass(frozen=True, slots=True)
class Side:
    """One of the two runs."""

    name: str
    file: Path
    history: History
    judgement: Judgement
    totals: EventTotals
    costs: Mapping[str, float]
    """Commands and round trips for each event, without idle sweeps; empty if only the history is there."""

    @classmethod
    def of(cls, name: str, result: Path) -> Side:
        """Read a kept run and judge it. Raises BadUsage, MalformedHistory, OSError."""
        file = history_file(result)
        history = History.open(file)
        return cls(name, file, history, judge(history), event_totals(history), _costs(file.with_name("verdict.json")))

    @property
    def violated(self) -> list[str]:
        """The invariants that it violates, in the order of their first violations."""
        return list(dict.fromkeys(violation.invariant for violation in self.judgement.violations))

    def record(self) -> dict[str, Any]:
        """Return the run as plain values; those that are not known are None. Latencies are in microseconds."""
        header = self.history.header
        return {
            "history": str(self.file),
            **{key: getattr(header, key) for key in ("scenario", "engine", "seed", "store", "version")},
            "verdict": self.judgement.verdict,
            "violated": self.violated,
            "latency_p50_us": quantile(self.totals.latencies, 0.5),
            "latency_p99_us": quantile(self.totals.latencies, 0.99),
            "never_handled": self.totals.unfinished,
            "commands_per_event": self.costs.get("commands"),
            "round_trips_per_event": self.costs.get("round_trips"),
        }


def _costs(file: Path) -> dict[str, float]:
    try:
        counts = parse_json(read_text(file))["counts"]
        return {key: (counts[key] - counts[f"idle_{key}"]) / counts["events"] for key in ("commands", "round_trips")}
    except (OSError, ValueError, KeyError, TypeError, ZeroDivisionError):
        return {}


def execute(given: DiffOptions) -> int:
    """Print the comparison and return the exit code."""
    baseline, change = Side.of("baseline", given.baseline), Side.of("change", given.change)
    difference = first_difference(baseline.history, change.history)
    worse = [name for name in change.violated if name not in baseline.violated]
    if given.json:
        record = {
            "baseline": baseline.record(),
            "change": change.record(),
            "newly_violated": worse,
            "first_difference": difference and {"entry": difference.number, **dict(_entries(difference))},
        }
        sys.stdout.write(visible(json.dumps(record)) + "\n")
    else:
        _show((baseline, change), difference)
    return VIOLATED if worse else HOLDS


def _entries(difference: Difference) -> Iterator[tuple[str, str | None]]:
    for name, entry in (("baseline", difference.first), ("change", difference.second)):
        yield name, entry.to_json().decode() if entry else None


def _show(sides: tuple[Side, Side], difference: Difference | None) -> None:
    console = Terminal()
    table = Table(box=None, pad_edge=False)
    table.add_column("")
    columns = []
    for side in sides:
        table.add_column(side.name, justify="right")
        columns.append(dict(_cells(side)))
    for heading in columns[0]:
        table.add_row(heading, *(column[heading] for column in columns))
    console.print(table)
    if difference is None:
        console.print("the histories are the same")
        return
    console.print(f"the histories differ from entry {difference.number:,} on")
    for name, entry in (("baseline", difference.first), ("change", difference.second)):
        console.print(f"  {name:<9} {escape(visible(_sentence_of(entry)))}")


def _sentence_of(entry: Entry | None) -> str:
    if entry is None:
        return "has ended"
    return "  ".join(filter(None, (moment(entry.at), entry.consumer, sentence(entry))))


def _duration(microseconds: int) -> str:
    return duration(microseconds / 1e6)


def _cells(side: Side) -> Iterator[tuple[str, str]]:
    def row_of(key: str, how: Callable[[Any], str]) -> str:
        return "–" if record[key] is None else how(record[key])

    record = side.record()
    for key in ("scenario", "engine", "seed", "store"):
        yield key, row_of(key, lambda value: escape(visible(str(value))))
    yield "verdict", f"[{STYLES[side.judgement.verdict]}]{side.judgement.verdict}[/]"
    yield "violated", ", ".join(side.violated) or "–"
    yield "latency p50", row_of("latency_p50_us", _duration)
    yield "latency p99", row_of("latency_p99_us", _duration)
    yield "never handled", row_of("never_handled", "{:,}".format)
    yield "Redis commands an event", row_of("commands_per_event", "{:.1f}".format)
    yield "round trips an event", row_of("round_trips_per_event", "{:.1f}".format)
