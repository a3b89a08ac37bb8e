"""Where a violation became certain: re-seeded runs, the shares along the way, and the turn."""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import pytest

from simulation import Scenario, loads
from simulation.cli import main
from simulation.kernel.random_streams import Reseed, Streams
from simulation.search.continuations import Continuation, Continuations, Elsewhere
from simulation.search.explore.strategies import Runner, Strategy
from simulation.search.replay import Replay, replay_of
from simulation.search.why import NothingToExplain, Place, Why
from simulation.world.laboratory import Laboratory

RACE = """
name = "race"
engine = "null"
workload.events = [{ name = "a" }, { name = "b", follows = "a", at = "2ms" }, { name = "z", at = "5s" }]
broker.delay = { uniform = ["1ms", "9ms"] }
consumers.handler_time = "3ms"
"""


@pytest.fixture(scope="module")
def server() -> Iterator[Laboratory]:
    with Laboratory("server") as laboratory:
        yield laboratory


def violated(laboratory: Laboratory, scenario: Scenario) -> Replay:
    for seed in range(1, 200):
        if laboratory.run(scenario, seed).judgement.violations:
            return Replay(scenario.model_copy(update={"seed": seed}), None)
    raise AssertionError("nothing was violated")


# -- re-seeding ----------------------------------------------------------------------------------------------------


def test_reseeded_run(server: Laboratory) -> None:
    """A reseeded run is the same until then and another afterwards."""
    scenario = loads(RACE)
    plain = list(server.run(scenario, 3).history)
    for at in (0, 2_000, 6_000):
        others = [list(server.run(scenario, 3, reseed=Reseed(at, seed)).history) for seed in (1, 2, 3, 4)]
        for other in others:
            before = [entry for entry in plain if entry.at < at]
            assert [entry for entry in other if entry.at < at] == before
        assert len({str(other) for other in others}) > 1
        assert others[0] == list(server.run(scenario, 3, reseed=Reseed(at, 1)).history)


def test_reseeded_streams() -> None:
    """Streams in use go on under the other seed."""

    def numbers(*seeds: int) -> list[float]:
        streams = Streams(1, tracked=True)
        kept, fresh = streams["kept"], streams.fresh("fresh")
        found = [kept.random(), fresh.random()]
        for seed in seeds:
            streams.reseed(seed)
            found += [kept.random(), fresh.random(), streams["new"].random()]
        return found

    plain = Streams(1)
    assert numbers() == [plain["kept"].random(), plain.fresh("fresh").random()]
    assert numbers(5) == numbers(5)
    assert set(numbers(5)[2:]).isdisjoint(numbers(6)[2:])


# -- places --------------------------------------------------------------------------------------------------------


def test_share_rises_to_one(server: Laboratory) -> None:
    """The share rises from that of any seed to one."""
    scenario = loads(RACE)
    start = violated(server, scenario)
    why = Why(server, start, "causal-order", samples=30, most=600)
    assert len(list(why.look())) == len(why.places) > 3
    any_seed = sum(bool(server.run(scenario, seed).judgement.violations) for seed in range(1, 101)) / 100
    low, high = why.places[0].interval
    assert low - 0.1 <= any_seed <= high + 0.1
    assert why.places[-1].share == 1.0
    assert why.turn is not None
    earlier, later = why.turn
    # It is decided when b is delivered, which is before its handler starts: not by what happens 5 s later.
    assert why.certain is not None
    assert why.certain.at <= 12_000
    assert earlier.number < later.number


def test_same_explanation(server: Laboratory) -> None:
    """The same run is explained in the same way."""
    start = violated(server, loads(RACE))
    first, second = (
        [(place, place.violated) for place in Why(server, start, samples=5, most=60).look()] for _ in range(2)
    )
    assert first == second


