"""Exceptions that no code of a run has retrieved: those of background tasks that died, and of callbacks.

asyncio logs the exception of a task that nobody awaits when the task is collected, and when that is depends on the
memory of the whole program. Here it counts when the task ended, and whether anybody had asked for its result by the end
of the run.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from simulation.kernel.process import Process, current_process
from simulation.kernel.tasks import NumberedTask


@dataclass(frozen=True, slots=True)
class Unretrieved:
    """An exception that nobody retrieved. `at` is in microseconds since the start of the run."""

    error: BaseException
    process: Process
    at: int
    where: str
    """What raised it: "a task of its own", or "a callback"."""


def unretrieved(contexts: Iterable[Mapping[str, Any]], tasks: Iterable[Any]) -> list[Unretrieved]:
    """Return what nobody retrieved, in the order in which it was raised.

    Args:
        contexts: what asyncio has reported, each with the time of the report as `at`.
        tasks: the tasks of the loop that are still in memory.
    """
    dead: dict[Any, BaseException | None] = {}
    for context in contexts:
        if isinstance(task := context.get("future"), NumberedTask):
            dead[task] = task.exception()
    for task in tasks:
        # asyncio has no public word for whether anybody has asked for a task's result.
        if task.done() and not task.cancelled() and task._log_traceback:
            dead[task] = task.exception()
    found = {
        (task.ended_at, hash(task)): Unretrieved(error, task.process, task.ended_at, "a task of its own")
        for task, error in dead.items()
        if error is not None and task.process is not None
    }
    for number, context in enumerate(contexts):
        handle, error = context.get("handle"), context.get("exception")
        process = handle._context.get(current_process) if handle is not None else None
        if error is not None and process is not None:
            found[context["at"], number] = Unretrieved(error, process, context["at"], "a callback")
    return [found[place] for place in sorted(found)]
