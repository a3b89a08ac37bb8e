"""What goes wrong with Redis itself. These need a Redis of the run's own: a user's server is left alone."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from simulation.scenario.faults.timing import Duration, Offset, Probability, TimedFault


class StoreFault(TimedFault):
    """Something that happens to Redis at a moment."""


class Restart(StoreFault):
    """Redis goes down and comes back after `for`: connections and scripts are gone, the data is kept or lost."""

    kind: Literal["restart"] = "restart"
    keep: bool = Field(True, description="whether its data is still there; false: it comes back empty")
    duration: Duration = Field(1_000_000, alias="for", description="how long it is down")


class Flush(StoreFault):
    """Somebody runs FLUSHALL: all data is gone, connections and scripts are not."""

    kind: Literal["flush"] = "flush"


class Failover(StoreFault):
    """Redis dies and a replica takes its place: what was written within `lag` before is gone, acknowledged or not.

    The replica has applied the primary's replication stream up to that moment. Connections break, scripts are not
    known to it, and nobody answers until it is promoted, after `for`. Needs the store `server`.
    """

    kind: Literal["failover"] = "failover"
    lag: Duration = Field(description="how far the replica is behind")
    duration: Duration = Field(1_000_000, alias="for", description="how long until the replica is promoted")


class Evict(StoreFault):
    """Redis is short of memory and evicts a class of keys, without a word."""

    kind: Literal["evict"] = "evict"
    keys: str = Field(description='which keys: a pattern such as "*:seen:*"')
    share: Probability = Field(1.0, gt=0, description="probability for each of those keys")


class OutOfMemory(StoreFault):
    """Redis has no memory left and evicts nothing: it really refuses to write, until memory is free again."""

    kind: Literal["out-of-memory"] = "out-of-memory"
    duration: Duration = Field(alias="for", gt=0, description="how long until memory is free again")


class ServerClock(StoreFault):
    """The clock of Redis jumps: what was to lapse lapses too early or too late."""

    kind: Literal["server-clock"] = "server-clock"
    offset: Offset = Field(description='how far it jumps: "30s" ahead, "-30s" behind')
    duration: Duration = Field(0, alias="for", description="how long until it is set right; 0s: only at the end")

    @model_validator(mode="after")
    def _jumps(self) -> Self:
        if not self.offset:
            raise ValueError("an 'offset' of 0 is no jump")
        return self
