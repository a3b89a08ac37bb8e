"""Reads one mutated file, and says what was wrong with how that ended."""

from __future__ import annotations

import contextlib
import io
import resource
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from random import Random

from simulation.cli.errors import is_bad_input
from tests.fuzz.kinds import KINDS

CODES = (0, 1, 4, 5)
"""The documented exit codes that a bad file may have: it may be good, or good enough."""

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
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    out, errors = io.StringIO(), io.StringIO()
    with tempfile.TemporaryDirectory(prefix="causim-fuzz-") as name:
        read = KINDS[kind].make(Path(name), rng)
        began, began_work = time.perf_counter(), time.process_time()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(errors):
            how, said = _outcome(read, name)
        took, worked = time.perf_counter() - began, time.process_time() - began_work
        left = [str(path) for path in Path(name).parent.glob("escaped*")]
    text = out.getvalue() + errors.getvalue()
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    flaws = [
        said,
        _unnamed(text, name),
        "a traceback" if "Traceback" in text else "",
        "a control character was sent" if any(c in text for c in "\x1b\0\x07\x9b") else "",
        f"it took {worked:.1f} s of work, {took:.1f} s in all" if worked > LONGEST or took > HANGS else "",
        f"it took {grown} KiB" if grown > MOST_MEMORY_KIB else "",
        f"it wrote {left}" if left else "",
    ]
    sentences = "; ".join(filter(None, flaws))
    return Ending(f"{sentences}\n{text[-2000:]}" if sentences else "", how)


def _outcome(read: Callable[[], object], folder: str) -> tuple[str, str]:
    """Return how a reading ended, and what was wrong with that."""
    try:
        code = read()
    except Exception as error:
        if not is_bad_input(error):
            return "raised", f"{type(error).__name__}: {error}"
        return "refused", "" if folder in str(error) else f"an error that does not name its file: {error}"
    if not isinstance(code, int):
        return "read", ""
    return f"exit {code}", "" if code in CODES else f"exit code {code}"


def _unnamed(text: str, folder: str) -> str:
    """Say that a sentence about an error does not name the file."""
    lines = [line for line in text.splitlines() if line.startswith("causim: error:")]
    return next((f"an error that does not name its file: {line}" for line in lines if folder not in line), "")
