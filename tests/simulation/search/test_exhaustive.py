from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from simulation.scenario.load import load
from simulation.scenario.model import Scenario
from simulation.search.explore.exhaustive import Exhaustive, Progress, Reduction
from simulation.world.laboratory import Laboratory
from simulation.world.scheduling import Bounds
from tests.simulation.search import small
from tests.simulation.search.outcomes import outcome

SCENARIOS = Path(__file__).parents[3] / "scenarios"
HERE = "tests.simulation.search.small"


@pytest.fixture(scope="module")
def server() -> Iterator[Laboratory]:
    with Laboratory("server") as laboratory:
        yield laboratory


def explore(
    laboratory: Laboratory,
    scenario: Scenario,
    engine: str,
    reduction: Reduction,
    bounds: Bounds = Bounds(),  # noqa: B008
) -> tuple[set[tuple[Any, ...]], Progress]:
    search = Exhaustive(laboratory, scenario, 1, engine, bounds=bounds, reduction=reduction)
    outcomes = {outcome(laboratory, run) for run in search.runs(5000)}
    return outcomes, search.progress


@pytest.mark.parametrize(
    "engine",
    [
        *("Apart", "FirstOnly", "LostUpdate", "Members", "Fields"),
        *(pytest.param(engine, marks=pytest.mark.nightly) for engine in ("Guarded", "Lister", "LastMember")),
    ],
)
def test_reduced_finds_every_outcome(server: Laboratory, engine: str) -> None:
    """A reduced search finds every outcome of the plain enumeration."""
    scenario = small.scenario()
    plain, all_orders = explore(server, scenario, f"{HERE}:{engine}", Reduction.NONE)
    assert all_orders.complete
    for reduction in (Reduction.SLEEP, Reduction.RACES):
        reduced, some_orders = explore(server, scenario, f"{HERE}:{engine}", reduction)
        assert reduced == plain
        assert some_orders.complete
        assert some_orders.covered < all_orders.covered


def test_reduced_with_a_crash(server: Laboratory) -> None:
    """A reduced search finds every outcome with a crash."""
    scenario, bounds = small.scenario(events=1), Bounds(faults=1)
    plain, all_orders = explore(server, scenario, f"{HERE}:FirstOnly", Reduction.NONE, bounds)
    reduced, some_orders = explore(server, scenario, f"{HERE}:FirstOnly", Reduction.RACES, bounds)
    assert reduced == plain
    assert all_orders.complete
    assert some_orders.complete


def test_reduced_with_an_early_timer(server: Laboratory) -> None:
    """A reduced search finds every outcome with an early timer."""
    scenario, bounds = small.scenario(events=1), Bounds(early=1)
    plain, _ = explore(server, scenario, f"{HERE}:LostUpdate", Reduction.NONE, bounds)
    reduced, _ = explore(server, scenario, f"{HERE}:LostUpdate", Reduction.RACES, bounds)
    assert reduced == plain
    assert len(plain) > 1


def test_reduced_on_native(server: Laboratory) -> None:
    """A reduced search finds every outcome of leader and follower on native."""
    scenario = load(SCENARIOS / "leader-follower.toml")
    plain, all_orders = explore(server, scenario, "native", Reduction.NONE)
    reduced, some_orders = explore(server, scenario, "native", Reduction.RACES)
    assert reduced == plain
    assert all_orders.complete
    assert some_orders.covered < all_orders.covered / 5


def test_reduced_crash_among_two(server: Laboratory) -> None:
    """A reduced search finds every outcome of a crash among two events."""
    scenario, bounds = small.scenario(), Bounds(faults=1, kinds=("crash",))
    plain, all_orders = explore(server, scenario, "null", Reduction.NONE, bounds)
    reduced, some_orders = explore(server, scenario, "null", Reduction.RACES, bounds)
    assert reduced == plain
    assert all_orders.complete
    assert some_orders.complete


def test_three_events_hold_on_native(server: Laboratory) -> None:
    """Three events are explored completely and hold on native."""
    search = Exhaustive(server, load(SCENARIOS / "three-events.toml"), 1, "native")
    assert all(run.verdict == "holds" for run in search.runs())
    assert search.progress.complete
    assert search.progress.covered > 100


def test_two_events_hold_on_native(server: Laboratory) -> None:
    """Leader and follower are explored completely and hold on native."""
    outcomes, progress = explore(server, load(SCENARIOS / "leader-follower.toml"), "native", Reduction.RACES)
    assert progress.complete
    assert progress.violating == 0
    assert len(outcomes) == 8


def test_without_ordering_some_order_is_violated(server: Laboratory) -> None:
    _, progress = explore(server, load(SCENARIOS / "leader-follower.toml"), "null", Reduction.RACES)
    assert progress.complete
    assert progress.violating > 0


def test_a_search_that_is_cut_is_not_complete(server: Laboratory) -> None:
    search = Exhaustive(server, load(SCENARIOS / "leader-follower.toml"), 1, "native")
    assert len(list(search.runs(3))) == 3
    assert not search.progress.complete


def test_embedded_misses_nothing(server: Laboratory) -> None:
    """The embedded store may take longer but misses nothing."""
    scenario = small.scenario()
    with Laboratory("embedded") as embedded:
        there, progress = explore(embedded, scenario, f"{HERE}:Guarded", Reduction.RACES)
    here, _ = explore(server, scenario, f"{HERE}:Guarded", Reduction.RACES)
    assert there == here
    assert progress.complete
