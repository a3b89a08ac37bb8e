from __future__ import annotations

import pytest

pytest_plugins = "pytester"

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


def test_a_failing_test_tells_the_story_and_how_to_replay_it(pytester: pytest.Pytester) -> None:
    write(pytester)
    result = run(pytester, "--causim-engine", "null", "--causim-seeds", "2")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        [
            "late · 2 events · 2 consumers · engine null*",
            "*b was delivered*",
            "violated  causal-order",
            "because   *",
            "replay    causim run *late.toml --engine null --seed 1",
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
    result.stdout.fnmatch_lines(["native: holds in 1 seeds, expected: causal-order"])


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
