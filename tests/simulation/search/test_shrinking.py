from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import tomli_w

from simulation.cli import main
from simulation.scenario.load import load, loads
from simulation.scenario.model import Scenario
from simulation.search.replay import BadReplay, Replay, load_replay, trimmed
from simulation.search.shrink.passes import (
    fewer_consumers,
    fewer_events,
    fewer_faults,
    listed,
    plainer,
    rounded,
    rounded_numbers,
    shorter_names,
)
from simulation.search.shrink.shrinker import Better, NothingToShrink, Shrinker, fewer
from simulation.world.laboratory import Laboratory

SCENARIOS = Path(__file__).parents[3] / "scenarios"


@pytest.fixture(scope="module")
def server() -> Iterator[Laboratory]:
    with Laboratory("server") as laboratory:
        yield laboratory


def first_violating(laboratory: Laboratory, scenario: Scenario, engine: str) -> Replay:
    for seed in range(1, 300):
        if laboratory.run(scenario, seed, engine).verdict == "violated":
            return Replay(scenario.model_copy(update={"seed": seed, "engine": engine}), None)
    raise AssertionError("nothing was violated")


@pytest.fixture(scope="module")
def n1(server: Laboratory) -> list[Better]:
    pytest.importorskip("prefect_redis")
    # A shorter lookback has fewer sweeps to run through; the race is the same.
    scenario = load(SCENARIOS / "late-leader.toml").with_values({"policy.lookback": "2m", "judge.release_bound": "30s"})
    start = first_violating(server, scenario, "prefect")
    return list(Shrinker(server, start, "prompt-release", tries=20).improvements())


@pytest.mark.prefect
def test_prefect_race_to_two_events(n1: list[Better]) -> None:
    """The race of the released engine comes down to two events and two consumers."""
    smallest = n1[-1].replay.scenario
    assert smallest.workload.kind == "events"
    assert [(e.name, e.follows) for e in sorted(smallest.workload.events, key=lambda e: e.name)] == [
        ("a", ""),
        ("b", "a"),
    ]
    assert (smallest.consumers.count, smallest.faults) == (2, ())
    assert len([choice for choice in n1[-1].replay.choices or () if choice]) <= 2


@pytest.mark.prefect
def test_same_invariant(n1: list[Better]) -> None:
    """Each step of shrinking violates the same invariant."""
    assert len(n1) > 3
    for better in n1:
        assert {violation.invariant for violation in better.run.judgement.violations} == {"prompt-release"}


