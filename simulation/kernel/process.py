"""A process: what crashes, pauses and restarts as one."""

from __future__ import annotations

import asyncio
from collections import deque
from contextvars import ContextVar


class Process:
    """A domain of failure: what crashes, pauses and restarts as one. A restart is a new process."""

    __slots__ = ("alive", "held", "name", "paused")

    def __init__(self, name: str) -> None:
        self.name = name
        self.alive = True
        self.paused = False
        self.held: deque[asyncio.Handle] = deque()
        """Callbacks that fell due while the process was paused."""

    def __repr__(self) -> str:
        state = "dead" if not self.alive else "paused" if self.paused else "running"
        return f"<Process {self.name} {state}>"

    @property
    def running(self) -> bool:
        """Whether the process makes progress now."""
        return self.alive and not self.paused


current_process: ContextVar[Process | None] = ContextVar("current_process", default=None)
"""The process that the running callback belongs to; None is the world itself, which never fails."""
