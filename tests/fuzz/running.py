"""Reads one mutated file, and says what was wrong with how that ended."""

from __future__ import annotations

import contextlib
import faulthandler
import io
import resource
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from random import Random

from simulation.cli.errors import is_bad_input
from simulation.cli.trust import check_trust
from simulation.search.replay import load_replay
from tests.fuzz.kinds import KINDS

CODES = (0, 1, 3, 4, 5)
"""The documented exit codes that a bad file may have: it may be good, or ask for what cannot be simulated."""

INTERRUPTED, INTERRUPT_AFTER_SECONDS = 2, 30.0
"""A run that takes longer than this, in seconds, gets what Ctrl-C sends: its file is right, and asks for much."""

RUN = ("run", "rerun")
"""The kinds of which a file is run, unless it is refused."""

LONGEST = 10.0
"""Seconds of this process's own time: a busy machine is no flaw."""
HANGS = 120.0
"""Seconds of real time."""

MOST_MEMORY_KIB = 1 << 20


@dataclass(frozen=True, slots=True)
class Ending:
    """How the reading of one mutated file ended."""

    flaw: str
    """What was wrong with it; empty if nothing was."""
    how: str
    """The exit code, or `read` or `refused` where only a reader was called."""


def ending(kind: str, seed: int) -> Ending:
    """Read one mutated file, and return how that ended."""
    rng = Random(f"{kind}/{seed}")
    out, errors = io.StringIO(), io.StringIO()
    with tempfile.TemporaryDirectory(prefix="causim-fuzz-") as base:
        folder = Path(base) / "a" / "b"  # a name with two steps up stays in the base
        folder.mkdir(parents=True)
        name = str(folder)
        read = KINDS[kind].make(folder, rng)
        before = _peak()
        began, began_work = time.perf_counter(), time.process_time()
        with (
            contextlib.redirect_stdout(out),
            contextlib.redirect_stderr(errors),
            contextlib.chdir(folder),
            _interrupted(INTERRUPT_AFTER_SECONDS),
        ):
            how, said = _outcome(read, name)
        if kind in RUN and not _is_refused(folder):
            how += " of a right file"
        took, worked = time.perf_counter() - began, time.process_time() - began_work
        left = [str(path) for path in Path(base).rglob("*") if folder not in (path, *path.parents, *folder.parents)]
        left = [path for path in left if not name.startswith(path)]
    text = out.getvalue() + errors.getvalue()
    grown = _peak(reset=False) - before
    flaws = [
        said,
        _unnamed(text, name),
        "a traceback" if "Traceback" in text else "",
        "a control character was sent" if any(c in text for c in "\x1b\0\x07\x9b") else "",
        _too_long(how, worked, took),
        f"it took {grown} KiB" if grown > MOST_MEMORY_KIB else "",
        f"it wrote {left}" if left else "",
    ]
    sentences = "; ".join(filter(None, flaws))
    return Ending(f"{sentences}\n{text[-2000:]}" if sentences else "", how)


def _is_refused(folder: Path) -> bool:
    """Say whether the file that was to be run is refused before it runs."""
    file = next(path for path in (folder / "replay.toml", folder / "scenario.toml") if path.exists())
    try:
        check_trust(load_replay(file).scenario, file, ())
    except Exception:
        return True
    return False


def _too_long(how: str, worked: float, took: float) -> str:
    """Say that a reading took too long. A run that was interrupted has ended as it should, once it was asked to."""
    longest, hangs = (
        (2 * INTERRUPT_AFTER_SECONDS, 4 * INTERRUPT_AFTER_SECONDS)
        if how.startswith(f"exit {INTERRUPTED}")
        else (LONGEST, HANGS)
    )
    return f"it took {worked:.1f} s of work, {took:.1f} s in all" if worked > longest or took > hangs else ""


def _peak(*, reset: bool = True) -> int:
    """Return the largest memory of this process in KiB; before that, on Linux, forget earlier peaks."""
    if reset:
        with contextlib.suppress(OSError):
            Path("/proc/self/clear_refs").write_text("5")
    status = Path("/proc/self/status")
    if not status.exists():
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return next(int(line.split()[1]) for line in status.read_text().splitlines() if line.startswith("VmHWM:"))


@contextlib.contextmanager
def _interrupted(after: float) -> Iterator[None]:
    """Send Ctrl-C after so many seconds; end the process if that does not help."""
    # A signal, as it also wakes a thread that waits; the shell has it ignored in what runs in the background.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    timer = threading.Timer(after, signal.pthread_kill, (threading.main_thread().ident or 0, signal.SIGINT))
    timer.daemon = True
    timer.start()
    faulthandler.dump_traceback_later(5 * after, exit=True, file=sys.__stderr__)
    try:
        yield
    finally:
        faulthandler.cancel_dump_traceback_later()
        timer.cancel()


def _outcome(read: Callable[[], object], folder: str) -> tuple[str, str]:
    """Return how a reading ended, and what was wrong with that."""
    try:
        code = read()
    except KeyboardInterrupt:
        return "interrupted", "it did not end, and had no answer to Ctrl-C"
    except Exception as error:
        if not is_bad_input(error):
            return "raised", f"{type(error).__name__}: {error}"
        return "refused", "" if folder in str(error) else f"an error that does not name its file: {error}"
    if not isinstance(code, int):
        return "read", ""
    return f"exit {code}", "" if code in (*CODES, INTERRUPTED) else f"exit code {code}"


def _unnamed(text: str, folder: str) -> str:
    """Say that a sentence about an error does not name the file."""
    lines = [line for line in text.splitlines() if line.startswith("causim: error:")]
    return next((f"an error that does not name its file: {line}" for line in lines if folder not in line), "")
