"""`causim validate`: read scenario files, run nothing, and say all that is wrong in all of them."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

from simulation.cli import HOLDS, USAGE, BadUsage
from simulation.cli.files import scenario_files
from simulation.cli.given import ValidateOptions
from simulation.cli.text import write_lines
from simulation.engines import UnknownEngine, check_expected
from simulation.scenario.errors import BadScenario
from simulation.scenario.swarm import check
from simulation.search.replay import load_replay


def execute(given: ValidateOptions) -> int:
    """Read the files, print the mistakes in them and return the exit code."""
    files, mistakes = _files(given.paths)
    for file in files:
        mistakes += mistakes_in(file)
    if mistakes:
        write_lines("\n".join(mistakes))
        return USAGE
    sys.stdout.write(f"{len(files):,} file{'s' if len(files) > 1 else ''} can be used\n")
    return HOLDS


def _files(paths: list[Path]) -> tuple[list[Path], list[str]]:
    """Return the files that paths mean, each once, and the mistakes in the paths."""
    found: dict[Path, Path] = {}
    mistakes = []
    for path in paths:
        try:
            for file in scenario_files([path]):
                found.setdefault(file.resolve(), file)
        except BadUsage as error:
            mistakes.append(str(error))
    return list(found.values()), mistakes


def mistakes_in(file: Path) -> Iterator[str]:
    """Yield the mistakes in a scenario or replay file: one line for each, which names the file."""
    try:
        scenario = load_replay(file).scenario
        check(scenario)
        check_expected(scenario)
    except (BadScenario, UnknownEngine) as error:
        for line in str(error).splitlines():
            yield line if line.startswith(f"{file}:") else f"{file}: {line}"
