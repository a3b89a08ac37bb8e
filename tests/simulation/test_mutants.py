"""The judge is judged: every mutant is convicted by the right invariant, and leaves the native engine alone."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ordering import CausalOrdering
from ordering.scripts import script
from simulation import Laboratory, load
from simulation.cli import main
from simulation.engines import UnknownEngine, mutants, resolve
from simulation.engines.mutants import MUTANTS, Edit, Mutant, StaleMutant, equivalent, orderings, scripted, wrapped
from simulation.engines.mutants.planting import plant
from simulation.engines.native import NativeEngine
from simulation.invariants import INVARIANTS
from simulation.search.sweep.mutation import MutationTest
from simulation.stores.protocol import StoreUnavailable

OPERATORS = {"discard", "give_up", "letters", "revive", "stats"}
LATE_LEADER = Path("scenarios/late-leader.toml")


@pytest.fixture(scope="session")
def mutation_test(laboratory: Laboratory) -> MutationTest:
    return MutationTest(laboratory)


@pytest.fixture
def known(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Lets a mutant of the test's own be found by its name."""

    def know(mutant: Mutant) -> Mutant:
        monkeypatch.setitem(MUTANTS, mutant.name, mutant)  # type: ignore[arg-type]
        return mutant

    yield know
    mutants.engine.cache_clear()


# -- the catalogue ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mutant", MUTANTS.values(), ids=lambda mutant: mutant.name)
def test_mutant_is_convicted(mutant: Mutant, mutation_test: MutationTest) -> None:
    """Every mutant is convicted and its host is not."""
    if mutant.host == "drop-in":
        pytest.importorskip("prefect_redis")
    trial = mutation_test.trial(mutant)
    assert trial.ok, trial


def test_invariants_and_verbs_have_mutants() -> None:
    """There are mutants for every invariant and every verb."""
    convictable = [mutant for mutant in MUTANTS.values() if not mutant.equivalent]
    assert len(convictable) >= 25
    assert all(mutant.convicted_by for mutant in convictable)
    assert {mutant.convicted_by[0] for mutant in convictable} == set(INVARIANTS)
    edited = {edit.script for mutant in convictable for edit in mutant.edits}
    # What `begin` and `renew` do is in `shared`; no engine here calls `mark`, nor what is for operators.
    verbs = set(NativeEngine.scripts().values()) - {"begin", "renew", "mark"} - OPERATORS
    assert edited >= verbs | {"shared"}


def test_equivalent_mutants() -> None:
    """An equivalent mutant is argued and names no invariant."""
    equivalent = [mutant for mutant in MUTANTS.values() if mutant.equivalent]
    assert equivalent
    assert not any(mutant.convicted_by for mutant in equivalent)


def test_no_two_mutants_plant_the_same() -> None:
    planted = [(mutant.edits, mutant.ordering, mutant.host) for mutant in MUTANTS.values()]
    assert len(set(planted)) == len(planted)
    assert len({mutant.planted for mutant in MUTANTS.values()}) == len(planted)
    tables = (*scripted.MUTANTS, *wrapped.MUTANTS, *equivalent.MUTANTS)
    assert Counter(mutant.name for mutant in tables) == Counter(list(MUTANTS))  # none hides behind another's name


# -- planting ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("edit", "found"),
    [
        (Edit("complete", "local nobody_wrote_this", ""), "0 times"),
        (Edit("shared", "redis.call", "redis.pcall"), "times"),
        (Edit("sweep", "return found", "return {}", times=3), "2 times"),
    ],
    ids=["gone", "more than one", "fewer than said"],
)
def test_a_stale_edit_is_refused(edit: Edit, found: str, known: Any) -> None:
    mutant = known(Mutant("stale", "an edit of what is not there", "late-leader.toml", edits=(edit,)))
    with pytest.raises(StaleMutant, match=rf"lua/{edit.script}(\.lua|/) .* {found}"):
        plant(mutant)
    with pytest.raises(UnknownEngine, match=r"mutant:stale.* is stale"):
        resolve("mutant:stale")


def test_edit_after_an_edit(known: Any) -> None:
    """An edit applies to what an earlier one has left."""
    first, second = Edit("claim", "return ids", "return {1}"), Edit("claim", "return {1}", "return {2}")
    engine = plant(known(Mutant("twice", "two edits of one place", "late-leader.toml", edits=(first, second))))
    assert engine.ordering.scripts("claim").text == script("claim").text.replace("return ids", "return {2}")


def test_native_is_untouched(laboratory: Laboratory) -> None:
    """Native is untouched by mutants in the same process."""
    scenario = load(LATE_LEADER)
    before, texts = laboratory.run(scenario, 3, "native"), dict(NativeEngine.scripts())
    for mutant in (mutant for mutant in MUTANTS.values() if mutant.host != "drop-in"):
        assert resolve(f"mutant:{mutant.name}") is not resolve(mutant.host)
    assert laboratory.run(scenario, 3, "mutant:ignore-leader").verdict == "violated"
    assert laboratory.run(scenario, 3, "native").digest == before.digest
    assert (NativeEngine.ordering, dict(NativeEngine.scripts())) == (CausalOrdering, texts)


def test_a_mutant_and_native_can_share_a_world(laboratory: Laboratory) -> None:
    scenario = load(LATE_LEADER).with_values({"consumers.engines": {"c1": "mutant:keep-payload"}})
    clean = [laboratory.run(scenario, seed, "native").verdict == "holds" for seed in range(1, 11)]
    assert True in clean, "whatever c2 and c3 completed left nothing behind"
    assert False in clean, "what c1 completed did"


