"""Exceptions that no code of a run has retrieved: those of background tasks that died, and of callbacks.

asyncio logs the exception of a task that is not awaited when the task is collected, and when that is depends on the
memory of the whole program. Here it counts when the task ended, and whether code had asked for its result by the end of
the run.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from simulation.kernel.process import Process, current_process
from simulation.kernel.tasks import NumberedTask


@dataclass(frozen=True, slots=True)
class Unretrieved:
    """An exception that was not retrieved. `at` is in microseconds since the start of the run."""

    error: BaseException
    process: Process
    at: int
    where: str
    """The source of the exception: "a task of its own", or "a callback"."""


def unretrieved(contexts: Collection[Mapping[str, Any]], tasks: Iterable[Any]) -> list[Unretrieved]:
    """Return the exceptions that were not retrieved, in the order in which they were raised.

    Args:
        contexts: the reports of asyncio, each with the time of the report as `at`.
        tasks: the tasks of the loop that are still in memory.
    """
    dead: dict[NumberedTask[Any], BaseException | None] = {}
    for context in contexts:
        if isinstance(task := context.get("future"), NumberedTask):
            dead[task] = task.exception()
    for task in tasks:
        # asyncio has no public way to learn whether a task's result was asked for.
        if task.done() and not task.cancelled() and task._log_traceback:
            dead[task] = task.exception()
    found = [
        Unretrieved(error, task.process, task.ended_at, "a task of its own")
        for task, error in sorted(dead.items(), key=lambda item: hash(item[0]))
        if error is not None and task.process is not None
    ]
    # A handler of the user's may pass on what it received: each handle counts once.
    handles = {id(context["handle"]): context for context in contexts if "handle" in context}
    for context in handles.values():
        process, error = context["handle"]._context.get(current_process), context.get("exception")
        if error is not None and process is not None:
            found.append(Unretrieved(error, process, context["at"], "a callback"))
    return sorted(found, key=lambda one: one.at)
