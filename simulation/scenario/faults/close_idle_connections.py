"""The server closes connections that carry nothing, as Redis does with `timeout` and proxies do after some minutes."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from pydantic import Field

from simulation.scenario.faults.store import StoreFault
from simulation.scenario.faults.targets import Active, Redis, Undo
from simulation.scenario.faults.timing import Duration


class CloseIdleConnections(StoreFault):
    """The server closes connections in good order: those that were idle for `idle`, or all. The data is untouched.

    A client reads the end of the stream, and has to connect again when it next has something to ask.
    """

    kind: Literal["close-idle-connections"] = "close-idle-connections"
    on_every_store: ClassVar[bool] = True
    idle: Duration = Field(0, description="close only what carried nothing for this long; 0s: every connection")
    age: Duration = Field(0, description="close only what was opened at least this long ago")
    example: ClassVar[str] = """\
name = "close-idle-connections"
description = "Between two events the server closes the connection of every consumer."

[workload]
kind = "events"
events = [{ name = "a" }, { name = "b", follows = "a", at = "90s" }]

[[faults]]
kind = "close-idle-connections"
at = "62s"
idle = "1s"
"""

    @classmethod
    def recipe(cls, tools: Any) -> Any:
        """Return a strategy for its keys."""
        return tools.merged(tools.timed, tools.some(idle=tools.span))

    def strike(self, active: Active, redis: Redis) -> Undo | None:
        """Close the connections. Nothing is noted if there was none to close."""
        closed = redis.close_connections(self.idle, self.age)
        if closed:
            active.note(connections=closed)
        return None
