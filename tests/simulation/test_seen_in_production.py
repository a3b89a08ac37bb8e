"""What failed on real servers: the page about it names what there is, and what no invariant convicts is shown here."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from redis.exceptions import RedisClusterException

from ordering import CausalOrdering
from ordering.leases import Grant
from simulation import Laboratory, load, loads
from simulation.engines.mutants import MUTANTS
from simulation.engines.native import NativeEngine
from simulation.scenario.faults import FAULTS

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/production.md").read_text(encoding="utf-8")
ENGINES = ["native", "native-batches", "native-stream", "native-partitions"]
LEASE_S = 4

STOPPED = """
name = "stopped-while-redis-is-silent"
workload = { kind = "chains", count = 3, length = 2, order = "reversed", interval = "20ms" }
consumers = { count = 1, concurrency = 3, handler_time = { uniform = ["5ms", "200ms"] } }
client.timeout = "30m"
policy = { lookback = "2m", lease = "4s" }
faults = [
  { kind = "server-stalls", at = "100ms", for = "10m" },
  { kind = "stop", consumer = "c1", at = "10s", for = "10m" },
]
"""
NO_NODE = """
name = "no-node-in-reach"
workload = { kind = "chains", count = 2, length = 3, order = "reversed", interval = "150ms" }
consumers = { count = 2, handler_time = "500ms" }
topology.kind = "cluster"
faults = [{ kind = "restart", at = "1s", for = "5s" }]
"""


class WaitingOrdering(CausalOrdering[Any]):
    """Waits for the reply to what it has asked, also when its call was cancelled."""

    async def _call(self, name: str, *args: str | int | bytes, once: bool = False) -> Any:
        asked, stopped = asyncio.ensure_future(super()._call(name, *args, once=once)), False
        while not asked.done():
            try:
                await asyncio.wait([asked])
            except asyncio.CancelledError:
                stopped = True
        if stopped:
            raise asyncio.CancelledError
        return asked.result()


class YieldingOrdering(CausalOrdering[Any]):
    """Asks once to record handled events, if its client reaches no node of a cluster."""

    async def _record(
        self, grants: Sequence[Grant], ask: Callable[[], Awaitable[Any]], refusal: Exception, queues: Any = ()
    ) -> Any:
        if isinstance(refusal, RedisClusterException):
            raise refusal
        return await super()._record(grants, ask, refusal, queues)


class Waiting(NativeEngine):
    """Waits for every reply."""

    ordering = WaitingOrdering


class Yielding(NativeEngine):
    """Repeats no completion that no node of a cluster could take."""

    ordering = YieldingOrdering


def rows(table: int) -> Iterator[list[str]]:
    """Yield the cells of the rows of a table of the page."""
    tables = re.findall(r"(?:^\|.*\n)+", PAGE, re.MULTILINE)
    for line in tables[table].splitlines()[2:]:
        yield [cell.strip() for cell in line.strip("|").split(" | ")]


@pytest.mark.parametrize("row", [pytest.param(row, id=row[0][:40]) for row in rows(0)])
def test_failure_has_fault_scenario_and_mutant(row: list[str]) -> None:
    """The fault is in the scenario, and the mutant is convicted there."""
    _, fault, scenario, mutant, _ = row
    [link] = re.findall(r"\]\(\.\./(.*)\)", scenario)
    loaded = load(ROOT / link)
    [name] = re.findall(r"`([^`]+)`", fault)
    if "." in name:
        table, key = name.split(".")
        assert key in getattr(loaded, table).model_fields_set
    else:
        assert name in FAULTS
        assert name in {one.name for one in loaded.faults}
    found = MUTANTS[mutant.strip("`")]
    assert link.endswith(found.scenario)
    assert found.convicted_by


def test_named_tests_exist() -> None:
    tests = "\n".join(path.read_text(encoding="utf-8") for path in (ROOT / "tests").rglob("test_*.py"))
    named = re.findall(r"`(test_\w+)`", PAGE)
    assert len(named) > 20
    assert [name for name in named if f"def {name}(" not in tests] == []


def ends_after_s(laboratory: Laboratory, engine: str) -> float:
    """Return how long a consumer takes to stop, in seconds."""
    history = laboratory.run(loads(STOPPED), 1, engine).history
    [asked] = [entry.at for entry in history.of("fault") if entry.details["fault"] == "stop"]
    [stopped] = [entry.at for entry in history.of("stopped")]
    return (stopped - asked) / 1_000_000


@pytest.mark.parametrize("engine", ENGINES)
def test_stop_while_redis_is_silent(engine: str, laboratory: Laboratory) -> None:
    """A consumer ends within a lease, though its client would wait for half an hour."""
    assert ends_after_s(laboratory, engine) <= LEASE_S + 0.1


def test_consumer_that_waits_for_every_reply(laboratory: Laboratory) -> None:
    assert ends_after_s(laboratory, f"{__name__}:Waiting") > LEASE_S + 0.1


def repeated(laboratory: Laboratory, engine: str) -> int:
    """Return how many effects are repeated."""
    runs = (laboratory.run(loads(NO_NODE), seed, engine) for seed in range(1, 4))
    return sum(run.judgement.coverage["handled-again"] for run in runs)


@pytest.mark.parametrize("engine", ENGINES)
def test_no_node_in_reach(engine: str, laboratory: Laboratory) -> None:
    """No effect is repeated because no node of a cluster could record it."""
    assert repeated(laboratory, engine) == 0


def test_completion_that_is_not_asked_again(laboratory: Laboratory) -> None:
    assert repeated(laboratory, f"{__name__}:Yielding") > 0
