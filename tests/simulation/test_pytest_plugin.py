from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from simulation import Laboratory, loads
from simulation.cli.files import scenario_files
from tests.simulation import preloaded
from tests.simulation.terminals import shown_in_a_terminal

pytest_plugins = "pytester"
assert preloaded.MODULES

LATE = """
name = "late"
engine = "{engine}"
{expect}
[workload]
events = [{{ name = "b", follows = "a" }}, {{ name = "a", at = "50ms" }}]
[judge]
require_coverage = ["{word}"]
"""


def write(pytester: pytest.Pytester, *, engine: str = "native", expect: str = "", word: str = "parked") -> None:
    pytester.makefile(".toml", late=LATE.format(engine=engine, expect=expect, word=word))


def run(pytester: pytest.Pytester, *arguments: str) -> pytest.RunResult:
    return pytester.runpytest_inprocess("-p", "no:cacheprovider", "-p", "no:xdist", *arguments)


def test_a_scenario_file_is_a_test(pytester: pytest.Pytester) -> None:
    write(pytester)
    pytester.makefile(".toml", other="[tool]\nname = 'no scenario'\n")
    result = run(pytester, "--causim-seeds", "3", "-v")
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(["*late.toml::late*PASSED*"])


def test_failure_has_story_and_replay(pytester: pytest.Pytester) -> None:
    """A failing test prints the story and how to replay it."""
    write(pytester)
    result = run(pytester, "--causim-engine", "null", "--causim-seeds", "2")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        [
            "causal-order is violated · late · 2 events · 2 consumers · engine null*",
            "*b was delivered*",
            "violated  causal-order",
            "because   *",
            "replay    causim run late.toml --engine null --seed 1",
        ]
    )
    result.stdout.no_fnmatch_line("*Traceback*")


def test_what_a_file_expects_of_an_engine_passes(pytester: pytest.Pytester) -> None:
    write(pytester, engine="null", expect='[expect]\nnull = "causal-order"\n', word="handled")
    run(pytester).assert_outcomes(passed=1)


def test_what_a_file_expects_must_come_true(pytester: pytest.Pytester) -> None:
    write(pytester, expect='[expect]\nnative = "causal-order"\n')
    result = run(pytester)
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["native: holds in 1 seed, expected: causal-order"])


OFTEN_TWICE = """
[[faults]]
kind = "duplicate"
probability = 0.2
"""


def test_unexpected_violation_fails(pytester: pytest.Pytester, embedded: Laboratory) -> None:
    """A file that names one invariant fails if another is violated too, also behind a seed that does as expected."""
    text = LATE.format(engine="null", expect='[expect]\nnull = "causal-order"\n', word="handled") + OFTEN_TWICE
    world = loads(text)
    as_expected = [
        {v.invariant for v in embedded.run(world, seed).violations} == {"causal-order"} for seed in range(30)
    ]
    seed = next(seed for seed in range(29) if as_expected[seed] and not as_expected[seed + 1])
    pytester.makefile(".toml", late=text.replace("[expect]", f"seed = {seed}\n[expect]"))
    run(pytester).assert_outcomes(passed=1)
    result = run(pytester, "--causim-seeds", "2")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        [
            "violated  handled-once",
            "expected  causal-order",
            f"replay    causim run late.toml --engine null --seed {seed + 1}",
        ]
    )


def test_a_run_that_exercised_nothing_fails(pytester: pytest.Pytester) -> None:
    write(pytester, word="rescued")
    result = run(pytester)
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["native: unknown*", "'rescued' did not happen"])


def test_a_bad_file_is_an_error_with_its_sentence(pytester: pytest.Pytester) -> None:
    pytester.makefile(".toml", bad='name = "bad"\n[workload]\nevnts = []\n')
    result = run(pytester)
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*bad.toml: table [[]workload], key 'kind': *'events', 'chains'*"])


def test_the_fixtures_run_worlds(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        test_mine='''
        TEXT = """
        name = "mine"
        workload.events = [{ name = "a" }]
        """

        def test_mine(causim_world, causim_store):
            run = causim_world(TEXT, seed=3)
            assert (run.verdict, run.seed) == ("holds", 3)
            assert causim_store.store.name == "embedded"
        '''
    )
    run(pytester, "--causim-store", "embedded").assert_outcomes(passed=1)


def test_seeds_are_tests_of_their_own_in_batches(pytester: pytest.Pytester) -> None:
    write(pytester)
    result = run(pytester, "--causim-seeds", "5", "--causim-batch", "2", "-v")
    result.assert_outcomes(passed=3)
    result.stdout.fnmatch_lines(["*late[[]1-2]*", "*late[[]3-4]*", "*late[[]5]*"])


def test_unproven_batch_is_skipped(pytester: pytest.Pytester) -> None:
    """A batch that proves nothing is skipped with its reason."""
    write(pytester, word="rescued")
    result = run(pytester, "--causim-seeds", "2", "--causim-batch", "1", "-rs")
    result.assert_outcomes(skipped=2)
    result.stdout.fnmatch_lines(["*nothing was proved by these seeds: 'rescued' did not happen*"])


def test_scenarios_have_a_mark(pytester: pytest.Pytester) -> None:
    write(pytester)
    pytester.makepyfile(test_other="def test_other(): pass")
    run(pytester, "-m", "causim", "--strict-markers").assert_outcomes(passed=1, deselected=1)
    run(pytester, "-m", "not causim", "--strict-markers").assert_outcomes(passed=1, deselected=1)


