"""The rows of a log file: JSON Lines, CSV or Parquet, each with where it stands. Nothing is made of them here.

A CSV file may begin with a byte order mark, and may have spaces after its commas. In a Parquet file, nanoseconds are
cut off to microseconds; a value that Python does not have, such as a time after the year 9999, is an `Unusable`.
"""

from __future__ import annotations

import codecs
import csv
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import isnan
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.compute
import pyarrow.parquet

from simulation.history.lines import LineTooLong, bounded_lines
from simulation.history.untrusted_files import converted, is_stream
from simulation.kernel.untrusted_json import parse_json

NO_VALUE = frozenset({"", "null", "none", "nan", "nat", "nil", "n/a", "\\n", "<na>"})
"""Texts with which programs mark a missing value, in lower case."""


MAX_ROWS = 1_000_000
"""Of a log. Each takes about two KiB of memory while a scenario is made of it."""

MAX_UNPACKED_BYTES = 512 << 20
"""Of all values of a Parquet file, which may store one value once for a million rows."""
MAX_CHUNK_BYTES = 256 << 20
"""Of one column in one row group of a Parquet file: it is unpacked as a whole."""
MAX_CHUNK_VALUES = 10 * MAX_ROWS
"""Values of one column in one row group of a Parquet file, those in lists included."""

_PIECE = 1 << 20
"""Bytes of a text file that are read at a time."""
_BATCH = 1_000
"""Rows of a Parquet file that are unpacked at a time."""


@dataclass(frozen=True, slots=True)
class Unusable:
    """A value of a row that Python does not have."""

    because: str


class BadLog(Exception):
    """A log cannot be imported. The message names the file, the row and the cause."""


def rows(path: Path) -> Iterator[tuple[str, object]]:
    """Yield each row with its place; a line that is no JSON as its exception. Raises BadLog, OSError."""
    readers = {".jsonl": _json_lines, ".ndjson": _json_lines, ".json": _json_lines, ".csv": _csv, ".parquet": _parquet}
    reader = readers.get(path.suffix.lower())
    if reader is None:
        raise BadLog(f"{path}: a log must be .jsonl, .csv or .parquet")
    try:
        is_stream(path)
        for number, row in enumerate(reader(path)):
            if number >= MAX_ROWS:
                raise BadLog(f"{path}: has more than {MAX_ROWS:,} rows; cut it into parts that are shorter")
            yield row
    except UnicodeDecodeError as error:
        byte, how = error.object[error.start], converted(error, path.name)
        raise BadLog(f"{_place_of_other_text(path)}: byte {byte:#04x} is not UTF-8; {how}") from None


def _place_of_other_text(path: Path) -> str:
    """Return the file and its first line that is not UTF-8; a Parquet file has no lines."""
    decoder, lines = codecs.getincrementaldecoder("utf-8")(), 1
    if path.suffix.lower() == ".parquet":
        return str(path)
    with path.open("rb") as file:
        while piece := file.read(_PIECE):
            try:
                decoder.decode(piece)
            except UnicodeDecodeError as error:
                lines += error.object.count(b"\n", 0, error.start)
                break
            lines += piece.count(b"\n")
    return f"{path}:{lines}"


def value_of(row: Mapping[str, Any], column: str) -> Any:
    """Return the value of a row in a column, None if it has none; `headers.causation` looks into nested values.

    Raises ValueError for an Unusable.
    """
    value = row.get(column)
    if column not in row and "." in column:
        first, _, rest = column.partition(".")
        inner = row.get(first)
        if isinstance(inner, str) and inner.lstrip().startswith("{"):
            inner = _parsed(inner)
        value = value_of(inner, rest) if isinstance(inner, dict) else None
    if isinstance(value, Unusable):
        raise ValueError(f"{column!r} is {value.because}")
    if isinstance(value, str):
        value = value.strip()
        return None if value.lower() in NO_VALUE else value
    return None if isinstance(value, float) and isnan(value) else value


def has_column(row: Mapping[str, Any], column: str) -> bool:
    """Say whether a row has a column, also without a value in it."""
    return column in row or value_of(row, column) is not None


def _parsed(text: str) -> Any:
    try:
        return parse_json(text)
    except ValueError:
        return None


def _csv(path: Path) -> Iterator[tuple[str, object]]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        reader = csv.DictReader(bounded_lines(file), skipinitialspace=True)
        try:
            reader.fieldnames = [name.strip() for name in reader.fieldnames or ()]
            for row in reader:
                yield f"{path}:{reader.line_num}", row
        except csv.Error as error:
            raise BadLog(f"{path}:{reader.line_num}: {error}") from None
        except LineTooLong as error:
            raise BadLog(f"{path}:{reader.line_num + 1}: {error}") from None


