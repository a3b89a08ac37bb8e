"""What goes wrong in handlers: they take long, raise, or are cancelled."""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import Any, ClassVar, Literal

from pydantic import Field

from simulation.scenario.faults.targets import Handler
from simulation.scenario.faults.timing import Duration, EventChance


class HandlerFault(EventChance):
    """Something that happens in a handler. Each call of a handler counts, also for the same event again."""

    consumer: str = Field("*", description="whose handlers: a pattern of names")
    call: int | None = Field(None, ge=1, description="strike only the handler's nth call for the same event")

    async def strike(self, handler: Handler) -> None:
        """Do it to a running handler."""
        raise NotImplementedError

    def strikes_call(self, consumer: str, call: int, now: int) -> bool:
        """Return whether the fault may strike this call of a consumer's handler, at `now` microseconds."""
        return self.is_on(now) and fnmatchcase(consumer, self.consumer) and self.call in (None, call)


class HandlerSlow(HandlerFault):
    """A handler takes longer."""

    kind: Literal["handler-slow"] = "handler-slow"
    example: ClassVar[str] = """\
name = "fault-handler-slow"
description = "The handler of a takes longer than a lease."

[workload]
events = [
  { name = "a" },
  { name = "b", follows = "a", at = "100ms" },
]

[consumers]
count = 2

[[faults]]
kind = "handler-slow"
event = "a"
by = "20s"

[expect]
native = "holds"
"""
    by: Duration = Field(gt=0, description="how much longer")

    @classmethod
    def recipe(cls, tools: Any) -> Any:
        """Return a strategy for its keys."""
        return tools.having(tools.events, by=tools.span)

    async def strike(self, handler: Handler) -> None:
        """Do it to a running handler."""
        await handler.work_longer(self.by)


class HandlerRaises(HandlerFault):
    """A handler raises an exception once it has done its work."""

    kind: Literal["handler-raises"] = "handler-raises"
    example: ClassVar[str] = """\
name = "fault-handler-raises"
description = "The handler of a fails at its first call."

[workload]
events = [
  { name = "a" },
  { name = "b", follows = "a", at = "100ms" },
]

[consumers]
count = 2

[[faults]]
kind = "handler-raises"
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
        handler.fail()


class HandlerCancelled(HandlerFault):
    """A handler is cancelled in the middle of its work, as by a timeout that its consumer has put around it."""

    kind: Literal["handler-cancelled"] = "handler-cancelled"
    example: ClassVar[str] = """\
name = "fault-handler-cancelled"
description = "The first handler to run is cancelled."

[workload]
events = [
  { name = "a" },
  { name = "b", follows = "a", at = "100ms" },
]

[consumers]
count = 2

[[faults]]
kind = "handler-cancelled"
nth = 1

[expect]
native = "holds"
"""

    @classmethod
    def recipe(cls, tools: Any) -> Any:
        """Return a strategy for its keys."""
        return tools.events

    async def strike(self, handler: Handler) -> None:
        """Do it to a running handler."""
        await handler.be_cancelled()
