"""The running loop of this thread: a world's within that of a notebook or of a test, or none, as in another thread."""

from __future__ import annotations

import asyncio
from asyncio.tasks import _enter_task, _leave_task  # asyncio documents these for loops of others
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def running(loop: asyncio.AbstractEventLoop | None) -> Iterator[None]:
    """Have this loop run, or none; then the loop from before goes on, with its current task.

    Since Python 3.14 a thread has one current task; before, each loop had one.
    """
    before = asyncio._get_running_loop()
    task = None if before is None else asyncio.current_task(before)
    if before is not None and task is not None:
        _leave_task(before, task)
    asyncio._set_running_loop(loop)
    try:
        yield
    finally:
        _leave_abandoned(loop)
        asyncio._set_running_loop(before)
        if before is not None and task is not None:
            _enter_task(before, task)


def _leave_abandoned(loop: asyncio.AbstractEventLoop | None) -> None:
    """Leave the task whose step was never ended, if there is one: it would keep others from being current."""
    if loop is None:
        return
    asyncio._set_running_loop(loop)
    if (task := asyncio.current_task(loop)) is not None:
        _leave_task(loop, task)
