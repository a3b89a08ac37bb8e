"""Old names of keys, options and strategies work for one release, and say the new one."""

from __future__ import annotations

from pathlib import Path

import pytest

from causim.shipped import path_of
from simulation import History, judge
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
@pytest.mark.filterwarnings("error::simulation.scenario.renamed.RenamedWarning")
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
    output = capsys.readouterr().out
    assert "--max-runs" in output
    assert "--most" not in output


def test_every_new_key_is_one_of_its_table() -> None:
    scenario = loads(PLAIN)
    for table, names in RENAMED.items():
        assert set(names.values()) <= set(type(getattr(scenario, table)).model_fields)


def test_a_coverage_word() -> None:
    with pytest.warns(RenamedWarning, match="the coverage word 'leader-lost' is called 'leader-missing' now"):
        scenario = loads(PLAIN + '[judge]\nrequire_coverage = ["parked", "leader-lost"]\n')
    assert scenario.judge.require_coverage == ("parked", "leader-missing")


def test_a_history_that_asks_for_an_old_word(tmp_path: Path) -> None:
    file = tmp_path / "history.jsonl"
    file.write_text(
        '{"causim-history": 1, "exercise": ["leader-lost"]}\n'
        '{"at": 0, "kind": "published", "event": "a"}\n'
        '{"at": 0, "kind": "published", "event": "b", "follows": "a"}\n'
        '{"at": 1, "kind": "delivered", "event": "b", "consumer": "c1"}\n'
    )
    assert judge(History.read(file)).missing == ()


def test_a_warning_is_at_the_line_to_change(tmp_path: Path) -> None:
    file = tmp_path / "old.toml"
    file.write_text(OLD.replace('"parked"', '"leader-lost"'))
    with pytest.warns(RenamedWarning) as caught:
        load(file)
    places = {str(each.message).partition("' is called")[0].rpartition("'")[2]: each.lineno for each in caught}
    assert {each.filename for each in caught} == {str(file)}
    assert places == {"exercise": 5, "leader-lost": 5, "settle": 6, "stuck_bound": 7, "depth": 9}


@pytest.mark.parametrize("old", ["lost-leader", "lost-followers"])
def test_a_shipped_scenario(old: str) -> None:
    with pytest.warns(FutureWarning, match=f"the scenario '{old}' is called '") as caught:
        path = path_of(old)
    assert path.is_file()
    assert f"'{path.stem}' now" in str(caught[0].message)
