"""A grid of scenarios: one scenario with some of its values varied, every combination run with the same seeds.

The result is tidy: one row for each combination, with rates and their 95 % intervals. Rows are written to disk as
they are done, so a sweep that was interrupted goes on where it stopped.
"""

from __future__ import annotations

import json
import tomllib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from hashlib import blake2b
from itertools import product
from math import sqrt
from pathlib import Path
from typing import Any

from causim.written_files import writing
from simulation.history.untrusted_files import read_text
from simulation.kernel.durations import format_duration, parse_duration
from simulation.kernel.untrusted_json import parse_json
from simulation.scenario.model import Scenario
from simulation.search.confidence import Z, student, wilson
from simulation.search.summary import Summary, Tally

_MOST_STEPS = 10_000
_MAX_LEDGER = 1 << 30
"""Bytes of the rows of a sweep."""


class BadAxis(Exception):
    """An axis cannot be read. The message says what is accepted."""


@dataclass(frozen=True, slots=True)
class Axis:
    """One field of the scenario, by its path, and the values that it takes in turn."""

    path: str
    values: tuple[Any, ...]

    @classmethod
    def of(cls, path: str, values: Iterable[Any] | str) -> Axis:
        """Return an axis from values, or from a text such as `0:0.2:0.05`. Raises BadAxis."""
        if isinstance(values, str):
            return parse_axis(f"{path}={values}")
        axis = cls(path, tuple(values))
        if not axis.values:
            raise BadAxis(f"{path}: give at least one value")
        return axis


def parse_axis(text: str) -> Axis:
    """Read `path=first:last:step` or `path=one,another`, with numbers, durations or words. Raises BadAxis."""
    path, equals, given = text.partition("=")
    if not (path and equals and given):
        raise BadAxis(f"{text!r}: give PATH=FIRST:LAST:STEP or PATH=VALUE,VALUE such as broker.drop=0:0.2:0.02")
    parts = given.split(":")
    if len(parts) == 3:
        return Axis(path, tuple(_steps(text, *parts)))
    return Axis(path, tuple(_value(word) for word in given.split(",")))


def _steps(text: str, first: str, last: str, step: str) -> Iterator[Any]:
    show: Callable[[Decimal], Any] = _number
    try:
        low, high, by = (Decimal(word) for word in (first, last, step))
    except InvalidOperation:
        try:
            low, high, by = (Decimal(parse_duration(word)) for word in (first, last, step))
        except ValueError as error:
            raise BadAxis(f"{text!r}: {error}") from None
        show = _duration
    if by <= 0 or high < low or (high - low) / by > _MOST_STEPS:
        raise BadAxis(f"{text!r}: must go up from FIRST to LAST in at most {_MOST_STEPS:,} positive steps")
    while low <= high:
        yield show(low)
        low += by


def _number(value: Decimal) -> int | float:
    return int(value) if value == value.to_integral_value() and value.as_tuple().exponent == 0 else float(value)


def _duration(value: Decimal) -> str:
    return format_duration(int(value))


def _value(word: str) -> Any:
    """Read a word as a TOML value if it is one (5, 0.1, true, {uniform=[…]}), else as a string (15m, shuffled)."""
    try:
        return tomllib.loads(f"value = {word}")["value"]
    except tomllib.TOMLDecodeError:
        return word


@dataclass(frozen=True, slots=True)
class Cell:
    """One combination."""

    values: Mapping[str, Any]
    scenario: Scenario


def cells(scenario: Scenario, axes: Sequence[Axis]) -> list[Cell]:
    """Return every combination, the last axis changing fastest. Raises BadScenario if one is not a scenario."""
    found = []
    for combination in product(*(axis.values for axis in axes)):
        values = {axis.path: value for axis, value in zip(axes, combination, strict=True)}
        found.append(Cell(values, scenario.with_values(values)))
    return found


def measure(cell: Cell, summaries: Iterable[Summary]) -> dict[str, Any]:
    """Return the row of a cell from the summaries of its runs."""
    tally = Tally()
    for summary in summaries:
        tally.add(summary)
    return row(cell, tally, cell.scenario.judge.require_coverage)


