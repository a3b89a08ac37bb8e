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
    """Return a step that somebody could take."""
    return Step(f"{who}1", kind, who, "", lambda: None)


def taken(scheduler: Priorities, turns: int, *actors: str) -> list[str]:
    """Return who goes on in each of several turns in which all of them could."""
    steps = [step(who) for who in actors]
    return [actors[scheduler.choose(steps)] for _ in range(turns)]


def test_whoever_has_the_highest_priority_goes_on_until_it_falls_behind_all_others() -> None:
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


def test_time_passes_before_what_is_pending_only_at_a_moment() -> None:
    passed = []
    for seed in range(30):
        scheduler = Priorities(Streams(seed)["schedule"], depth=2, expected=6)
        chosen = [scheduler.choose([step("a"), step("clock", "time")]) for _ in range(8)]
        assert sum(chosen) <= 1
        passed.append(sum(chosen))
    assert 0 < sum(passed) < 30


def test_a_race_is_found_at_least_as_often_as_the_bound_says(server: Laboratory) -> None:
    runner = Runner(server, load(PAIR), "null", Strategy("pct", 2))
    verdicts = [runner.run(seed).verdict for seed in range(1, 61)]
    said = re.fullmatch(r"a bug of depth 2 .* at least 1/\((\d+)·(\d+)\^1\) = 1/([\d,]+)", runner.guarantee)
    assert said is not None
    odds = int(said[3].replace(",", ""))
    assert odds == int(said[1]) * int(said[2])
    assert verdicts.count("violated") / 60 >= 1 / odds


def test_the_bound_grows_weaker_with_all_that_a_moment_may_be(server: Laboratory) -> None:
    plain, more = (
        Runner(server, load(PAIR), "null", Strategy("pct", 3, bounds)).guarantee
        for bounds in (Bounds(), Bounds(early=1, faults=1, kinds=("crash",)))
    )
    odds = [int(words.rpartition("1/")[2].replace(",", "")) for words in (plain, more)]
    assert odds[1] == odds[0] * 4**2  # a change, time, or a crash of one of two consumers


@pytest.mark.parametrize("name", ["pct", "random-walk"])
def test_the_same_seed_gives_the_same_order_and_seeds_give_several(
    server: Laboratory, name: Literal["pct", "random-walk"]
) -> None:
    runner = Runner(server, load(PAIR), "native", Strategy(name))
    first = [runner.run(seed).digest for seed in range(1, 21)]
    again = [Runner(server, load(PAIR), "native", Strategy(name)).run(seed).digest for seed in range(1, 21)]
    assert first == again
    assert len(set(first)) > 2
