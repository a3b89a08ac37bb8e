"""Fencing tokens grow, whatever Redis forgets: in a failover, a flush, or with its clock set back."""

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
FAILOVER = '[[faults]]\nkind = "failover"\nat = "3s"\nlag = "40ms"\nfor = "500ms"\n'
FLUSH = '[[faults]]\nkind = "flush"\nat = "3s"\n'
BACK = '[[faults]]\nkind = "server-clock"\nat = "3s"\noffset = "-2s"\n'


def fences(laboratory: Laboratory, fault: str, engine: str = "native") -> list[list[int]]:
    """Return the fencing tokens of event a, in the order in which its handlers began, seed by seed."""
    found = []
    for seed in range(1, 6):
        run = laboratory.run(loads(SCENARIO.format(fault=fault)), seed, engine)
        found.append([entry.details["fence"] for entry in run.history.of("started") if entry.event == "a"])
    return found


@pytest.mark.parametrize("fault", [FAILOVER, FLUSH, BACK], ids=["failover", "flush", "clock set back"])
def test_fences_grow(laboratory: Laboratory, fault: str) -> None:
    shown = fences(laboratory, fault)
    assert max(map(len, shown)) > 1, "nobody has taken the event over"
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


def test_a_counter_alone_would_repeat_itself_after_a_failover(
    laboratory: Laboratory, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = counted(monkeypatch, Edit(SHARED, "if last < now_us then", "if last == 0 then"))
    shown = fences(laboratory, FAILOVER, engine)
    assert any(one >= two for tokens in shown for one, two in pairwise(tokens))


def test_a_clock_alone_would_repeat_itself_when_it_is_set_back(
    laboratory: Laboratory, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = counted(monkeypatch, Edit(SHARED, "if last < now_us then", "if true then"))
    shown = fences(laboratory, BACK.replace("-2s", "-20s"), engine)
    assert any(one >= two for tokens in shown for one, two in pairwise(tokens))
