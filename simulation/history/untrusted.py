"""Checks of history files that other programs wrote, before they are parsed.

The limits: a time of more than 62 bits is after the year 140,000; a line of more than 32 MiB would take a gigabyte to
parse; a compressed file that expands to more than 2 GiB, or to more than a hundred times its size, must be decompressed
by its owner.
"""

from __future__ import annotations

import gzip
import json
import shutil
import tempfile
import unicodedata
import weakref
import zlib
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from shlex import quote
from typing import Any, BinaryIO

from simulation.history import lines
from simulation.history.untrusted_files import is_stream

MAX_AT = 1 << 62
"""Microseconds; also of a term."""
MAX_UNPACKED_BYTES = 2 << 30
MAX_RATIO = 100
"""Highest number of bytes that a packed byte may unpack to: in a history it is ten or twenty."""
_FREE_BYTES = 16 << 20
"""So much may be unpacked in any ratio."""
_BLOCK = 1 << 20
_GZIP, _BOM = b"\x1f\x8b", b"\xef\xbb\xbf"
_UTF_16 = (b"\xff\xfe", b"\xfe\xff")
_UTF_32 = (b"\xff\xfe\0\0", b"\0\0\xfe\xff")
_OTHERS = {b"\xfd7zXZ": "xz", b"BZh": "bzip2", b"PK\x03\x04": "zip", b"\x28\xb5\x2f\xfd": "zstd", b"7z\xbc\xaf": "7z"}
"""The first bytes of files that are packed otherwise."""


class MalformedHistory(Exception):
    """A history file cannot be read. The message names the file, the line and what is wrong with it."""


class PlainFile:
    """A history file as plain lines: itself, or a copy that was taken from a stream, decompressed or freed of a mark.

    A copy is deleted with the last reference to it. Raises MalformedHistory for a file that is not UTF-8 text, OSError
    if it cannot be opened.
    """

    def __init__(self, path: Path) -> None:
        self.shown = self.path = path
        if is_stream(path):
            self._copy(partial(_received, path))
        with self.path.open("rb") as file:
            first = file.read(64)
        if packed := next((name for mark, name in _OTHERS.items() if first.startswith(mark)), ""):
            raise MalformedHistory(f"{path}: is packed with {packed}; unpack it, or pack it with gzip")
        wide = first.count(0) * 4 > len(first) and not first.startswith(_GZIP)
        if wide or first.startswith(_UTF_16):
            kind = "UTF-32" if first.startswith(_UTF_32) else "UTF-16"
            raise MalformedHistory(
                f"{path}: looks like {kind}, and not like UTF-8; convert it:"
                f" iconv -f {kind} -t UTF-8 {quote(path.name)}"
            )
        if first.startswith(_GZIP):
            self._copy(partial(_unpacked, self.path, path))
        elif first.startswith(_BOM):
            self._copy(partial(_without_mark, self.path))

    def _copy(self, blocks: partial[Iterator[bytes]]) -> None:
        with tempfile.NamedTemporaryFile("wb", prefix="causim-", suffix=".jsonl", delete=False) as file:
            self.path = Path(file.name)
            weakref.finalize(self, self.path.unlink, missing_ok=True)
            for block in blocks():
                file.write(block)


def _received(path: Path) -> Iterator[bytes]:
    """Yield the content of a stream, which can be read only once. Raises MalformedHistory if it is too long."""
    total = 0
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            total += len(block)
            if total > MAX_UNPACKED_BYTES:
                raise MalformedHistory(f"{path}: is longer than {MAX_UNPACKED_BYTES >> 30} GiB; write it to a file")
            yield block


def _unpacked(source: Path, path: Path) -> Iterator[bytes]:
    """Yield the content of a packed file; `path` is its name. Raises MalformedHistory."""
    total = 0
    try:
        with source.open("rb") as file, gzip.open(file, "rb") as packed:
            while block := packed.read(_BLOCK):
                total += len(block)
                if total > max(_FREE_BYTES, MAX_RATIO * file.tell()):
                    raise MalformedHistory(
                        f"{path}: unpacks to more than {MAX_RATIO} times its size; unpack it: gunzip {quote(path.name)}"
                    )
                if total > MAX_UNPACKED_BYTES:
                    size = MAX_UNPACKED_BYTES >> 30
                    raise MalformedHistory(
                        f"{path}: unpacks to more than {size} GiB; unpack it: gunzip {quote(path.name)}"
                    )
                yield block
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise MalformedHistory(f"{path}: is not a whole gzip file ({error}); pack it again") from None


