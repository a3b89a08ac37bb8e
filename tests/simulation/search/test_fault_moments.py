"""Faults at chosen moments: kinds of moments, one fault a run, and runs that are repeated with a fault."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from simulation import Laboratory, loads
from simulation.kernel.random_streams import Streams
from simulation.search.explore.fault_moments import FAULTS, KnownMoments, moments_of
from simulation.search.explore.guided import Guided
from simulation.search.explore.strategies import Strategy
from simulation.search.replay import replay_of
from simulation.world.scheduling import Bounds, Step

WORLD = """
name = "one-follower"
workload.events = [{ name = "b", follows = "a" }, { name = "a" }]
broker.delay = "1ms"
consumers.count = 1
policy = { lookback = "1m", lease = "4s" }
judge.horizon = "10m"
"""
BOUNDS = Bounds(faults=1)


@pytest.fixture(scope="module")
def server() -> Iterator[Laboratory]:
    with Laboratory("server") as laboratory:
        yield laboratory


def request(number: int, verb: str) -> Step:
    return Step(f"c1/1>{number}", "request", "c1", f"c1 EVALSHA {verb}", lambda: None)


def test_finding_sweep_is_its_own_moment() -> None:
    """A sweep that finds something is another moment than one that finds nothing."""
    taken = [request(1, "sweep"), request(2, "sweep"), request(3, "sweep"), request(4, "begin"), request(5, "sweep")]
    groups = moments_of(taken, Bounds(faults=1, kinds=("reply-lost",)))
    assert [[label for _, label in group] for group in groups.values()] == [
        ["c1/1>1", "c1/1>2"],
        ["c1/1>3"],
        ["c1/1>4"],
        ["c1/1>5"],
    ]


def test_no_crash_at_a_reply() -> None:
    """A reply is lost at a request, and a crash strikes at a request or a handler: at a reply it leaves the same."""
    taken = [
        request(1, "begin"),
        Step("c1/1<1", "reply", "c1", "c1 receives a reply", lambda: None),
        Step("c1:a:1", "handler", "c1", "c1 has handled a", lambda: None),
    ]
    found = [(kind, label) for alike in moments_of(taken, BOUNDS).values() for kind, label in alike]
    assert found == [("reply-lost", "c1/1>1"), ("crash", "c1/1>1"), ("crash", "c1:a:1")]


def test_moments_until_a_fault() -> None:
    """Of a run in which a fault occurred, the moments before it can be tried."""
    taken = [
        request(1, "begin"),
        Step("c1/1>2!", "reply-lost", "c1", "c1 EVALSHA x", lambda: None),
        request(3, "sweep"),
    ]
    assert {label for alike in moments_of(taken, BOUNDS).values() for _, label in alike} == {"c1/1>1"}


def test_kind_tried_least_is_next() -> None:
    """Each kind of moment is aimed at once before any is twice, the rarest first."""
    known: KnownMoments[str] = KnownMoments()
    stream = Streams(1)["moments"]
    assert known.aim(stream) is None
    taken = [request(1, "sweep"), request(2, "sweep"), request(3, "sweep"), request(4, "begin"), request(5, "sweep")]
    known.add("one", moments_of(taken, Bounds(faults=1, kinds=("reply-lost",))))
    aimed = [found[1][1] for _ in range(4) if (found := known.aim(stream)) is not None]
    assert aimed[:3] == ["c1/1>3", "c1/1>4", "c1/1>5"]
    assert aimed[3] in ("c1/1>1", "c1/1>2")
    known.add("two", {("crash", "request x", ""): [("crash", "c2/1>9")]})
    assert known.aim(stream) == ("two", ("crash", "c2/1>9"))


def test_guided_strikes_each_kind(server: Laboratory) -> None:
    """A guided search strikes at each kind of moment."""
    search = Guided(server, loads(WORLD), "native", Strategy("guided", bounds=BOUNDS))
    runs = list(search.runs(range(1, 46)))
    injected = [[step for step in run.steps.taken if step.kind in FAULTS] for run in runs if run.steps is not None]
    assert max(len(faults) for faults in injected) == 1
    assert runs[0].steps is not None
    kinds = moments_of(runs[0].steps.taken, BOUNDS)
    met = {step.label.removesuffix("!") for faults in injected for step in faults if step.kind == "reply-lost"}
    assert all(met & {label for _, label in alike} for kind, alike in kinds.items() if kind[0] == "reply-lost")


def test_chosen_fault_is_replayed(server: Laboratory) -> None:
    """A run with a chosen fault is made again and replayed."""
    first, second = (
        list(Guided(server, loads(WORLD), "native", Strategy("guided", bounds=BOUNDS)).runs(range(1, 13)))
        for _ in range(2)
    )
    assert [run.digest for run in first] == [run.digest for run in second]
    explored = [run for run in first if run.steps is not None]
    assert any(step.kind in FAULTS for run in explored for step in run.steps.taken)  # type: ignore[union-attr]
    assert all(replay_of(run).perform(server).digest == run.digest for run in explored)
