"""The runs that are kept below a folder of results, newest first, and the page that lists them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from causim.written_files import write_whole
from simulation.cli import BadUsage
from simulation.cli.text import visible
from simulation.history.untrusted_files import read_text
from simulation.kernel.untrusted_json import parse_json

REPORT = "report.html"
INDEX = "index.html"

LISTED = 200
"""Number of runs that the page lists, the newest."""


@dataclass(frozen=True, slots=True)
class Kept:
    """One run in a folder of results."""

    folder: Path

    @property
    def stamp(self) -> str:
        """The time of its making, as the name of its folder has it: `20260412T093012`."""
        return self.folder.name.partition("-")[0]

    @property
    def age(self) -> tuple[str, int]:
        """The key that orders runs in time: the stamp, which copies keep too, then the time at which it was written."""
        return self.stamp, (self.folder / "verdict.json").stat().st_mtime_ns

    def record(self) -> Mapping[str, Any]:
        """Return the contents of its `verdict.json`; nothing if it cannot be read."""
        try:
            record = parse_json(read_text(self.folder / "verdict.json"))
        except (OSError, ValueError):
            return {}
        return record if isinstance(record, dict) else {}


def kept_below(root: Path) -> list[Kept]:
    """Return the runs in a folder of results, or in that of one scenario, newest first."""
    files = {*root.glob("*/verdict.json"), *root.glob("*/*/verdict.json")}
    folders = [file.parent for file in files if not file.parent.name.startswith(".")]
    links = {folder for run in folders for folder in (run, run.parent) if folder != root and folder.is_symlink()}
    runs = [Kept(folder) for folder in folders if links.isdisjoint((folder, folder.parent))]
    return sorted(runs, key=lambda run: run.age, reverse=True)


def write_index(root: Path) -> Path:
    """Write the page that lists the runs below a folder, and return it. Raises OSError."""
    from reports.page.index import Row, index_page  # a run without results needs no reports

    runs = kept_below(root)
    rows = [Row.of(run.folder.relative_to(root), run.stamp, run.record()) for run in runs[:LISTED]]
    page = root / INDEX
    write_whole(page, index_page(rows, len(runs) - len(rows)), errors="backslashreplace")
    return page


def report_of(result: Path) -> Path:
    """Return the report of a run's folder, or the newest below a folder. Raises BadUsage if there is none."""
    if result.is_file():
        return result
    if not result.exists():
        raise BadUsage(f"{visible(str(result))}: no such folder; `causim run` leaves its results below --out")
    found = next((run.folder for run in kept_below(result) if (run.folder / REPORT).is_file()), result)
    if not (found / REPORT).is_file():
        raise BadUsage(f"{visible(str(result))}: there is no {REPORT} in it; `causim run` leaves one in its results")
    return found / REPORT
