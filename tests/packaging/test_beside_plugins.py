"""Scenarios as tests beside the plugins that others use: xdist, randomly, timeout and cov, really installed.

They are installed into a folder of their own, since pytest-randomly would shuffle the tests of this project.
"""

from __future__ import annotations

import os
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PLUGINS = ("pytest-randomly", "pytest-timeout", "pytest-cov", "coverage")
SCENARIO = """
name = "late"
[workload]
events = [{ name = "b", follows = "a" }, { name = "a", at = "50ms" }]
[judge]
require_coverage = ["parked"]
"""
TEST = """
import random

def test_of_ones_own():
    assert random.random() < 1
"""
OPTIONS = {
    "xdist": ["-n", "2"],
    "randomly": ["-p", "randomly", "-p", "no:xdist", "--randomly-seed=7"],
    "timeout": ["-p", "no:xdist", "--timeout=120"],
    "cov": ["-p", "no:xdist", "--cov=."],
    "all": ["-n", "2", "--randomly-seed=7", "--timeout=120", "--cov=."],
}

pytestmark = pytest.mark.nightly


@pytest.fixture(scope="module")
def plugins(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the plugins."""
    folder = tmp_path_factory.mktemp("plugins")
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", folder, *PLUGINS]
    subprocess.run(pip, check=True, capture_output=True)
    return folder


def outcomes(folder: Path, plugins: Path, *options: str) -> tuple[int, dict[str, str]]:
    """Run pytest in a folder with a scenario, and return its exit code and the outcome of each test."""
    folder.mkdir()
    (folder / "late.toml").write_text(SCENARIO)
    (folder / "test_mine.py").write_text(TEST)
    report = folder / "report.xml"
    python_path = os.pathsep.join(filter(None, [str(ROOT), str(plugins), os.environ.get("PYTHONPATH", "")]))
    command = [sys.executable, "-m", "pytest", "--causim-seeds=4", "--causim-batch=1", f"--junitxml={report}", *options]
    done = subprocess.run(
        command, cwd=folder, env={**os.environ, "PYTHONPATH": python_path}, capture_output=True, text=True, check=False
    )
    cases = {
        case.get("name", ""): case[0].tag if len(case) else "passed"
        for case in ElementTree.parse(report).iter("testcase")
    }
    assert "INTERNALERROR" not in done.stdout, done.stdout
    return done.returncode, cases


@pytest.mark.parametrize("name", OPTIONS)
def test_same_outcomes_beside_a_plugin(name: str, tmp_path: Path, plugins: Path) -> None:
    """The outcomes are the same beside a plugin."""
    alone = [word for plugin in ("xdist", "randomly", "timeout", "pytest_cov") for word in ("-p", f"no:{plugin}")]
    assert outcomes(tmp_path / "beside", plugins, *OPTIONS[name]) == outcomes(tmp_path / "alone", plugins, *alone)
    code, cases = outcomes(tmp_path / "violated", plugins, *OPTIONS[name], "--causim-engine=null")
    assert code == 1
    assert sorted(cases.values()) == ["failure"] * 4 + ["passed"]