def test_edit_of_one_script() -> None:
    """An edit of one script leaves the others as they are."""
    changed = resolve("mutant:give-up-at-once").scripts()  # type: ignore[attr-defined]
    native = NativeEngine.scripts()
    assert set(native.values()) == set(changed.values())
    assert {native[digest] for digest in native.keys() - changed.keys()} == {"fail"}


# -- trials -----------------------------------------------------------------------------------------------------


def test_survived(mutation_test: MutationTest, known: Any) -> None:
    """A mutant that no invariant convicts has survived."""
    harmless = replace(MUTANTS["park-swapped"], name="harmless", equivalent="", convicted_by=("causal-order",))
    trial = mutation_test.trial(known(harmless), 2)
    assert (trial.seed, trial.schedules, trial.convicted_by, trial.ok) == (None, 2, (), False)


def test_convicted_of_something_else(mutation_test: MutationTest, known: Any) -> None:
    """A conviction for something else does not count."""
    other = known(replace(MUTANTS["keep-payload"], name="other", convicted_by=("causal-order",)))
    assert not mutation_test.trial(other, 2).ok


def test_equivalent_convicted(mutation_test: MutationTest, known: Any) -> None:
    """An equivalent mutant that is convicted is not equivalent."""
    refuted = known(replace(MUTANTS["keep-payload"], name="refuted", convicted_by=(), equivalent="I thought so"))
    trial = mutation_test.trial(refuted)
    assert (trial.convicted_by, trial.ok) == (("clean-store",), False)


def test_host_convicted(mutation_test: MutationTest, known: Any) -> None:
    """Nothing is proved where the host is convicted too."""
    # An engine that takes single steps does not see siblings: they overtake each other here, with a fault and without.
    leaking = replace(MUTANTS["keep-payload"], name="unfair", host="native-steps")
    trial = mutation_test.trial(known(replace(leaking, scenario="ladder/n16-fresh-sibling.toml")))
    assert (trial.host_violates, trial.ok) == (("sibling-order",), False)
    assert "clean-store" in trial.convicted_by


@pytest.mark.parametrize("nonsense", ["not_a_function()\n", "local local\n"], ids=["fails", "cannot be compiled"])
@pytest.mark.parametrize("store", ["laboratory", "embedded"])
def test_broken_script(store: str, nonsense: str, known: Any, request: pytest.FixtureRequest) -> None:
    """A script that does not run proves nothing."""
    edit = Edit("complete", "local from = id\n", nonsense)
    broken = known(Mutant("broken", "nonsense", "leader-follower.toml", tuple(INVARIANTS), edits=(edit,)))
    mutation_test = MutationTest(request.getfixturevalue(store))
    if store == "embedded":  # fakeredis may be the one that is wrong
        with pytest.raises(StoreUnavailable, match="choose --store server"):
            mutation_test.trial(broken)
        return
    trial = mutation_test.trial(broken)
    assert trial.convicted_by
    assert trial.broken.startswith("-ERR")
    assert not trial.ok


class Slips(CausalOrdering[Any]):
    """Calls a script with too few arguments."""

    async def _begin(self, event: Any, *, causal: bool = True) -> Any:
        return await self._call("claim", str(event.id))


def test_a_slip_of_its_own_proves_nothing(
    mutation_test: MutationTest, known: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A mutant whose code does not fit the engine is convicted by anything."""
    monkeypatch.setattr(orderings, "Slips", Slips, raising=False)
    convicted_by = tuple(INVARIANTS)
    mutant = Mutant("slips", "nothing", "leader-follower.toml", convicted_by, ordering="Slips")
    trial = mutation_test.trial(known(mutant))
    assert trial.broken.startswith("TypeError: claim takes")
    assert (trial.seed, trial.ok) == (1, False)


# -- the command line -------------------------------------------------------------------------------------------


def test_command(capsys: Any) -> None:
    """Causim mutants says who was convicted of what."""
    assert main(["mutants", "keep-payload", "park-swapped"]) == 0
    said = capsys.readouterr().out
    [row] = [line for line in said.splitlines() if line.startswith("keep-payload")]
    assert row.split()[-4:] == ["late-leader", "clean-store", "1", "1"]
    assert "park-swapped is equivalent: a script is executed as one step" in said
    assert "1 convicted · 1 equivalent · 0 wrong" in said


def test_a_survivor_is_said_aloud(known: Any, capsys: Any) -> None:
    known(replace(MUTANTS["park-swapped"], name="harmless", equivalent="", convicted_by=("causal-order",)))
    assert main(["mutants", "harmless", "--seeds", "2"]) == 1
    said = capsys.readouterr().out
    assert "SURVIVED" in said
    assert "0 convicted · 0 equivalent · 1 wrong: harmless" in said


def test_a_mutant_runs_like_any_engine(capsys: Any) -> None:
    command = ["run", str(LATE_LEADER), "--engine", "mutant:keep-payload", "--no-results"]
    assert main(command) == 1
    said = capsys.readouterr().out
    assert "engine mutant:keep-payload" in said
    assert "clean-store" in said


@pytest.mark.parametrize("command", [["mutants", "drop-nix"], ["run", str(LATE_LEADER), "--engine", "mutant:drop-nix"]])
def test_unknown_mutant(command: list[str], capsys: Any) -> None:
    """An unknown mutant is answered with the nearest."""
    assert main(command) == 4
    assert "did you mean 'drop-nx'?" in capsys.readouterr().err


def test_mutants_run_outside_a_clone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["mutants", "keep-payload"]) == 0
    assert "1 convicted" in capsys.readouterr().out


def test_mutants_are_listed(capsys: Any) -> None:
    assert main(["list", "engines"]) == 0
    assert "mutant:NAME" in capsys.readouterr().out
    assert main(["list", "mutants"]) == 0
    assert {line.split()[0] for line in capsys.readouterr().out.splitlines()} == set(MUTANTS)
