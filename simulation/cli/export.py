"""`causim export`: write a history in the format of another program."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from causim.written_files import written_whole
from reports.exports import FORMATS, Unexportable
from simulation.cli import HOLDS, BadUsage
from simulation.cli.given import ExportOptions
from simulation.cli.text import write_note
from simulation.history.history import History
from simulation.history.untrusted_files import read_text
from simulation.invariants import Violation
from simulation.kernel.untrusted_json import parse_json

_HISTORY, _VERDICT, _LATEST = "history.jsonl", "verdict.json", "latest"


def execute(given: ExportOptions) -> int:
    """Write the export and return the exit code. Raises BadUsage."""
    file = history_file(given.result)
    history = History.read(file)
    if history.truncated:
        write_note(f"{file}: {history.truncated}; what stands before is exported")
    chosen = FORMATS[given.format]
    violations = _violations(file, history) if chosen.shows_violations else ()
    try:
        with _sink(given.out, file) as sink:
            for piece in chosen.write(history, violations):
                sink.write(piece.encode())
    except Unexportable as error:
        raise BadUsage(f"{file}: {error}") from None
    return HOLDS


def history_file(result: Path) -> Path:
    """Return the history that a result means: itself, that of the folder, or that of its latest run.

    Raises BadUsage.
    """
    if result.name == _LATEST and result.is_file():
        return history_file(_named_by(result))
    if not result.is_dir():
        if not result.exists():
            raise BadUsage(f"{result}: no such file or folder; `causim run` leaves its results in results/<scenario>")
        return result
    if (result / _HISTORY).is_file():
        return result / _HISTORY
    latest = result / _LATEST
    if latest.is_file() or (latest / _HISTORY).is_file():
        return history_file(latest)
    below = sorted(child.name for child in result.iterdir() if child.is_dir() and not child.name.startswith("."))
    hint = f"; name one of {', '.join(below)}" if below else ""
    raise BadUsage(f"{result}: no {_HISTORY} in this folder, nor a result `{_LATEST}`{hint}")


def _named_by(latest: Path) -> Path:
    """Return the folder that a file names where links cannot be made. Raises BadUsage if it is not there."""
    folder = latest.parent / read_text(latest).strip()
    if not (folder / _HISTORY).is_file():
        raise BadUsage(f"{latest}: names {folder.name!r}, where there is no {_HISTORY}; name a folder of results")
    return folder


def _violations(file: Path, history: History) -> tuple[Violation, ...]:
    """Return the violations of the verdict beside a history, if there is one and it is about this history."""
    verdict = file.with_name(_VERDICT)
    if not verdict.is_file():
        return ()
    try:
        record = parse_json(read_text(verdict))
        if record["digest"] != history.digest:
            write_note(f"{verdict}: this verdict is about another history; its violations are left out")
            return ()
        return tuple(_violation(violation) for violation in record["violations"])
    except (ValueError, KeyError, TypeError) as error:
        raise BadUsage(
            f"{verdict}: not a verdict ({type(error).__name__}: {error}); move it away to export without it"
        ) from None


def _violation(record: dict[str, Any]) -> Violation:
    return Violation(
        str(record["invariant"]),
        int(record["at"]),
        tuple(map(str, record["events"])),
        tuple(map(str, record["consumers"])),
        str(record["because"]),
        tuple(map(int, record["witness"])),
    )


@contextmanager
def _sink(out: Path | None, history: Path) -> Iterator[IO[bytes]]:
    """Open the output: standard output, or a file that appears only when it is whole."""
    if out is None:
        yield sys.stdout.buffer
        return
    if out.is_dir() or not out.parent.is_dir():
        raise BadUsage(f"--out {out}: give a file in a folder that exists")
    if out.exists() and out.samefile(history):
        raise BadUsage(f"--out {out}: this is the history itself; give another file")
    with written_whole(out) as partial, partial.open("wb") as file:
        yield file
