"""A handler blocks its process: a synchronous call in a coroutine, so that no timer and no renewal of a lease runs."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from pydantic import Field

from simulation.scenario.faults.handlers import HandlerFault
from simulation.scenario.faults.targets import Handler
from simulation.scenario.faults.timing import Duration


class HandlerBlocks(HandlerFault):
    """A handler blocks its whole process for a while: nothing else of the process runs, and others go on."""

    kind: Literal["handler-blocks"] = "handler-blocks"
    example: ClassVar[str] = """\
name = "fault-handler-blocks"
description = "The handler of a blocks its process for longer than a lease."

[workload]
events = [
  { name = "a" },
  { name = "b", follows = "a", at = "100ms" },
]

[consumers]
count = 2

[[faults]]
kind = "handler-blocks"
event = "a"
call = 1
by = "20s"

[expect]
native = "holds"
"""
    by: Duration = Field(gt=0, description="for how long")

    @classmethod
    def recipe(cls, tools: Any) -> Any:
        """Return a strategy for its keys."""
        return tools.having(tools.events, by=tools.span)

    async def strike(self, handler: Handler) -> None:
        """Do it to a running handler."""
        handler.block(self.by)
