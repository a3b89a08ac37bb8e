"""Writes the page of a run and the table beside it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from reports.figures.render_process import NAMES
from reports.page.page import write_page
from reports.tables.parquet import write_events
from reports.tables.tables import Table, events_tables

if TYPE_CHECKING:
    from reports.run import RunLike
    from reports.tables.rows import EventRows
    from simulation.history.history import History


def write_document(run: RunLike, rows: EventRows, whole: History | None, events: Path, page: Path) -> None:
    """Write the table of events and the page of a run into two files. Raises OSError.

    `rows` are the events that the page shows; the table has those of `whole`, if that is given.
    """
    table = Table.of_events(rows)
    write_events([table] if whole is None else events_tables(whole), events)
    write_page(page, run, table, coming=NAMES)
