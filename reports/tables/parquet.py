"""The table of events as a Parquet file, of which pandas makes the very events frame.

pyarrow imports pandas as soon as it is asked to make an array of Python's or numpy's values. So the arrays are laid out
here, from their buffers: that is a few lines, and saves a small run a third of a second.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from importlib.metadata import version
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from causim.written_files import written_whole
from reports.tables.tables import EVENT_COLUMNS

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from reports.tables.tables import Table

TYPES = {"string": pa.large_string(), "float64": pa.float64(), "int64": pa.int64(), "bool": pa.bool_()}
"""As what Arrow stores the values of a dtype."""


def write_events(tables: Iterable[Table], path: Path) -> None:
    """Write the table of events, in one piece or several, to a Parquet file, whole or not at all."""
    pieces = iter(tables)
    first = next(pieces)
    with written_whole(path) as partial, pq.ParquetWriter(partial, _schema(first)) as writer:
        for table in chain([first], pieces):
            writer.write_table(arrow(table))


def arrow(table: Table) -> pa.Table:
    """Return the table of events as an Arrow table."""
    arrays = [_array(table[name], dtype) for name, (dtype, _) in EVENT_COLUMNS.items()]
    return pa.Table.from_arrays(arrays, schema=_schema(table))


def _schema(table: Table) -> pa.Schema:
    fields = [(name, TYPES[dtype]) for name, (dtype, _) in EVENT_COLUMNS.items()]
    return pa.schema(fields, {"pandas": json.dumps(_for_pandas(table.attrs))})


def _for_pandas(attrs: Mapping[str, Any]) -> dict[str, Any]:
    """Return what pandas keeps in a file to make the same frame of it again: its dtypes and its `attrs`."""
    columns = [
        {
            "name": name,
            "field_name": name,
            "pandas_type": "object" if dtype == "string" else dtype,
            "numpy_type": dtype,
            "metadata": None,
        }
        for name, (dtype, _) in EVENT_COLUMNS.items()
    ]
    return {
        "index_columns": [],
        "column_indexes": [],
        "columns": columns,
        "attributes": dict(attrs),
        "creator": {"library": "pyarrow", "version": pa.__version__},
        "pandas_version": version("pandas"),
    }


def _array(values: NDArray[Any], dtype: str) -> Any:
    """Lay values out as Arrow does: `NaN` is no value, a flag is a bit, and texts lie behind each other."""
    if dtype == "string":
        texts = [text.encode() for text in values]
        ends = np.cumsum([0, *map(len, texts)], dtype=np.int64)
        buffers = [None, pa.py_buffer(ends), pa.py_buffer(b"".join(texts))]
    elif dtype == "bool":
        buffers = [None, _bits(values)]
    elif dtype == "float64":
        buffers = [_bits(~np.isnan(values)), pa.py_buffer(values)]
    else:
        buffers = [None, pa.py_buffer(values)]
    return pa.Array.from_buffers(TYPES[dtype], len(values), buffers)


def _bits(flags: NDArray[np.bool_]) -> Any:
    return pa.py_buffer(np.packbits(flags, bitorder="little"))
