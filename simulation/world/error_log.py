"""Errors raised by the code under test: each once, with its place, its first moment, and the number of times.

Errors that the scenario asked for (a failing handler, a refused write) are none of the engine's and are left out.
"""

from __future__ import annotations

import traceback
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from types import TracebackType
from typing import Any

from simulation.kernel.escapes import is_users, line_of
from simulation.kernel.unretrieved import Unretrieved

MAX_ERRORS = 100
"""Number of different errors of a run that are kept: an id in a message makes it a different error each time."""
_MAX_FRAMES = 6
_MAX_MESSAGE = 500


@dataclass(frozen=True, slots=True)
class RaisedError:
    """One kind of error that the code under test raised. `at` is in microseconds since the start of the run."""

    type: str
    message: str
    frames: tuple[str, ...]
    """The lines of the user's own code, outermost first, as `worker.py:12 in main`."""
    consumer: str
    event: str
    at: int
    where: str
    """The call that raised: handle, sweep, main, or a task of its own."""
    count: int = 1

    def __str__(self) -> str:
        about = f" about event {self.event}" if self.event else ""
        times = f", {self.count} times" if self.count > 1 else ""
        frames = f" ({' › '.join(self.frames)})" if self.frames else ""
        message = " ".join(self.message.split())  # one line, whatever the code wrote
        said = f"{self.type}: {message}" if message else self.type
        return f"{said} in {self.where} of {self.consumer}{about} at {self.at / 1_000_000:.6f} s{times}{frames}"

    def details(self, at: int) -> dict[str, Any]:
        """Return the details of its entry at `at`, in microseconds since the start of the run."""
        details = {"error": self.type, "message": self.message, "frames": list(self.frames), "where": self.where}
        # A background task has its entry at the end: histories are in the order of time.
        return details if at == self.at else {**details, "raised_at": self.at}


class ErrorLog:
    """The errors of one run, in the order in which they first came."""

    def __init__(self, now: Callable[[], int], on_first: Callable[[RaisedError], None]) -> None:
        self._now = now
        self._on_first = on_first
        self._errors: dict[tuple[str, tuple[str, ...], str], RaisedError] = {}
        self._closed = False
        self.on_each: Callable[[BaseException, str, str], None] | None = None
        """Called with each error, also with the same again: the error, the consumer and the event."""

    def add(
        self, error: BaseException, consumer: str, where: str = "main", event: str = "", at: int | None = None
    ) -> None:
        """Record an error; `at`, in microseconds, if not now. `on_first` is called with the first of each kind."""
        for leaf in _leaves(error) if not self._closed else ():
            self._add(leaf, consumer, where, event, self._now() if at is None else at)
            if self.on_each is not None:
                self.on_each(leaf, consumer, event)

    def close(self) -> None:
        """Record nothing any more: errors of code that is ended with its run say nothing about the run."""
        self._closed = True

    def add_unretrieved(self, found: Iterable[Unretrieved]) -> None:
        """Record the exceptions that no code has retrieved."""
        for one in found:
            self.add(one.error, one.process.name, one.where, at=one.at)

    def _add(self, error: BaseException, consumer: str, where: str, event: str, at: int) -> None:
        frames = own_frames(error.__traceback__)
        key = type(error).__name__, frames, where
        known = self._errors.get(key)
        if known is not None:
            self._errors[key] = replace(known, count=known.count + 1)
        elif len(self._errors) < MAX_ERRORS:
            message = str(error)[:_MAX_MESSAGE]
            raised = RaisedError(type(error).__name__, message, frames, consumer, event, at, where)
            self._errors[key] = raised
            self._on_first(raised)

    @property
    def all(self) -> tuple[RaisedError, ...]:
        """The errors in the order of time, each with the number of times that it came."""
        return tuple(sorted(self._errors.values(), key=lambda error: error.at))


def own_frames(trace: TracebackType | None) -> tuple[str, ...]:
    """Return the lines of a traceback that are the user's own; of installed packages the last, if there are none."""
    frames = list(traceback.walk_tb(trace))
    own = [line for line in frames if is_users(line[0].f_code.co_filename)]
    chosen = own[-_MAX_FRAMES:] or frames[-1:]
    return tuple(line_of(frame, number) for frame, number in chosen)


def _leaves(error: BaseException) -> list[BaseException]:
    """Return the errors of a group, or the error itself."""
    if isinstance(error, BaseExceptionGroup):
        return [leaf for inner in error.exceptions for leaf in _leaves(inner)]
    return [error]
