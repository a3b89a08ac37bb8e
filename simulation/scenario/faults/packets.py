"""What goes wrong on the way to Redis and back, packet by packet."""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import Any, ClassVar, Literal, Self

from pydantic import Field, model_validator

from simulation.scenario.faults.timing import Chance, Duration
from simulation.stores.redis_commands import WRITING_NOTHING


class PacketFault(Chance):
    """Something that happens to what is sent to Redis.

    A command is matched as it is written, and, if it runs a script that its engine has named, with the script's name
    in place of its digest: "EVALSHA complete *". Requests that an engine has joined in one command are matched one by
    one; what strikes one of them strikes the command.
    """

    match: str = Field("*", description='which commands: a pattern such as "EVALSHA *" or "SET *:processing:*"')
    consumer: str = Field("*", description="whose commands: a pattern of names")
    event: str = Field("*", description="only commands that name the id of an event: a pattern of event names")
    duration: Duration = Field(0, alias="for", description="strike only for this long; 0s: until the world heals")

    @model_validator(mode="after")
    def _ends_once(self) -> Self:
        if self.duration and self.until is not None:
            raise ValueError("'for' and 'until' both say when it ends: give one of the two")
        return self

    def is_on(self, now: int) -> bool:
        """Return whether the fault may strike at `now` microseconds."""
        return super().is_on(now) and (not self.duration or now < self.begin + self.duration)

    def fate(self) -> dict[str, Any]:
        """Return the fate of a packet: the fields of its `Fate` in `simulation.world.packets`."""
        raise NotImplementedError

    def refuses(self, verb: str) -> bool:
        """Return whether the fault can strike a command with this name."""
        return True

    def concerns(self, consumer: str) -> bool:
        """Return whether the fault may strike a consumer's commands."""
        return fnmatchcase(consumer, self.consumer)

    def is_about(self, text: str) -> bool:
        """Return whether the fault may strike a command, given as it is written."""
        return fnmatchcase(text, self.match)


class RequestLost(PacketFault):
    """The request never reaches Redis, and the connection breaks."""

    kind: Literal["request-lost"] = "request-lost"
    example: ClassVar[str] = """\
name = "fault-request-lost"
description = "The request that would begin b never reaches Redis."

[workload]
events = [
  { name = "a" },
  { name = "b", follows = "a", at = "100ms" },
]

[consumers]
count = 2

[[faults]]
kind = "request-lost"
match = "EVALSHA begin *"
nth = 2

[expect]
native = "holds"
"""

    @classmethod
    def recipe(cls, tools: Any) -> Any:
        """Return a strategy for its keys."""
        return tools.chance

    def fate(self) -> dict[str, Any]:
        """Return the fate of a packet."""
        return {"deliver": False}


class ReplyLost(PacketFault):
    """Redis executes the request, but the reply is lost and the connection breaks."""

    kind: Literal["reply-lost"] = "reply-lost"
    example: ClassVar[str] = """\
name = "fault-reply-lost"
description = "Redis completes b, and the reply is lost."

[workload]
events = [
  { name = "a" },
  { name = "b", follows = "a", at = "100ms" },
]

[consumers]
count = 2

[[faults]]
kind = "reply-lost"
match = "EVALSHA complete *"
nth = 2

[expect]
native = "holds"
"""

    @classmethod
    def recipe(cls, tools: Any) -> Any:
        """Return a strategy for its keys."""
        return tools.chance

    def fate(self) -> dict[str, Any]:
        """Return the fate of a packet."""
        return {"answer": False}


class Reset(PacketFault):
    """The connection is reset while the request is on its way: the client learns of it at once, Redis executes it."""

    kind: Literal["reset"] = "reset"
    example: ClassVar[str] = """\
name = "fault-reset"
description = "The connection is reset under a request that Redis still executes."

[workload]
events = [
  { name = "a" },
  { name = "b", follows = "a", at = "100ms" },
]

[consumers]
count = 2

[[faults]]
kind = "reset"
match = "EVALSHA begin *"
nth = 2

[expect]
native = "holds"
"""

    @classmethod
    def recipe(cls, tools: Any) -> Any:
        """Return a strategy for its keys."""
        return tools.chance

    def fate(self) -> dict[str, Any]:
        """Return the fate of a packet."""
        return {"reset": True}


class Latency(PacketFault):
    """The request, the reply or both take longer."""

    kind: Literal["latency"] = "latency"
    example: ClassVar[str] = """\
name = "fault-latency"
description = "Half of all replies take a second longer."

[workload]
events = [
  { name = "a" },
  { name = "b", follows = "a", at = "100ms" },
]

[consumers]
count = 2

[[faults]]
kind = "latency"
reply = "1s"
probability = 0.5

[expect]
native = "holds"
"""
    request: Duration = Field(0, description="how much longer the request travels")
    reply: Duration = Field(0, description="how much longer the reply travels")

    @model_validator(mode="after")
    def _says_how_much(self) -> Self:
        if not (self.request or self.reply):
            raise ValueError("a latency fault needs a 'request' or a 'reply' duration")
        return self

    @classmethod
    def recipe(cls, tools: Any) -> Any:
        """Return a strategy for its keys."""
        return tools.having(tools.chance, request=tools.brief) | tools.having(tools.chance, reply=tools.brief)

    def fate(self) -> dict[str, Any]:
        """Return the fate of a packet."""
        return {"request_delay": self.request, "reply_delay": self.reply}


ERRORS = {
    "OOM": "OOM command not allowed when used memory > 'maxmemory'.",
    "READONLY": "READONLY You can't write against a read only replica.",
    "LOADING": "LOADING Redis is loading the dataset in memory",
    "BUSY": "BUSY Redis is busy running a script. You can only call SCRIPT KILL or SHUTDOWN NOSAVE.",
    "CLUSTERDOWN": "CLUSTERDOWN The cluster is down",
    "NOPERM": "NOPERM this user has no permissions to run the command",
}

ERRORS_BY_CHANCE = ("LOADING", "BUSY", "OOM", "READONLY", "CLUSTERDOWN", "NOPERM")
"""The errors, the simplest first: a failing example shrinks to that."""

WRITES_ONLY = frozenset({"OOM", "READONLY"})
"""Errors with which Redis answers commands that write, and no others."""


class ErrorReply(PacketFault):
    """Redis refuses what was sent with an error, and executes none of it. OOM and READONLY refuse only what writes."""

    kind: Literal["error-reply"] = "error-reply"
    example: ClassVar[str] = """\
name = "fault-error-reply"
description = "Redis is loading its data for the first half second."

[workload]
events = [
  { name = "a" },
  { name = "b", follows = "a", at = "100ms" },
]

[consumers]
count = 2

[[faults]]
kind = "error-reply"
error = "LOADING"
until = "500ms"

[expect]
native = "holds"
"""
    error: Literal["OOM", "READONLY", "LOADING", "BUSY", "CLUSTERDOWN", "NOPERM"] = Field(description="the error")

    def refuses(self, verb: str) -> bool:
        """Return whether Redis would answer a command with this error."""
        return self.error not in WRITES_ONLY or verb.upper().encode() not in WRITING_NOTHING

    @classmethod
    def recipe(cls, tools: Any) -> Any:
        """Return a strategy for its keys."""
        return tools.having(tools.chance, error=tools.among(*ERRORS_BY_CHANCE))

    def fate(self) -> dict[str, Any]:
        """Return the fate of a packet."""
        return {"error": ERRORS[self.error].encode()}
