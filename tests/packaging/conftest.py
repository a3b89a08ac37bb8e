"""A wheel of this project, installed into its own environment, and a project that has packages of the same names."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
import venv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PROJECT = Path(__file__).with_name("project")

collect_ignore = ["project"]  # its tests run in the copies that the tests make


@dataclass(frozen=True)
class Environment:
    """A virtual environment with the wheel in it."""

    bin: Path

    def run(self, *words: str | Path, folder: Path, pythonpath: str = "", check: bool = True) -> str:
        """Run one of its programs in a folder; return what it prints."""
        inherited = {k: v for k, v in os.environ.items() if not k.startswith(("PYTHON", "PYTEST", "COV"))}
        done = subprocess.run(
            [self.bin / str(words[0]), *words[1:]],
            cwd=folder,
            env={**inherited, "PATH": f"{self.bin}{os.pathsep}{inherited['PATH']}"}
            | ({"PYTHONPATH": pythonpath} if pythonpath else {}),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            timeout=300,
        )
        assert done.returncode == 0 or not check, f"exit {done.returncode}\n{done.stdout}"
        return done.stdout


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of this project."""
    folder = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", folder]
    done = subprocess.run(build, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return next(folder.glob("*.whl"))


def environment(folder: Path, wheel: Path, more: Sequence[Path]) -> Environment:
    """Install the wheel into a new environment that also finds what is in these folders."""
    venv.create(folder, symlinks=True)
    site = Path(sysconfig.get_path("purelib", "venv", {"base": str(folder), "platbase": str(folder)}))
    (site / "more.pth").write_text("\n".join(map(str, more)))
    pip = [sys.executable, "-m", "pip", "--python", folder / "bin" / "python", "install", "--quiet", "--no-deps"]
    subprocess.run([*pip, "--no-index", wheel], check=True)
    return Environment(folder / "bin")


@pytest.fixture(scope="session")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Environment:
    """The wheel in an environment that has what the tests' own environment has, but not this folder."""
    folder = tmp_path_factory.mktemp("environment")
    return environment(folder, wheel, [Path(sysconfig.get_path("purelib"))])


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project with packages called simulation, reports, ordering, scenarios and tests."""
    return Path(shutil.copytree(PROJECT, tmp_path / "project"))
