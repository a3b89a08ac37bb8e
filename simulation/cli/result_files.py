"""The run that a command is about: given as a folder of results, a scenario file or a replay file."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from simulation.cli import BadUsage
from simulation.cli.given import ResultOptions
from simulation.cli.text import visible
from simulation.cli.trust import check_trust
from simulation.search.replay import load_replay

if TYPE_CHECKING:
    from simulation.search.replay import Replay


def replay_of_result(given: ResultOptions) -> Replay:
    """Return the run that a command is about, with the seed and engine of the command line. Raises BadUsage."""

    file = run_file(given.result)
    start = load_replay(file)
    check_trust(start.scenario, file, given.engines, trusted=given.trust)
    changes = {"seed": given.seed, "engine": given.engine}
    changed = {key: value for key, value in changes.items() if value is not None}
    return replace(start, scenario=start.scenario.model_copy(update=changed)) if changed else start


def run_file(result: Path) -> Path:
    """Return the file of the run that a folder of results holds, or the file itself. Raises BadUsage."""
    if not result.exists():
        raise BadUsage(f"{result}: no such file or folder; give a folder that `causim run` has printed, or a scenario")
    if not result.is_dir():
        return result
    folder = result if (result / "scenario.toml").exists() else result / "latest"
    for name in ("replay.toml", "scenario.toml"):
        if (folder / name).exists():
            return folder / name
    raise BadUsage(f"{result}: holds no results; give a folder that `causim run` has printed, or a scenario file")


def history_file(path: Path) -> Path:
    """Return the history in a results folder; any other path is a history itself. Raises BadUsage."""
    if not path.is_dir():
        return path
    for folder in (path, path / "latest"):
        for name in ("history.jsonl", "history.jsonl.gz"):
            if (folder / name).is_file():
                return folder / name
    raise BadUsage(f"{visible(str(path))}: there is no history.jsonl in it; name a history, or the folder of one run")
