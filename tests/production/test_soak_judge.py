"""The judge of the soak convicts the guilty, and excuses what a killed, frozen or starved process explains."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.production.machine import GivenTime, waited_s
from tests.production.soak import soak
from tests.production.soak_judge import Effect, Gap, Note, Published, Round, judge, read_notes

A, B = Published("a", "", "works"), Published("b", "a", "works")
LOOKBACK = 45_000.0
IN_ORDER = [Effect("a", "c1", 1_000.0), Effect("b", "c1", 1_100.0)]
EARLY = [Effect("b", "c1", 100_000.0), Effect("a", "c2", 110_000.0)]
RESCUED = Note(99_990.0, "rescued", "b", "c1")


def wrong(effects: list[Effect], notes: list[Note] | None = None, **more: Any) -> list[str]:
    """Return what the judge says of two events, of which one follows the other."""
    return list(judge(Round([A, B], effects, more.pop("dead", ()), notes or [], LOOKBACK, **more)))


def test_what_is_right() -> None:
    assert wrong(IN_ORDER) == []
    assert wrong(IN_ORDER[:1], dead={"b"}) != [], "its handler does not kill its process"


def test_lost() -> None:
    assert wrong(IN_ORDER[:1]) == ["b was lost"]


@pytest.mark.parametrize(
    ("gaps", "excused"),
    [
        ({}, False),
        ({"c2": [Gap(0)]}, False),
        ({"c1": [Gap(2_000, 4_000)]}, True),
        ({"c1": [Gap(2_000)]}, True),
        ({"c1": [Gap(0, 900)]}, False),
        ({"c1": [Gap(10_000, 12_000)]}, False),
    ],
    ids=["no gap", "of another", "between", "killed", "before", "after"],
)
def test_effect_twice(gaps: Mapping[str, list[Gap]], excused: bool) -> None:
    """An effect may be repeated if its process had a gap between the two grants."""
    found = wrong([*IN_ORDER, Effect("a", "c2", 9_000.0)], gaps=gaps)
    assert (found == []) is excused


def test_effect_of_a_cancelled_handler() -> None:
    twice = [*IN_ORDER, Effect("a", "c2", 9_000.0)]
    assert wrong(twice, uncertain={("a", "c1")}) == []
    assert wrong(twice, uncertain={("a", "c2")}) != []


@pytest.mark.parametrize(
    ("notes", "gaps", "excused"),
    [
        ([], {}, False),
        ([RESCUED], {}, True),
        ([RESCUED, Note(50_000.0, "parked", "a", "c2")], {}, True),
        ([RESCUED, Note(60_000.0, "parked", "a", "c2")], {}, False),
        ([RESCUED, Note(99_995.0, "granted", "a", "c2")], {}, True),
        ([Note(100_001.0, "rescued", "b", "c1")], {}, False),
        ([RESCUED, Note(97_000.0, "granted", "a", "c2")], {}, False),
        ([RESCUED, Note(97_000.0, "granted", "a", "c2")], {"c1": [Gap(96_000, 99_980)]}, True),
        ([RESCUED, Note(97_000.0, "granted", "a", "c2")], {"c1": [Gap(50_000, 60_000)]}, False),
        ([RESCUED, Note(56_000.0, "refused", "a", "c2")], {"c2": [Gap(52_000, 55_990)]}, True),
    ],
    ids=["not found", "found", "heard before", "heard in it", "after the sweep", "found too late", "just before",
         "sweep read late", "an older gap", "heard earlier than noted"],
)  # fmt: skip
def test_follower_first(notes: list[Note], gaps: Mapping[str, list[Gap]], excused: bool) -> None:
    """A follower may be first if a sweep had found it, and its leader had not been heard of for the lookback."""
    assert (wrong(EARLY, sorted(notes), gaps=gaps) == []) is excused


def test_notes_of_a_killed_process(tmp_path: Path) -> None:
    """What was noted stays, but for a line that was cut off."""
    (tmp_path / "c1.notes").write_text("12.5 granted a\n13.0 gran")
    assert read_notes(tmp_path) == [Note(12.5, "granted", "a", "c1")]


@pytest.mark.skipif(not Path("/proc/self/schedstat").exists(), reason="the system does not count that")
def test_time_of_a_process_that_is_not_run() -> None:
    """Time in which processes share one processor is taken off what has passed, for the one that has to wait."""
    [processor, *_] = os.sched_getaffinity(0)
    spin = f"import os; os.sched_setaffinity(0, [{processor}])\nfor _ in range(3_000_000): pass"
    both = [subprocess.Popen([sys.executable, "-c", spin]) for _ in range(2)]
    began, given, seen = time.monotonic(), GivenTime(lambda: [one.pid for one in both]), 0.0
    while all(one.poll() is None for one in both):
        seen = max(seen, *(waited_s(one.pid) for one in both))
        given.passed_s()
    assert seen > 0
    assert 0 <= given.passed_s() < time.monotonic() - began
    for one in both:
        one.wait()


@pytest.mark.nightly
@pytest.mark.parametrize(
    ("mutant", "says"), [("ignore-leader", "before"), ("skip-seen", "twice"), ("say-parked", "lost")]
)
async def test_soak_convicts_a_mutant(mutant: str, says: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A guilty engine is convicted by a short round on real servers."""
    monkeypatch.setattr("tests.production.soak.QUIET_S", 20)
    row = await soak(0, 10, mutant)
    assert any(says in one for one in row["wrong"]), row