def _without_mark(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        file.seek(len(_BOM))
        while block := file.read(_BLOCK):
            yield block


def bounded_lines(file: BinaryIO, path: Path) -> Iterator[bytes]:
    """Yield the lines of a file. Raises MalformedHistory for one that is too long to be read."""
    try:
        yield from lines.bounded_lines(file)
    except lines.LineTooLong as error:
        begin = file.tell() - lines.MAX_LINE - 1  # reading may have begun in the middle of the file
        raise MalformedHistory(f"{path}:{_lines_before(file, begin) + 1}: {error}") from None


def _lines_before(file: BinaryIO, end: int) -> int:
    file.seek(0)
    sizes = (min(_BLOCK, end - begin) for begin in range(0, end, _BLOCK))
    return sum(file.read(size).count(b"\n") for size in sizes)


def check_name(what: str, name: str) -> None:
    """Refuse a name that cannot be printed as it is. Raises ValueError that shows it."""
    bad = next((letter for letter in name if unicodedata.category(letter) in ("Cc", "Cs")), None)
    if bad is not None:
        kind = "half of a character" if unicodedata.category(bad) == "Cs" else "a control character"
        raise ValueError(f"{what} holds {kind} ({bad!a}) in {name[:80]!a}; names are text that can be printed")


def parse_leniently(line: bytes) -> Any:
    """Parse what only Python takes for JSON, such as NaN. Raises ValueError or UnicodeDecodeError."""
    try:
        record = json.loads(line.decode())
        json.dumps(record, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        raise ValueError("holds half of a character (a lone surrogate); write it whole, or leave it out") from None
    except (json.JSONDecodeError, UnicodeDecodeError):
        raise
    except ValueError:
        raise ValueError("holds a number of thousands of digits; at most 62 bits are understood") from None
    except RecursionError:
        raise ValueError("is nested too deep; an entry is a flat object") from None
    return record


def check_header(values: Mapping[str, Any]) -> None:
    """Check the types of a header's fields. Raises ValueError that says which field is wrong."""
    for name in ("scenario", "engine", "store", "version", "epoch"):
        if name in values:
            if not isinstance(values[name], str):
                raise ValueError(f"{name!r} must be text, not {_short(values[name])}")
            check_name(f"{name!r}", values[name])
    if "seed" in values and (not isinstance(values["seed"], int) or isinstance(values["seed"], bool)):
        raise ValueError(f"'seed' must be a whole number, not {_short(values['seed'])}")
    for name in ("loud", "reconnects"):
        if not isinstance(values.get(name, False), bool):
            raise ValueError(f"'{name}' must be true or false, not {_short(values[name])}")
    for name in ("exercise", "invariants", "allowed_loss", "documented_keys"):
        words = values.get(name, [])
        if not isinstance(words, list | tuple) or not all(isinstance(word, str) for word in words):
            raise ValueError(f"{name!r} must be a list of texts, not {_short(words)}")
        for word in words:
            check_name(f"{name!r}", word)


def check_terms(record: Mapping[str, Any]) -> None:
    """Check the sizes of terms. Raises ValueError."""
    for name, value in record.items():
        if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= MAX_AT:
            raise ValueError(f"'terms.{name}' must be a count of microseconds up to 2**62, not {_short(value)}")


def _short(value: object) -> str:
    if isinstance(value, int) and abs(value) > MAX_AT:
        return "a number of more than 62 bits"
    shown = ascii(value)
    return shown if len(shown) <= 60 else shown[:57] + "..."


def copy_file(source: Path, target: Path) -> None:
    """Give a file another name as well, or copy it where a file cannot have two."""
    target.unlink(missing_ok=True)
    try:
        target.hardlink_to(source)
    except OSError:
        shutil.copyfile(source, target)