def test_failure_names_all_violations(pytester: pytest.Pytester) -> None:
    """A failure names every violated invariant and the report."""
    write(pytester)
    options = ["--causim-results", "kept", "--causim-jobs", "2", "--causim-seeds", "3"]
    # In a process of its own: pytester restores modules, and a pool's processes must find the same ones.
    result = pytester.runpytest_subprocess("-p", "no:cacheprovider", "--causim-engine", "null", *options)
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["violated  causal-order", "report    kept/late/null-1/report.html"])
    assert (pytester.path / "kept" / "late" / "null-1" / "report.html").is_file()


def test_an_unknown_engine_is_a_sentence(pytester: pytest.Pytester) -> None:
    write(pytester)
    result = run(pytester, "--causim-engine", "nativ")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["engine 'nativ' is not known; did you mean 'native'?*"])
    result.stdout.no_fnmatch_line("*Traceback*")
    result.stdout.no_fnmatch_line("*Error*")


def test_engine_of_the_user(pytester: pytest.Pytester) -> None:
    """An engine of one's own is tested by a decorator and a fixture."""
    write(pytester)
    pytester.makepyfile(
        mine="""
        class Hasty:
            in_memory = True
            def __init__(self, context): self.effect = context.effect
            async def handle(self, event): await self.effect(event)
            async def sweep(self): return 0
        """,
        test_mine="""
        from causim.testing import scenarios
        from mine import Hasty

        @scenarios("late.toml", seeds=2)
        def test_mine(causim_verify, scenario, seed):
            causim_verify(scenario, seed, engine=Hasty)

        @scenarios("late.toml", "three-events", seeds=[3])
        def test_native(causim_verify, scenario, seed):
            assert causim_verify(scenario, seed).seed == 3
        """,
    )
    pytester.syspathinsert()
    result = run(pytester, "test_mine.py", "-m", "causim")
    result.assert_outcomes(passed=2, failed=2)
    result.stdout.fnmatch_lines(
        [
            "*test_mine[[]late-1]*",
            "violated  causal-order",
            "replay    causim run late.toml --engine mine:Hasty --seed 1",
        ]
    )


def test_what_a_run_has_kept_is_no_test(pytester: pytest.Pytester) -> None:
    """Neither pytest, nor `causim run` or `causim validate` of a folder, takes the copies of a kept run for tests."""
    write(pytester, engine="null")
    run(pytester, "--causim-results", "kept").assert_outcomes(failed=1)
    kept = next(pytester.path.glob("kept/late/*/scenario.toml"))
    result = run(pytester, "--collect-only", "-q")
    result.stdout.fnmatch_lines(["late.toml::late"])
    result.stdout.no_fnmatch_line("*scenario.toml*")
    assert scenario_files([pytester.path]) == [pytester.path / "late.toml"]
    run(pytester, str(kept)).assert_outcomes(failed=1)
    assert scenario_files([kept.parent]) == [kept]


def test_replay_finds_the_engine(pytester: pytest.Pytester) -> None:
    """The replay of an engine beside its test finds it."""
    folder = pytester.mkdir("checks")
    (folder / "test_beside.py").write_text(
        "from causim.testing import scenarios\n"
        "class Hasty:\n"
        "    in_memory = True\n"
        "    def __init__(self, context): self.effect = context.effect\n"
        "    async def handle(self, event): await self.effect(event)\n"
        "    async def sweep(self): return 0\n"
        "@scenarios('late-leader')\n"
        "def test_it(causim_verify, scenario, seed): causim_verify(scenario, seed, engine=Hasty)\n"
    )
    result = run(pytester)
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        ["replay    PYTHONPATH=checks causim run late-leader --engine test_beside:Hasty --seed 1"]
    )


@pytest.mark.parametrize("option", ["--causim-seeds", "--causim-batch", "--causim-jobs"])
def test_odd_numbers_are_refused(pytester: pytest.Pytester, option: str) -> None:
    """A test of no seed at all would pass without a run."""
    write(pytester)
    for value in ("0", "-1", "many"):
        result = run(pytester, f"{option}={value}")
        result.stderr.fnmatch_lines([f"*argument {option}: must be *"])
        assert result.ret == pytest.ExitCode.USAGE_ERROR


@pytest.mark.parametrize("workers", ["0", pytest.param("1", marks=pytest.mark.nightly)])
def test_failure_fits_a_narrow_terminal(workers: str, tmp_path: Path) -> None:
    """The story of a failure is broken between words, also if it comes from a worker; its command stays whole."""
    (tmp_path / "late.toml").write_text(LATE.format(engine="null", expect="", word="handled"), encoding="utf-8")
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-n", workers, "--causim-store=embedded"]
    surroundings = {"PYTEST_ADDOPTS": "", "PYTHONPATH": os.pathsep.join(sys.path)}
    shown = shown_in_a_terminal([*command, "late.toml"], 60, tmp_path, surroundings)
    replay = "replay    causim run late.toml --engine null --seed 1"
    story = shown[shown.index("causal-order is violated") : shown.index(replay)].splitlines()
    assert any(line.startswith(" " * 10) for line in story), "a line goes on below its text"
    assert max(map(len, story)) <= 60
