"""The fencing tokens of an event grow, whatever Redis forgets: in a failover, a flush, or with its clock set back."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest

from simulation import Laboratory, loads
from simulation.engines.mutants import MUTANTS, Edit, Mutant
from simulation.engines.mutants.mutant import SHARED

SCENARIO = """
name = "fences"
[workload]
events = [{{ name = "a", at = "2s970ms" }}, {{ name = "z", at = "0s" }}]
[broker]
delay = "1ms"
max_failures = 20
[consumers]
count = 3
handler_time = "6s"
handler_failure = 0.5
{fault}
"""
FAILING = """
name = "fences-of-a-failing-handler"
[workload]
events = [{{ name = "a", at = "0s" }}]
[broker]
delay = "1ms"
max_failures = 20
redeliver_after = "1s"
[consumers]
count = 3
handler_time = "1s"
handler_failure = 1.0
{fault}
"""
FAILOVER = '[[faults]]\nkind = "failover"\nat = "3s"\nlag = "40ms"\nfor = "500ms"\n'
LOST_GRANT = '[[faults]]\nkind = "failover"\nat = "5s"\nlag = "1s"\nfor = "500ms"\n'
"""A failover that loses the third grant of a failing event."""
FLUSH = '[[faults]]\nkind = "flush"\nat = "3s"\n'
BACK = '[[faults]]\nkind = "server-clock"\nat = "3s"\noffset = "-2s"\n'


def fences(laboratory: Laboratory, fault: str, engine: str = "native", scenario: str = SCENARIO) -> list[list[int]]:
    """Return the fencing tokens of event a, in the order in which its handlers began, seed by seed."""
    found = []
    for seed in range(1, 6):
        run = laboratory.run(loads(scenario.format(fault=fault)), seed, engine)
        found.append([entry.details["fence"] for entry in run.history.of("started") if entry.event == "a"])
    return found


@pytest.mark.parametrize(
    ("scenario", "fault"),
    [(SCENARIO, FAILOVER), (SCENARIO, FLUSH), (SCENARIO, BACK), (FAILING, LOST_GRANT)],
    ids=["failover", "flush", "clock set back", "lost grant"],
)
def test_fences_grow(laboratory: Laboratory, scenario: str, fault: str) -> None:
    shown = fences(laboratory, fault, scenario=scenario)
    assert max(map(len, shown)) > 1, "no consumer has taken the event over"
    assert all(one < two for tokens in shown for one, two in pairwise(tokens))


def counted(monkeypatch: pytest.MonkeyPatch, edit: Edit) -> str:
    """Return the name of an engine that counts its fences in another way."""
    mutant = Mutant("fences", "fences are counted in another way", "late-leader.toml", edits=(edit,))
    monkeypatch.setitem(MUTANTS, "fences", mutant)  # type: ignore[arg-type]
    return "mutant:fences"


@pytest.fixture(autouse=True)
def forget_mutants() -> Any:
    from simulation.engines import mutants

    yield
    mutants.engine.cache_clear()


def test_counter_alone_repeats(laboratory: Laboratory, monkeypatch: pytest.MonkeyPatch) -> None:
    """A counter alone would repeat itself after a failover."""
    engine = counted(monkeypatch, Edit(SHARED, "if last < now_us then", "if last == 0 then"))
    shown = fences(laboratory, LOST_GRANT, engine, FAILING)
    assert any(one >= two for tokens in shown for one, two in pairwise(tokens))


def test_clock_alone_repeats(laboratory: Laboratory, monkeypatch: pytest.MonkeyPatch) -> None:
    """A clock alone would repeat itself when it is set back."""
    engine = counted(monkeypatch, Edit(SHARED, "if last < now_us then", "if true then"))
    shown = fences(laboratory, BACK.replace("-2s", "-20s"), engine)
    assert any(one >= two for tokens in shown for one, two in pairwise(tokens))
