"""Reading the one scenario that a command is about."""

from __future__ import annotations

from pathlib import Path

from simulation.cli import BadUsage
from simulation.cli.files import missing
from simulation.scenario.load import load
from simulation.scenario.model import Scenario


def one_scenario(path: Path) -> Scenario:
    """Read the scenario of a path. Raises BadUsage, BadScenario."""
    if not path.exists():
        raise BadUsage(missing(path))
    if path.is_dir():
        raise BadUsage(f"{path}: is a folder; name one scenario file in it")
    return load(path)