def _json_lines(path: Path) -> Iterator[tuple[str, object]]:
    with path.open(encoding="utf-8-sig") as file:
        number = 0
        try:
            for number, line in enumerate(bounded_lines(file), start=1):
                if line.strip():
                    yield f"{path}:{number}", _parsed_line(line)
        except LineTooLong as error:
            raise BadLog(f"{path}:{number + 1}: {error}") from None


def _parsed_line(line: str) -> object:
    try:
        return parse_json(line)
    except ValueError as error:
        return error


def _parquet(path: Path) -> Iterator[tuple[str, object]]:
    try:
        texts = _checked(path, pyarrow.parquet.read_metadata(path))
        file = pyarrow.parquet.ParquetFile(path, read_dictionary=texts)  # a value that is repeated stays one value
        count = unpacked = 0
        for batch in file.iter_batches(_BATCH):
            unpacked += sum(map(_unpacked_bytes, batch.columns))
            if unpacked > MAX_UNPACKED_BYTES:
                raise BadLog(f"{path}: unpacks to more than {MAX_UNPACKED_BYTES >> 20} MiB; keep fewer columns or rows")
            names, columns = batch.schema.names, [_in_micros(column) for column in batch.columns]
            for place in range(batch.num_rows):
                count += 1
                row = {name: _cell(column[place]) for name, column in zip(names, columns, strict=True)}
                yield f"{path} row {count}", row
    except FileNotFoundError:
        raise BadLog(f"{path}: no such file") from None
    except (pyarrow.ArrowException, OSError, KeyError) as error:  # KeyError: a column has two names
        raise BadLog(
            f"{path}: is not a Parquet file that can be read ({error}); a log must be .jsonl, .csv or .parquet"
        ) from None


def _checked(path: Path, metadata: pyarrow.parquet.FileMetaData) -> list[str]:
    """Return the columns of text in a Parquet file. Raises BadLog if the file says that it unpacks to too much."""
    if metadata.num_rows > MAX_ROWS:
        raise BadLog(f"{path}: has more than {MAX_ROWS:,} rows; cut it into parts that are shorter")
    chunks = [
        metadata.row_group(group).column(column)
        for group in range(metadata.num_row_groups)
        for column in range(metadata.num_columns)
    ]
    for chunk in chunks:
        if chunk.total_uncompressed_size > MAX_CHUNK_BYTES or chunk.num_values > MAX_CHUNK_VALUES:
            raise BadLog(
                f"{path}: column {chunk.path_in_schema!r} has more than {MAX_CHUNK_BYTES >> 20} MiB or"
                f" {MAX_CHUNK_VALUES:,} values in a row group; write smaller row groups, or leave the column out"
            )
    return list(dict.fromkeys(chunk.path_in_schema for chunk in chunks if chunk.physical_type == "BYTE_ARRAY"))


def _unpacked_bytes(column: pyarrow.Array) -> int:
    """Return the number of bytes that a column takes once each of its rows has its own value."""
    kind = column.type
    if pyarrow.types.is_dictionary(kind):
        lengths = pyarrow.compute.binary_length(column.dictionary).cast(pyarrow.int64())
        return int(pyarrow.compute.sum(lengths.take(column.indices)).as_py() or 0)
    if pyarrow.types.is_struct(kind):
        return sum(map(_unpacked_bytes, column.flatten()))
    if pyarrow.types.is_map(kind):
        return _unpacked_bytes(column.keys) + _unpacked_bytes(column.items)
    if pyarrow.types.is_nested(kind):
        return _unpacked_bytes(column.flatten())
    return int(column.nbytes)


def _in_micros(column: pyarrow.Array) -> pyarrow.Array:
    """Cut nanoseconds off, which Python's times do not have."""
    kind = column.type
    if pyarrow.types.is_timestamp(kind) and kind.unit == "ns":
        return column.cast(pyarrow.timestamp("us", kind.tz), safe=False)
    if pyarrow.types.is_duration(kind) and kind.unit == "ns":
        return column.cast(pyarrow.duration("us"), safe=False)
    return column.cast(pyarrow.time64("us"), safe=False) if kind == pyarrow.time64("ns") else column


def _cell(value: pyarrow.Scalar) -> object:
    try:
        return value.as_py()
    except (ValueError, OverflowError, LookupError, pyarrow.ArrowException) as error:
        return Unusable(f"a {value.type} that Python does not have ({error}); write the column as text")
