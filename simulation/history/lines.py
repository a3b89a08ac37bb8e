"""The lines of files that are not trusted."""

from __future__ import annotations

from collections.abc import Iterator
from typing import IO, AnyStr

MAX_LINE = 32 << 20
"""Bytes or characters of a line: a longer one would take a gigabyte of memory to parse."""


class LineTooLong(ValueError):
    """A line is longer than `MAX_LINE`. The message says how long it may be."""


def bounded_lines(file: IO[AnyStr]) -> Iterator[AnyStr]:
    """Yield the lines of a file, of which no more than `MAX_LINE` is read at a time. Raises LineTooLong."""
    while line := file.readline(MAX_LINE + 1):
        if len(line) > MAX_LINE:
            raise LineTooLong(f"is longer than {MAX_LINE >> 20} MiB; one entry is one line")
        yield line
