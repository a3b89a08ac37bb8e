"""A simulated process: the unit of crashes, pauses, blocking and restarts; and the process of the running code."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from contextvars import ContextVar
from typing import Any


class Process:
    """A domain of failure: a unit of crashes, pauses and restarts. A restart is a new process."""

    __slots__ = ("alive", "blocked", "handlers", "held", "name", "paused", "returning", "signals")

    def __init__(self, name: str) -> None:
        self.name = name
        self.alive = True
        self.paused = False
        self.blocked = False
        """Whether it is inside of a call that blocks."""
        self.returning: Callable[[], object] | None = None
        """The function that lets its blocking call return, if that was due during a pause."""
        self.signals: dict[int, Callable[[], object]] = {}
        """Its reactions to signals, by number."""
        self.handlers: dict[int, object] = {}
        """The handlers that its code has set for them, as `signal.signal` takes them."""
        self.held: deque[Any] = deque()

    def __repr__(self) -> str:
        state = "dead" if not self.alive else "paused" if self.paused else "running"
        return f"<Process {self.name} {state}>"

    @property
    def running(self) -> bool:
        """Whether the process makes progress now."""
        return self.alive and not self.paused and not self.blocked


current_process: ContextVar[Process | None] = ContextVar("current_process", default=None)
"""The process that the running callback belongs to; None is the world itself, which never fails."""
