"""Workers that were written without this harness in mind run as they are, are judged, and give one history."""

from __future__ import annotations

from typing import Any

import pytest

from simulation import Laboratory, loads
from simulation.engines import UnknownEngine, resolve
from simulation.kernel.escapes import Escaped
from simulation.search.parallel.determinism import compare_twice
from simulation.search.parallel.seeds import Plan

HERE = "tests.simulation.third_party"
QUIET = """
name = "third-party"
[workload]
kind = "chains"
count = 6
length = 1
interval = "50ms"
[consumers]
count = 3
handler_time = { exponential = "200ms" }
[judge]
preset = "queue"
require_coverage = ["handled"]
horizon = "2h"
[policy]
lookback = "5m"
retention = "10m"
"""
CRASHES = """
[[faults]]
kind = "crash"
at = "300ms"
every = "1s"
times = 2
consumer = "any"
for = "5s"
"""
WORKERS = ("reliable_list", "stream_group", "threads", "notified", "delayed", "outbox", "election", "saga")


@pytest.mark.parametrize("worker", WORKERS)
def test_quiet_day(laboratory: Laboratory, worker: str) -> None:
    """A library that knows nothing of causim handles everything without faults."""
    result = laboratory.run(loads(QUIET), 1, f"{HERE}.{worker}:main")
    assert result.verdict == "holds"
    assert result.judgement.coverage["handled"] == 6


@pytest.mark.nightly
@pytest.mark.parametrize("worker", WORKERS)
def test_two_processes(worker: str) -> None:
    """Processes with different hash seeds write the same history of a worker that others wrote."""
    plan = Plan(loads(QUIET + CRASHES), f"{HERE}.{worker}:main")
    assert [one.difference for one in compare_twice(plan, range(1, 4))] == [None] * 3


@pytest.mark.parametrize("worker", WORKERS)
def test_dying_workers(laboratory: Laboratory, worker: str) -> None:
    """A library whose workers die gives one history."""
    one, other = (laboratory.run(loads(QUIET + CRASHES), 2, f"{HERE}.{worker}:main") for _ in range(2))
    assert one.digest == other.digest
    found = {violation.invariant for violation in one.judgement.violations}
    assert found <= ({"nothing-lost"} if worker == "threads" else set())  # it pops, and so loses what it holds


def test_stalled_server_publishes_once(laboratory: Laboratory) -> None:
    """A server that stalls makes the producer publish nothing twice."""
    stall = '[[faults]]\nkind = "server-stalls"\nat = "120ms"\nfor = "30s"\n'
    result = laboratory.run(loads(QUIET + stall), 1, f"{HERE}.notified:main")
    assert "handled-once" not in {violation.invariant for violation in result.judgement.violations}


def test_unknown_message(laboratory: Laboratory) -> None:
    """What is no message of an event gets no verdict."""
    for engine, what in (
        ("of_nothing", "none of whose fields holds an event"),
        ("of_a_tuple", "which is not a message"),
    ):
        with pytest.raises(Escaped, match=rf"effect was given .*{what}.*programs\.py:\d+ in {engine}"):
            laboratory.run(loads(QUIET), 1, f"tests.simulation.programs:{engine}")


def test_event_in_fields(laboratory: Laboratory) -> None:
    """The fields of an entry are searched for the event."""
    result: Any = laboratory.run(loads(QUIET), 1, "tests.simulation.programs:of_fields")
    assert result.verdict == "holds"


def test_function_not_async() -> None:
    """A function that is not async is refused, and the message says what to name."""
    with pytest.raises(UnknownEngine, match=r"is not async; name the `async def` that it gives to asyncio\.run"):
        resolve("tests.simulation.programs:client")


def test_logs_in_traced_history(laboratory: Laboratory) -> None:
    """What a program logs is in a traced history at virtual times."""
    engine = "tests.simulation.programs:logging_one"
    plain, traced = (laboratory.run(loads(QUIET), 1, engine, trace=trace) for trace in (False, True))
    assert plain.digest == traced.digest
    assert not list(plain.history.of("logged"))
    logged = list(traced.history.of("logged"))
    assert len(logged) == 6
    assert {(entry.details["level"], entry.details["logger"]) for entry in logged} == {("warning", "worker")}
    assert all(entry.details["message"].startswith("took ") for entry in logged)
    started = {entry.at for entry in traced.history.of("started")}
    assert {entry.at for entry in logged} == started
