"""Reads the lines of a history, written by this program or by another."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import orjson

from simulation.history.entries import Entry, Header
from simulation.history.untrusted import MalformedHistory, parse_leniently


class Reader:
    """Reads the lines of a history, written by this program or by another.

    A file without a header is read on default terms. A last line that is cut off ends the history there and is noted in
    `truncated`. Whole numbers of more than 64 bits lose precision.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self.header = Header()
        self.truncated = ""

    def entries(self, lines: Iterable[bytes]) -> Iterator[Entry]:
        """Yield the entries in some lines, from the first of the file. Raises MalformedHistory."""
        parse, build, number, before = orjson.loads, Entry.from_record, 0, -1
        for number, line in enumerate(lines, start=1):
            try:
                record = parse(line)
            except orjson.JSONDecodeError:
                if not line.strip():
                    continue
                record = self._leniently(line, number)
                if self.truncated:
                    return
            try:
                if record.__class__ is not dict:
                    raise ValueError('each line must be a JSON object, such as {"at": 0, "kind": "published"}')
                if number == 1 and "causim-history" in record:
                    self.header = Header.from_record(record)
                    continue
                entry = build(record)
                at = entry[0]
                if at < before:
                    raise ValueError(f"time runs backwards: {at} after {before}")
            except (ValueError, TypeError) as error:
                late = record.__class__ is dict and "causim-history" in record and number > 1
                because = "the header must be the first line" if late else error
                raise MalformedHistory(f"{self._path}:{number}: {because}") from None
            before = at
            yield entry

    def _leniently(self, line: bytes, number: int) -> Any:
        """Parse what only Python takes for JSON, such as NaN; else note that the line is cut off, or refuse it."""
        try:
            return parse_leniently(line)
        except (UnicodeDecodeError, json.JSONDecodeError) as error:
            if line.endswith(b"\n"):
                raise MalformedHistory(f"{self._path}:{number}: {_because(error)}") from None
            self.truncated = f"line {number} is cut off"  # perhaps in the middle of a character
            return None
        except ValueError as error:
            raise MalformedHistory(f"{self._path}:{number}: {error}") from None


def _because(error: UnicodeDecodeError | json.JSONDecodeError) -> str:
    if isinstance(error, UnicodeDecodeError):
        return f"not UTF-8 text ({error.reason}); if it is Latin-1, convert it with iconv"
    return f"not JSON: {error.msg}"
