"""Histories as pandas frames: a row an event, a delivery or a handling. Their columns are explained in `tables.py`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import pandas as pd

from reports.tables.tables import (
    DELIVERY_COLUMNS,
    EVENT_COLUMNS,
    HANDLING_COLUMNS,
    deliveries_table,
    events_table,
    handlings_table,
)

if TYPE_CHECKING:
    from reports.tables.tables import Table
    from simulation.history.history import History


def events_frame(history: History) -> pd.DataFrame:
    """Return one row an event, in the order in which the events first appear; columns as in EVENT_COLUMNS.

    The frame's `attrs` name the run (`scenario`, `engine`, `seed`) and say when its history ends (`end_s`).
    """
    return _frame(events_table(history), EVENT_COLUMNS)


def deliveries_frame(history: History) -> pd.DataFrame:
    """Return one row a delivery, in the order in which they were made; columns as in DELIVERY_COLUMNS."""
    return _frame(deliveries_table(history), DELIVERY_COLUMNS)


def handlings_frame(history: History) -> pd.DataFrame:
    """Return one row a handling, in the order in which they began; columns as in HANDLING_COLUMNS."""
    return _frame(handlings_table(history), HANDLING_COLUMNS)


def frame_of(rows: Sequence[Mapping[str, Any]], columns: Sequence[str] | None = None) -> pd.DataFrame:
    """Return the frame of some records; `columns` names those that it has also without any record."""
    return pd.DataFrame(rows, columns=None if columns is None else list(columns))


def _frame(table: Table, columns: Mapping[str, tuple[str, str]]) -> pd.DataFrame:
    frame = pd.DataFrame(dict(table.columns)).astype({name: dtype for name, (dtype, _) in columns.items()})
    frame.attrs.update(table.attrs)
    return frame
