"""The entries of a history that is too long for memory: kept in a file, and read from it whenever they are wanted.

The file is a history like any other, so what is kept of a run is this file under another name.
"""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
import weakref
from array import array
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from io import UnsupportedOperation
from itertools import chain, compress, count, islice
from pathlib import Path
from typing import Any, BinaryIO

import orjson

from causim.written_files import writing
from simulation.history.entries import NOT_IN_DIGEST, Entry, Header, digest_of
from simulation.history.reader import Reader
from simulation.history.untrusted import PlainFile, bounded_lines, copy_file, parse_leniently

STRIDE = 256
"""Number of entries from one with a known place in the file to the next."""

_BLOCK = 1 << 18
"""Number of bytes written at once."""

_CHUNK = 1 << 14
"""Number of bytes parsed at once: their records stay in the cache of the processor until they are read."""


class FileEntries:
    """Entries in a file: read in order, or one by one from the place that is known before it."""

    def __init__(self, path: Path, end: int = 0, plain: PlainFile | None = None) -> None:
        self.path = path
        self._plain = plain
        """The file with the decompressed copy, as long as a reader is open."""
        self._shown = plain.shown if plain else path
        self._end = end
        """The size of the file, as far as it holds whole lines."""
        self._places: array[int] = array("q")
        """The place in the file of every STRIDE-th entry, in bytes."""
        self._length = 0
        self._surveyed = False
        """Whether their number and places are known."""
        self._lately: tuple[int, list[Entry]] = (-1, [])

    def __iter__(self) -> Iterator[Entry]:
        return Reader(self._shown).entries(self._lines(0))

    def __len__(self) -> int:
        if not self._surveyed:
            self._survey()
        return self._length

    def __getitem__(self, index: int) -> Entry:
        length = len(self)
        place = index if index >= 0 else length + index
        if not 0 <= place < length:
            raise IndexError(f"entry {index} of {length}")
        block, offset = divmod(place, STRIDE)
        if self._lately[0] != block:
            last = self._places[block + 1] if block + 1 < len(self._places) else self._end
            lines = self._lines(self._places[block], last)
            self._lately = (block, list(Reader(self._shown).entries(lines)))
        return self._lately[1][offset]

    def records(self) -> Iterator[Any]:
        """Yield the parsed lines without the header, unchecked. Raises ValueError if a line cannot be parsed."""
        return chain.from_iterable(map(_parsed, self._chunks()))

    def some(self, chosen: Sequence[int]) -> Iterator[tuple[int, Entry]]:
        """Yield the entries for which the sequence says so, with their indices, once all have been read."""
        if sum(map(_count, self._chunks())) != len(chosen):  # some lines are blank
            yield from compress(enumerate(self), chosen)
            return
        build, index = Entry.from_record, 0
        for chunk in self._chunks():
            after = index + _count(chunk)
            if any(wanted := chosen[index:after]):
                for place, line in compress(enumerate(chunk.split(b"\n"), index), wanted):
                    yield place, build(_record(line))
            index = after

    def _chunks(self) -> Iterator[bytes]:
        """Yield all lines but the header, many at a time."""
        with self.path.open("rb") as file:
            if not _is_header(file.readline()):
                file.seek(0)
            while (left := self._end - file.tell()) > 0:
                yield file.read(min(left, _CHUNK)) + (self._rest(file) if left > _CHUNK else b"")

    def _rest(self, file: BinaryIO) -> bytes:
        return next(bounded_lines(file, self._shown), b"")

    def append(self, entry: Entry) -> None:
        """Refuse: a history that was read from a file is not continued. Raises UnsupportedOperation."""
        raise UnsupportedOperation(f"{self.path} is only read, not written: {entry.kind}")

    @property
    def digest(self) -> str:
        """The SHA-256 of all entries but those of the wire."""
        return digest_of(self)

    def copy(self, path: Path) -> None:
        """Give the file another name as well, or copy it where a file cannot have two."""
        copy_file(self.path, path)

    def _lines(self, begin: int, end: int | None = None) -> Iterator[bytes]:
        stop = self._end if end is None else end
        with self.path.open("rb") as file:
            file.seek(begin)
            if begin == 0 and stop == os.fstat(file.fileno()).st_size:
                yield from bounded_lines(file, self._shown)
                return
            for line in bounded_lines(file, self._shown):
                begin += len(line)
                yield line
                if begin >= stop:
                    return

    def _survey(self) -> None:
        """Count the entries, and note where they are."""
        here = 0
        for line in self._lines(0):
            if not line.isspace() and (self._length or not _is_header(line)):
                if self._length % STRIDE == 0:
                    self._places.append(here)
                self._length += 1
            here += len(line)
        self._surveyed = True


