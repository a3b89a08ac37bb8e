"""What a search says that it has covered: behaviours, the mass of what is unseen, transitions, faults by state."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from itertools import accumulate
from pathlib import Path

import pytest

from simulation import load
from simulation.cli import main
from simulation.search.coverage.event_model import TRANSITIONS
from simulation.search.coverage.search_coverage import RunCoverage, SearchCoverage, coverage_of
from simulation.search.coverage.unseen import unseen, upper_bound
from simulation.search.explore.exhaustive import Exhaustive
from simulation.search.explore.strategies import Runner, Strategy
from simulation.world.laboratory import Laboratory
from simulation.world.request_log import RequestLog, shape
from tests.simulation.search.small import scenario

SCENARIOS = Path(__file__).parents[3] / "scenarios"
PAIR = SCENARIOS / "leader-follower.toml"
APART = "tests.simulation.search.small:Apart"
FIRST = "tests.simulation.search.small:FirstOnly"


@pytest.fixture(scope="module")
def server() -> Iterator[Laboratory]:
    with Laboratory("server") as laboratory:
        yield laboratory


def covered(laboratory: Laboratory, name: str, engine: str, strategy: str, runs: int) -> SearchCoverage:
    """Return what some runs of a shipped scenario cover."""
    runner = Runner(laboratory, load(SCENARIOS / f"{name}.toml"), engine, Strategy(strategy))  # type: ignore[arg-type]
    found = SearchCoverage()
    for seed in range(1, runs + 1):
        found.add(seed, coverage_of(runner.run(seed)))
    return found


# -- behaviours --------------------------------------------------------------------------------------------------


def test_a_replayed_seed_shows_the_same_behaviour(server: Laboratory) -> None:
    pair = load(PAIR)
    assert coverage_of(server.run(pair, 3)).behaviour == coverage_of(server.run(pair, 3)).behaviour


def test_equal_orders_are_one_behaviour(server: Laboratory) -> None:
    """Orders that no consumer can distinguish are one behaviour."""
    shown = [coverage_of(run).behaviour for run in Exhaustive(server, scenario(2), 1, APART).runs()]
    assert len(shown) > 1
    assert len(set(shown)) == 1


def test_drawn_behaviours_are_in_every_order(server: Laboratory) -> None:
    """Every behaviour that draws show is among those of every order."""
    pair = load(PAIR)
    every = {coverage_of(run).behaviour for run in Exhaustive(server, pair, 1, "native").runs()}
    drawn = covered(server, "leader-follower", "native", "random-walk", 60)
    assert set(drawn.times) <= every


def test_lock_order_distinguishes_behaviours(server: Laboratory) -> None:
    """The order in which a lock is taken distinguishes two behaviours."""
    by_effect: dict[tuple[str, ...], set[int | None]] = {}
    for run in Exhaustive(server, scenario(2), 1, FIRST).runs():
        effective = tuple(entry.event for entry in run.history.of("started"))
        by_effect.setdefault(effective, set()).add(coverage_of(run).behaviour)
    assert set(by_effect) == {("a",), ("b",)}
    assert by_effect["a",].isdisjoint(by_effect["b",])


def test_answers_without_ids_and_times() -> None:
    """An answer keeps its shape and loses ids and times."""
    assert shape(b"*2\r\n$6\r\nparked\r\n:1700000000123\r\n") == b"*2\r\n$parked:#"
    assert shape(b"$36\r\n5f3a9c5e-aaaa-4bbb-8ccc-0123456789ab\r\n") == b"$"
    assert shape(b":1\r\n") != shape(b":0\r\n")
    assert shape(b"-NOSCRIPT No matching script\r\n") == b"-NOSCRIPT"


def test_a_repeated_poll_is_one_request() -> None:
    log = RequestLog()
    for _ in range(5):
        log.add("c1", 1, [[b"GET", b"k"]], b"$-1\r\n")
    log.add("c1", 1, [[b"GET", b"k"]], b"$1\r\nx\r\n")
    assert [len(requests) for requests in log.of("c1")] == [2]


# -- what is unseen ----------------------------------------------------------------------------------------------

DISTRIBUTIONS = {
    "uniform": [1.0] * 300,
    "zipf": [1 / k for k in range(1, 2_000)],
    "geometric": [0.8**k for k in range(60)],
    "few": [1.0] * 5,
}


@pytest.mark.parametrize("name", DISTRIBUTIONS)
@pytest.mark.parametrize("runs", [40, 400])
def test_interval_covers_the_unseen(name: str, runs: int) -> None:
    """The interval covers the mass that is unseen."""
    weights = DISTRIBUTIONS[name]
    whole, sums, rng = sum(weights), list(accumulate(weights)), random.Random(7)
    above = below = 0
    errors, trials = 0.0, 300
    for _ in range(trials):
        sample = rng.choices(range(len(weights)), cum_weights=sums, k=runs)
        known = set(sample)
        truth = sum(weight for place, weight in enumerate(weights) if place not in known) / whole
        interval = unseen(sample)
        assert interval is not None
        assert interval.low <= interval.estimate <= interval.high
        above += truth > interval.high + 1e-12
        below += truth < interval.low - 1e-12
        errors += interval.estimate - truth
    assert above <= 0.04 * trials  # 2.5 % are promised
    assert below <= 0.07 * trials  # the lower end is an approximation
    assert abs(errors / trials) < 0.04, "the estimate errs to neither side"


def test_the_bound_is_that_of_clopper_and_pearson() -> None:
    assert upper_bound(0, 100) == pytest.approx(1 - 0.025 ** (1 / 100), abs=1e-9)
    assert upper_bound(100, 100) == 1.0
    assert upper_bound(5, 50) == pytest.approx(0.2181, abs=5e-4)  # a table of binomial intervals
    assert upper_bound(5_000, 100_000) == pytest.approx(0.0514, abs=5e-4)


def test_saturated_is_seldom_wrong() -> None:
    """Looking again and again until the answer pleases does not make it wrong more often."""
    rng, wrong, trials, mass = random.Random(7), 0, 150, 0.0505
    for _ in range(trials):
        found = SearchCoverage()
        for seed in range(1_000):
            found.add(seed, RunCoverage(seed + 1 if rng.random() < mass else 0))
            if found.saturated(0.05):
                wrong += 1
                break
    assert wrong <= 0.04 * trials  # 2.5 % are promised


def test_a_search_without_news_is_saturated() -> None:
    found = SearchCoverage()
    for seed in range(1_000):
        found.add(seed, RunCoverage(0))
    assert found.saturated(0.01)
    assert not SearchCoverage().saturated(0.01)


def test_what_is_new_in_the_last_hundred_runs() -> None:
    """Runs before the last hundred, and those whose behaviour was seen before, are not counted."""
    covered = SearchCoverage()
    for seed, behaviour in enumerate([*range(150), *[3] * 93, *range(150, 157)]):
        covered.add(seed, RunCoverage(behaviour))
    assert (covered.distinct, covered.new_lately) == (157, 7)


def test_two_runs_are_needed_to_say_anything() -> None:
    assert unseen([]) is None
    assert unseen([1]) is None
    assert unseen([1, 2]) is not None


@pytest.mark.parametrize(("runs", "low"), [(2, 0.025), (20, 0.69), (1000, 0.99)])
def test_all_new_runs(runs: int, low: float) -> None:
    """Runs that are all new prove no more than their number."""
    interval = unseen(range(runs))
    assert interval is not None
    assert interval.low == pytest.approx(low, abs=0.005)
    assert (interval.estimate, interval.high) == (1.0, 1.0)


# -- transitions and faults --------------------------------------------------------------------------------------


def test_transitions_never_hit(server: Laboratory) -> None:
    """A search lists the transitions that it never hit."""
    found = covered(server, "leader-follower", "native", "random-walk", 40)
    assert "in hand, leader waits · parked" in found.transitions
    assert "in handling · crashed" in found.never
    assert not set(found.never) & set(found.transitions)
    assert found.hit + len(found.never) == len(TRANSITIONS)


def test_crashes_hit_more_transitions(server: Laboratory) -> None:
    """Crashing consumers hit what quiet ones do not."""
    found = covered(server, "crashing-consumers", "native", "random-delays", 15)
    assert "in handling · crashed" in found.transitions
    assert any(what.startswith("crash · in hand") for what in found.faults_by_state)


# -- the command line --------------------------------------------------------------------------------------------


def test_a_search_ends_when_it_is_saturated(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    summary = tmp_path / "summary.md"
    words = ["run", str(PAIR), "--until-saturated", "0.05", "--no-results", "--json", "--summary", str(summary)]
    assert main([*words, "--strategy", "random-walk"]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed["saturated"]
    assert printed["seeds"] < 2_000
    assert printed["covered"]["unseen"]["high"] < 0.05
    assert printed["covered"]["behaviours"] >= 2
    assert "distinct behaviours" in summary.read_text(encoding="utf-8")


@pytest.mark.parametrize("strategy", ["guided", "exhaustive"])
def test_dependent_runs_do_not_saturate(strategy: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", str(PAIR), "--until-saturated", "--strategy", strategy]) == 4
    assert "--until-saturated needs independent runs" in capsys.readouterr().err


def test_saturation_forgets_failures(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Seeds that failed before are no sample: they do not go first until a search is saturated."""
    monkeypatch.chdir(tmp_path)
    words = ["run", str(PAIR), "--engine", "null", "--until-saturated", "0.3", "--out", str(tmp_path), "--json"]
    said = []
    for _ in range(2):
        main(words)
        said.append(json.loads(capsys.readouterr().out)["covered"])
    assert said[0] == said[1]
    assert (tmp_path / ".causim" / "failures.json").exists()