def test_workers_find_the_same_places(server: Laboratory) -> None:
    """Continuations in other processes have the same outcomes; of drawn delays, and of chosen orders."""
    race = loads(RACE)
    runner = Runner(server, race, "null", Strategy("random-walk"))
    chosen = next(run for seed in range(1, 100) if (run := runner.run(seed)).judgement.violations)
    for start in (violated(server, race), replay_of(chosen)):
        here, there = (
            [(place, place.violated) for place in Why(server, start, samples=6, most=60, elsewhere=where).look()]
            for where in (None, Elsewhere(2))
        )
        assert here == there
        assert {violated for _, violated in here} > {6}


def test_explored_run(server: Laboratory) -> None:
    """The choices of an explored run are its places."""
    runner = Runner(server, loads(RACE), "null", Strategy("random-walk"))
    run = next(run for seed in range(1, 100) if (run := runner.run(seed)).judgement.violations)
    assert run.steps is not None
    why = Why(server, replay_of(run), samples=10, most=200)
    list(why.look())
    assert why.places[-1].number == len(run.steps.choices) - 1
    assert len(run.steps.places) == len(run.steps.choices)
    assert all(place.words for place in why.places)


def test_no_more_runs_are_made_than_asked_for(server: Laboratory) -> None:
    why = Why(server, violated(server, loads(RACE)), samples=4, most=14)
    assert len(list(why.look())) == 3


def test_a_run_that_holds_has_no_doom(server: Laboratory) -> None:
    scenario = loads(RACE.replace('"null"', '"native"'))
    with pytest.raises(NothingToExplain, match="nothing is violated"):
        list(Why(server, Replay(scenario, None)).look())


def test_certain_from_the_first_lasting_place() -> None:
    why = Why.__new__(Why)
    why._end = 4
    why.places = [Place(n, n, "", violated, 10) for n, violated in enumerate((1, 10, 4, 10, 10))]
    assert why.certain is not None
    assert why.certain.number == 3
    assert why.turn is not None
    assert [place.number for place in why.turn] == [0, 1]


@pytest.mark.parametrize(("runs", "said"), [(0, "before the first place"), (11, "later places were not examined")])
def test_what_was_stopped_claims_nothing(
    runs: int,
    said: str,
    server: Laboratory,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """With too few runs, or after Ctrl-C, the run's later places are not known."""
    seed = violated(server, loads(RACE)).scenario.seed
    (tmp_path / "race.toml").write_text(f"seed = {seed}\n{RACE}", encoding="utf-8")
    examined, made = Continuations.violates, count()

    def interrupted(continuations: Continuations, one: Continuation) -> bool:
        if next(made) >= runs:
            raise KeyboardInterrupt
        return examined(continuations, one)

    monkeypatch.setattr(Continuations, "violates", interrupted)
    assert main(["why", str(tmp_path / "race.toml"), "--samples", "5", "--jobs", "1"]) == 2
    output = capsys.readouterr().out
    assert f"stopped    by Ctrl-C after {runs} runs" in output
    assert said in output
    assert "certain    " not in output


def test_command(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """The command prints the turn and keeps the places."""
    monkeypatch.chdir(tmp_path)  # seeds that failed in an earlier run of this test are not run first
    file = tmp_path / "race.toml"
    file.write_text(RACE, encoding="utf-8")
    assert main(["run", str(file), "--seeds", "50", "--stop-after", "1", "--out", str(tmp_path), "--quiet"]) == 1
    capsys.readouterr()
    assert main(["why", str(tmp_path / "race"), "--samples", "5", "--max-runs", "60"]) == 1
    output = capsys.readouterr().out
    assert "the turn" in output
    assert "certain    from" in output
    kept = json.loads((tmp_path / "race" / "latest" / "why.json").read_text(encoding="utf-8"))
    assert kept["places"][-1]["share"] == 1.0
    report = (tmp_path / "race" / "latest" / "report.html").read_text(encoding="utf-8")
    assert "How likely causal-order was violated" in report
    assert report.count('<td class="told">') >= len(kept["places"])
    assert "All runs of this search: " in report
    assert "--seed" in report
    assert main(["why", str(file), "--engine", "native"]) == 4
