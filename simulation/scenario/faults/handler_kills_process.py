"""A handler ends its whole process: out of memory, a segmentation fault, `os._exit`."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from simulation.scenario.faults.handlers import HandlerFault
from simulation.scenario.faults.targets import Handler


class HandlerKillsProcess(HandlerFault):
    """A handler ends its whole process once it has done its work; the process starts again after its restart delay."""

    kind: Literal["handler-kills-process"] = "handler-kills-process"
    example: ClassVar[str] = """\
name = "fault-handler-kills-process"
description = "The first handler of a takes its process with it."

[workload]
events = [
  { name = "a" },
  { name = "b", follows = "a", at = "100ms" },
]

[consumers]
count = 2

[[faults]]
kind = "handler-kills-process"
event = "a"
call = 1

[expect]
native = "holds"
"""

    @classmethod
    def recipe(cls, tools: Any) -> Any:
        """Return a strategy for its keys."""
        return tools.events

    async def strike(self, handler: Handler) -> None:
        """Do it to a running handler."""
        await handler.end_process()