class GrowingFile(FileEntries):
    """A file that is being written: entries are added at the end. The file is deleted with the last reference to it."""

    def __init__(self, header: Header, entries: Iterable[Entry], folder: Path | None = None) -> None:
        """Write the header and the first entries into a new file in the folder, or where the system keeps such files.

        Raises OSError if the file cannot be made.
        """
        super().__init__(_new_file(folder or Path(tempfile.gettempdir())))
        weakref.finalize(self, self.path.unlink, missing_ok=True)
        self._surveyed = True
        self._sha = hashlib.sha256()
        self._unwritten: list[bytes] = []
        self._waiting = 0
        self._add(header.to_json().encode() + b"\n")
        for entry in entries:
            self.append(entry)

    def append(self, entry: Entry) -> None:
        """Write down an entry."""
        line = entry.to_json() + b"\n"
        if entry.kind not in NOT_IN_DIGEST:
            self._sha.update(line)
        if self._length % STRIDE == 0:
            self._places.append(self._end)
        self._length += 1
        self._lately = (-1, [])
        self._add(line)

    @property
    def digest(self) -> str:
        """The SHA-256 of all entries but those of the wire, which was made while they were written."""
        return self._sha.hexdigest()

    def copy(self, path: Path) -> None:
        """Give the file another name as well, or copy it where a file cannot have two."""
        self._flush()
        super().copy(path)

    def _lines(self, begin: int, end: int | None = None) -> Iterator[bytes]:
        self._flush()
        return super()._lines(begin, end)

    def _chunks(self) -> Iterator[bytes]:
        self._flush()
        return super()._chunks()

    def _add(self, line: bytes) -> None:
        self._unwritten.append(line)
        self._end += len(line)
        self._waiting += len(line)
        if self._waiting >= _BLOCK:
            self._flush()

    def _flush(self) -> None:
        if self._unwritten:
            with writing(self.path), self.path.open("ab") as file:
                file.writelines(self._unwritten)
            self._unwritten, self._waiting = [], 0


def _new_file(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for number in count(1):
        path = folder / f".history.{os.getpid()}.{number}.jsonl.part"
        with suppress(FileExistsError), path.open("xb"):
            return path
    raise AssertionError("there is always another number")


def open_entries(path: Path) -> tuple[Header, FileEntries, str]:
    """Open a history file; return its header, its entries and, if its last line is cut off, a word about that.

    Entries are looked at only when they are read, and may raise MalformedHistory then. Raises it for the header, and
    OSError if the file cannot be opened.
    """
    plain, reader = PlainFile(path), Reader(path)
    with plain.path.open("rb") as file:
        for _ in reader.entries(islice(bounded_lines(file, path), 1)):
            pass  # a header stands in the first line
        size = file.seek(0, os.SEEK_END)
        begin = _last_line(file, size)
        file.seek(begin)
        if _is_whole(next(bounded_lines(file, path), b"")):
            return reader.header, FileEntries(plain.path, size, plain), ""
        file.seek(0)
        cut = f"line {sum(1 for _ in bounded_lines(file, path))} is cut off"
        return reader.header, FileEntries(plain.path, begin, plain), cut


def _last_line(file: BinaryIO, size: int) -> int:
    """Return the offset of a last line without a line break, in bytes; the size of the file if there is none."""
    begin, step = size, 1
    while begin > 0:
        begin = max(0, begin - step)
        file.seek(begin)
        before, broken, _ = file.read(step).rpartition(b"\n")
        if broken:
            return begin + len(before) + 1
        step = min(2 * step, _BLOCK)
    return 0


def _parsed(chunk: bytes) -> list[Any]:
    """Parse some lines at once, which is quicker, or one by one. Raises ValueError unless each is one value.

    If there are as many objects as lines, and as many closing braces, each object has one brace; and if every line ends
    with one and the next begins with an opening brace, each line is one object.
    """
    lines, ending = _count(chunk), chunk.removesuffix(b"\n")
    if ending.count(b"}") != lines or ending.count(b"}\n{") != lines - 1:
        return [orjson.loads(line) for line in ending.split(b"\n")]
    parsed: list[Any] = orjson.loads(b"[" + ending.replace(b"\n", b",") + b"]")
    if len(parsed) != lines:
        raise ValueError("not one value a line")
    return parsed


def _record(line: bytes) -> Any:
    try:
        return orjson.loads(line)
    except orjson.JSONDecodeError:
        return parse_leniently(line)


def _count(chunk: bytes) -> int:
    return chunk.count(b"\n") + (not chunk.endswith(b"\n"))


def _is_header(line: bytes) -> bool:
    if b"causim-history" not in line:
        return False
    try:
        record = parse_leniently(line)
    except ValueError:
        return False  # what is wrong with it is said when it is read as an entry
    return isinstance(record, dict) and "causim-history" in record


def _is_whole(line: bytes) -> bool:
    try:
        parse_leniently(line or b"{}")
    except (json.JSONDecodeError, UnicodeDecodeError):
        return False
    except ValueError:
        pass  # it is whole, and wrong
    return True
