"""Reads scenarios from files and from text."""

from __future__ import annotations

import tomllib
from pathlib import Path

from causim.shipped import path_of
from simulation.scenario.errors import BadScenario
from simulation.scenario.model import Scenario, parse


def load(path: str | Path) -> Scenario:
    """Read a scenario from a file. Raises BadScenario that says what is wrong and where."""
    file = Path(path)
    try:
        text = file.read_text(encoding="utf-8")
    except OSError as error:
        raise BadScenario(f"{file}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise BadScenario(f"{file}: not UTF-8 text") from None
    return loads(text, source=str(file), folder=str(file.parent))


def scenario_of(given: Scenario | str | Path) -> Scenario:
    """Return a scenario: as it is, from the path of a file, from TOML text, or a shipped one by its name.

    Raises BadScenario, TypeError.
    """
    if isinstance(given, Scenario):
        return given
    if isinstance(given, str) and ("\n" in given or "=" in given):
        return loads(given)
    if isinstance(given, str):
        return load(path_of(given))
    if isinstance(given, Path):
        return load(given)
    accepted = "a Scenario, the path of a scenario file, TOML text, or the name of a shipped scenario"
    raise TypeError(f"a scenario was expected: {accepted}; not {given!r} ({type(given).__name__})")


def loads(text: str, source: str = "scenario", folder: str = ".") -> Scenario:
    """Read a scenario from TOML text. Raises BadScenario that says what is wrong and where."""
    try:
        record = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise BadScenario(f"{source}: not TOML: {error}") from None
    return parse(record, source, folder)
