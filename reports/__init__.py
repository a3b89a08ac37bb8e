"""What a run leaves for people to see: frames, pictures, the page, and what a build server reads.

Read first `lives.py`, which turns a history into the lives of its events. `rows.py` and `tables.py` make tables of them
(`frames.py` the same for pandas, `parquet.py` a file), `series.py` makes series over time of the tables, `figures.py`
draws those as pictures, and `illustrator.py` has that done by another process. The page is computed in `story.py` (a
violation in sentences), `marks.py` and `spacetime.py` (the diagram) and `charts.py`, and put together in `page.py`; how
it looks is in `templates/`. `sweeps.py` draws what many runs come to.
`exports/` writes histories in the formats of other programs.

A report shows what a history says and what the judge made of it; it neither runs nor judges anything. Importing this
package costs nothing: pandas and matplotlib come with the modules that use them.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from simulation.kernel.gc_pause import no_search

if TYPE_CHECKING:
    from reports.figures.render_process import Illustrator
    from reports.run import RunLike
    from simulation.history.history import History


def write_report(
    folder: Path, run: RunLike, whole: History | None = None, illustrator: Illustrator | None = None
) -> list[Path]:
    """Write the table, the pictures and the page of a run into a folder, and return the files. Raises OSError.

    `whole` is all that happened, if the run shows only the beginning of it: the table tells of all events. An
    `illustrator` draws the pictures while the rest is written.

    The page links to whatever else is in the folder by then: the history, the verdict, the scenario.
    """
    with no_search():  # what is imported stays, and of the rest only two small pictures hold circles
        from reports.figures.render_process import NAMES, Illustrator
        from reports.tables.rows import event_rows

        rows = event_rows(run.history)
        events, page = folder / "events.parquet", folder / "report.html"
        with (illustrator or Illustrator()).drawing(rows, folder):
            from reports.page.page import write_page
            from reports.tables.parquet import write_events
            from reports.tables.tables import Table, events_tables

            table = Table.of_events(rows)
            write_events([table] if whole is None else events_tables(whole), events)
            write_page(page, run, table, coming=NAMES)
    return [events, *(folder / name for name in NAMES), page]
