"""The reports of a run: tables, pictures, the page, and files for build servers.

Everything here is read from the index of a history (`simulation.history.index`), as the judge does.

- `tables/` makes rows, tables, pandas frames and Parquet files;
- `figures/` makes series over time and pictures, and draws them in another process;
- `text/` writes a violation as sentences;
- `page/` computes the diagram and the charts and writes the page;
- `exports/` writes histories in the formats of other programs;
- `ci/` writes files for build servers.

A report shows a history and its judgement; it neither runs nor judges anything. Importing this package is
fast: pandas and matplotlib are imported by the modules that use them.
"""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from reports.figures.render_process import NAMES, Illustrator
from reports.tables.rows import event_rows
from simulation.kernel.gc_pause import paused_gc

if TYPE_CHECKING:
    from reports.run import RunLike
    from simulation.history.history import History


def view(place: str) -> Any:
    """Return what shows a run, named as "module:function" below this package: it is imported only now."""
    module, _, name = place.partition(":")
    return getattr(import_module(f"reports.{module}"), name)


def write_report(
    folder: Path, run: RunLike, whole: History | None = None, illustrator: Illustrator | None = None
) -> list[Path]:
    """Write the table, the pictures and the page of a run into a folder, and return the files. Raises OSError.

    `whole` is the whole history, if the run shows only its beginning: the table has all of its events. An `illustrator`
    draws the pictures while the rest is written.

    The page links to the other files that are in the folder by then: the history, the verdict, the scenario.
    """
    with paused_gc():  # what is imported stays, and of the rest only two small pictures hold circles
        rows = event_rows(run.history)
        events, page = folder / "events.parquet", folder / "report.html"
        with (illustrator or Illustrator()).drawing(rows, folder):
            # pyarrow and jinja2 are imported while the pictures are being drawn
            from reports.page.document import write_document

            write_document(run, rows, whole, events, page)
    return [events, *(folder / name for name in NAMES), page]
