"""Old names of keys, options and strategies work for one release, and say the new one."""

from __future__ import annotations

from pathlib import Path

import pytest

from simulation.cli import main, parser
from simulation.scenario.load import load, loads
from simulation.scenario.renamed import RENAMED, RenamedWarning
from simulation.scenario.swarm import draw

PLAIN = 'name = "old"\n[workload]\nevents = [{ name = "a" }]\n'
OLD = PLAIN + '[judge]\nexercise = ["parked"]\nsettle = "2s"\nstuck_bound = "1m"\n[policy]\ndepth = 3\n'


def test_keys() -> None:
    with pytest.warns(RenamedWarning, match=r"table \[judge\], key 'exercise' is called 'require_coverage' now"):
        scenario = loads(OLD)
    assert (scenario.judge.require_coverage, scenario.judge.settle_time) == (("parked",), 2_000_000)
    assert (scenario.judge.progress_bound, scenario.policy.max_depth) == (60_000_000, 3)
    assert loads(PLAIN).with_values({"policy.max_depth": 3}).policy.max_depth == 3


def test_paths() -> None:
    with pytest.warns(RenamedWarning, match=r"'policy\.depth' is called 'policy\.max_depth' now"):
        assert loads(PLAIN).with_values({"policy.depth": 3}).policy.max_depth == 3


def test_a_swarm_draws_the_same_under_either_name() -> None:
    swarm = PLAIN + '[swarm.choose]\n"policy.KEY" = [1, 2, 3, 4, 5, 6, 7]\n'
    new = [draw(loads(swarm.replace("KEY", "max_depth")), seed).scenario.policy.max_depth for seed in range(8)]
    with pytest.warns(RenamedWarning):
        old = [draw(loads(swarm.replace("KEY", "depth")), seed).scenario.policy.max_depth for seed in range(8)]
    assert len(set(new)) > 1
    assert old == new


@pytest.mark.parametrize("path", sorted(Path("scenarios").rglob("*.toml")), ids=lambda path: path.stem)
@pytest.mark.filterwarnings("error")
def test_shipped_scenarios_use_the_new_names(path: Path) -> None:
    load(path)


@pytest.mark.parametrize(
    ("words", "dest", "value", "new"),
    [
        (["check", "f", "--most", "3"], "limit", 3, "--limit"),
        (["shrink", "f", "--most", "3"], "max_runs", 3, "--max-runs"),
        (["why", "f", "--most", "3"], "max_runs", 3, "--max-runs"),
        (["run", "f", "--most", "3"], "max_runs", 3, "--max-runs"),
        (["run", "f", "--early", "2"], "early_timers", 2, "--early-timers"),
        (["run", "f", "--strategy", "walk"], "strategy", "random-walk", "random-walk"),
        (["run", "f", "--strategy", "seeds"], "strategy", "random-delays", "random-delays"),
        (["sweep", "f", "--vary", "a=1", "--fresh"], "no_resume", True, "--no-resume"),
        (["import", "f", "--map", "id=x"], "columns", "id=x", "--columns"),
    ],
)
def test_options(words: list[str], dest: str, value: object, new: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert getattr(parser().parse_args(words), dest) == value
    assert f"is called {new} now" in capsys.readouterr().err


def test_help_names_no_old_option(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["run", "--help"])
    told = capsys.readouterr().out
    assert "--max-runs" in told
    assert "--most" not in told


def test_every_new_key_is_one_of_its_table() -> None:
    scenario = loads(PLAIN)
    for table, names in RENAMED.items():
        assert set(names.values()) <= set(type(getattr(scenario, table)).model_fields)
