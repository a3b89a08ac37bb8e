"""Beside a project that has packages called simulation, reports, ordering, scenarios and tests, everything works."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.packaging.conftest import Environment

COMMANDS = {
    "run": "causim run scenarios/late.toml --seeds 4 --jobs 2",
    "sweep": "python -m causim sweep scenarios/late.toml --vary consumers.count=1:2:1 --jobs 2",
    "crashes": "causim crashes scenarios/late.toml --fault crash --jobs 2",
}


def test_tests_and_scenarios_pass(installed: Environment, project: Path) -> None:
    """Its tests and its scenarios pass together."""
    output = installed.run("python", "-m", "pytest", "-q", folder=project)
    assert "3 passed" in output


def test_failing_scenario_has_a_story(installed: Environment, project: Path) -> None:
    """A scenario beside it fails with its story."""
    words = ("scenarios/late.toml", "--causim-engine", "shop.engine:Engine", "--causim-seeds", "2")
    output = installed.run("python", "-m", "pytest", "-q", *words, folder=project, check=False)
    assert "violated  causal-order" in output
    assert "replay    causim run" in output
    assert "Traceback" not in output


@pytest.mark.parametrize("command", COMMANDS)
def test_commands_use_their_own_packages(installed: Environment, project: Path, command: str) -> None:
    output = installed.run(*COMMANDS[command].split(), folder=project, pythonpath=str(project))
    assert "late" in output
    assert "Traceback" not in output


def test_engine_in_the_users_folder(installed: Environment, project: Path) -> None:
    """The folder of the user is where an engine is found."""
    words = ("run", "scenarios/late.toml", "--engine", "shop.engine:Engine", "--no-results")
    assert "violated  causal-order" in installed.run("causim", *words, folder=project, check=False)


def test_engine_in_a_hidden_package(installed: Environment, project: Path) -> None:
    """An engine in a hidden package is refused with the reason."""
    words = ("run", "scenarios/late.toml", "--engine", "reports.engine:Engine", "--no-results")
    output = installed.run("causim", *words, folder=project, check=False)
    assert "'reports' is causim's own package; move the engine" in output


def test_hidden_package_in_a_program(installed: Environment, project: Path) -> None:
    """A hidden package is one sentence in a program."""
    for name in ("simulation", "ordering"):
        for file in (project / name).iterdir():
            file.unlink()
        (project / name).rmdir()
    output = installed.run("python", "-c", "from simulation import run", folder=project, check=False)
    assert output.splitlines()[-1].startswith("ImportError: causim: packages here have the names")
    assert "'reports' (" in output


def test_a_fixture_says_which_package_hides_it(installed: Environment, project: Path) -> None:
    (project / "tests" / "test_fixture.py").write_text("def test_world(causim_world): ...\n")
    output = installed.run("python", "-m", "pytest", "-q", "tests/test_fixture.py", folder=project, check=False)
    assert "causim: packages here have the names of causim's own" in output
    assert "'ordering' (" in output
    assert "Traceback" not in output
