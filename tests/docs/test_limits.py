"""The limits that the documentation states are those of the code."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

from pydantic import BaseModel

from causim.counts import LAST_SEED
from simulation.cli import errors
from simulation.history import lines, untrusted, untrusted_files
from simulation.kernel import durations
from simulation.scenario import consistency, load, log_rows, messages, swarm, types
from simulation.scenario.faults import FAULTS, timing
from simulation.scenario.model import Scenario
from simulation.scenario.workloads import WORKLOADS, PlannedEvent
from simulation.search import failure_database, replay

PAGE = Path("docs/untrusted.md")
DAY = 86_400_000_000
YEAR = 365 * DAY


def _most(metadata: Any) -> list[float]:
    return [part.le for part in metadata if getattr(part, "le", None) is not None]


def bounds(kind: str) -> dict[str, float]:
    """Return the upper bounds of a fault's keys."""
    return {key: bound for key, field in FAULTS[kind].model_fields.items() for bound in _most(field.metadata)}


LIMITS = {
    "a line of a history, log or trace": [lines.MAX_LINE >> 20],
    "an unpacked `.gz` history": [untrusted.MAX_UNPACKED_BYTES >> 30, untrusted.MAX_RATIO],
    "all values of a Parquet log": [
        log_rows.MAX_UNPACKED_BYTES >> 20,
        log_rows.MAX_CHUNK_BYTES >> 20,
        log_rows.MAX_CHUNK_VALUES,
    ],
    "a scenario file": [load.MAX_TEXT >> 20],
    "entries of a list or a table of a scenario": [load.MAX_LISTED],
    "a number of a scenario": [load.MAX_BITS],
    "a name of a scenario": [types.MAX_NAME],
    "a verdict, or another JSON file of results": [untrusted_files.MAX_RECORD >> 20],
    "seeds of `.causim/failures.json`": [failure_database.MAX_SEEDS],
    "choices of a replay": [replay.MAX_CHOICES],
    "rows of a log for `causim import`": [log_rows.MAX_ROWS],
    "a duration": [1_000, durations.MAX_DURATION // (1_000 * DAY)],
    "`judge.horizon`": [consistency.MAX_HORIZON // YEAR],
    "jumps of a server's clock": [consistency.MAX_JUMP // YEAR],
    "`times` of a fault": [timing.MAX_TIMES],
    "options of a swarm": [swarm.MAX_CHECKED // swarm.EMPTY_SIZE],
    "`drift` of a clock": [int(bounds("clock")["drift"])],
    "times of a history": [untrusted.MAX_AT.bit_length() - 1],
    "`consumers.count`": [types.MAX_CONSUMERS],
    "`consumers.concurrency`, `client.max_connections`": [types.MAX_TASKS],
    "patterns of faults times consumers": [consistency.MAX_COMPARED],
    "servers of a topology": [16],
    "events that are `too-large`": [int(bounds("too-large")["size"]) >> 20, consistency.MAX_FILLING >> 20],
    "`broker.redeliver_backoff`": [10],
    "a seed": [LAST_SEED],
    "events of a workload, and counts of what is done with each": [types.MAX_EVENTS],
    "mistakes of a scenario that are shown": [messages.MOST],
    "a line of an error": [errors.LONGEST],
}
"""The numbers of each row, as the code has them."""
WITHOUT_NUMBER = ("times of a trace", "length of a trace")
"""Rows whose limits are moments, or other keys."""


def stated() -> dict[str, str]:
    """Return the limits of the page: the words of each row, and its value."""
    rows = [line.split(" | ") for line in PAGE.read_text().partition("## Limits")[2].split("\n## ")[0].splitlines()]
    return {row[0].removeprefix("| "): row[1] for row in rows if len(row) == 3 and row[0] != "| limit"}


def test_each_limit() -> None:
    assert set(stated()) == {*LIMITS, *WITHOUT_NUMBER}
    for words, numbers in LIMITS.items():
        said = [int(number.replace(",", "")) for number in re.findall(r"\d[\d,]*", stated()[words])]
        assert said[: len(numbers)] == numbers, words


def test_each_bound_of_a_key() -> None:
    """Each key of a scenario that has an upper bound has one that the page states."""
    pages = {number for value in stated().values() for number in re.findall(r"\d[\d,]*", value)}
    found = {(table.__name__, key, bound) for table in _tables() for key, bound in _bounded(table)}
    assert {("Consumers", "count", 10_000), ("WrongClock", "drift", 1_000), ("TooLarge", "size", 1 << 24)} <= found
    assert [each for each in found if f"{each[2]:,.0f}" not in {*pages, f"{1 << 24:,}"}] == []


def _tables() -> list[type[BaseModel]]:
    todo: list[Any] = [Scenario, PlannedEvent, *WORKLOADS.values(), *FAULTS.values()]
    found: list[type[BaseModel]] = []
    while todo:
        table = todo.pop()
        if isinstance(table, type) and issubclass(table, BaseModel) and table not in found:
            found.append(table)
            todo += [one for f in table.model_fields.values() for one in (f.annotation, *get_args(f.annotation))]
    return found


def _bounded(table: type[BaseModel]) -> Iterator[tuple[str, float]]:
    """Yield the keys of a table with their upper bounds; a share of all is at most 1."""
    for key, field in table.model_fields.items():
        inner = [part for one in get_args(field.annotation) for part in getattr(one, "__metadata__", ())]
        nested = [part for one in inner for part in getattr(one, "metadata", [one])]
        yield from ((key, bound) for bound in _most([*field.metadata, *nested]) if bound != 1)
