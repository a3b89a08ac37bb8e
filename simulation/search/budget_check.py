"""Compares the costs of many runs with the budgets of their scenario."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from simulation.scenario.budgets import Budget
from simulation.search.summary import Tally


@dataclass(frozen=True, slots=True)
class Checked:
    """A budget, and the measured value: None if no run had anything to measure."""

    budget: Budget
    value: float | None

    @property
    def kept(self) -> bool:
        """Whether the value is within the budget. A missing value is not."""
        return self.value is not None and self.budget.keeps(self.value)

    def record(self) -> dict[str, Any]:
        """Return the budget and the value as JSON values; latencies in microseconds."""
        limit = f"{self.budget.comparison} {self.budget.limit:g}"
        return {"measure": self.budget.measure, "value": self.value, "expected": limit, "kept": self.kept}

    @property
    def words(self) -> str:
        """The value beside the limit, in words."""
        return self.budget.describe(self.value)


def check(budgets: Iterable[Budget], tally: Tally) -> list[Checked]:
    """Return each budget with its measured value over the runs of a tally."""
    return [Checked(budget, measured(budget.measure, tally)) for budget in budgets]


def measured(measure: str, tally: Tally) -> float | None:
    """Return the value of one of MEASURES over some runs; latencies are in microseconds.

    Raises ValueError for another name.
    """
    match measure:
        case "round_trips_per_event":
            return tally.round_trips / tally.events if tally.events else None
        case "commands":
            return tally.commands / tally.runs if tally.runs else None
        case "lost":
            return tally.lost if tally.runs else None
        case "latency.p50":
            return tally.latency(0.5)
        case "latency.p99":
            return tally.latency(0.99)
    raise ValueError(f"{measure!r} is not measured")
