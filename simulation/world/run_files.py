"""The files that a run leaves in a folder: the scenario as it was run, the history, the verdict and the report."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import tomli_w

from causim.written_files import write_whole
from reports import write_report
from simulation.history.history import History
from simulation.history.untrusted import copy_file
from simulation.history.untrusted_files import read_text
from simulation.invariants import Judgement
from simulation.kernel.untrusted_json import parse_json
from simulation.scenario.model import Scenario

if TYPE_CHECKING:
    from reports.figures.render_process import Illustrator
    from reports.run import Likelihood
    from simulation.world.run import Run

REPORTED = 250_000
"""Number of entries of a history that are shown; the history, the table of its events and the verdict are whole."""


@dataclass(frozen=True, slots=True)
class Reported:
    """A run, as the reports ask for it."""

    run: Run
    history: History
    """The shown part of the history."""
    scenario_text: str
    replay: str
    searched: Sequence[str] = ()

    @property
    def judgement(self) -> Judgement:
        """The judgement of the run."""
        return self.run.judgement

    @property
    def silent_faults(self) -> Sequence[str]:
        """The faults of the scenario that never struck."""
        return self.run.silent_faults

    @property
    def commands(self) -> int:
        """Number of commands that consumers sent, without those of sweeps that found nothing."""
        return self.run.counts.commands - self.run.counts.idle_commands


def write_run(
    run: Run,
    folder: Path,
    replay: str,
    extra: Mapping[str, Any],
    *,
    searched: Sequence[str] = (),
    illustrator: Illustrator | None = None,
) -> None:
    """Write everything about a run into a folder that is there. Raises OSError.

    Args:
        replay: the command that runs it again.
        extra: goes into `verdict.json`.
        searched: the extent of the search that found the run, a line for each fact.
        illustrator: draws the pictures in another process; without one they are drawn here.
    """
    scenario = tomli_w.dumps(runnable(run.scenario, run.history.header.engine, run.seed, folder))
    write_whole(folder / "scenario.toml", scenario)
    run.history.write(folder / "history.jsonl")
    record = verdict_record(run, replay, {**extra, "searched": list(searched)} if searched else extra)
    write_whole(folder / "verdict.json", json.dumps(record, indent=2) + "\n")
    shown = run.history.beginning(REPORTED)
    whole = None if shown is run.history else run.history
    write_report(folder, Reported(run, shown, scenario, replay, searched), whole, illustrator)


def explain_report(run: Run, folder: Path, likelihood: Likelihood) -> None:
    """Write the page of a run in its folder again, with the likelihood of its violation along the way. Raises OSError.

    The run's own text and command are read from the folder; a folder without a page is left alone.
    """
    page, verdict = folder / "report.html", folder / "verdict.json"
    if not (page.is_file() and verdict.is_file()):
        return
    from reports.page.page import write_page  # jinja2 and numpy are slow to import

    known = parse_json(read_text(verdict))
    known = known if isinstance(known, dict) else {}
    searched = known.get("searched")
    shown = Reported(
        run,
        run.history.beginning(REPORTED),
        read_text(folder / "scenario.toml"),
        str(known.get("replay", "")),
        [str(line) for line in searched] if isinstance(searched, list) else (),
    )
    write_page(page, shown, likelihood=likelihood)


def runnable(scenario: Scenario, engine: str, seed: int, folder: Path) -> dict[str, Any]:
    """Return the scenario as it was run, so that it can be run again from the folder where it is kept."""
    record = scenario.written()
    workload = record["workload"]
    if workload["kind"] == "trace":
        file, home = (Path(scenario.folder) / workload["file"]).resolve(), folder.resolve()
        if not file.is_relative_to(home):  # what is run from there reads nothing outside of it
            copy = home / f"trace-{file.name}"
            copy_file(file, copy)
            file = copy
        workload["file"] = os.path.relpath(file, home)
    return {**record, "seed": seed, "engine": engine}


def verdict_record(run: Run, replay: str, extra: Mapping[str, Any]) -> dict[str, Any]:
    """Return the content of `verdict.json` for a run."""
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
        "outside": list(run.outside),
        "digest": run.digest,
        "counts": asdict(run.counts),
        "replay": replay,
        **extra,
    }
