"""Tasks and futures whose hash is their number in the run, so that sets of them have the same order in every
process."""

from __future__ import annotations

import asyncio
from typing import Any, TypeVar
from weakref import ref

from simulation.kernel.process import Process

T = TypeVar("T")


class NumberedTask(asyncio.Task[T]):
    """A task whose hash is its number in the run, and not its address.

    Sets of tasks are walked through by hash: a TaskGroup cancels its members in that order, and `asyncio.wait` returns
    such a set. By address, that order would be another one in another process.
    """

    __slots__ = ("_number", "ended_at", "parent", "process")
    _number: int
    process: Process | None
    """The process that it runs in."""
    ended_at: int
    """The moment of its end, in microseconds since the start of the run; unset before."""
    parent: ref[asyncio.Task[Any]] | None
    """The task that made it, if it is alive: its code may be to blame for this one's actions."""

    def __hash__(self) -> int:
        try:
            return self._number
        except AttributeError:
            self._number = next(self.get_loop().numbers)  # type: ignore[attr-defined]
            return self._number


class NumberedFuture(asyncio.Future[T]):
    """A future whose hash is its number in the run, as that of a task is."""

    __slots__ = ("_number",)

    __hash__ = NumberedTask.__hash__
