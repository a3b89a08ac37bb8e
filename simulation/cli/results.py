"""Where results go: `results/<scenario>/<time>-<seed>/`, with a link `latest` beside them.

A folder appears under its name only when it is complete, so whoever looks finds all of a run or nothing of it.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import tomli_w

from simulation.history.history import History
from simulation.invariants import Judgement
from simulation.scenario.model import Scenario
from simulation.search.replay import replay_of
from simulation.world.run import Run

if TYPE_CHECKING:
    from reports.figures.render_process import Illustrator

REPORTED = 250_000
"""How many entries of a history are shown; the history, the table of its events and the verdict are kept whole."""


@dataclass(frozen=True, slots=True)
class Shelf:
    """The folder of one scenario's results."""

    root: Path
    scenario: str
    illustrator: Illustrator | None = None
    searched: Sequence[str] = ()
    """What the search covered, line by line."""

    def keep(self, run: Run, stamp: str, replay: str, extra: Mapping[str, Any]) -> Path:
        """Write everything about a run into a new folder, move the link `latest`, and return the folder.

        `stamp` is the moment as it is to appear in the folder's name, `extra` goes into `verdict.json`. Raises
        OSError if the folder cannot be written.
        """
        name = f"{stamp}-{run.seed}"
        shelf = self.root / self.scenario
        shelf.mkdir(parents=True, exist_ok=True)
        partial = shelf / f".{name}.part"
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir()
        try:
            _write(run, partial, replay, extra, self)
            folder = _free(shelf / name)
            partial.rename(folder)
        except BaseException:
            shutil.rmtree(partial, ignore_errors=True)
            raise
        _link(shelf / "latest", folder.name)
        return folder


@dataclass(frozen=True, slots=True)
class Reported:
    """A run, as the reports ask for it."""

    run: Run
    history: History
    """What happened, as far as it is shown."""
    scenario_text: str
    replay: str
    searched: Sequence[str] = ()

    @property
    def judgement(self) -> Judgement:
        """What the judge makes of it."""
        return self.run.judgement

    @property
    def commands(self) -> int:
        """How many commands consumers sent, without those of sweeps that found nothing."""
        return self.run.counts.commands - self.run.counts.idle_commands


def _write(run: Run, folder: Path, replay: str, extra: Mapping[str, Any], shelf: Shelf) -> None:
    from reports import write_report

    tables = runnable(run.scenario, run.history.header.engine, run.seed, folder)
    scenario = tomli_w.dumps(tables)
    (folder / "scenario.toml").write_text(scenario, encoding="utf-8")
    if run.steps is not None:
        invariant = next((violation.invariant for violation in run.judgement.violations), "")
        chosen = {**tables, "replay": replay_of(run, invariant).written()["replay"]}
        (folder / "replay.toml").write_text(tomli_w.dumps(chosen), encoding="utf-8")
    run.history.write(folder / "history.jsonl")
    (folder / "verdict.json").write_text(json.dumps(verdict_record(run, replay, extra), indent=2) + "\n", "utf-8")
    shown = run.history.beginning(REPORTED)
    whole = None if shown is run.history else run.history
    write_report(folder, Reported(run, shown, scenario, replay, shelf.searched), whole, shelf.illustrator)


def runnable(scenario: Scenario, engine: str, seed: int, folder: Path) -> dict[str, Any]:
    """Return the scenario as it was run, so that it can be run again from the folder where it is kept."""
    record = scenario.written()
    workload = record["workload"]
    if workload["kind"] == "trace":
        file = (Path(scenario.folder) / workload["file"]).resolve()
        workload["file"] = os.path.relpath(file, folder.resolve())
    return {**record, "seed": seed, "engine": engine}


def verdict_record(run: Run, replay: str, extra: Mapping[str, Any]) -> dict[str, Any]:
    """Return what `verdict.json` says of a run."""
    judgement, header = run.judgement, run.history.header
    return {
        "scenario": header.scenario,
        "engine": header.engine,
        "seed": header.seed,
        "store": header.store,
        "version": header.version,
        "verdict": judgement.verdict,
        "violations": [asdict(violation) for violation in judgement.violations],
        "coverage": dict(judgement.coverage),
        "missing": list(judgement.missing),
        "reasons": list(judgement.reasons),
        "judged": list(judgement.judged),
        "not_judged": dict(judgement.unjudged),
        "silent_faults": list(run.silent_faults),
        "digest": run.digest,
        "counts": asdict(run.counts),
        "replay": replay,
        **extra,
    }


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
