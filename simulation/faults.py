"""Faults as plain data: what goes wrong, when, to whom, and when it heals. Who injects them is another file's matter.

Three families, by where they strike. *World* faults happen at a moment (`at`, then `every`) and end after `for`.
*Packet* faults decide about what a consumer sends to Redis: those that match, the `nth` of them or each with a
probability, within a period. *Delivery* faults decide about what the broker hands out. Each fault that was injected
is in the history; each that never was is reported.
"""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, PlainSerializer, model_validator

from simulation.durations import format_duration, parse_duration

Duration = Annotated[int, BeforeValidator(parse_duration), PlainSerializer(format_duration)]
Probability = Annotated[float, Field(ge=0, le=1)]


class _Fault(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)


class WorldFault(_Fault):
    """Something that happens to the world at a moment."""

    at: Duration = Field(description="when it strikes first")
    every: Duration | None = Field(None, gt=0, description="strike again after each such period")
    times: int = Field(1, ge=1, description="how often it strikes in all, if `every` is given")
    consumer: str = Field("any", description='whom: a name ("c1"), "all", or "any" for one that is drawn')
    duration: Duration = Field(0, alias="for", description="how long until it heals")


class Crash(WorldFault):
    """A consumer dies at once: no `finally` runs, its connections are cut. It restarts after `for` (0: never)."""

    kind: Literal["crash"] = "crash"
    duration: Duration = Field(1_000_000, alias="for", description="how long until it restarts; 0s: only at the end")


class Stop(WorldFault):
    """A consumer is shut down in good order, as by a deploy: its tasks are cancelled. It restarts after `for`."""

    kind: Literal["stop"] = "stop"
    duration: Duration = Field(1_000_000, alias="for", description="how long until it restarts; 0s: only at the end")


class Pause(WorldFault):
    """A consumer freezes while the world goes on: a long garbage collection, a blocked loop, a suspended machine."""

    kind: Literal["pause"] = "pause"
    duration: Duration = Field(alias="for", gt=0, description="how long it is frozen")


class Partition(WorldFault):
    """Consumers cannot reach Redis: what they send is lost, and their connections break."""

    kind: Literal["partition"] = "partition"
    duration: Duration = Field(alias="for", gt=0, description="how long they are cut off")


class PacketFault(_Fault):
    """Something that happens to what is sent to Redis."""

    match: str = Field("*", description='which commands: a pattern such as "EVALSHA *" or "SET *:processing:*"')
    consumer: str = Field("*", description="whose commands: a pattern of names")
    probability: Probability = Field(1.0, description="probability for each command that matches")
    nth: int | None = Field(None, ge=1, description="strike only the nth command that matches")
    begin: Duration = Field(0, alias="from", description="strike only from this moment on")
    duration: Duration = Field(0, alias="for", description="strike only for this long; 0s: until the world heals")

    def concerns(self, consumer: str, words: list[str], now: int) -> bool:
        """Return whether the fault may strike this command of this consumer now."""
        if now < self.begin or (self.duration and now >= self.begin + self.duration):
            return False
        return fnmatchcase(consumer, self.consumer) and fnmatchcase(" ".join(words), self.match)


class RequestLost(PacketFault):
    """The request never reaches Redis, and the connection breaks."""

    kind: Literal["request-lost"] = "request-lost"


class ReplyLost(PacketFault):
    """Redis executes the request, but the reply is lost and the connection breaks."""

    kind: Literal["reply-lost"] = "reply-lost"


class Latency(PacketFault):
    """The request, the reply or both take longer."""

    kind: Literal["latency"] = "latency"
    request: Duration = Field(0, description="how much longer the request travels")
    reply: Duration = Field(0, description="how much longer the reply travels")

    @model_validator(mode="after")
    def _says_how_much(self) -> Self:
        if not (self.request or self.reply):
            raise ValueError("a latency fault needs a 'request' or a 'reply' duration")
        return self


ERRORS = {
    "OOM": "OOM command not allowed when used memory > 'maxmemory'.",
    "READONLY": "READONLY You can't write against a read only replica.",
    "LOADING": "LOADING Redis is loading the dataset in memory",
    "BUSY": "BUSY Redis is busy running a script. You can only call SCRIPT KILL or SHUTDOWN NOSAVE.",
    "CLUSTERDOWN": "CLUSTERDOWN The cluster is down",
}


class ErrorReply(PacketFault):
    """Redis refuses the command with an error, and does not execute it."""

    kind: Literal["error-reply"] = "error-reply"
    error: Literal["OOM", "READONLY", "LOADING", "BUSY", "CLUSTERDOWN"] = Field(description="the error")


class DeliveryFault(_Fault):
    """Something that happens to what the broker delivers."""

    event: str = Field("*", description="which events: a pattern of names")
    probability: Probability = Field(1.0, description="probability for each event that matches")
    nth: int | None = Field(None, ge=1, description="strike only the nth event that matches")


class Drop(DeliveryFault):
    """The broker loses the event for good."""

    kind: Literal["drop"] = "drop"


class Delay(DeliveryFault):
    """The broker holds the event back."""

    kind: Literal["delay"] = "delay"
    by: Duration = Field(gt=0, description="how much later the event becomes visible")


class Duplicate(DeliveryFault):
    """The broker delivers the event once more."""

    kind: Literal["duplicate"] = "duplicate"
    after: Duration = Field(description="how much later the second delivery comes")


FAULTS: dict[str, type[_Fault]] = {
    kind.model_fields["kind"].default: kind
    for kind in (Crash, Stop, Pause, Partition, RequestLost, ReplyLost, Latency, ErrorReply, Drop, Delay, Duplicate)
}
"""Every kind of fault by its name."""

Fault = Annotated[
    Crash | Stop | Pause | Partition | RequestLost | ReplyLost | Latency | ErrorReply | Drop | Delay | Duplicate,
    Field(discriminator="kind"),
]


def describe(fault: _Fault) -> dict[str, Any]:
    """Return the fault as a file writes it, without what is left at its default."""
    return {"kind": getattr(fault, "kind", ""), **fault.model_dump(mode="json", by_alias=True, exclude_defaults=True)}
