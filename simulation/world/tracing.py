"""Writes requests and replies into the history of a run that is traced."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from simulation.history.history import History
from simulation.kernel.event_loop import SimulatedLoop
from simulation.world.injection.command_patterns import Spelling


def tracer_of(engine: type[Any], history: History, loop: SimulatedLoop) -> Callable[[str, str, Any], None]:
    """Return a function that writes an entry of a kind, about a consumer, with details; scripts get their names."""
    spelling = Spelling.of(engine)

    def record(kind: str, consumer: str, details: Any) -> None:
        if kind == "command":
            details = {**details, "commands": [spelling.spelled(words) for words in details["commands"]]}
        history.append(loop.now, kind, "", consumer, **details)

    return record
