"""Draws pictures in a process of its own, which imports what it needs while the world still runs.

Importing matplotlib and drawing two pictures takes longer than a small run. With a second processor, most of it takes
no time of the run.
"""

from __future__ import annotations

import gc
import os
import pickle
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, TYPE_CHECKING

if TYPE_CHECKING:
    from reports.tables.rows import EventRows

NAMES = ("latency.png", "followers.png")
"""The pictures of a run."""

_DONE = b"\n"


class Illustrator:
    """Draws the pictures of runs: in a process of its own if it was given one, else here."""

    def __init__(self, process: subprocess.Popen[bytes] | None = None) -> None:
        self._process = process

    @contextmanager
    def drawing(self, event_rows: EventRows, folder: Path) -> Iterator[None]:
        """Draw the pictures of a run into a folder while the block is executed; they are there when it ends."""
        handed_over = self._hand_over(event_rows, folder.absolute())
        try:
            yield
        except BaseException:
            self.close()  # these pictures are not wanted any more
            raise
        if not (handed_over and self._is_done()):
            draw(event_rows, folder)

    def _hand_over(self, event_rows: EventRows, folder: Path) -> bool:
        if self._process is None or self._process.stdin is None:
            return False
        try:
            pickle.dump((event_rows, folder), self._process.stdin, pickle.HIGHEST_PROTOCOL)
            self._process.stdin.flush()
        except OSError:  # it has died
            self.close()
            return False
        return True

    def _is_done(self) -> bool:
        """Wait for the pictures, and return whether they were drawn: not if the process has died."""
        if self._process is not None and self._process.stdout is not None:
            return self._process.stdout.readline() == _DONE
        return False

    def close(self) -> None:
        """End the process."""
        if self._process is not None:
            self._process.terminate()
            with suppress(OSError):  # what it never read
                self._process.__exit__(None, None, None)
            self._process = None


@contextmanager
def illustrator() -> Iterator[Illustrator]:
    """Have an illustrator as long as the block lasts, with a process of its own where there is a processor for it."""
    ours = Illustrator(begin() if _processors() > 1 else None)
    try:
        yield ours
    finally:
        ours.close()


def draw(event_rows: EventRows, folder: Path) -> None:
    """Draw the pictures of a run into a folder, here and now. Raises OSError."""
    # the process that draws has matplotlib, and no other
    from reports.figures.run_figures import followers_figure, latency_figure
    from reports.tables.tables import Table

    table = Table.of_events(event_rows)
    for name, figure in zip(NAMES, (latency_figure, followers_figure), strict=True):
        figure(table).write(folder / name)


def _processors() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def begin() -> subprocess.Popen[bytes] | None:
    """Start the process; it finds modules where this one does. None if there can be none."""
    program = f"import sys; sys.path[:] = {sys.path!r}; from reports.figures.render_process import serve; serve()"
    try:
        return subprocess.Popen(  # noqa: S603  # this very program
            [sys.executable, "-c", program],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,  # Ctrl-C is for the process that people talk to
        )
    except OSError:
        return None


def serve() -> None:
    """Draw what is asked for on the standard input, until it is closed."""
    # Leaving properly frees matplotlib's lock on its cache of fonts, which it makes on its first day on a machine.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit())
    with suppress(SystemExit):
        _serve(sys.stdin.buffer, sys.stdout.buffer)
    os._exit(0)  # no open file needs to be flushed


def _serve(asked: IO[bytes], answered: IO[bytes]) -> None:
    gc.disable()  # what is imported stays
    import reports.figures.run_figures  # noqa: F401  # no run waits for it yet

    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    gc.freeze()
    while (job := _next(asked)) is not None:
        try:
            draw(*job)
        except OSError:  # the asking process draws it again, and gets the error
            return
        answered.write(_DONE)
        answered.flush()
        gc.collect()  # figures are full of circles


def _next(asked: IO[bytes]) -> tuple[EventRows, Path] | None:
    try:
        event_rows, folder = pickle.load(asked)  # noqa: S301  # from the process that started this one
    except EOFError:
        return None
    return event_rows, folder
