"""Budgets of a scenario: limits on the costs of runs, as `[expect]` gives them.

    [expect]
    native = "holds"
    round_trips_per_event = "<= 3"        # of any engine

    [expect.prefect]                      # of one engine: instead of the limits above
    verdict = "prompt-release"
    round_trips_per_event = "<= 40"
    latency.p99 = "<= 20s"

This file reads budgets and compares numbers with them. It does not know how the numbers are measured.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from math import isfinite
from typing import Any

from simulation.kernel.durations import format_duration, parse_duration
from simulation.scenario.errors import known_names

MEASURES: Mapping[str, str] = {
    "round_trips_per_event": "Redis round trips for each published event",
    "commands": "Redis commands of a run, on average",
    "lost": "followers that were delivered and never handled, in all runs",
    "latency.p50": "median time from publication to effect",
    "latency.p99": "time from publication to effect that one event in a hundred exceeds",
}
"""The measures that can have a budget, each with its meaning."""

VERDICT = "verdict"
"""The key of an engine's table for the expected verdict of its runs."""

_COMPARISONS: Mapping[str, Callable[[float, float], bool]] = {
    "<=": operator.le,
    "<": operator.lt,
    ">=": operator.ge,
    ">": operator.gt,
}
_LIMIT = re.compile(r"\s*(<=|<|>=|>)\s*(\S+)\s*")


@dataclass(frozen=True, slots=True)
class Budget:
    """A limit on one measure. Durations are in microseconds."""

    measure: str
    comparison: str
    limit: float

    def keeps(self, value: float) -> bool:
        """Say whether a measured value is within the limit."""
        return _COMPARISONS[self.comparison](value, self.limit)

    def describe(self, value: float | None) -> str:
        """Return a value beside the limit: `round_trips_per_event is 3.4, expected <= 3`."""
        shown = "was not measured" if value is None else f"is {self._shown(value)}"
        return f"{self.measure} {shown}, expected {self.comparison} {self._shown(self.limit)}"

    def _shown(self, value: float) -> str:
        return format_duration(round(value)) if self.measure.startswith("latency.") else f"{value:.6g}"


def is_budget(key: str) -> bool:
    """Say whether a key of `[expect]` is a measure, or a table of measures, and not an engine."""
    return key in MEASURES or any(measure.startswith(f"{key}.") for measure in MEASURES)


def budgets_of(expect: Mapping[str, Any], engine: str) -> tuple[Budget, ...]:
    """Return the budgets of an engine: its own, and for other measures those of any engine. Raises ValueError."""
    found = {b.measure: b for b in read({key: value for key, value in expect.items() if is_budget(key)})}
    found |= {b.measure: b for b in own_budgets(expect, engine)}
    return tuple(found.values())


def own_budgets(expect: Mapping[str, Any], engine: str) -> tuple[Budget, ...]:
    """Return the budgets of an engine's own table. Raises ValueError."""
    own = expect.get(engine)
    return tuple(read({key: value for key, value in own.items() if key != VERDICT})) if isinstance(own, Mapping) else ()


def verdicts_of(expect: Mapping[str, Any]) -> Mapping[str, tuple[str, ...]]:
    """Return the expected verdict of each named engine's runs: `holds`, `unknown` or invariants."""
    found: dict[str, tuple[str, ...]] = {}
    for engine, given in expect.items():
        if is_budget(engine):
            continue
        words = given.get(VERDICT, "holds") if isinstance(given, Mapping) else given
        found[engine] = (words,) if isinstance(words, str) else tuple(words)
    return found


def read(table: Mapping[str, Any], prefix: str = "") -> Iterator[Budget]:
    """Yield the budgets of a table. Raises ValueError that names the key and the accepted form."""
    for key, given in table.items():
        name = f"{prefix}{key}"
        if isinstance(given, Mapping):
            yield from read(given, f"{name}.")
            continue
        known_names("measure", (name,), MEASURES)
        yield _budget(name, given)


def _budget(measure: str, given: object) -> Budget:
    found = _LIMIT.fullmatch(given) if isinstance(given, str) else None
    example = '"<= 250ms"' if measure.startswith("latency.") else '"<= 3"'
    if found is None:
        raise ValueError(f"{measure}: {given!r} is no limit; give a comparison and a number, such as {example}")
    try:
        limit = parse_duration(found[2]) if measure.startswith("latency.") else float(found[2])
        if not isfinite(limit):
            raise ValueError
    except ValueError:
        raise ValueError(f"{measure}: {found[2]!r} is not accepted; give a limit such as {example}") from None
    return Budget(measure, found[1], limit)
