"""`causim open`: show the newest report, or that of a run, or the list of all runs, in the browser."""

from __future__ import annotations

import sys
import webbrowser
from pathlib import Path

from simulation.cli import HOLDS, BadUsage
from simulation.cli.given import OpenOptions
from simulation.cli.kept import kept_below, report_of, write_index
from simulation.cli.text import visible, write_note


def execute(given: OpenOptions) -> int:
    """Print the page's path, open it where there is a browser, and return the exit code."""
    page = _index(given.out) if given.all else report_of(_meant(given))
    sys.stdout.write(visible(f"{page}\n"))
    sys.stdout.flush()  # a browser in the terminal comes after it
    if not webbrowser.open(page.resolve().as_uri()):
        write_note("there is no browser here; open the file above in one")
    return HOLDS


def _index(root: Path) -> Path:
    if not kept_below(root):
        raise BadUsage(f"{visible(str(root))}: there are no results in it; `causim run` leaves some")
    return write_index(root)


def _meant(given: OpenOptions) -> Path:
    """Return where the report is looked for: the path that is given, or the results of the scenario of that name."""
    if given.result is None:
        return Path(given.out)
    result = Path(given.result)
    of_scenario = Path(given.out) / given.result
    return of_scenario if not result.exists() and of_scenario.is_dir() else result
