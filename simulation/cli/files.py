"""Finding scenario files: those that were named, and those below folders that were named."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING

from causim.kept_runs import is_kept
from causim.shipped import scenarios
from simulation.cli import BadUsage

if TYPE_CHECKING:
    from simulation.scenario.model import Scenario


def scenario_files(paths: Iterable[Path]) -> list[Path]:
    """Return the scenario files that the paths mean, in order, each once.

    The scenarios of kept runs are left out of a folder, unless it is the folder of one run. Raises BadUsage if a path
    means none.
    """
    found: dict[Path, None] = {}
    for path in paths:
        if path.is_dir():
            named = is_kept(path / "scenario.toml")
            below = [file for file in sorted(path.rglob("*.toml")) if named or not is_kept(file)]
            if not below:
                raise BadUsage(f"{path}: no scenario files (*.toml) in this folder")
            found.update(dict.fromkeys(below))
        elif path.exists():
            found[path] = None
        else:
            raise BadUsage(missing(path))
    return list(found)


def missing(path: Path) -> str:
    """Return that there is no such scenario, and which shipped one may have been meant."""
    near = get_close_matches(path.stem, scenarios(), 1)
    hint = f"did you mean the shipped {near[0]}? " if near else ""
    return f"{path}: no such file or folder; {hint}`causim list scenarios` shows what there is"


def one_scenario(path: Path) -> Scenario:
    """Read the scenario that a command is about. Raises BadUsage, BadScenario."""
    if not path.exists():
        raise BadUsage(missing(path))
    if path.is_dir():
        raise BadUsage(f"{path}: is a folder; name one scenario file in it")
    # lists of names need no model of a scenario, and its import takes a quarter of a second
    from simulation.scenario.load import load

    return load(path)
