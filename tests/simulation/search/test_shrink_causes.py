"""Shrinking never slips to another cause: checked on the runs it yields, by words of its own.

`make test` shrinks a few mutants and one release, briefly. `make nightly` shrinks all mutants and releases.
"""

from __future__ import annotations

from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from string import ascii_lowercase

import pytest

from causim.shipped import MUTANTS as BESIDE
from reports.text.narrative import chosen
from simulation import Run, Scenario, load, loads
from simulation.cli import main
from simulation.engines import MUTANT, UnknownEngine, resolve
from simulation.engines.mutants import MUTANTS
from simulation.history.entries import Header
from simulation.history.history import History
from simulation.invariants import Violation
from simulation.search.replay import Replay
from simulation.search.shrink.cause import Cause, reason
from simulation.search.shrink.shrinker import NotDeterministic, Shrinker
from simulation.world.laboratory import Laboratory

SCENARIOS = Path(__file__).parents[3] / "scenarios"
BRIEFLY, LONG = 25, 500
"""How many runs a shrinker has."""
GUILTY = [mutant.name for mutant in MUTANTS.values() if not mutant.equivalent]

DISTURBANCES = {"leader-missing", "in-cycle", "duplicated", "dropped", "redelivered", "rejected", "dead-lettered"} | {
    "rescued",
    "handler-failed",
    "crashed",
    "paused",
    "unreachable",
    "store-lost",
    "request-lost",
    "reply-lost",
}
"""Words of coverage that a smaller run must not have if the original has not."""

RELEASES = {
    "prefect": ["late-leader"],
    "prefect@0.2.7": ["ladder/r1-leader-in-flight"],
    "prefect@0.2.8": ["ladder/r2-orphan", "ladder/r3-released-but-not-seen"],
}


@pytest.fixture(scope="module")
def server() -> Iterator[Laboratory]:
    with Laboratory("server") as laboratory:
        yield laboratory


def tied(run: Run) -> dict[str, str]:
    """Return the leader of each published event."""
    return {entry.event: entry.details.get("follows") or "" for entry in run.history.of("published")}


def above(event: str, ties: dict[str, str]) -> set[str]:
    """Return the events above an event, and none at all as one of them."""
    found = {""}
    while (event := ties.get(event, "")) and event not in found:
        found.add(event)
    return found


def shape(ties: dict[str, str]) -> list[tuple[str, ...]]:
    """Return what follows what, without the names: for each event how its leaders end, and their number."""
    ends = []
    for event in ties:
        leaders = above(event, ties) - {""}
        missing = any(leader not in ties for leader in leaders)
        ends.append((str(len(leaders)), "missing" if missing else "", "cycle" if event in leaders else ""))
    return sorted(ends)


def happened(run: Run) -> set[str]:
    words = {word for word in DISTURBANCES if run.judgement.coverage.get(word)}
    return words | {f"fault {entry.details['fault']}" for entry in run.history.of("fault")}


def shrinks_to_one_cause(laboratory: Laboratory, scenario: Scenario, engine: str, most: int, seeds: int = 60) -> None:
    """Shrink the first violating run, and compare each smaller run with it."""
    for seed in range(1, seeds + 1):
        original = laboratory.run(scenario, seed, engine)
        if original.judgement.violations:
            break
    else:
        pytest.fail(f"{engine} is not convicted in {scenario.name}")
    start = Replay(original.scenario.model_copy(update={"seed": seed, "engine": engine}), None)
    ties, words = tied(original), happened(original)
    before = ties
    for better in Shrinker(laboratory, start, most=most, tries=4).improvements():
        assert happened(better.run) <= words
        assert better.replay.invariant in {violation.invariant for violation in better.run.judgement.violations}
        smaller = tied(better.run)
        called_otherwise = sorted(smaller) == list(ascii_lowercase[: len(smaller)]) and shape(smaller) == shape(before)
        if set(smaller) <= set(ties) and not called_otherwise:  # at the end the events are called a, b, c
            assert all(leader in above(event, ties) for event, leader in smaller.items())
        assert len(smaller) <= len(ties)
        before = smaller


@pytest.mark.parametrize(
    ("name", "most"),
    [
        *((name, BRIEFLY) for name in GUILTY[::50]),
        *(pytest.param(name, LONG, marks=pytest.mark.nightly) for name in GUILTY),
    ],
)
def test_a_mutant_stays_convicted_of_the_same(server: Laboratory, name: str, most: int) -> None:
    mutant = MUTANTS[name]
    file = BESIDE / mutant.scenario
    scenario = load(file if file.exists() else SCENARIOS / mutant.scenario)
    shrinks_to_one_cause(server, scenario, MUTANT + name, most)


@pytest.mark.prefect
@pytest.mark.skipif(find_spec("prefect_redis") is None, reason="needs the prefect extra")
@pytest.mark.parametrize(
    ("engine", "most"),
    [
        ("prefect@0.2.8", BRIEFLY),
        *(pytest.param(engine, LONG, marks=pytest.mark.nightly) for engine in RELEASES),
    ],
)
def test_a_release_stays_convicted_of_the_same(server: Laboratory, engine: str, most: int) -> None:
    try:
        resolve(engine)
    except UnknownEngine as error:
        if "cannot be fetched" in str(error):
            pytest.skip(str(error))
        raise
    for name in RELEASES[engine]:
        shrinks_to_one_cause(server, load(SCENARIOS / f"{name}.toml"), engine, most, seeds=300)


