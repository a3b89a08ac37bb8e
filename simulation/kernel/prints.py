"""Keeps the output of code under test apart from that of the command line: it goes to standard error.

That covers `print`, writes to the file descriptor, and the output of child processes. It does so only where the command
line asks for it, and only if standard output is a file or a pipe, which another program may read.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout

_asked = [False]


@contextmanager
def prints_kept_apart() -> Iterator[None]:
    """Have all runs inside the context print to standard error."""
    before, _asked[0] = _asked[0], True
    try:
        yield
    finally:
        _asked[0] = before


@contextmanager
def run_prints() -> Iterator[None]:
    """Send the output of a run, or of the import of its code, to standard error, if that is asked for."""
    if not _asked[0] or os.isatty(1):
        yield
        return
    sys.stdout.flush()
    output = os.dup(1)
    os.dup2(2, 1)
    try:
        with redirect_stdout(sys.stderr):
            yield
    finally:
        os.dup2(output, 1)
        os.close(output)


def process_prints() -> None:
    """Send all that this process prints to standard error, from now on, unless standard output is a terminal."""
    if not os.isatty(1):
        os.dup2(2, 1)
