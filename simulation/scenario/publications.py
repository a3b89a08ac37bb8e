"""Makes the workload of a scenario: its epoch, its publications in the order of their time, and their leaders."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from functools import lru_cache
from pathlib import Path
from typing import Any

from simulation.kernel.epoch import EPOCH
from simulation.kernel.random_streams import Streams
from simulation.scenario.errors import BadScenario
from simulation.scenario.model import Scenario
from simulation.scenario.workload import (
    BadTrace,
    Plan,
    Publication,
    arrange,
    chains,
    cycles,
    fans,
    publications,
    read_trace,
    trace_epoch,
    trace_leaders,
    trace_length,
    trace_publications,
    trees,
)


@dataclass(frozen=True, slots=True)
class Workload:
    """The publications of one run."""

    epoch: datetime
    """The instant at which virtual time begins."""
    publications: Iterator[Publication]
    """In the order of their time; a run uses them up."""
    leaders: Mapping[str, str]
    """For each event that is published, the name of the event that it follows, empty if none."""


def make_workload(scenario: Scenario, seed: int, streams: Streams) -> Workload:
    """Return the workload of a scenario with a seed.

    Raises:
        BadScenario: a trace cannot be used.
    """
    table = scenario.workload
    if table.kind == "trace":
        path = Path(scenario.folder) / table.file
        try:
            events = _trace(path, path.stat().st_mtime_ns, table.limit)
        except BadTrace as error:
            raise BadScenario(f"{scenario.name}: table [workload], key 'file': {error}") from None
        except OSError as error:
            why = f"{error.filename}: {error.strerror}"
            raise BadScenario(f"{scenario.name}: table [workload], key 'file': {why}") from None
        epoch = trace_epoch(events)
        if (lasts := trace_length(events, epoch) / table.speed) > scenario.judge.horizon:
            raise BadScenario(
                f"{scenario.name}: table [workload], key 'file': {path}: its events occurred within"
                f" {lasts / 1e6:,.0f} s at speed {table.speed:g}, and a run ends at judge.horizon,"
                f" {scenario.judge.horizon / 1e6:,.0f} s; raise that, or workload.speed"
            )
        return Workload(epoch, trace_publications(events, epoch, table.speed), trace_leaders(events))
    plans = _plans(scenario, streams)
    leaders = {plan.name: plan.follows for plan in plans if plan.published}
    return Workload(EPOCH, publications(plans, seed, EPOCH), leaders)


@lru_cache(maxsize=4)
def _trace(path: Path, changed: int, limit: int | None) -> list[dict[str, Any]]:
    return read_trace(path, limit)


def _plans(scenario: Scenario, streams: Streams) -> list[Plan]:
    table = scenario.workload
    if table.kind == "events":
        return [Plan(**{key: value for key, value in event if key != "again"}) for event in table.events]
    assert table.kind != "trace"
    match table.kind:
        case "chains":
            families = chains(table.count, table.length)
        case "fan-out":
            families = fans(table.count, table.followers)
        case "trees":
            families = trees(table.count, table.depth, table.branching)
        case "cycles":
            families = cycles(table.count, table.length)
    leaders = {plan.follows for family in families for plan in family}
    order, gaps, absent = streams["workload/order"], streams["workload/interval"], streams["workload/missing"]
    plans, moment = [], 0
    occurred = {plan.name: i for i, plan in enumerate(plan for family in families for plan in family)}
    for plan in arrange(families, table.order, table.interleave, order):
        missing = plan.name in leaders and absent.random() < table.missing
        plans.append(replace(plan, at=moment, occurred=occurred[plan.name], published=not missing))
        moment += table.interval.draw(gaps)
    return plans