def test_shape_of_ties() -> None:
    """A shape does not depend on names, and a tie that is another shows in it."""
    assert shape({"a": "", "b": "a", "c": "a"}) == shape({"x": "z", "z": "", "y": "z"})
    assert shape({"a": "", "b": "a", "c": "b"}) != shape({"a": "", "b": "a", "c": "a"})
    assert shape({"b": "a"}) != shape({"b": "", "a": "b"})


# -- what a cause is ---------------------------------------------------------------------------------------------

CRASHING = """
name = "crashing"
engine = "null"
workload.events = [{ name = "one-a" }, { name = "one-b", follows = "one-a", at = "1ms" }]
broker.delay = { uniform = ["1ms", "9ms"] }
"""


def violated(laboratory: Laboratory, scenario: Scenario) -> Run:
    return next(run for seed in range(1, 200) if (run := laboratory.run(scenario, seed)).judgement.violations)


def test_a_reason_loses_names_numbers_and_times(server: Laboratory) -> None:
    runs = [
        violated(server, loads(text)) for text in (CRASHING, CRASHING.replace("one-", "other").replace("9ms", "20ms"))
    ]
    sentences = {reason(run.history, run.judgement.violations[0]) for run in runs}
    assert len({run.judgement.violations[0].because for run in runs}) == 2
    assert len(sentences) == 1
    assert "one-a" not in sentences.pop()


def test_reason_without_keys() -> None:
    """A reason loses how many keys were left and which."""

    def shape(because: str) -> str:
        return reason(History(Header()), Violation("clean-store", 0, (), (), because, ()))

    many = shape("at 61.006 s Redis still had 6 keys: {causim}:a, {causim}:event:5b8b-61a9, {causim}:c and 3 more")
    assert shape("at 9 s Redis still had 1 key: {causim}:event:77") == many


def test_other_cause(server: Laboratory) -> None:
    """A run in which something else went wrong is another cause."""
    quiet = violated(server, loads(CRASHING))
    text = CRASHING + '[[faults]]\nkind = "duplicate"\nprobability = 1.0\n'
    disturbed = violated(server, loads(text))
    violation: Violation = quiet.judgement.violations[0]
    assert Cause.of(quiet, violation).explains(quiet)
    assert not Cause.of(quiet, violation).explains(disturbed)
    same = next(v for v in disturbed.judgement.violations if v.invariant == violation.invariant)
    assert "duplicated" in Cause.of(disturbed, same).of_family


# -- swarms, clocks and engines that cannot be repeated ------------------------------------------------------------


def test_swarm_is_shrunk(server: Laboratory, tmp_path: Path) -> None:
    """A swarm is shrunk to the world that it drew."""
    text = CRASHING + '[swarm.choose]\n"consumers.count" = [2, 4]\n[[swarm.faults]]\nkind = "duplicate"\nchance = 0.9\n'
    swarm = loads(text)
    seed = violated(server, swarm).seed
    start = Replay(swarm.model_copy(update={"seed": seed}), None)
    *_, best = Shrinker(server, start, most=150, tries=5).improvements()
    assert best.replay.scenario.swarm is None
    assert best.replay.perform(server).digest == best.run.digest
    file = tmp_path / "swarm.toml"
    file.write_text(text, encoding="utf-8")
    assert main(["shrink", str(file), "--seed", str(seed), "--max-runs", "40", "--out", str(tmp_path / "s.toml")]) == 1
    assert main(["replay", str(tmp_path / "s.toml"), "--quiet"]) == 1


def test_who_has_enough_gets_the_smallest_so_far(server: Laboratory) -> None:
    scenario = loads(CRASHING)
    start = Replay(scenario.model_copy(update={"seed": violated(server, scenario).seed}), None)
    asked = 0

    def enough() -> bool:
        nonlocal asked
        asked += 1
        return asked > 3

    shrinker = Shrinker(server, start, enough=enough)
    assert list(shrinker.improvements())[-1].tried <= 3
    assert not shrinker.complete


def test_unrepeatable_engine(server: Laboratory, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """An engine that cannot be repeated is named."""
    engine = "tests.simulation.search.unsteady:CountsForEver"
    scenario = loads(CRASHING).model_copy(update={"engine": engine})
    with pytest.raises(NotDeterministic, match="not deterministic"):
        next(Shrinker(server, Replay(scenario, None)).improvements())


@pytest.mark.parametrize("count", [1, 119, 120, 121, 5_000])
def test_a_story_has_its_end_at_any_length(count: int) -> None:
    witnesses = [place in (count // 3, count - 1) for place in range(count)]
    kept = chosen(witnesses)
    assert kept == sorted(set(kept))
    assert len(kept) == min(count, 120)
    assert {count // 3, count - 1} <= set(kept)
