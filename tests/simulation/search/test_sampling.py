"""Strategies that sample interleavings, and the one that learns from what it has seen."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from math import comb
from pathlib import Path

import pytest
import tomli_w

from simulation import load
from simulation.cli import main
from simulation.kernel.random_streams import Streams
from simulation.search.explore.guided import DELAYS, VARIATION, Guided
from simulation.search.explore.samplers import PartialOrder, UniformWalk
from simulation.search.explore.schedulers import Walk
from simulation.search.explore.strategies import Runner, Strategy
from simulation.search.replay import load_replay, replay_of
from simulation.world.laboratory import Laboratory
from simulation.world.scheduling import Bounds, Scheduler, Step

SCENARIOS = Path(__file__).parents[3] / "scenarios"
PAIR = SCENARIOS / "leader-follower.toml"


@pytest.fixture(scope="module")
def server() -> Iterator[Laboratory]:
    with Laboratory("server") as laboratory:
        yield laboratory


def step(who: str, number: int, key: str = "k") -> Step:
    """Return a request of an actor."""
    return Step(f"{who}>{number}", "request", who, f"{who} GET", lambda: None, keys=frozenset({key.encode()}))


def interleaving(scheduler: Scheduler, counts: dict[str, int], keys: dict[str, str] | None = None) -> str:
    """Return the order in which actors take so many steps each, one letter a step."""
    left, order = dict(counts), ""
    while any(left.values()):
        steps = [step(who, left[who], (keys or {}).get(who, "k")) for who in left if left[who]]
        who = steps[scheduler.choose(steps)].who
        left[who] -= 1
        order += who
    return order


def uniform(seed: int, counts: dict[str, int]) -> UniformWalk:
    """Return a uniform walk that knows how many steps each actor takes."""
    return UniformWalk(
        Streams(seed)["schedule"],
        Bounds(),
        10,
        interesting="request",
        expectations={who: float(count) for who, count in counts.items()},
        typical=1.0,
    )


# -- surw --------------------------------------------------------------------------------------------------------


def test_surw_is_nearly_uniform() -> None:
    """Surw is nearly uniform over interleavings and a walk is not."""
    counts, runs = {"a": 5, "b": 2}, 4_200
    drawn = Counter(interleaving(uniform(seed, counts), counts) for seed in range(runs))
    walked = Counter(interleaving(Walk(Streams(seed)["schedule"]), counts) for seed in range(runs))
    assert len(drawn) == comb(7, 2)
    share = runs / len(drawn)
    # A walk takes `aaaaabb` once in 32 runs and `bbaaaaa` once in 4; uniformly it is once in 21.
    assert max(drawn.values()) < 1.6 * share
    assert min(drawn.values()) > 0.5 * share
    assert max(walked.values()) > 4 * share


def test_surw_interesting_steps() -> None:
    """Surw lets no other interesting step come first."""
    scheduler = UniformWalk(
        Streams(3)["schedule"], Bounds(), 10, interesting="GET", expectations={"a": 1e9, "b": 1e-9}, typical=1.0
    )
    assert interleaving(scheduler, {"a": 4, "b": 2}) == "aaaabb"


# -- pos ---------------------------------------------------------------------------------------------------------


def test_pos_draws_orders_alike() -> None:
    """Pos draws each order of a race about as often."""
    first = Counter(
        interleaving(PartialOrder(Streams(seed)["s"], Bounds(), 4), {"a": 1, "b": 1}) for seed in range(2000)
    )
    assert abs(first["ab"] - 1_000) < 150


def test_pos_beats_a_walk() -> None:
    """What must come after nine steps of another that it does not race with is one priority for pos."""
    counts, keys, runs = {"a": 9, "b": 1}, {"a": "x", "b": "y"}, 3_000
    by_pos = sum(
        interleaving(PartialOrder(Streams(seed)["s"], Bounds(), 10), counts, keys).endswith("b") for seed in range(runs)
    )
    by_walk = sum(interleaving(Walk(Streams(seed)["s"]), counts).endswith("b") for seed in range(runs))
    assert by_pos > 20 * max(1, by_walk)


# -- all of them, in worlds --------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["pos", "surw"])
def test_seed_and_replay(server: Laboratory, name: str) -> None:
    """A seed gives the same run and its replay too."""
    strategy = Strategy(name, bounds=Bounds(early=1, faults=1))  # type: ignore[arg-type]
    runner = Runner(server, load(PAIR), "native", strategy)
    for seed in (1, 2, 3):
        run = runner.run(seed)
        assert runner.run(seed).digest == run.digest
        assert replay_of(run).perform(server).digest == run.digest


def test_faults_within_the_bounds(server: Laboratory) -> None:
    """Crashes and lost replies strike within the bounds."""
    for name in ("pos", "surw"):
        runner = Runner(server, load(PAIR), "native", Strategy(name, bounds=Bounds(faults=1)))  # type: ignore[arg-type]
        injected = [sum(1 for _ in runner.run(seed).history.of("fault")) for seed in range(1, 15)]
        assert set(injected) <= {0, 1}
        assert sum(injected) > 3


def test_swarm_replay_knows_its_scripts(server: Laboratory, tmp_path: Path) -> None:
    """A run of a swarm is replayed with the scripts that Redis knew."""
    swarm = load(SCENARIOS / "swarm.toml")
    guided = Guided(server, swarm, "native", Strategy("guided"))
    for run in [Runner(server, swarm, "native", Strategy("random-walk")).run(12), *guided.runs(range(1, 5))]:
        file = tmp_path / "replay.toml"
        file.write_text(tomli_w.dumps(replay_of(run).written()), encoding="utf-8")
        assert load_replay(file).perform(server).digest == run.digest


# -- guided ------------------------------------------------------------------------------------------------------


def test_guided_is_deterministic(server: Laboratory) -> None:
    """A guided search makes the same runs again."""
    pair = load(PAIR)
    first, second = (
        [run.digest for run in Guided(server, pair, "prefect", Strategy("guided")).runs(range(1, 16))] for _ in range(2)
    )
    assert first == second


def test_guided_arms(server: Laboratory) -> None:
    """Every arm is tried and those that find more are tried more."""
    search = Guided(server, load(PAIR), "prefect", Strategy("guided"))
    for _ in search.runs(range(1, 61)):
        pass
    assert all(arm.runs for arm in search.arms)
    assert sum(arm.runs for arm in search.arms) == 60
    assert search.arms[0].name == DELAYS
    assert search.arms[-1].name == VARIATION


def test_guided_replay_from_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A violation of a guided search is replayed from its folder."""
    words = ["run", str(PAIR), "--engine", "prefect", "--strategy", "guided", "--seeds", "60", "--stop-after", "1"]
    assert main([*words, "--out", str(tmp_path)]) == 1
    (line,) = [line for line in capsys.readouterr().out.splitlines() if "replay    " in line]
    assert main(line.split("replay    causim ")[1].split()) == 1


def test_guided_is_not_parallel(capsys: pytest.CaptureFixture[str]) -> None:
    """A guided search is not shared among workers."""
    assert main(["run", str(PAIR), "--strategy", "guided", "--seeds", "5", "--jobs", "2", "--no-results"]) == 4
    assert "--jobs" in capsys.readouterr().err
