"""Reads scenarios from files and from text."""

from __future__ import annotations

import tomllib
from pathlib import Path

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


def loads(text: str, source: str = "scenario", folder: str = ".") -> Scenario:
    """Read a scenario from TOML text. Raises BadScenario that says what is wrong and where."""
    try:
        record = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise BadScenario(f"{source}: not TOML: {error}") from None
    return parse(record, source, folder)
