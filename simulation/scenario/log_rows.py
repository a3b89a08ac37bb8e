"""The rows of a log file: JSON Lines, CSV or Parquet, each with where it stands. Nothing is made of them here.

A CSV file may begin with a byte order mark, and may have spaces after its commas.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping
from math import isnan
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet

from simulation.kernel.untrusted_json import parse_json

NO_VALUE = frozenset({"", "null", "none", "nan", "nat", "nil", "n/a", "\\n", "<na>"})
"""How programs write in text that there is no value, in lower case."""


class BadLog(Exception):
    """A log cannot be imported. The message says which file, which row and why."""


def rows(path: Path) -> Iterator[tuple[str, object]]:
    """Yield each row with where it stands; a line that is no JSON as its exception. Raises BadLog, OSError."""
    readers = {".jsonl": _json_lines, ".ndjson": _json_lines, ".json": _json_lines, ".csv": _csv, ".parquet": _parquet}
    reader = readers.get(path.suffix.lower())
    if reader is None:
        raise BadLog(f"{path}: a log must be .jsonl, .csv or .parquet")
    try:
        yield from reader(path)
    except UnicodeDecodeError as error:
        byte = error.object[error.start]
        raise BadLog(
            f"{path}: byte {byte:#04x} is not UTF-8; if the file is in Latin-1, convert it: "
            f"iconv -f latin1 -t utf-8 {path.name} > utf8-{path.name}"
        ) from None


def value_of(row: Mapping[str, Any], column: str) -> Any:
    """Return what a row has in a column, None if it has nothing; `headers.causation` looks into what is nested."""
    value = row.get(column)
    if column not in row and "." in column:
        first, _, rest = column.partition(".")
        inner = row.get(first)
        if isinstance(inner, str) and inner.lstrip().startswith("{"):
            inner = _parsed(inner)
        value = value_of(inner, rest) if isinstance(inner, dict) else None
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
        reader = csv.DictReader(file, skipinitialspace=True)
        reader.fieldnames = [name.strip() for name in reader.fieldnames or ()]
        try:
            for row in reader:
                yield f"{path}:{reader.line_num}", row
        except csv.Error as error:
            raise BadLog(f"{path}:{reader.line_num}: {error}") from None


def _json_lines(path: Path) -> Iterator[tuple[str, object]]:
    with path.open(encoding="utf-8-sig") as file:
        for number, line in enumerate(file, start=1):
            if not line.strip():
                continue
            try:
                yield f"{path}:{number}", parse_json(line)
            except ValueError as error:
                yield f"{path}:{number}", error


def _parquet(path: Path) -> Iterator[tuple[str, object]]:
    try:
        table = pyarrow.parquet.read_table(path)
    except pyarrow.ArrowInvalid:
        raise BadLog(f"{path}: is not a Parquet file; a log must be .jsonl, .csv or .parquet") from None
    except FileNotFoundError:
        raise BadLog(f"{path}: no such file") from None
    for number, row in enumerate(table.to_pylist(), start=1):
        yield f"{path} row {number}", row
