"""Histories as tables: a row an event, a delivery or a handling, in plain columns.

Everything that a run leaves is made of these; `frames.py` makes pandas frames of them, for further computing. A run
itself does not import pandas, which takes longer than handling its events.

Times are seconds since the start of the run and durations are seconds, both `float64`, with `NaN` for missing
ones; their columns end in `_s`. Counts are `int64`, names are strings, empty where there is none.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from reports.tables.rows import event_rows, rows_of, seconds
from simulation.history.indexer import index_of
from simulation.history.slices import slices

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

    from reports.tables.rows import EventRows
    from simulation.history.history import History

BATCH = 100_000
"""Number of events of a very long history that are held in memory at once, to be written to a table."""

EVENT_COLUMNS: Mapping[str, tuple[str, str]] = {
    "event": ("string", "the event's name"),
    "follows": ("string", "its leader's name; empty if it has none"),
    "published_s": ("float64", "when a producer handed it to the broker"),
    "first_delivered_s": ("float64", "when it was first handed to a live consumer"),
    "deliveries": ("int64", "how often it was handed to a consumer"),
    "parked_s": ("float64", "when the engine first kept it to wait for its leader"),
    "started_s": ("float64", "when the handling began that made its first effect; without one, its first handling"),
    "effect_s": ("float64", "when its first effect was made, at the end of that handling"),
    "handlings": ("int64", "how often a handler began on it"),
    "effects": ("int64", "how many handlings took effect; more than one is once too often"),
    "via": ("string", "how it came to that handling: delivered, released or rescued"),
    "consumer": ("string", "who did that handling"),
    "dead_lettered_s": ("float64", "when it was given up"),
    "dead_lettered": ("bool", "whether it was given up"),
    "latency_s": ("float64", "from publication to its first effect"),
    "wait_s": (
        "float64",
        "a follower's wait for its release: from the later of its first delivery and its leader's effect (if that "
        "came before) to the start of its handling",
    ),
    "lost": ("bool", "whether a consumer had it, and the history ends with neither an effect nor a dead letter for it"),
}
"""The columns of a table of events: dtype and meaning."""

DELIVERY_COLUMNS: Mapping[str, tuple[str, str]] = {
    "event": ("string", "the event that was handed over"),
    "consumer": ("string", "the consumer that received it"),
    "attempt": ("int64", "counted from 1"),
    "delivered_s": ("float64", "when"),
    "done_s": ("float64", "when the consumer answered for it, or was gone"),
    "outcome": (
        "string",
        "acknowledged, rejected, refused, dead-lettered; crashed or stopped, if its consumer was gone first; else open",
    ),
    "because": ("string", "why it was rejected or refused"),
}
"""The columns of a table of deliveries: dtype and meaning."""

HANDLING_COLUMNS: Mapping[str, tuple[str, str]] = {
    "event": ("string", "the event that was handled"),
    "consumer": ("string", "the consumer that handled it"),
    "handling": ("string", "the handling's number in the history"),
    "via": ("string", "delivered, released or rescued"),
    "started_s": ("float64", "when the handler began"),
    "ended_s": ("float64", "when it ended, or its consumer was gone"),
    "outcome": (
        "string",
        "ok, failed, unknown (the consumer was gone first, or no entry says it), or open if the history ends first",
    ),
    "write": ("string", "accepted or refused, where the effect sink said so"),
    "effect": ("bool", "whether it took effect"),
}
"""The columns of a table of handlings: dtype and meaning."""

STORED: Mapping[str, Any] = {"string": object, "float64": np.float64, "int64": np.int64, "bool": np.bool_}
"""As what numpy holds the values of a dtype."""


@dataclass(frozen=True, slots=True)
class Table:
    """Columns of equal length, by name; `attrs` describe the run, as they do in a pandas frame."""

    columns: Mapping[str, NDArray[Any]]
    attrs: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def of_rows(cls, rows: Iterable[tuple[Any, ...]], columns: Mapping[str, tuple[str, str]]) -> Self:
        """Return rows as a table, with the dtypes of its columns."""
        event_rows = list(zip(*rows, strict=True)) or [()] * len(columns)
        named = zip(columns.items(), event_rows, strict=True)
        return cls({name: _column(values, dtype) for (name, (dtype, _)), values in named})

    @classmethod
    def of_events(cls, event_rows: EventRows) -> Self:
        """Return the rows of events as a table."""
        return cls(cls.of_rows(event_rows.rows, EVENT_COLUMNS).columns, event_rows.attrs)

    @classmethod
    def of_frame(cls, frame: pd.DataFrame) -> Self:
        """Return an events frame as a table."""
        columns = {name: frame[name].to_numpy(dtype=STORED[dtype]) for name, (dtype, _) in EVENT_COLUMNS.items()}
        return cls(columns, {str(name): value for name, value in frame.attrs.items()})

    def __getitem__(self, column: str) -> NDArray[Any]:
        return self.columns[column]

    def __len__(self) -> int:
        return len(next(iter(self.columns.values())))

    def where(self, kept: NDArray[np.bool_]) -> Table:
        """Return the rows that are kept."""
        return Table({name: values[kept] for name, values in self.columns.items()}, self.attrs)

    def has(self, column: str) -> NDArray[np.bool_]:
        """Return in which rows a time or a duration is known."""
        known: NDArray[np.bool_] = ~np.isnan(self[column])
        return known


def events_table(history: History) -> Table:
    """Return one row an event, in the order in which the events first appear; columns as in EVENT_COLUMNS.

    The table's `attrs` name the run (`scenario`, `engine`, `seed`) and say when its history ends (`end_s`).
    """
    return Table.of_events(event_rows(history))


def events_tables(history: History, most: int = BATCH) -> Iterator[Table]:
    """Yield the table of events in pieces of so many rows: of a history that is too long for one."""
    return (Table.of_events(rows_of(index, some)) for index, some in slices(history, most))


def deliveries_table(history: History) -> Table:
    """Return one row a delivery, in the order in which they were made; columns as in DELIVERY_COLUMNS."""
    rows = (
        (d.event, d.consumer, d.attempt, seconds(d.at), seconds(d.closed_at), d.outcome, d.because)
        for d in index_of(history).deliveries()
    )
    return Table.of_rows(rows, DELIVERY_COLUMNS)


def handlings_table(history: History) -> Table:
    """Return one row a handling, in the order in which they began; columns as in HANDLING_COLUMNS."""
    rows = (
        (
            *(h.event, h.consumer, h.number, h.via, seconds(h.start_at), seconds(h.end_at)),
            *(h.reported_outcome, h.write, h.took_effect),
        )
        for h in index_of(history).handlings()
    )
    return Table.of_rows(rows, HANDLING_COLUMNS)


def _column(values: Sequence[Any], dtype: str) -> NDArray[Any]:
    return np.array(list(map(_written, values)) if dtype == "string" else values, STORED[dtype])


def _written(text: str) -> str:
    """Write out what no UTF-8 text can hold: a lone surrogate, which JSON lets into a name."""
    return text if text.isascii() else text.encode("utf-8", "backslashreplace").decode("utf-8")
