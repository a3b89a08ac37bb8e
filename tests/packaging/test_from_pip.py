"""What an installed wheel has besides the code: scenarios by their names, mutants, and files to start from."""

from __future__ import annotations

from pathlib import Path

import pytest

from causim import shipped
from simulation.engines.mutants import MUTANTS
from tests.packaging.conftest import ROOT, Environment

SHIPPED = {path.stem for path in (ROOT / "scenarios").rglob("*.toml")}


def test_a_scenario_runs_by_its_name(installed: Environment, tmp_path: Path) -> None:
    output = installed.run(
        "causim", "run", "prefect-etl", "late-leader", "--engine", "null", folder=tmp_path, check=False
    )
    assert "violated  causal-order" in output
    assert "replay    causim run late-leader --engine null --seed 1" in output


def test_scenarios_are_listed_anywhere(installed: Environment, tmp_path: Path) -> None:
    listed = {line.split()[0] for line in installed.run("causim", "list", "scenarios", folder=tmp_path).splitlines()}
    assert listed >= SHIPPED | {Path(mutant.scenario).stem for mutant in MUTANTS.values()}


def test_unknown_name(installed: Environment, tmp_path: Path) -> None:
    """An unknown name is answered with the nearest."""
    output = installed.run("causim", "run", "late-leder", folder=tmp_path, check=False)
    assert "did you mean the shipped late-leader? `causim list scenarios` shows" in output


def test_mutants_run_outside_a_clone(installed: Environment, tmp_path: Path) -> None:
    output = installed.run("causim", "mutants", "keep-payload", "drop-nx", folder=tmp_path)
    assert "2 convicted · 0 equivalent · 0 wrong" in output


def test_what_init_writes_finds_its_bug(installed: Environment, tmp_path: Path) -> None:
    output = installed.run("causim", "init", "shop", folder=tmp_path)
    command = output.splitlines()[-1].partition("&& ")[2].split()
    found = installed.run(*command, "--no-results", "--stop-after", "1", folder=tmp_path / "shop", check=False)
    assert "  violated  " in found
    tested = installed.run("python", "-m", "pytest", "-q", "tests", folder=tmp_path / "shop", check=False)
    assert " failed, " in tested
    assert "because   event " in tested
    assert "--engine orders_engine:OrdersEngine --seed" in tested


def test_init_overwrites_nothing(installed: Environment, tmp_path: Path) -> None:
    (tmp_path / "orders_engine.py").write_text("mine")
    output = installed.run("causim", "init", folder=tmp_path, check=False)
    assert "orders_engine.py: there already, and not overwritten" in output
    assert [path.name for path in tmp_path.iterdir()] == ["orders_engine.py"]


def test_version_for_reports(installed: Environment, tmp_path: Path) -> None:
    """The version names all that a report needs."""
    output = installed.run("causim", "--version", folder=tmp_path)
    for word in ("causim 0.", "CPython 3.", "redis-py ", "fakeredis ", "Linux"):
        assert word in output, output
    assert "valkey " in output or "redis-server " in output


@pytest.mark.parametrize("word", ["late-leader", "p4-failover", "siblings"])
def test_a_name_and_its_path_lead_to_each_other(word: str) -> None:
    path = shipped.path_of(word)
    assert path.is_file()
    assert shipped.word_for(path) == word
