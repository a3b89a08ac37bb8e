"""The scenarios that come with causim: in a clone the folder `scenarios`, in an installation a copy in this package."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from pathlib import Path

_INSTALLED = Path(__file__).parent / "scenarios"
FOLDER = _INSTALLED if _INSTALLED.is_dir() else _INSTALLED.parents[1] / "scenarios"
MUTANTS = Path(__file__).parents[1] / "simulation" / "engines" / "mutants" / "scenarios"
"""The scenarios that the mutants need besides."""
_NO_SCENARIOS = ("data", "sweeps")
"""Folders of data, and of scenarios for `causim sweep`, which are found by their names all the same."""


_RENAMED = {"lost-leader": "missing-leader", "lost-followers": "rescued-followers"}
"""The new names of renamed scenarios, by the old ones; an old name works for one release."""


def scenarios() -> Mapping[str, Path]:
    """Return the files of the shipped scenarios by their names, without the ending `.toml`, those of sweeps last."""
    files = sorted(FOLDER.rglob("*.toml"), key=lambda file: (file.parent.name in _NO_SCENARIOS, file))
    found: dict[str, Path] = {}
    for file in [*files, *sorted(MUTANTS.glob("*.toml"))]:
        found.setdefault(file.stem, file)
    return found


def path_of(word: str) -> Path:
    """Return the path that a word of the command line means: a file or folder, else a shipped scenario by its name."""
    path = Path(word)
    if not path.exists() and not path.suffix and len(path.parts) == 1:
        new = _RENAMED.get(word, word)
        if new != word:
            message = f"the scenario '{word}' is called '{new}' now; the old name works for one release"
            warnings.warn(message, FutureWarning, stacklevel=2)
        return scenarios().get(new, path)
    return path


def word_for(path: Path) -> str:
    """Return the command line's word for a file: the name of a shipped scenario that was asked for so, or its path."""
    asked_for_by_name = path.is_absolute() and path.stem and (FOLDER in path.parents or MUTANTS in path.parents)
    return path.stem if asked_for_by_name and scenarios().get(path.stem) == path else str(path)
