"""The history of a run: its entries in the order in which they happened, without their causes.

A history is the only thing that the judge may look at, so everything that an invariant needs is an entry here.
This file has no clock, no engine and no opinion: it writes entries down, reads them back, and can say in one
digest whether two histories are the same.

On disk a history is JSON Lines: a header that names the format and the terms of the run, then one entry a line.

    {"causim-history": 1, "scenario": "late-leader", "seed": 4, "terms": {"lookback": 900000000, ...}, ...}
    {"at": 1200, "kind": "published", "event": "a", "fingerprint": "5f3a…", "occurred": 0}
    {"at": 1350, "kind": "delivered", "event": "a", "consumer": "c1", "attempt": 1}

Times are integers of microseconds since the start of the run.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import compress, islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from causim.written_files import written_whole
from simulation.history.entries import Entry, Header, digest_of
from simulation.history.history_file import GrowingFile, open_entries
from simulation.history.reader import Reader
from simulation.history.untrusted import PlainFile, bounded_lines

if TYPE_CHECKING:
    from simulation.history.history_file import FileEntries


class History:
    """An append-only list of entries under a header.

    `truncated` is empty, or says why the file that the history was read from ended before its run did.
    """

    __slots__ = ("entries", "header", "truncated")

    def __init__(self, header: Header, entries: Iterable[Entry] = (), truncated: str = "") -> None:
        self.header = header
        self.entries: list[Entry] | FileEntries = list(entries)
        self.truncated = truncated

    def __len__(self) -> int:
        return len(self.entries)

    def __iter__(self) -> Iterator[Entry]:
        return iter(self.entries)

    def __repr__(self) -> str:
        h = self.header
        return f"<History of {h.scenario} seed {h.seed} on {h.engine}: {len(self)} entries>"

    def append(self, at: int, kind: str, event: str = "", consumer: str = "", **details: Any) -> None:
        """Write down that something happened `at` microseconds into the run."""
        self.entries.append(Entry(at, kind, event, consumer, details))

    def of(self, *kinds: str) -> Iterator[Entry]:
        """Yield the entries of some kinds, in order."""
        return (entry for entry in self.entries if entry.kind in kinds)

    def some(self, chosen: Sequence[int]) -> Iterator[tuple[int, Entry]]:
        """Yield the entries for which the sequence says so, with their indices.

        Those of a file that another program wrote can be chosen once all of them have been read.
        """
        entries = self.entries
        return compress(enumerate(entries), chosen) if isinstance(entries, list) else entries.some(chosen)

    @property
    def digest(self) -> str:
        """The SHA-256 of all entries but those of the wire.

        The header is left out too: it names the store, which must not matter.
        """
        return digest_of(self.entries) if isinstance(self.entries, list) else self.entries.digest

    def beginning(self, most: int) -> History:
        """Return the history, cut off after so many entries if it has more; `truncated` says so."""
        if len(self) <= most:
            return self
        cut = f"only the first {most:,} of its {len(self):,} entries were looked at"
        return History(self.header, islice(self.entries, most), cut)

    def spill_to_file(self, folder: Path | None = None) -> None:
        """Keep the entries in a file from now on, in the folder or where the system keeps temporary files.

        Raises OSError if it cannot be written.
        """
        self.entries = GrowingFile(self.header, self.entries, folder)

    def handed_over(self) -> History:
        """Return a history with the entries so far. Later entries of this one are not in it."""
        history = History(self.header, truncated=self.truncated)
        history.entries, self.entries = self.entries, []
        return history

    def write(self, path: Path | str) -> None:
        """Write the history to a file, whole or not at all."""
        with written_whole(Path(path)) as partial:
            if isinstance(self.entries, list):
                with partial.open("wb") as file:
                    file.write(self.header.to_json().encode() + b"\n")
                    file.writelines(entry.to_json() + b"\n" for entry in self.entries)
            else:
                self.entries.copy(partial)

    @classmethod
    def read(cls, path: Path | str) -> Self:
        """Read a history file, written by this program or by another.

        A file without a header is read on default terms. A last line that is cut off ends the history there and
        is noted in `truncated`. Raises MalformedHistory for anything else that is not right, OSError if the file
        cannot be opened.
        """
        path = Path(path)
        plain, reader = PlainFile(path), Reader(path)
        with plain.path.open("rb") as file:
            entries = list(reader.entries(bounded_lines(file, path)))
        return cls(reader.header, entries, reader.truncated)

    @classmethod
    def open(cls, path: Path | str) -> Self:
        """Open a history file as `read` does, but leave its entries there: they may prove malformed when read."""
        header, entries, cut = open_entries(Path(path))
        history = cls(header, (), cut)
        history.entries = entries
        return history
