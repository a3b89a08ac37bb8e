"""Orders that are drawn: by random priorities, with a bound on what is missed, and by a walk."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import pytest

from simulation import load
from simulation.kernel.random_streams import Streams
from simulation.search.explore.schedulers import Priorities
from simulation.search.explore.strategies import Runner, Strategy
from simulation.world.laboratory import Laboratory
from simulation.world.scheduling import Bounds, Step

PAIR = Path(__file__).parents[3] / "scenarios" / "leader-follower.toml"


@pytest.fixture(scope="module")
def server() -> Iterator[Laboratory]:
    with Laboratory("server") as laboratory:
        yield laboratory


def step(who: str, kind: Literal["request", "time"] = "request") -> Step:
    """Return a step that an actor could take."""
    return Step(f"{who}1", kind, who, "", lambda: None)


def taken(scheduler: Priorities, turns: int, *actors: str) -> list[str]:
    """Return who goes on in each of several turns in which all of them could."""
    steps = [step(who) for who in actors]
    return [actors[scheduler.choose(steps)] for _ in range(turns)]


def test_highest_priority_goes_on() -> None:
    """The actor with the highest priority goes on until it falls behind all others."""
    falls = set()
    for seed in range(20):
        order = taken(Priorities(Streams(seed)["schedule"], depth=2, expected=10), 12, "a", "b", "c")
        changes = [i for i in range(1, 12) if order[i] != order[i - 1]]
        assert len(changes) <= 1
        falls.update(changes)
    assert len(falls) > 3


def test_a_depth_of_one_changes_no_priority() -> None:
    firsts = set()
    for seed in range(20):
        order = taken(Priorities(Streams(seed)["schedule"], depth=1, expected=10), 12, "a", "b", "c")
        assert len(set(order)) == 1
        firsts.add(order[0])
    assert firsts == {"a", "b", "c"}


def test_time_passes_only_at_a_change_point() -> None:
    """Time passes before what is pending only at a moment."""
    passed = []
    for seed in range(30):
        scheduler = Priorities(Streams(seed)["schedule"], depth=2, expected=6)
        chosen = [scheduler.choose([step("a"), step("clock", "time")]) for _ in range(8)]
        assert sum(chosen) <= 1
        passed.append(sum(chosen))
    assert 0 < sum(passed) < 30


def test_race_is_found_within_the_bound(server: Laboratory) -> None:
    """A race is found at least as often as the bound says."""
    runner = Runner(server, load(PAIR), "null", Strategy("pct", 2))
    verdicts = [runner.run(seed).verdict for seed in range(1, 61)]
    said = re.fullmatch(r"a bug of depth 2 .* at least 1/\((\d+)·(\d+)\^1\) = 1/([\d,]+)", runner.guarantee)
    assert said is not None
    odds = int(said[3].replace(",", ""))
    assert odds == int(said[1]) * int(said[2])
    assert verdicts.count("violated") / 60 >= 1 / odds


def test_bound_weakens_with_depth(server: Laboratory) -> None:
    """The bound grows weaker with all that a moment may be."""
    plain, more = (
        Runner(server, load(PAIR), "null", Strategy("pct", 3, bounds)).guarantee
        for bounds in (Bounds(), Bounds(early=1, faults=1, kinds=("crash",)))
    )
    odds = [int(words.rpartition("1/")[2].replace(",", "")) for words in (plain, more)]
    assert odds[1] == odds[0] * 4**2  # a change, time, or a crash of one of two consumers


@pytest.mark.parametrize("name", ["pct", "random-walk"])
def test_same_seed_same_order(server: Laboratory, name: Literal["pct", "random-walk"]) -> None:
    """The same seed gives the same order and seeds give several."""
    runner = Runner(server, load(PAIR), "native", Strategy(name))
    first = [runner.run(seed).digest for seed in range(1, 21)]
    again = [Runner(server, load(PAIR), "native", Strategy(name)).run(seed).digest for seed in range(1, 21)]
    assert first == again
    assert len(set(first)) > 2