def row(cell: Cell, tally: Tally, exercise: Sequence[str]) -> dict[str, Any]:
    """Return the results of a cell's runs as one row: rates with the bounds of their 95 % intervals."""
    return {
        **{
            path: value if isinstance(value, int | float | str) else json.dumps(value)
            for path, value in cell.values.items()
        },
        "runs": tally.runs,
        "verdict": tally.verdict(exercise),
        "unproved": "; ".join(_unproved(tally, exercise)),
        **_rate("violated", tally.violating, tally.runs),
        "events": tally.events,
        "followers": tally.followers,
        **_rate("lost", tally.lost, tally.followers),
        **_rate("rescued", tally.coverage["rescued"], tally.followers),
        **_rate("parked", tally.coverage["parked"], tally.followers),
        **_mean("waitlist", tally.waiting, tally.waiting_squared, tally.runs),
        **_rate("duplicate", tally.coverage["duplicated"], tally.events),
        **{f"latency_{name}_us": value for name, value in _latencies(tally).items()},
        "round_trips_per_event": _share(tally.busy_round_trips, tally.events),
        "commands_per_event": _share(tally.busy_commands, tally.events),
    }


def _latencies(tally: Tally) -> dict[str, int | None]:
    """Return quantiles of the latency with their intervals, from the order statistics of all handled events.

    An end that few events do not give is None: of 100 events, the slowest may be faster than the 99th percentile.
    """
    found: dict[str, int | None] = {}
    count = tally.latencies.total()
    for name, q in (("p50", 0.5), ("p99", 0.99)):
        margin = Z * sqrt(q * (1 - q) * count)
        low, high = q * count - margin, q * count + margin + 1  # ranks, counted from 1
        found[name] = tally.latency(q)
        found[f"{name}_low"] = tally.latency((low - 1) / (count - 1)) if low >= 1 and count > 1 else None
        found[f"{name}_high"] = tally.latency((high - 1) / (count - 1)) if high <= count and count > 1 else None
    return found


def _unproved(tally: Tally, exercise: Sequence[str]) -> Iterator[str]:
    """Yield the reasons for an unknown verdict of a cell."""
    if missing := tally.missing(exercise):
        yield ", ".join(f"'{word}'" for word in missing) + " did not happen"
    yield from tally.reasons


def _rate(name: str, count: int, of: int) -> dict[str, float]:
    """Return a rate and its interval; the interval counts at most `of` occurrences."""
    low, high = wilson(min(count, of), of)
    return {f"{name}_rate": _share(count, of), f"{name}_low": low, f"{name}_high": high}


def _mean(name: str, total: int, squared: int, count: int) -> dict[str, float | None]:
    """Return the mean of `count` values from their sum and that of their squares; of one value there is no interval."""
    mean = _share(total, count)
    if count < 2:
        return {name: mean, f"{name}_low": None, f"{name}_high": None}
    margin = student(count - 1) * sqrt(max(0.0, squared - count * mean**2) / (count - 1) / count)
    return {name: mean, f"{name}_low": max(0.0, mean - margin), f"{name}_high": mean + margin}


def _share(part: int, whole: int) -> float:
    return part / whole if whole else 0.0


class Ledger:
    """The rows of a sweep on disk: one JSON object a line, each under the key of its cell."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._rows: dict[str, dict[str, Any]] = {}
        text = read_text(path, _MAX_LEDGER) if path.exists() else ""
        self._end = "" if text.endswith("\n") or not text else "\n"
        """A line break if the last line was cut off when the sweep was stopped: else it would swallow the next."""
        for line in text.splitlines():
            try:
                record = parse_json(line)
                self._rows[str(record["key"])] = dict(record["row"])
            except (ValueError, KeyError, TypeError):
                continue

    def get(self, key: str) -> dict[str, Any] | None:
        """Return the row of a cell, if it was done before."""
        return self._rows.get(key)

    def put(self, key: str, row: dict[str, Any]) -> None:
        """Write down the row of a cell."""
        self._rows[key] = row
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with writing(self._path), self._path.open("a", encoding="utf-8") as file:
            file.write(self._end + json.dumps({"key": key, "row": row}) + "\n")
        self._end = ""


def key(cell: Cell, engine: str, seeds: range, version: str) -> str:
    """Return a digest of the inputs of a cell's row: a changed scenario, engine, seed or version is another cell."""
    record = json.dumps([cell.scenario.written(), engine, seeds.start, len(seeds), version], sort_keys=True)
    return blake2b(record.encode(), digest_size=12).hexdigest()
