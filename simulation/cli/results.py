"""The folders of results: `results/<scenario>/<time>-<seed>/`, with a link `latest` beside them.

A folder appears under its name only when it is complete: a reader finds all of a run or nothing of it.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import tomli_w

from causim.written_files import write_whole
from simulation.search.replay import replay_of
from simulation.world.run import Run
from simulation.world.run_files import runnable, verdict_record, write_run

__all__ = ["ResultsFolder", "runnable", "verdict_record"]

if TYPE_CHECKING:
    from reports.figures.render_process import Illustrator


@dataclass(frozen=True, slots=True)
class ResultsFolder:
    """The folder of one scenario's results."""

    root: Path
    scenario: str
    illustrator: Illustrator | None = None
    searched: Sequence[str] = ()
    """The coverage of the search, line by line."""

    def keep(self, run: Run, stamp: str, replay: str, extra: Mapping[str, Any]) -> Path:
        """Write everything about a run into a new folder, move the link `latest`, and return the folder.

        `stamp` is the moment as it is to appear in the folder's name, `extra` goes into `verdict.json`. Raises
        OSError if the folder cannot be written.
        """
        name = f"{stamp}-{run.seed}"
        scenario_folder = self.root / self.scenario
        scenario_folder.mkdir(parents=True, exist_ok=True)
        partial = scenario_folder / f".{name}.part"
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir()
        try:
            _write(run, partial, replay, extra, self)
            folder = _free(scenario_folder / name)
            partial.rename(folder)
        except BaseException:
            shutil.rmtree(partial, ignore_errors=True)
            raise
        _link(scenario_folder / "latest", folder.name)
        return folder


def _write(run: Run, folder: Path, replay: str, extra: Mapping[str, Any], into: ResultsFolder) -> None:
    if run.steps is not None:
        invariant = next((violation.invariant for violation in run.judgement.violations), "")
        tables = runnable(run.scenario, run.history.header.engine, run.seed, folder)
        chosen = {**tables, "replay": replay_of(run, invariant).written()["replay"]}
        write_whole(folder / "replay.toml", tomli_w.dumps(chosen))
    write_run(run, folder, replay, extra, searched=into.searched, illustrator=into.illustrator)


def _free(path: Path) -> Path:
    for number in range(1, 1000):
        candidate = path if number == 1 else path.with_name(f"{path.name}.{number}")
        if not candidate.exists():
            return candidate
    raise OSError(f"too many results under {path}")


def _link(link: Path, target: str) -> None:
    temporary = link.with_name(f".latest.{os.getpid()}")
    temporary.unlink(missing_ok=True)
    try:
        temporary.symlink_to(target)
        temporary.replace(link)
    except OSError:  # a file system without links: a file that names the folder serves as well
        link.write_text(target + "\n", encoding="utf-8")