@pytest.mark.prefect
def test_replays_anywhere(n1: list[Better], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What was shrunk replays from its file in any process."""
    file = tmp_path / "shrunk.toml"
    file.write_text(tomli_w.dumps(n1[-1].replay.written()))
    assert load_replay(file).written() == n1[-1].replay.written()
    assert main(["replay", str(file)]) == 1
    output = capsys.readouterr().out
    assert "the same history as when the file was written" in output
    assert "SET processing:b 1 NX EX 16 → nil" in output
    assert main(["replay", str(file), "--store", "embedded", "--quiet"]) == 1
    assert main(["replay", str(file), "--engine", "native", "--quiet"]) == 0


@pytest.mark.prefect
def test_shrunk_file_is_a_scenario(n1: list[Better], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A shrunk file is a scenario of the regression suite."""
    (tmp_path / "kept.toml").write_text(tomli_w.dumps(n1[-1].replay.written()))
    assert main(["run", str(tmp_path), "--no-results", "--quiet"]) == 1
    assert main(["run", str(tmp_path), "--no-results", "--quiet", "--engine", "native"]) == 0
    capsys.readouterr()
    assert main(["run", str(tmp_path), "--no-results", "--json", "--seeds", "5"]) == 1
    assert json.loads(capsys.readouterr().out)["seeds"] == 1


def test_what_holds_cannot_be_shrunk(server: Laboratory) -> None:
    with pytest.raises(NothingToShrink, match="is not violated"):
        next(Shrinker(server, Replay(load(SCENARIOS / "leader-follower.toml"), None)).improvements())


def test_a_fault_that_does_not_matter_is_left_out(server: Laboratory) -> None:
    text = (
        'name = "x"\n[workload]\nkind = "chains"\ncount = 4\nlength = 3\norder = "reversed"\n'
        '[[faults]]\nkind = "pause"\nat = "13ms"\nfor = "37ms"\nconsumer = "c1"\n'
    )
    start = Replay(loads(text).model_copy(update={"engine": "null"}), None)
    smallest = list(Shrinker(server, start, "causal-order", tries=10).improvements())[-1].replay.scenario
    assert smallest.faults == ()
    assert smallest.workload.kind == "events"
    assert len(smallest.workload.events) <= 2


def test_the_number_of_runs_is_bounded(server: Laboratory) -> None:
    start = Replay(load(SCENARIOS / "reversed-chain.toml").model_copy(update={"engine": "null"}), None)
    shrinker = Shrinker(server, start, "causal-order", most=5)
    assert list(shrinker.improvements())[-1].tried <= 5
    assert not shrinker.complete


# -- simpler scenarios -------------------------------------------------------------------------------------------

THREE = """
name = "three"
[workload]
events = [{ name = "x", at = "13ms" }, { name = "y", follows = "x" }, { name = "z", follows = "y", at = "1.5s" }]
[consumers]
count = 5
concurrency = 4
[broker]
delay = { uniform = ["1ms", "9ms"] }
[[faults]]
kind = "handler-slow"
event = "y"
by = "1.234s"
[[faults]]
kind = "crash"
consumer = "c5"
at = "1s"
"""


def names(scenario: Scenario) -> list[tuple[str, str]]:
    assert scenario.workload.kind == "events"
    return [(event.name, event.follows) for event in scenario.workload.events]


def marks(scenarios: list[Scenario]) -> list[list[tuple[str, bool]]]:
    return [[(e.name, e.again) for e in one.workload.events] for one in scenarios if one.workload.kind == "events"]


def test_fewer_events() -> None:
    """Fewer events leaves out stretches and lets followers inherit."""
    found = [names(simpler) for simpler in fewer_events(loads(THREE))]
    assert [("y", "x"), ("z", "y")] in found
    assert [("x", ""), ("z", "x")] in found
    assert all(len(events) < 3 for events in found)


def test_fewer_consumers_keeps_victims() -> None:
    counts = [simpler.consumers.count for simpler in fewer_consumers(loads(THREE))]
    assert counts == [5]  # the fault names c5, so only the concurrency can be less
    free = loads(THREE.replace('"c5"', '"any"'))
    assert [simpler.consumers.count for simpler in fewer_consumers(free)] == [1, 2, 3, 4, 5]


def test_simpler_scenarios() -> None:
    """Simpler scenarios are plainer and rounder and never the same."""
    scenario = loads(THREE)
    simpler = [*fewer_faults(scenario), *plainer(scenario), *rounded_numbers(scenario)]
    assert scenario not in simpler
    assert {len(found.faults) for found in fewer_faults(scenario)} == {1}
    assert any(found.broker == loads('name="x"\nworkload.events=[{name="a"}]').broker for found in simpler)
    assert any(getattr(found.faults[0], "by", 0) == 1_000_000 for found in simpler if found.faults)


def test_names_become_letters_leaders_first() -> None:
    reversed_order = loads('name = "r"\nworkload.events = [{ name = "f", follows = "l" }, { name = "l" }]')
    [renamed] = shorter_names(reversed_order)
    assert names(renamed) == [("b", "a"), ("a", "")]
    [with_fault] = shorter_names(loads(THREE))
    assert getattr(with_fault.faults[0], "event", "") == "b"


def test_copies_of_an_event() -> None:
    """A trace in which an event comes twice is listed, and stays a scenario that a file can say."""
    scenario = listed(load(SCENARIOS / "production" / "q12-duplicate-with-another-leader.toml"), 1)
    assert [again for _, again in marks([scenario])[0]] == [False, True, False, False]
    smaller = [one for make in (fewer_events, plainer, rounded_numbers, shorter_names) for one in make(scenario)]
    assert len(smaller) > 5
    assert all(loads(tomli_w.dumps(one.written())).workload == one.workload for one in smaller)
    alone = [events for events in marks(smaller) if [name for name, _ in events].count("00000003") == 1]
    assert alone
    assert not any(again for events in alone for _, again in events)  # the copy that is left is an event like any other


def test_listed_events() -> None:
    """Listed events are those that the seed draws."""
    scenario = loads('name = "t"\n[workload]\nkind = "chains"\ncount = 3\norder = "shuffled"\n[broker]\ndrop = 0.1\n')
    same = listed(scenario, 7)
    assert len(names(same)) == 15
    assert names(same) != names(listed(scenario, 8))


@pytest.mark.parametrize(("given", "expected"), [(0, 0), (1_234_000, 1_000_000), (47, 50), (96, 100), (5, 5)])
def test_rounder(given: int, expected: int) -> None:
    assert rounded(given) == expected


def test_fewer_choices() -> None:
    assert next(fewer((0, 2, 0, 1))) == ()
    assert list(fewer((0, 2, 0, 1))) == [(), (0, 0, 0, 1), (0, 2), (0, 1, 0, 1)]
    assert trimmed([0, 0]) == ()


# -- files -------------------------------------------------------------------------------------------------------

FILE = 'name = "x"\nworkload.events = [{ name = "a" }]\n[replay]\nformat = 1\nversion = "0.1.0"\n'


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        (FILE.replace("format = 1", "format = 2"), "key 'format': 2 is not known"),
        (FILE.replace("0.1.0", "0.9.1"), "written by causim 0.9.1"),
        (FILE + "colour = 1\n", "key 'colour'"),
        (FILE + "choices = [1]\n", "must be a table"),
        (FILE + "[replay.choices]\nx = 1\n", "key 'x'"),
        (FILE + "[replay.choices]\n99999999999 = 1\n", "key '99999999999'"),
        (FILE + "[replay.choices]\n3 = -1\n", "given: -1"),
        (FILE + "early = -1\n", "'early' and 'faults'"),
        (FILE + 'kinds = ["flood"]\n', "key 'kinds'"),
        (FILE + "kinds = 5\n", "key 'kinds'"),
        (FILE + "kinds = [[1]]\n", "key 'kinds'"),
        ('topology.kind = "cluster"\n' + FILE + "[replay.choices]\n3 = 1\n", "steps cannot be chosen in a cluster"),
        ("replay = 3\n" + FILE.split("[replay]", maxsplit=1)[0], "'replay' must be a table"),
    ],
)
def test_a_bad_replay_file_says_what_is_wrong(tmp_path: Path, text: str, complaint: str) -> None:
    file = tmp_path / "bad.toml"
    file.write_text(text)
    with pytest.raises(BadReplay, match=complaint):
        load_replay(file)
    assert main(["replay", str(file)]) == 4


def test_choices_survive_their_file(tmp_path: Path) -> None:
    file = tmp_path / "replay.toml"
    replay = Replay(loads(FILE.split("[replay]", maxsplit=1)[0]), (0, 0, 3, 0, 1))
    file.write_text(tomli_w.dumps(replay.written()))
    assert load_replay(file).choices == (0, 0, 3, 0, 1)
