"""Type checkers see the types of an installed wheel."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.packaging.conftest import Environment

PROGRAM = """
from causim import __version__
from ordering import CausalOrdering
from simulation import load

reveal_type(load("x.toml").seed)
reveal_type(CausalOrdering)
reveal_type(__version__)
load(3)
"""


@pytest.mark.nightly  # it reads the types of all that pydantic and redis are made of
def test_mypy_sees_the_types_of_the_wheel(installed: Environment, tmp_path: Path) -> None:
    (tmp_path / "program.py").write_text(PROGRAM)
    words = [
        "--strict",
        "--python-executable",
        installed.bin / "python",
        "--cache-dir",
        tmp_path / "cache",
        "program.py",
    ]
    done = subprocess.run(
        [sys.executable, "-m", "mypy", *words], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    output = done.stdout
    output = output.replace("builtins.", "")  # which mypy says up to some version
    assert 'Revealed type is "int"' in output, output
    assert 'Revealed type is "str"' in output, output
    assert "ordering.causal.CausalOrdering" in output, output
    assert 'has incompatible type "int"' in output, output
    assert "import-untyped" not in output, output