def test_every_order_gives_no_estimate(capsys: pytest.CaptureFixture[str]) -> None:
    """Every order is no sample to estimate from."""
    main(["run", str(PAIR), "--strategy", "exhaustive", "--no-results", "--json"])
    printed = json.loads(capsys.readouterr().out)
    assert printed["covered"]["unseen"] is None
    assert printed["covered"]["behaviours"] > 1


def test_coverage_of_a_build(tmp_path: Path) -> None:
    """The summary and the JUnit file of a build have behaviours, transitions and the states that faults struck."""
    crash = SCENARIOS.parent / "docs/reference/faults/crash.toml"
    summary, junit = tmp_path / "summary.md", tmp_path / "junit.xml"
    options = ["--seeds", "12", "--no-results", "--quiet", "--summary", str(summary), "--junit", str(junit)]
    assert main(["run", str(crash), *options]) == 0
    for shown in (summary.read_text(encoding="utf-8"), junit.read_text(encoding="utf-8")):
        assert "distinct behaviours in 12 runs" in shown
        assert "transitions of the event model hit; never: " in shown
        assert "faults by the state they struck: crash" in shown


def test_page_of_the_kept_run(tmp_path: Path) -> None:
    """The page of the kept run has the numbers of the search."""
    main(["run", str(PAIR), "--seeds", "3", "--out", str(tmp_path), "--quiet"])
    (page,) = tmp_path.glob("leader-follower/2*/report.html")
    assert "distinct behaviour" in page.read_text(encoding="utf-8")
    verdict = json.loads((page.parent / "verdict.json").read_text(encoding="utf-8"))
    assert verdict["covered"]["runs"] == 3
